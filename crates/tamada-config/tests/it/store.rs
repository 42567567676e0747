//! Where the store is (configuration.md 3.3), and what the operator's tool takes from the same files (ctl.md 1).

use tamada_config::{Complaint, check_for_ctl};
use tamada_model::{Etcd3Config, StoreConfig};

use crate::scene::{Scene, checked, complaints, with};

fn etcd(section: &str) -> Etcd3Config {
    let text = with("").replace("{hosts: 'e1:2379,e2:2379'}", section);
    match checked(&text).store {
        StoreConfig::Etcd3(etcd) => etcd,
        other @ StoreConfig::Raft(_) => panic!("{other:?}"),
    }
}

fn hosts(section: &str) -> Vec<String> {
    etcd(section).endpoints.hosts.into_iter().map(|(host, port)| format!("{host}:{port}")).collect()
}

#[test]
fn hosts_are_text_or_a_list() {
    assert_eq!(hosts("{hosts: 'a:1, b,c:3'}"), ["a:1", "b:2379", "c:3"]);
    assert_eq!(hosts("{hosts: [a, 'b:2'], port: 7}"), ["a:7", "b:2"]);
    assert_eq!(hosts("{host: 'a:1'}"), ["a:1"]);
    assert_eq!(hosts("{host: 'a:1', hosts: 'b:2'}"), ["b:2"]);
    assert_eq!(hosts("{host: '[::1]:5'}"), ["::1:5"]);
}

#[test]
fn a_url_replaces_everything_else() {
    let etcd = etcd("{url: 'https://u%40x:p@h', username: old, password: old, protocol: http, hosts: 'b:2'}");
    assert_eq!(etcd.endpoints.hosts, [("h".to_owned(), 2379)]);
    assert!(etcd.https && !etcd.fixed_endpoints);
    assert_eq!(etcd.username.as_deref(), Some("u@x"));
    assert_eq!(etcd.password.expect("set").expose(), "p");
    let bare = self::etcd("{url: 'http://h:1', username: old, password: old}");
    assert_eq!((bare.username, bare.password), (None, None));
}

#[test]
fn a_proxy_is_the_only_one_asked() {
    let etcd = etcd("{proxy: 'http://p:1', url: 'http://h:2', srv: d}");
    assert_eq!(etcd.endpoints.hosts, [("p".to_owned(), 1)]);
    assert_eq!(etcd.endpoints.srv, None);
    assert!(etcd.fixed_endpoints);
}

#[test]
fn servers_may_be_found_in_dns() {
    let etcd = etcd("{srv_domain: example.org, srv_suffix: blue}");
    assert_eq!(etcd.endpoints.srv, Some(("example.org".to_owned(), Some("blue".to_owned()))));
    assert!(etcd.endpoints.hosts.is_empty());
}

#[test]
fn certificates_and_users() {
    let etcd = etcd("{hosts: a, protocol: https, cacert: /ca, cert: /c, username: u, password: p, use_proxies: true}");
    assert!(etcd.https && etcd.fixed_endpoints);
    assert_eq!(etcd.tls.ca.as_deref(), Some("/ca".as_ref()));
    assert_eq!(etcd.tls.key, None, "inside the certificate file");
}

#[test]
fn a_section_that_leads_nowhere_is_told() {
    let table = [
        ("{}", "etcd3: says nothing about where etcd is: give hosts, host, url, proxy or srv"),
        ("{url: 'h:2379'}", "etcd3: proxy or url is not a URL such as https://host:2379"),
        ("{hosts: 'http://h:2379'}", "etcd3.hosts: `http://h:2379` in it is not host:port"),
        ("{hosts: a, protocol: ftp}", "etcd3: protocol must be http or https"),
    ];
    for (section, expected) in table {
        let told = complaints(&with("").replace("{hosts: 'e1:2379,e2:2379'}", section), None);
        assert_eq!(told[0], format!("patroni.yml:3: {expected}"), "{section}");
    }
}

#[test]
fn keys_begin_with_namespace_and_scope() {
    let base = |namespace: &str| checked(&with(namespace)).store_scope.base;
    assert_eq!(base(""), "/service/batman");
    assert_eq!(base("namespace: /a//b/\n"), "/a/b/batman");
    assert_eq!(base("namespace: ''\n"), "/service/batman");
}

#[test]
fn the_tool_needs_only_the_store() {
    let local = Scene::new().load(
        "etcd3: {hosts: h}\nrestapi: {authentication: {username: u, password: p}, cafile: /ca}\nctl: {insecure: on}\n",
    );
    let checked = check_for_ctl(&local, None).expect("enough for the tool");
    assert_eq!(checked.scope, None);
    assert_eq!(checked.namespace, "service");
    assert!(checked.ctl.insecure);
    assert_eq!(checked.ctl.authentication.as_ref().expect("from restapi").username, "u");
    assert_eq!(checked.store_scope("x").base, "/service/x");
}

#[test]
fn the_tools_url_replaces_the_store() {
    let local = Scene::new().load("etcd: {host: old}\nnamespace: n\nscope: s\n");
    let checked = check_for_ctl(&local, Some("etcd3://h:1/other")).expect("supported");
    let StoreConfig::Etcd3(etcd) = &checked.store else { panic!("{:?}", checked.store) };
    assert_eq!(etcd.endpoints.hosts, [("h".to_owned(), 1)]);
    assert_eq!(checked.namespace, "/other");
    assert_eq!(checked.store_scope("s").base, "/other/s");
    let told = |url| {
        check_for_ctl(&local, Some(url))
            .expect_err("not supported")
            .iter()
            .map(Complaint::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(told("ftp://x"), ["Unknown dcs scheme: ftp"]);
    assert!(
        told("x")[0].ends_with("etcd: is not supported yet: the stores that this version can use are etcd3 and raft")
    );
}

#[test]
fn the_tool_says_when_there_is_no_store() {
    let local = tamada_config::load(None, crate::scene::variables(&[])).expect("nothing");
    let told = check_for_ctl(&local, None).expect_err("no store");
    assert!(told[0].to_string().starts_with("no configuration store"), "{}", told[0]);
}
