//! Whatever is done to the servers in whatever order: the model keeps its own rules, and comes to rest.

use super::*;
use crate::postgres::SyncNames;

/// Something happens to one host, without any sense.
fn something(scene: &mut Scene, chance: &mut Chance) {
    let (host, other) = (*chance.pick(&HOSTS), *chance.pick(&HOSTS));
    let now = scene.now;
    match chance.below(60) {
        0 => scene.fleet.kill_postmaster(host, now),
        1 => scene.fleet.crash_backend(host, now),
        2 => {
            scene.fleet.power_off(host, now);
            scene.fleet.power_on(host, now);
            scene.fleet.adopt(host, now);
        }
        3 => scene.fleet.freeze(host),
        4 | 5 | 21..=24 => scene.fleet.thaw(host, now),
        6 => scene.fleet.hang(host, now + Duration::from_secs(chance.below(20))),
        7 => scene.fleet.fence(host, now),
        8 => scene.fleet.promote_by_hand(host, now),
        9 => scene.fleet.start_by_hand(host, now),
        10 => scene.fleet.stop_by_hand(host, StopMode::Fast, now),
        11 => scene.fleet.replay_lag(host, Duration::from_secs(chance.below(10)), now),
        12 => scene.cuts(host),
        13 | 14 | 25..=28 => scene.mends(),
        15 => scene.fleet.set_sync_names(host, SyncNames::Any(1, HOSTS.to_vec()), now),
        16 => scene.fleet.set_sync_names(host, SyncNames::Nobody, now),
        17 => {
            if other != host {
                scene.follows(host, other)
            }
        }
        18 => scene.fleet.disk_full(host, chance.happens(1, 4)),
        19 => {
            scene.fleet.agent_dies(host, now);
            scene.fleet.adopt(host, now);
        }
        20 => scene.commands(host, Command::CheckpointAfterPromote),
        _ => works(scene, host, chance),
    }
}

/// A job that may make sense there, or not.
fn works(scene: &mut Scene, host: Host, chance: &mut Chance) {
    if scene.fleet.node(host).work.is_some() {
        return;
    }
    let primary = HOSTS.into_iter().find(|other| *other != host && scene.fleet.is_writable(*other));
    let job = match (primary, scene.fleet.is_running(host)) {
        (None, false) if chance.happens(1, 2) => start_as_primary(),
        (None, true) if chance.happens(1, 2) => Job::Promote { wait: Duration::from_secs(10) },
        (None, _) => stop_fast(),
        (Some(primary), running) => {
            scene.gives_slots(primary);
            beside(primary, running, chance)
        }
    };
    scene.begins(host, job);
}

fn beside(primary: Host, running: bool, chance: &mut Chance) -> Job {
    let reinitialize =
        Job::Reinitialize { source: source(primary), then_follow: member(primary), only_basebackup: false };
    let jobs = [
        start_as_standby_of(primary),
        start_as_standby_of(primary),
        rewind_from(primary),
        Job::CrashRecovery,
        clone_from(primary),
        reinitialize,
        stop_fast(),
        stop(StopMode::Immediate, None),
        stop(StopMode::Fast, Some(Duration::from_secs(5))),
        Job::Restart { timeout: None },
        Job::Promote { wait: Duration::from_secs(10) },
    ];
    let usual = if running { &jobs[..] } else { &jobs[..6] };
    chance.pick(usual).clone()
}

fn check(scene: &Scene) {
    for host in HOSTS {
        let node = scene.fleet.node(host);
        let Some(end) = scene.fleet.data(host) else { continue };
        assert!(end.1 <= scene.fleet.wal().branch(end.0).end, "{host:?} has what was never written");
        let _ = scene.facts(host);
        let Some(link) = node.link() else { continue };
        let up = scene.fleet.node(link.upstream);
        let Some(theirs) = up.point().filter(|_| up.life == link.life && link.confirmed.is_some()) else { continue };
        assert!(link.confirmed <= Some(end.1), "{host:?} confirmed what it has not");
        let wal = scene.fleet.wal();
        let related = wal.is_ancestor(end, theirs) || wal.is_ancestor(theirs, end);
        let parting = scene.queue.values().any(|step| step.host == host);
        assert!(related || parting, "{host:?} streams another history");
    }
}

fn check_what_was_acknowledged(scene: &Scene) {
    for news in &scene.news {
        if let News::Acked { write, at, .. } = news {
            assert_eq!(scene.fleet.wal().find(*write), Some(*at));
        }
    }
}

#[test]
fn the_model_bears_everything_and_comes_to_rest() {
    for seed in 0..60 {
        let mut chance = Chance::new(seed);
        let mut scene = Scene::cluster(seed);
        for _ in 0..300 {
            something(&mut scene, &mut chance);
            for host in HOSTS.into_iter().filter(|host| scene.fleet.is_writable(*host)).collect::<Vec<_>>() {
                scene.writes(host);
            }
            scene.passes_millis(chance.below(4000));
            check(&scene);
        }
        check_what_was_acknowledged(&scene);
        scene.mends();
        for host in HOSTS {
            scene.fleet.heal(host, scene.now);
        }
        scene.passes(600);
        check(&scene);
        assert!(HOSTS.iter().all(|host| scene.fleet.node(*host).work.is_none()), "seed {seed}: a job never ends");
        assert!(scene.queue.len() < 30, "seed {seed}: {} steps are never done", scene.queue.len());
    }
}
