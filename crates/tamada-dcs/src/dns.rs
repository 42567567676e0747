//! SRV records, asked of the system's name servers.
//!
//! The system's resolver cannot be asked for them, and the full resolvers bring sixty crates along for what is one
//! question over UDP, repeated over TCP if the answer is too long.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::clock::Deadline;

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// resolv.conf(5) knows no more than three.
const SERVERS_AT_MOST: usize = 3;
const ROUNDS: usize = 2;
const ONE_ANSWER: Duration = Duration::from_millis(1000);
const LONGEST_DATAGRAM: usize = 4096;

/// Where to ask.
#[derive(Clone, Debug)]
pub enum Dns {
    System,
    Servers(Vec<SocketAddr>),
}

/// A host that offers a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    pub host: String,
    pub port: u16,
}

impl Dns {
    /// The offers under this name, the preferred first; none if there is no such name.
    pub async fn srv(&self, name: &str, limit: Deadline) -> Result<Vec<Offer>, String> {
        let question = question(name).map_err(|e| format!("{name}: {e}"))?;
        let servers = self.servers().await?;
        let mut complaint = format!("no name server in {RESOLV_CONF}");
        for server in servers.iter().cycle().take(servers.len() * ROUNDS) {
            let share = Deadline::after(limit.left().min(ONE_ANSWER));
            match share.limit(ask(*server, &question)).await {
                Some(Ok(offers)) => return Ok(offers),
                Some(Err(why)) => complaint = format!("name server {server}: {why}"),
                None => complaint = format!("name server {server}: no answer in time"),
            }
        }
        Err(complaint)
    }

    async fn servers(&self) -> Result<Vec<SocketAddr>, String> {
        match self {
            Dns::Servers(servers) => Ok(servers.clone()),
            Dns::System => {
                let text = tokio::fs::read_to_string(RESOLV_CONF).await.map_err(|e| format!("{RESOLV_CONF}: {e}"))?;
                Ok(nameservers(&text))
            }
        }
    }
}

fn nameservers(resolv_conf: &str) -> Vec<SocketAddr> {
    let address = |line: &str| line.strip_prefix("nameserver")?.trim().parse::<IpAddr>().ok();
    resolv_conf.lines().filter_map(address).take(SERVERS_AT_MOST).map(|address| SocketAddr::new(address, 53)).collect()
}

fn question(name: &str) -> simple_dns::Result<Vec<u8>> {
    let mut packet = Packet::new_query(fastrand::u16(..));
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let (kind, class) = (QTYPE::TYPE(TYPE::SRV), QCLASS::CLASS(CLASS::IN));
    packet.questions.push(Question::new(Name::new(name)?, kind, class, false));
    packet.build_bytes_vec()
}

async fn ask(server: SocketAddr, question: &[u8]) -> Result<Vec<Offer>, String> {
    let io = |e: std::io::Error| e.to_string();
    let answer = ask_udp(server, question).await.map_err(io)?;
    match read(&answer)? {
        Some(offers) => Ok(offers),
        None => read(&ask_tcp(server, question).await.map_err(io)?)?.ok_or_else(|| "answer cut short".to_owned()),
    }
}

async fn ask_udp(server: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut answer = vec![0; LONGEST_DATAGRAM];
    loop {
        let length = socket.recv(&mut answer).await?;
        // The first two bytes are the number of the question; what is not an answer to ours is ignored.
        if answer[..length].starts_with(&question[..2]) {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

async fn ask_tcp(server: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// `None`: it did not fit into a datagram.
fn read(answer: &[u8]) -> Result<Option<Vec<Offer>>, String> {
    let packet = Packet::parse(answer).map_err(|e| format!("not a DNS answer: {e}"))?;
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Ok(None);
    }
    match packet.rcode() {
        RCODE::NoError => {}
        RCODE::NameError => return Ok(Some(Vec::new())),
        other => return Err(format!("answered {other:?}")),
    }
    let mut found: Vec<_> = packet
        .answers
        .iter()
        .filter_map(|record| match &record.rdata {
            RData::SRV(srv) => Some((srv.priority, std::cmp::Reverse(srv.weight), offer(&srv.target, srv.port))),
            _ => None,
        })
        .collect();
    found.sort_by_key(|(priority, weight, _)| (*priority, *weight));
    Ok(Some(found.into_iter().map(|(_, _, offer)| offer).collect()))
}

fn offer(target: &Name<'_>, port: u16) -> Offer {
    Offer { host: target.to_string().trim_end_matches('.').to_owned(), port }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::SRV;
    use tokio::net::TcpListener;

    #[test]
    fn name_servers_stand_in_resolv_conf() {
        let text = "search x\nnameserver 10.0.0.2\n# nameserver 10.0.0.9\nnameserver ::1\nnameserver nonsense\n";
        assert_eq!(nameservers(text), ["10.0.0.2:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
    }

    fn answer(to: &[u8], offers: &[(u16, u16, &str)], flags: PacketFlag) -> Vec<u8> {
        let query = Packet::parse(to).unwrap();
        let name = query.questions[0].qname.clone();
        let mut reply = Packet::new_reply(query.id());
        reply.set_flags(flags);
        for (priority, weight, target) in offers {
            let srv = SRV { priority: *priority, weight: *weight, port: 2379, target: Name::new(target).unwrap() };
            reply.answers.push(ResourceRecord::new(name.clone(), CLASS::IN, 60, RData::SRV(srv)));
        }
        reply.build_bytes_vec().unwrap()
    }

    #[test]
    fn offers_come_in_their_order() {
        let question = question("_etcd-client._tcp.example.com").unwrap();
        let offers = [(20, 0, "c.example.com"), (10, 1, "b.example.com"), (10, 5, "a.example.com")];
        let read = read(&answer(&question, &offers, PacketFlag::RESPONSE)).unwrap().unwrap();
        let hosts: Vec<_> = read.iter().map(|offer| offer.host.as_str()).collect();
        assert_eq!(hosts, ["a.example.com", "b.example.com", "c.example.com"]);
    }

    /// One port that is free for both protocols.
    async fn name_server() -> (UdpSocket, TcpListener) {
        loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            match TcpListener::bind(udp.local_addr().unwrap()).await {
                Ok(tcp) => return (udp, tcp),
                Err(taken) => assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse),
            }
        }
    }

    async fn cut_short(udp: UdpSocket) {
        let mut question = vec![0; 512];
        loop {
            let (length, client) = udp.recv_from(&mut question).await.unwrap();
            let cut = answer(&question[..length], &[], PacketFlag::RESPONSE | PacketFlag::TRUNCATION);
            udp.send_to(&cut, client).await.unwrap();
        }
    }

    async fn answer_whole(tcp: TcpListener) {
        loop {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let length = stream.read_u16().await.unwrap();
            let mut question = vec![0; usize::from(length)];
            stream.read_exact(&mut question).await.unwrap();
            let whole = answer(&question, &[(1, 1, "a.example.com")], PacketFlag::RESPONSE);
            stream.write_u16(whole.len() as u16).await.unwrap();
            stream.write_all(&whole).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_long_answer_is_asked_for_again_over_tcp() {
        let (udp, tcp) = name_server().await;
        let dns = Dns::Servers(vec![udp.local_addr().unwrap()]);
        tokio::spawn(cut_short(udp));
        tokio::spawn(answer_whole(tcp));
        let found = dns.srv("_etcd-client._tcp.example.com", Deadline::after(Duration::from_secs(60))).await;
        assert_eq!(found.unwrap(), [Offer { host: "a.example.com".into(), port: 2379 }]);
    }
}
