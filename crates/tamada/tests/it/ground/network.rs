//! A network between machines, in which any of them can be cut off from any other.
//!
//! All are connected to one bridge, on a machine of its own. They do not ask who has which address: each is told. To cut
//! the way from one machine to another, the first is told a wrong one, and what it sends reaches nobody. It notices no
//! more than with a cable that was pulled out far away: nothing is refused, nothing comes back.

use std::io;

use super::cable::Cable;
use super::machine::Machine;

/// Gives these machines the addresses that [`address`] says, in this order. They hear each other as long as the hub is
/// there that is returned.
pub fn connect(machines: &[&Machine]) -> Machine {
    let hub = new_hub();
    for (at, machine) in machines.iter().enumerate() {
        let (link, thread) = (link(at), machine.thread_id());
        hub.ip(format!("link add to{at} type veth peer name net address {link} netns {thread}"));
        plug_in(&hub, machine, at, machines.len());
    }
    hub
}

/// The same with cables on whose weather one has a say. Not every system has what they are made of.
pub fn connect_in_weather(machines: &[&Machine]) -> io::Result<(Machine, Vec<Cable>)> {
    let hub = new_hub();
    let mut cables = Vec::new();
    for (at, machine) in machines.iter().enumerate() {
        cables.push(Cable::between(machine, "net", &hub, &format!("to{at}"))?);
        machine.ip(format!("link set net address {}", link(at)));
        plug_in(&hub, machine, at, machines.len());
    }
    Ok((hub, cables))
}

fn new_hub() -> Machine {
    let hub = Machine::apart().expect("the machines are apart already");
    hub.ip("link add bridge type bridge\n link set bridge up");
    hub
}

fn plug_in(hub: &Machine, machine: &Machine, at: usize, count: usize) {
    machine.ip(format!("address add {}/24 dev net\n link set net up", address(at)));
    // Last: a bridge takes its time to notice that the far end of a cable is alive, unless it was from the beginning.
    hub.ip(format!("link set to{at} master bridge up"));
    for other in (0..count).filter(|other| *other != at) {
        mend(machine, other);
    }
}

pub fn address(at: usize) -> String {
    format!("10.0.0.{}", at + 1)
}

/// From now on nothing that the machine sends to the other one arrives.
pub fn cut(machine: &Machine, to: usize) {
    tell_neighbour(machine, to, &format!("02:00:00:00:ff:{to:02x}"));
}

pub fn mend(machine: &Machine, to: usize) {
    tell_neighbour(machine, to, &link(to));
}

fn tell_neighbour(machine: &Machine, to: usize, link: &str) {
    machine.ip(format!("neighbour replace {} lladdr {link} dev net nud permanent", address(to)));
}

fn link(at: usize) -> String {
    format!("02:00:00:00:00:{at:02x}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::super::cable::Weather;
    use super::super::scene::with_machines;
    use super::*;
    use crate::town::LIMIT;

    /// Whether a connection can be made within this time, and a byte comes back.
    fn is_answered(from: &Machine, to: usize, within: Duration) -> bool {
        let echo = async move {
            let mut stream = TcpStream::connect((address(to), 7)).await?;
            stream.write_all(b"x").await?;
            stream.read_u8().await
        };
        from.ask(async move { timeout(within, echo).await.is_ok_and(|byte| byte.is_ok()) })
    }

    fn hears(from: &Machine, to: usize) -> bool {
        is_answered(from, to, LIMIT)
    }

    fn is_deaf(from: &Machine, to: usize) -> bool {
        !is_answered(from, to, Duration::from_millis(300))
    }

    async fn echo(listener: TcpListener) {
        while let Ok((mut stream, _)) = listener.accept().await {
            if let Ok(byte) = stream.read_u8().await {
                let _ = stream.write_u8(byte).await;
            }
        }
    }

    #[test]
    fn what_is_cut_is_silent_until_it_is_mended() {
        with_machines("ground::network::tests::what_is_cut_is_silent_until_it_is_mended", || {
            let [a, b, c] = [(); 3].map(|()| Machine::apart().expect("tried before"));
            let _hub = connect(&[&a, &b, &c]);
            for machine in [&b, &c] {
                let listener =
                    machine.ask(async { TcpListener::bind("0.0.0.0:7").await.expect("nobody else is there") });
                machine.start(echo(listener));
            }
            assert!(hears(&a, 1) && hears(&a, 2));
            cut(&a, 1);
            assert!(is_deaf(&a, 1) && hears(&a, 2));
            mend(&a, 1);
            cut(&b, 0);
            assert!(is_deaf(&a, 1) && hears(&a, 2) && hears(&c, 1));
            mend(&b, 0);
            assert!(hears(&a, 1) && hears(&a, 2));
        });
    }

    #[test]
    fn bad_weather_makes_a_cable_slow_and_then_silent() {
        with_machines("ground::network::tests::bad_weather_makes_a_cable_slow_and_then_silent", || {
            let [a, b] = [(); 2].map(|()| Machine::apart().expect("tried before"));
            let Ok((_hub, cables)) = connect_in_weather(&[&a, &b]) else {
                return eprintln!("left out: this system has no network devices that are made of software");
            };
            let listener = b.ask(async { TcpListener::bind("0.0.0.0:7").await.expect("nobody else is there") });
            b.start(echo(listener));
            assert!(hears(&a, 1));
            cables[1].weather(Weather { delay: Duration::from_millis(200), jitter: Duration::ZERO, loss: 0.0 });
            assert!(is_deaf(&a, 1) && hears(&a, 1), "it takes longer");
            cables[1].weather(Weather { delay: Duration::ZERO, jitter: Duration::ZERO, loss: 1.0 });
            assert!(is_deaf(&a, 1));
            cables[1].weather(Weather::FINE);
            assert!(hears(&a, 1));
        });
    }
}
