//! Members by role (ctl.md 1.4).

use tamada_model::{Cluster, Member, MemberName, Role};

use crate::cli::{Given, ROLE};

/// What `--role` may ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    Leader,
    Primary,
    StandbyLeader,
    /// Also spelled `standby`.
    Replica,
    Any,
}

impl Wanted {
    /// `--role`, if given; the grammar lets no other words through.
    pub fn given(given: &Given) -> Option<Self> {
        Some(match given.text(&ROLE)? {
            "leader" => Wanted::Leader,
            "primary" => Wanted::Primary,
            "standby-leader" => Wanted::StandbyLeader,
            "replica" | "standby" => Wanted::Replica,
            _ => Wanted::Any,
        })
    }

    fn fits(self, cluster: &Cluster, name: &MemberName, member: &Member) -> bool {
        let is_leader = cluster.leader_name() == Some(name);
        match self {
            Wanted::Leader => is_leader,
            Wanted::Primary => is_leader && member.role != Some(Role::StandbyLeader),
            Wanted::StandbyLeader => is_leader && member.role != Some(Role::Primary),
            Wanted::Replica => !is_leader,
            Wanted::Any => true,
        }
    }
}

/// In the order of their names.
pub fn members_with(cluster: &Cluster, wanted: Wanted) -> Vec<MemberName> {
    let fitting = cluster.members.iter().filter(|(name, member)| wanted.fits(cluster, name, member));
    fitting.map(|(name, _)| name.clone()).collect()
}
