//! Nodes from SRV records: a name server of our own, and a real etcd behind its records.

use std::net::SocketAddr;

use simple_dns::rdata::{RData, SRV};
use simple_dns::{CLASS, Name, Packet, PacketFlag, ResourceRecord};
use tamada_dcs::clock::Deadline;
use tamada_dcs::dns::Dns;
use tamada_dcs::etcd::discovery::Search;
use tamada_dcs::names::Names;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use crate::server::{Server, newest};
use crate::support::GENEROUS;

/// A name server that knows one record; gone when its task is.
async fn name_server(name: &'static str, port: u16) -> (SocketAddr, JoinSet<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback has ports");
    let address = socket.local_addr().expect("it is bound");
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut question = vec![0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut question).await {
            let answer = answer(&question[..length], name, port);
            socket.send_to(&answer, client).await.expect("loopback carries it");
        }
    });
    (address, tasks)
}

fn answer(question: &[u8], name: &str, port: u16) -> Vec<u8> {
    let query = Packet::parse(question).expect("a question");
    let asked = query.questions[0].qname.clone();
    let mut reply = Packet::new_reply(query.id());
    reply.set_flags(PacketFlag::RESPONSE);
    if asked.to_string() == name {
        let srv = SRV { priority: 1, weight: 1, port, target: Name::new_unchecked("localhost") };
        reply.answers.push(ResourceRecord::new(asked, CLASS::IN, 60, RData::SRV(srv)));
    } else {
        *reply.rcode_mut() = simple_dns::RCODE::NameError;
    }
    reply.build_bytes_vec().expect("an answer")
}

async fn discovered(name: &'static str, port: u16, suffix: Option<&str>) -> Result<Vec<String>, String> {
    let (address, _tasks) = name_server(name, port).await;
    let (dns, names) = (Dns::Servers(vec![address]), Names::default());
    let limit = Deadline::after(GENEROUS);
    let search = Search { dns: &dns, names: &names, tls: None, limit };
    let nodes = search.nodes("example.com", suffix).await?;
    Ok(nodes.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn clients_are_found_by_their_records() {
    let plain = discovered("_etcd-client._tcp.example.com", 2379, None).await;
    assert_eq!(plain, Ok(vec!["http://localhost:2379".to_owned()]));
    let secure = discovered("_etcd-client-ssl-blue._tcp.example.com", 2380, Some("blue")).await;
    assert_eq!(secure, Ok(vec!["https://localhost:2380".to_owned()]));
}

#[tokio::test]
async fn peers_are_asked_for_the_clients_addresses() {
    let server = Server::alone(newest()).await;
    let found = discovered("_etcd-server._tcp.example.com", server.plan.peer_port, None).await;
    assert_eq!(found, Ok(vec![format!("http://127.0.0.1:{}", server.plan.port)]));
}

#[tokio::test]
async fn a_domain_without_records_is_told() {
    let why = discovered("nothing", 1, None).await.expect_err("nothing is there");
    assert!(why.contains("no SRV records of etcd under _tcp.example.com"), "{why}");
}
