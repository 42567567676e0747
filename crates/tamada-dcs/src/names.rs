//! Addresses of host names, looked up without ever hanging on the resolver.
//!
//! The system's resolver blocks a thread for as long as it likes. So one look-up per name is under way at most, its
//! result is kept, and while DNS is silent the addresses we know serve on.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tamada_model::Mono;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::clock::{Deadline, mono};

/// dcs-layout.md 9.1, "DNS".
const KEEP: Duration = Duration::from_secs(600);

#[derive(Clone, Default)]
pub struct Names(Arc<Mutex<BTreeMap<String, Known>>>);

#[derive(Default)]
struct Known {
    addresses: Vec<IpAddr>,
    /// When they were found; `None`: to be asked for again.
    found: Option<Mono>,
    complaint: Option<String>,
    /// Closed when the look-up under way has ended.
    under_way: Option<watch::Receiver<()>>,
}

impl Names {
    /// Connects to the first address of the host that answers; each has a share of the time.
    pub async fn connect(&self, host: &str, port: u16, limit: Deadline) -> Result<TcpStream, String> {
        let addresses = self.addresses(host, limit).await?;
        let mut complaint = format!("host {host} has no address");
        for (tried, address) in addresses.iter().enumerate() {
            let shares = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let share = Deadline::after(limit.left() / shares);
            match share.limit(TcpStream::connect(SocketAddr::new(*address, port))).await {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(why)) => complaint = why.to_string(),
                None => complaint = "no connection in time".to_owned(),
            }
        }
        self.doubt(host);
        Err(complaint)
    }

    async fn addresses(&self, host: &str, limit: Deadline) -> Result<Vec<IpAddr>, String> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let mut under_way = {
            let mut names = self.lock();
            let known = names.entry(host.to_owned()).or_default();
            if known.found.is_some_and(|found| mono().since(found) < KEEP) {
                return Ok(known.addresses.clone());
            }
            known.under_way.get_or_insert_with(|| self.look_up(host)).clone()
        };
        // Half of the time, so that the other half is left for the addresses we know.
        let half = Deadline::after(limit.left() / 2);
        let ended = half.limit(under_way.changed()).await.is_some();
        let mut names = self.lock();
        let known = names.entry(host.to_owned()).or_default();
        match &known.complaint {
            _ if !known.addresses.is_empty() => Ok(known.addresses.clone()),
            Some(complaint) if ended => Err(format!("host {host}: {complaint}")),
            Some(_) | None => Err(format!("host {host}: no answer from the resolver")),
        }
    }

    fn look_up(&self, host: &str) -> watch::Receiver<()> {
        let (ended, under_way) = watch::channel(());
        let (names, host) = (self.clone(), host.to_owned());
        tokio::spawn(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await;
            let found = found.map(|addresses| addresses.map(|address| address.ip()).collect());
            names.keep(host, found);
            drop(ended);
        });
        under_way
    }

    fn keep(&self, host: String, found: std::io::Result<Vec<IpAddr>>) {
        let mut names = self.lock();
        let known = names.entry(host).or_default();
        known.under_way = None;
        match found {
            Ok(addresses) => {
                *known = Known { addresses, found: Some(mono()), ..Known::default() };
                known.addresses.dedup();
            }
            Err(why) => known.complaint = Some(why.to_string()),
        }
    }

    /// None of its addresses answered: they may have changed.
    fn doubt(&self, host: &str) {
        if let Some(known) = self.lock().get_mut(host) {
            known.found = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn names_are_looked_up_and_kept() {
        let names = Names::default();
        let found = names.addresses("localhost", Deadline::after(SECOND * 5)).await.unwrap();
        assert!(found.iter().all(IpAddr::is_loopback) && !found.is_empty());
        assert!(names.lock()["localhost"].found.is_some());
        names.doubt("localhost");
        assert_eq!(names.addresses("localhost", Deadline::after(SECOND * 5)).await.unwrap(), found);
    }

    #[tokio::test]
    async fn while_the_resolver_is_silent_known_addresses_serve() {
        let names = Names::default();
        let (_never, under_way) = watch::channel(());
        let address = "10.0.0.1".parse().unwrap();
        let known = Known { addresses: vec![address], under_way: Some(under_way.clone()), ..Known::default() };
        names.lock().insert("node".into(), known);
        names.lock().insert("new".into(), Known { under_way: Some(under_way), ..Known::default() });
        let brief = || Deadline::after(Duration::from_millis(20));
        assert_eq!(names.addresses("node", brief()).await.unwrap(), vec![address]);
        assert!(names.addresses("new", brief()).await.unwrap_err().contains("no answer from the resolver"));
    }
}
