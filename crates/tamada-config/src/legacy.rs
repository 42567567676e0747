//! Shapes of older configurations, rewritten to today's (configuration.md 9).

use serde_json::Value;
use tamada_model::Document;

use crate::path::section_mut;

/// Rewrites an effective configuration in place.
pub fn rewrite(document: &mut Document) {
    exhibitor(document);
    authentication(section_mut(document, "postgresql"));
    if !document.contains_key("name")
        && let Some(name) = document.get("postgresql").and_then(|postgresql| postgresql.get("name")).cloned()
    {
        document.insert("name".to_owned(), name);
    }
    for section in ["etcd", "etcd3"] {
        if let Some(Value::Object(etcd)) = document.get_mut(section) {
            rename(etcd, "discovery_srv", "srv");
            rename(etcd, "srv_domain", "srv");
        }
    }
    rename_in(document, "postgresql", "create_replica_method", "create_replica_methods");
    rename_in(document, "bootstrap", "post_init", "post_bootstrap");
}

/// `zookeeper.exhibitor` became a section of its own.
fn exhibitor(document: &mut Document) {
    let Some(Value::Object(zookeeper)) = document.get_mut("zookeeper") else { return };
    if let Some(exhibitor) = zookeeper.shift_remove("exhibitor") {
        document.shift_remove("zookeeper");
        document.insert("exhibitor".to_owned(), exhibitor);
    }
}

/// Users stood directly in `postgresql`, and `pg_rewind` named the superuser and switched pg_rewind on.
fn authentication(postgresql: &mut Document) {
    if !postgresql.contains_key("authentication") {
        if postgresql.contains_key("pg_rewind") {
            postgresql.insert("use_pg_rewind".to_owned(), Value::Bool(true));
        }
        let users = ["replication", "superuser"];
        let old: Document =
            users.iter().filter_map(|user| Some(((*user).to_owned(), postgresql.get(*user)?.clone()))).collect();
        postgresql.insert("authentication".to_owned(), Value::Object(old));
    }
    let superuser = postgresql.get("pg_rewind").cloned();
    if let (Some(Value::Object(users)), Some(superuser)) = (postgresql.get_mut("authentication"), superuser) {
        users.entry("superuser").or_insert(superuser);
    }
}

fn rename_in(document: &mut Document, section: &str, old: &str, new: &str) {
    if let Some(Value::Object(section)) = document.get_mut(section) {
        rename(section, old, new);
    }
}

/// The new name wins if both are there and the new one holds something.
fn rename(section: &mut Document, old: &str, new: &str) {
    let Some(value) = section.shift_remove(old) else { return };
    if !section.get(new).is_some_and(tamada_model::document::truthy) {
        section.insert(new.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(before: Value, after: Value) {
        let Value::Object(mut document) = before else { panic!("not an object") };
        rewrite(&mut document);
        assert_eq!(Value::Object(document), after);
    }

    #[test]
    fn old_shapes_become_todays() {
        check(
            json!({"zookeeper": {"hosts": "h", "exhibitor": {"port": 1}}, "postgresql": {"authentication": {}}}),
            json!({"postgresql": {"authentication": {}}, "exhibitor": {"port": 1}}),
        );
        check(
            json!({"postgresql": {"name": "a", "replication": {"username": "r"}, "pg_rewind": {"username": "s"}}}),
            json!({
                "postgresql": {
                    "name": "a",
                    "replication": {"username": "r"},
                    "pg_rewind": {"username": "s"},
                    "use_pg_rewind": true,
                    "authentication": {"replication": {"username": "r"}, "superuser": {"username": "s"}}
                },
                "name": "a"
            }),
        );
        check(
            json!({
                "postgresql": {"authentication": {}, "create_replica_method": ["x"]},
                "etcd3": {"discovery_srv": "d"},
                "bootstrap": {"post_init": "p", "post_bootstrap": ""}
            }),
            json!({
                "postgresql": {"authentication": {}, "create_replica_methods": ["x"]},
                "etcd3": {"srv": "d"},
                "bootstrap": {"post_bootstrap": "p"}
            }),
        );
    }
}
