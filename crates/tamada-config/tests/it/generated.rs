//! What is generated: the sample and the reference page.

use tamada_config::{Environment, check, load, reference_markdown, rows, sample, write_sample, yaml};

use crate::scene::{Scene, variables};

#[test]
fn the_sample_is_a_configuration_with_the_store_to_be_added() {
    let environment = variables(&[("PATRONI_ETCD3_HOSTS", "h1:2379,h2:2379"), ("PATRONI_SCOPE", "mine")]);
    let text = sample(&environment);
    assert!(text.starts_with("scope: mine\nname: "), "{text}");
    let value = yaml::parse(&text).expect("the sample is valid YAML");
    assert_eq!(value["etcd3"]["hosts"][1], "h2:2379");
    assert_eq!(value["bootstrap"]["dcs"]["postgresql"]["use_pg_rewind"], true);
    assert_eq!(value["postgresql"]["pg_hba"][1], "host replication replicator all scram-sha-256");
    let scene = Scene::new();
    let file = scene.path().join("new/directory/sample.yml");
    write_sample(&text, &file).expect("the directory is made");
    let local = load(Some(&file), variables(&[("HOME", "/home/postgres")])).expect("valid YAML");
    check(&local, None).expect("the sample can be started from");
}

#[test]
fn sections_of_the_sample_stand_in_the_order_of_importance() {
    let text = sample(&Environment::default());
    let sections: Vec<_> = text.lines().filter(|line| line.ends_with(':') && !line.starts_with(' ')).collect();
    assert_eq!(sections, ["log:", "restapi:", "bootstrap:", "postgresql:", "tags:"]);
    let dcs: Vec<_> = text.lines().skip_while(|line| *line != "  dcs:").skip(1).take(4).map(str::trim).collect();
    assert_eq!(dcs, ["loop_wait: 10", "retry_timeout: 10", "ttl: 30", "postgresql:"]);
}

#[test]
fn the_reference_lists_every_row() {
    let page = reference_markdown();
    for row in rows::all() {
        assert!(page.contains(&format!("| `{}`", row.path)), "{}", row.path);
        assert!(!row.help.is_empty(), "{} explains itself", row.path);
    }
    assert_eq!(page.matches("### `restapi`").count(), 1, "one table per section");
    assert_eq!(page.matches("### General").count(), 2, "the root of the file and of the dynamic configuration");
}
