//! Settings of the dynamic configuration (configuration.md 4).

use std::time::Duration;

use tamada_model::{PermanentSlot, SynchronousMode};

use crate::scene::{checked, checked_with, dynamic, with};

#[test]
fn an_empty_document_gives_the_defaults() {
    let settings = dynamic("{}").settings;
    assert_eq!(settings, tamada_model::Settings::default());
}

#[test]
fn without_a_dynamic_configuration_the_files_initial_one_counts() {
    let text = with("bootstrap: {dcs: {ttl: 40, synchronous_mode: quorum}}\n");
    let checked = checked(&text);
    assert_eq!(checked.settings.ttl, Duration::from_secs(40));
    assert_eq!(checked.settings.synchronous_mode, SynchronousMode::Quorum);
    let stored = checked_with(&text, Some("{ttl: 50}"));
    assert_eq!(stored.settings.ttl, Duration::from_secs(50));
    assert_eq!(stored.bootstrap_dcs["ttl"], 40);
}

#[test]
fn each_setting_is_read() {
    let settings = dynamic(
        "maximum_lag_on_failover: '0x10'\nmaximum_lag_on_syncnode: 5\nmax_timelines_history: 3\ncheck_timeline: 'on'\n\
         primary_start_timeout: 10\nprimary_stop_timeout: '20'\nprimary_race_backoff: 5\nsynchronous_mode: 'YES'\n\
         synchronous_mode_strict: true\nsynchronous_node_count: 2\nfailsafe_mode: 1\npause: true\nmember_slots_ttl: 30min\n\
         postgresql: {use_slots: false, use_pg_rewind: true, remove_data_directory_on_rewind_failure: true}\n",
    )
    .settings;
    assert_eq!(settings.maximum_lag_on_failover.bytes(), 16);
    assert_eq!(settings.maximum_lag_on_syncnode, 5);
    assert_eq!(settings.max_timelines_history, 3);
    assert!(settings.check_timeline && settings.failsafe_mode && settings.pause && settings.synchronous_mode_strict);
    assert_eq!(settings.primary_start_timeout, Duration::from_secs(10));
    assert_eq!(settings.primary_stop_timeout, Duration::from_secs(20));
    assert_eq!(settings.primary_race_backoff, Duration::from_secs(5));
    assert_eq!(settings.synchronous_mode, SynchronousMode::On);
    assert_eq!(settings.synchronous_node_count, 2);
    assert_eq!(settings.member_slots_ttl, Duration::from_secs(1800));
    assert!(!settings.use_slots);
    assert!(settings.use_pg_rewind && settings.remove_data_directory_on_rewind_failure);
}

#[test]
fn old_names_count_only_without_the_new_ones() {
    assert_eq!(dynamic("{master_start_timeout: 7}").settings.primary_start_timeout.as_secs(), 7);
    let both = dynamic("{master_start_timeout: 7, primary_start_timeout: 8, master_stop_timeout: 9}").settings;
    assert_eq!((both.primary_start_timeout.as_secs(), both.primary_stop_timeout.as_secs()), (8, 9));
}

#[test]
fn strict_mode_wants_one_synchronous_standby_at_least() {
    assert_eq!(dynamic("{synchronous_node_count: 0}").settings.synchronous_node_count, 0);
    assert_eq!(dynamic("{synchronous_node_count: 0, synchronous_mode_strict: on}").settings.synchronous_node_count, 1);
    assert_eq!(dynamic("{synchronous_node_count: -3}").settings.synchronous_node_count, 0);
}

#[test]
fn timing_is_corrected_with_a_warning() {
    let checked = dynamic("{ttl: 20, loop_wait: 10, retry_timeout: 10}");
    assert_eq!(checked.settings.retry_timeout, Duration::from_secs(9));
    assert_eq!(checked.store_scope.loop_wait, Duration::from_secs(1));
    assert_eq!(
        checked.adjustments,
        ["Violated the rule \"loop_wait + 2*retry_timeout <= ttl\", where ttl=20. \
          Adjusting loop_wait from 10 to 1 and retry_timeout from 10 to 9"]
    );
}

#[test]
fn a_standby_cluster_needs_a_place_to_follow() {
    assert_eq!(dynamic("{standby_cluster: {primary_slot_name: s}}").settings.standby_cluster, None);
    assert_eq!(dynamic("{standby_cluster: null}").settings.standby_cluster, None);
    let settings = dynamic(
        "{synchronous_mode: on, standby_cluster: {host: 'a,b', port: '5433', create_replica_methods: [x, basebackup]}}",
    )
    .settings;
    let remote = settings.standby_cluster.expect("active");
    assert_eq!((remote.host.as_deref(), remote.port), (Some("a,b"), Some(5433)));
    assert_eq!(remote.create_replica_methods.expect("given"), ["x", "basebackup"]);
    assert_eq!(settings.synchronous_mode, SynchronousMode::Off, "ignored in a standby cluster");
}

#[test]
fn permanent_slots_are_read_or_named() {
    let checked = dynamic(
        "slots:\n  a: {}\n  b: {type: physical, cluster_type: primary}\n  c: {database: d, plugin: p}\n  \
         d: {type: logical, database: d}\n  Bad-Name: {type: physical}\n  e: text\n  f: null\n",
    );
    let physical =
        |cluster_type: Option<&str>| PermanentSlot::Physical { cluster_type: cluster_type.map(str::to_owned) };
    let slots = &checked.settings.permanent_slots;
    assert_eq!(slots.keys().map(String::as_str).collect::<Vec<_>>(), ["a", "b", "c", "f"]);
    assert_eq!((&slots["a"], &slots["b"]), (&physical(None), &physical(Some("primary"))));
    assert_eq!(slots["c"], PermanentSlot::Logical { database: "d".into(), plugin: "p".into() });
    assert_eq!(checked.adjustments.len(), 3, "{:?}", checked.adjustments);
    let old = dynamic("{slots: {a: {}}, permanent_slots: {b: {}}, permanent_replication_slots: {}}").settings;
    assert_eq!(old.permanent_slots.keys().collect::<Vec<_>>(), ["b"], "the first of three names that is not empty");
}

#[test]
fn ignored_slots_are_matchers() {
    let settings = dynamic("{ignore_slots: [{name: x, type: logical}, text]}").settings;
    assert_eq!(settings.ignore_slots.len(), 1);
    assert_eq!(settings.ignore_slots[0]["name"], "x");
}
