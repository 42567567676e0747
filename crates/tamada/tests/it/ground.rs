//! The ground on which a test's processes stand: this machine and its loopback, or [machines](machine) of their own
//! with a [network] between them, in which any can be cut off from any other.

pub mod cable;
pub mod machine;
pub mod network;
pub mod scene;

use cable::{Cable, Weather};
use machine::Machine;

pub struct Ground {
    /// One for everybody; or one for each place.
    machines: Vec<Machine>,
    hub: Option<Machine>,
    /// One for each place, if they are of the kind that has weather.
    cables: Vec<Cable>,
}

impl Ground {
    pub fn loopback() -> Self {
        Self { machines: vec![Machine::here()], hub: None, cables: Vec::new() }
    }

    /// A machine for each of so many places. Whoever calls has found out that it may, see [`scene`].
    pub fn apart(places: usize) -> Self {
        let machines = machines(places);
        let hub = network::connect(&machines.iter().collect::<Vec<_>>());
        Self { machines, hub: Some(hub), cables: Vec::new() }
    }

    /// The same with [weather](cable), where the system has what that is made of.
    pub fn in_weather(places: usize) -> std::io::Result<Self> {
        let machines = machines(places);
        let (hub, cables) = network::connect_in_weather(&machines.iter().collect::<Vec<_>>())?;
        Ok(Self { machines, hub: Some(hub), cables })
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

    /// On the cable of this place.
    pub fn weather(&self, place: usize, weather: Weather) {
        self.cables[place].weather(weather);
    }

    pub fn mend_all(&self) {
        self.cables.iter().for_each(|cable| cable.weather(Weather::FINE));
        if self.hub.is_none() {
            return;
        }
        for (from, machine) in self.machines.iter().enumerate() {
            (0..self.machines.len()).filter(|to| *to != from).for_each(|to| network::mend(machine, to));
        }
    }
}

fn machines(places: usize) -> Vec<Machine> {
    (0..places).map(|_| Machine::apart().expect("whoever calls has found out that it may")).collect()
}
