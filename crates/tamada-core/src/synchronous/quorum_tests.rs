//! The vectors of postgres.md A, and what must hold for every state and every interruption.

use super::*;

fn names(list: &str) -> Names {
    list.split_whitespace().map(MemberName::new).collect()
}

/// `a leader we quorum voters / count sync / confirmed active wanted`, as in the table.
fn state(key: (&str, &str, usize, &str), parameter: (usize, &str), standbys: (usize, &str), wanted: usize) -> Quorum {
    Quorum {
        leader: key.0.into(),
        we: key.1.into(),
        quorum: key.2,
        voters: names(key.3),
        count: parameter.0,
        sync: names(parameter.1),
        confirmed: standbys.0,
        active: names(standbys.1),
        wanted,
    }
}

fn shown(state: &Quorum) -> String {
    let listed = |names: &Names| names.iter().map(MemberName::as_str).collect::<Vec<&str>>().join(",");
    let show = |change: &Change| match change {
        Change::Key { leader, quorum, voters } => format!("K: {leader}, q={quorum}, {{{}}}", listed(voters)),
        Change::Parameter { count, sync } => format!("P: ANY {count} {{{}}}", listed(sync)),
        Change::AwaitStandbys => "restart".to_owned(),
    };
    match changes(state) {
        Ok((changes, _)) if changes.is_empty() => "none".to_owned(),
        Ok((changes, _)) => changes.iter().map(show).collect::<Vec<String>>().join("; "),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn the_vectors_of_the_original() {
    let cases = [
        ("first standby appears", state(("a", "a", 0, ""), (0, ""), (0, "p"), 1), "P: ANY 1 {p}; restart"),
        ("it has caught up", state(("a", "a", 0, ""), (1, "p"), (1, "p"), 1), "K: a, q=0, {p}"),
        (
            "second standby, count 1",
            state(("a", "a", 0, "p"), (1, "p"), (1, "p q"), 1),
            "K: a, q=1, {p,q}; P: ANY 1 {p,q}",
        ),
        ("after both caught up", state(("a", "a", 1, "p q"), (1, "p q"), (2, "p q"), 1), "none"),
        (
            "second standby, count 2",
            state(("a", "a", 0, "p"), (1, "p"), (1, "p q"), 2),
            "P: ANY 2 {p,q}; K: a, q=1, {p,q}",
        ),
        ("it caught up: lower q", state(("a", "a", 1, "p q"), (2, "p q"), (2, "p q"), 2), "K: a, q=0, {p,q}"),
        (
            "three join at once, count 2",
            state(("a", "a", 0, "p"), (1, "p"), (1, "p q r s"), 2),
            "P: ANY 2 {p,q}; K: a, q=3, {p,q,r,s}; P: ANY 2 {p,q,r,s}",
        ),
        (
            "count 2 to 1",
            state(("a", "a", 1, "p q r"), (2, "p q r"), (3, "p q r"), 1),
            "K: a, q=2, {p,q,r}; P: ANY 1 {p,q,r}",
        ),
        (
            "count 1 to 2",
            state(("a", "a", 2, "p q r"), (1, "p q r"), (3, "p q r"), 2),
            "P: ANY 2 {p,q,r}; K: a, q=1, {p,q,r}",
        ),
        (
            "one of three gone, count 2",
            state(("a", "a", 1, "p q r"), (2, "p q r"), (2, "p q"), 2),
            "P: ANY 2 {p,q}; K: a, q=0, {p,q}",
        ),
        (
            "two of three gone, count 2",
            state(("a", "a", 1, "p q r"), (2, "p q r"), (1, "p"), 2),
            "P: ANY 2 {p,q}; K: a, q=0, {p}; P: ANY 1 {p}",
        ),
        ("only standby gone", state(("a", "a", 0, "p"), (1, "p"), (0, ""), 1), "K: a, q=0, {}; P: ANY 0 {}"),
        ("all three gone", state(("a", "a", 2, "p q r"), (1, "p q r"), (0, ""), 1), "K: a, q=0, {}; P: ANY 0 {}"),
        (
            "promoted, the parameter empty",
            state(("a", "p", 1, "p q"), (0, ""), (0, ""), 1),
            "P: ANY 1 {a,q}; K: p, q=1, {a,q}",
        ),
        ("promoted, preset", state(("a", "p", 1, "p q"), (1, "a q"), (0, ""), 1), "K: p, q=1, {a,q}"),
        ("q connected", state(("p", "p", 1, "a q"), (1, "a q"), (0, "q"), 1), "P: ANY 1 {q}; K: p, q=0, {q}"),
        (
            "then a connected, too",
            state(("p", "p", 0, "q"), (1, "q"), (1, "a q"), 1),
            "K: p, q=1, {a,q}; P: ANY 1 {a,q}",
        ),
        ("q too small", state(("a", "a", 0, "p q"), (1, "p q"), (1, "p q"), 1), "K: a, q=1, {p,q}"),
        ("interrupted after the key grew", state(("a", "a", 1, "p q"), (1, "p"), (1, "p q"), 1), "P: ANY 1 {p,q}"),
        (
            "interrupted after the parameter grew",
            state(("a", "a", 0, "p"), (2, "p q"), (1, "p q"), 2),
            "K: a, q=1, {p,q}",
        ),
    ];
    for (case, state, expected) in cases {
        assert_eq!(shown(&state), expected, "{case}");
    }
}

/// All ways to choose from four standbys.
fn subsets() -> Vec<Names> {
    let all = ["p", "q", "r", "s"];
    (0..16usize)
        .map(|bits| {
            all.iter()
                .enumerate()
                .filter(|(i, _)| bits & (1 << i) != 0)
                .map(|(_, name)| MemberName::new(name))
                .collect()
        })
        .collect()
}

fn apply(state: &mut Quorum, change: &Change) {
    match change.clone() {
        Change::Key { leader, quorum, voters } => (state.leader, state.quorum, state.voters) = (leader, quorum, voters),
        Change::Parameter { count, sync } => (state.count, state.sync) = (count, sync),
        Change::AwaitStandbys => {}
    }
}

/// From every steady state, towards every other set of standbys and every count, the work being done anew after each
/// write, as it is in the passes of an agent: nobody is ever electable who may lack something, and it ends.
#[test]
fn every_way_is_safe_at_every_step_and_ends() {
    let mut writes = 0;
    for from in subsets() {
        for before in 1..=3usize {
            let count = before.min(from.len());
            let steady = state(("a", "a", from.len() - count, ""), (count, ""), (from.len(), ""), before);
            let steady = Quorum { voters: from.clone(), sync: from.clone(), ..steady };
            for (to, wanted) in subsets().into_iter().flat_map(|to| (1..=3).map(move |wanted| (to.clone(), wanted))) {
                writes += walk(Quorum { active: to, wanted, ..steady.clone() });
            }
        }
    }
    assert!(writes > 2_000, "{writes}");
}

/// How many writes it took.
fn walk(mut state: Quorum) -> usize {
    let begun = state.clone();
    for steps in 0..20 {
        // Who is listed and connected catches up meanwhile.
        state.confirmed = (&state.sync & &state.active).len();
        let (changes, doubts) = changes(&state).unwrap_or_else(|error| panic!("{begun:?}\n{state:?}\n{error}"));
        assert_eq!(doubts, None, "{begun:?}\n{state:?}");
        let Some(change) = changes.first() else {
            let count = state.wanted.min(state.active.len());
            assert_eq!((&state.sync, &state.voters), (&state.active, &state.active), "{begun:?}");
            assert_eq!((state.count, state.quorum), (count, state.active.len() - count), "{begun:?}");
            return steps;
        };
        apply(&mut state, change);
        assert!(overlap(&state), "{begun:?}\n{state:?}");
    }
    panic!("no end: {begun:?}\n{state:?}");
}

/// By counting, without the arithmetic of [`Quorum::check`]: whoever may lead, with those who let it, overlaps whoever
/// may have acknowledged.
fn overlap(state: &Quorum) -> bool {
    if state.voters.is_empty() {
        return true;
    }
    let electing: Vec<MemberName> = state.voters.iter().cloned().chain([state.leader.clone()]).collect();
    let sync: Vec<&MemberName> = state.sync.iter().collect();
    (0..1usize << sync.len()).filter(|bits| bits.count_ones() as usize == state.count).all(|bits| {
        // These have the last commit, beside the leader.
        let has = |name: &MemberName| {
            *name == state.we || sync.iter().enumerate().any(|(i, other)| bits & (1 << i) != 0 && *other == name)
        };
        // A candidate that lacks it finds so many who are not ahead of it; those who have it are.
        state.voters.iter().filter(|name| !has(name)).all(|candidate| {
            let not_ahead = electing.iter().filter(|name| *name != candidate && !has(name)).count();
            not_ahead < state.quorum
        })
    })
}

#[test]
fn a_new_leader_takes_over_at_every_step() {
    for from in subsets().into_iter().filter(|from| !from.is_empty()) {
        for count in 1..=from.len() {
            for we in &from {
                let before = state(("a", we.as_str(), from.len() - count, ""), (0, ""), (0, ""), count);
                let mut all = from.clone();
                all.insert("a".into());
                all.remove(we);
                for active in [Names::new(), &from - &Names::from([we.clone()]), all] {
                    let mut state = Quorum { voters: from.clone(), active, ..before.clone() };
                    let first =
                        changes(&state).map(|(changes, _)| changes).unwrap_or_else(|e| panic!("{state:?}: {e}"));
                    let kept = first.first().is_some_and(|change| matches!(change, Change::Parameter { .. }));
                    assert!(kept, "commits wait before the key is ours: {state:?} {first:?}");
                    apply(&mut state, &first[0]);
                    let active = state.active.clone();
                    walk(Quorum { active, ..state });
                }
            }
        }
    }
}

#[test]
fn an_election_becomes_easier_with_fewer_voters_or_fewer_votes() {
    let before = state(("a", "a", 1, "p q"), (1, "p q"), (2, "p q"), 1);
    let key = |leader: &str, quorum: usize, voters: &str| Change::Key {
        leader: leader.into(),
        quorum,
        voters: names(voters),
    };
    assert!(!before.is_relaxed_by(&key("a", 2, "p q r")), "as many more votes as voters");
    assert!(!before.is_relaxed_by(&key("p", 1, "a q")), "the same ones, led by another");
    assert!(before.is_relaxed_by(&key("a", 0, "p q")));
    assert!(before.is_relaxed_by(&key("a", 1, "p q r")));
    assert!(before.is_relaxed_by(&key("a", 0, "p")));
}
