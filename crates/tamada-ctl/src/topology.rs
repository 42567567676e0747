//! Who replicates from whom, as a tree.
//!
//! The root is the leader; a replica hangs under its `replicatefrom` member if that is another replica of this cluster, else
//! under the leader. Members that replicate from each other in a circle hang nowhere and are not shown (ctl.md 2.1).

/// Where one member belongs.
pub struct Place<'a> {
    pub name: &'a str,
    pub is_leader: bool,
    pub parent: Option<&'a str>,
}

/// Puts `members` into tree order and returns what stands before each name. Members in a circle are dropped.
pub fn arrange<'a, M: Copy>(members: &mut Vec<M>, place: impl Fn(&M) -> Place<'a>) -> Vec<String> {
    let places: Vec<Place> = members.iter().map(place).collect();
    let mut order: Vec<(usize, usize)> = Vec::new();
    for (at, member) in places.iter().enumerate() {
        if member.is_leader {
            order.push((at, 0));
        }
    }
    hang_below(&places, None, 1, &mut order);
    *members = order.iter().map(|(at, _)| members[*at]).collect();
    order.iter().map(|(_, depth)| mark(*depth)).collect()
}

/// Children of `parent`, each followed by its own children; of the leader for `None`.
fn hang_below(places: &[Place], parent: Option<&str>, depth: usize, order: &mut Vec<(usize, usize)>) {
    for (at, member) in places.iter().enumerate() {
        if !member.is_leader && upstream(places, member) == parent {
            order.push((at, depth));
            hang_below(places, Some(member.name), depth + 1, order);
        }
    }
}

fn upstream<'a>(places: &[Place<'a>], member: &Place<'a>) -> Option<&'a str> {
    let is_other_replica =
        |parent: &&str| *parent != member.name && places.iter().any(|other| other.name == *parent && !other.is_leader);
    member.parent.filter(is_other_replica)
}

fn mark(depth: usize) -> String {
    match depth {
        0 => String::new(),
        below => format!("{}+ ", "  ".repeat(below - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a<b`: a replicates from b; `*a`: a leads.
    fn tree(members: &'static str) -> String {
        let place = |word: &&'static str| {
            let (name, parent) = word.split_once('<').map_or((*word, None), |(name, parent)| (name, Some(parent)));
            Place { name: name.trim_start_matches('*'), is_leader: name.starts_with('*'), parent }
        };
        let mut words: Vec<&'static str> = members.split(' ').collect();
        let marks = arrange(&mut words, place);
        words.iter().zip(marks).map(|(word, mark)| format!("{mark}{}", place(word).name)).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn replicas_hang_below_those_they_replicate_from() {
        assert_eq!(tree("a<c *b c d<a e<b"), "b|+ c|  + a|    + d|+ e");
    }

    #[test]
    fn who_names_nobody_known_or_itself_hangs_below_the_leader() {
        assert_eq!(tree("*a b<x c<c"), "a|+ b|+ c");
    }

    #[test]
    fn a_circle_is_not_shown() {
        assert_eq!(tree("*a b<c c<b d"), "a|+ d");
    }

    #[test]
    fn without_a_leader_everybody_still_hangs_somewhere() {
        assert_eq!(tree("a b<a"), "+ a|  + b");
    }
}
