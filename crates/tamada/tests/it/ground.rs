//! The ground on which a test's processes stand: this machine and its loopback, or [machines](machine) of their own
//! with a [network] between them, in which any can be cut off from any other.

pub mod machine;
pub mod network;
pub mod scene;

use machine::Machine;

pub struct Ground {
    /// One for everybody; or one for each place.
    machines: Vec<Machine>,
    hub: Option<Machine>,
}

impl Ground {
    pub fn loopback() -> Self {
        Self { machines: vec![Machine::here()], hub: None }
    }

    /// A machine for each of so many places. Whoever calls has found out that it may, see [`scene`].
    pub fn apart(places: usize) -> Self {
        let apart = || Machine::apart().expect("whoever calls has found out that it may");
        let machines: Vec<Machine> = (0..places).map(|_| apart()).collect();
        let hub = network::connect(&machines.iter().collect::<Vec<_>>());
        Self { machines, hub: Some(hub) }
    }

    pub fn is_apart(&self) -> bool {
        self.hub.is_some()
    }

    pub fn machine(&self, place: usize) -> &Machine {
        match self.hub {
            Some(_) => &self.machines[place],
            None => &self.machines[0],
        }
    }

    pub fn address(&self, place: usize) -> String {
        match self.hub {
            Some(_) => network::address(place),
            None => "127.0.0.1".to_owned(),
        }
    }

    /// Nothing that is sent from the one place to the other arrives.
    pub fn cut(&self, from: usize, to: usize) {
        assert!(self.hub.is_some(), "there is nothing to cut on one machine");
        network::cut(&self.machines[from], to);
    }

    pub fn mend_all(&self) {
        if self.hub.is_none() {
            return;
        }
        for (from, machine) in self.machines.iter().enumerate() {
            (0..self.machines.len()).filter(|to| *to != from).for_each(|to| network::mend(machine, to));
        }
    }
}
