//! Whatever is done to the servers in whatever order: the model keeps its own rules, and comes to rest.

use super::*;
use crate::postgres::SyncNames;

/// Something happens to one host, without any sense.
fn something(scene: &mut Scene, chance: &mut Chance) {
    let (host, other) = (*chance.pick(&HOSTS), *chance.pick(&HOSTS));
    let now = scene.now;
    match chance.below(26) {
        0 => scene.fleet.kill_postmaster(host, now),
        1 => scene.fleet.crash_backend(host, now),
        2 => {
            scene.fleet.power_off(host, now);
            scene.fleet.power_on(host, now);
            scene.fleet.adopt(host, now);
        }
        3 => scene.fleet.freeze(host),
        4 | 5 => scene.fleet.thaw(host, now),
        6 => scene.fleet.hang(host, now + Duration::from_secs(chance.below(20))),
        7 => scene.fleet.fence(host, now),
        8 => scene.fleet.promote_by_hand(host, now),
        9 => scene.fleet.start_by_hand(host, now),
        10 => scene.fleet.stop_by_hand(host, StopMode::Fast, now),
        11 => scene.fleet.replay_lag(host, Duration::from_secs(chance.below(10)), now),
        12 => scene.cuts(host),
        13 | 14 => scene.mends(),
        15 => scene.fleet.set_sync_names(host, SyncNames::Any(1, HOSTS.to_vec()), now),
        16 => scene.fleet.set_sync_names(host, SyncNames::Nobody, now),
        17 => scene.follows(host, other),
        18 => scene.fleet.disk_full(host, chance.happens(1, 2)),
        19 => {
            scene.fleet.agent_dies(host, now);
            scene.fleet.adopt(host, now);
        }
        20 => scene.commands(host, Command::CheckpointAfterPromote),
        _ => {
            let job = some_job(other, chance);
            if scene.fleet.node(host).work.is_none() {
                scene.begins(host, job);
            }
        }
    }
}

fn some_job(other: Host, chance: &mut Chance) -> Job {
    let jobs = [
        stop_fast(),
        stop(StopMode::Immediate, None),
        stop(StopMode::Fast, Some(Duration::from_secs(5))),
        start_as_primary(),
        start_as_standby_of(other),
        start_as_standby_of(other),
        rewind_from(other),
        Job::CrashRecovery,
        Job::Restart { timeout: None },
        Job::Promote { wait: Duration::from_secs(10) },
        clone_from(other),
        Job::Reinitialize { source: source(other), then_follow: member(other), only_basebackup: false },
    ];
    chance.pick(&jobs).clone()
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
