//! Words for a PostgreSQL: ours as the sampler sees it, and another member's as store and REST tell it.

use tamada_model::{
    Answers, ChangedValue, Control, ControlState, DataDir, Live, Lsn, Me, Member, MemberName, Mono, Origin, PeerAnswer,
    PeerStatus, PgMajor, PgVersion, PostgresFacts, Present, Process, Role, Slot, Standby, Standing, State, SystemId,
    Tags, Timeline, WalReceiver, Wall,
};

use super::clues;
use super::words::Words;

pub fn our_system_id() -> SystemId {
    SystemId::parse("7000000000000000001").expect("it has ten digits")
}

pub fn other_system_id() -> SystemId {
    SystemId::parse("7999999999999999999").expect("it has ten digits")
}

/// When our postmaster was started, unless the words say otherwise.
pub fn started() -> Wall {
    Wall::from_micros(1_784_800_000_000_000)
}

/// What the words say about our PostgreSQL, gathered before it is put together.
struct Ours {
    answers: Talk,
    role: Option<Role>,
    timeline: Option<Timeline>,
    at: Lsn,
    control: ControlState,
    control_timeline: Option<Timeline>,
    system_id: Option<SystemId>,
    data: Data,
    live: Extra,
    adopted: bool,
    can_rewind: bool,
    pending_restart: bool,
    backup_label: bool,
    recovery_configured: bool,
    unfinished_rewind: bool,
    newest_timeline: Option<Timeline>,
    origin: Option<Origin>,
    major: u32,
    started: Wall,
    state: Option<State>,
}

#[derive(Clone, Copy, PartialEq)]
enum Talk {
    Down,
    Starting,
    Silent,
    Primary,
    Standby,
}

enum Data {
    Empty,
    Unreadable(String),
    Present,
}

#[derive(Default)]
struct Extra {
    streaming: Option<Option<Timeline>>,
    from_archive: bool,
    replay_paused: bool,
    slots: Vec<String>,
}

/// Our PostgreSQL and our tags.
pub fn ours(words: &mut Words<'_>, me: &mut Me) -> PostgresFacts {
    let mut ours = Ours {
        answers: Talk::Down,
        role: None,
        timeline: None,
        at: Lsn::ZERO,
        control: ControlState::ShutDown,
        control_timeline: None,
        system_id: Some(our_system_id()),
        data: Data::Present,
        live: Extra::default(),
        adopted: false,
        can_rewind: false,
        pending_restart: false,
        backup_label: false,
        recovery_configured: false,
        unfinished_rewind: false,
        newest_timeline: None,
        origin: None,
        major: 15,
        started: started(),
        state: None,
    };
    while !words.is_empty() {
        if !(ours.process(words) || ours.position(words) || ours.files(words) || ours.rest(words) || tags(words, me)) {
            words.lost();
        }
    }
    ours.facts()
}

fn tags(words: &mut Words<'_>, me: &mut Me) -> bool {
    tag(words, &mut me.tags)
}

fn tag(words: &mut Words<'_>, tags: &mut Tags) -> bool {
    for plain in ["nofailover", "nosync", "clonefrom", "nostream", "noloadbalance"] {
        if words.eat(plain) {
            tags.0.insert(plain.into(), true.into());
            return true;
        }
    }
    if words.eat("sync_priority") {
        tags.0.insert("sync_priority".into(), words.number().into());
    } else if words.eat("priority") {
        tags.0.insert("failover_priority".into(), words.number().into());
    } else if words.eat("replicates from") {
        tags.0.insert("replicatefrom".into(), words.word().into());
    } else if words.eat("may fail over") {
        tags.0.insert("nofailover".into(), false.into());
    } else {
        return false;
    }
    true
}

impl Ours {
    fn process(&mut self, words: &mut Words<'_>) -> bool {
        let said = [
            ("primary", Talk::Primary),
            ("standby", Talk::Standby),
            ("starting", Talk::Starting),
            ("silent", Talk::Silent),
            ("down", Talk::Down),
        ];
        for (word, talk) in said {
            if words.eat(word) {
                self.answers = talk;
                return true;
            }
        }
        let controls = [
            ("in production", ControlState::InProduction),
            ("shut down in recovery", ControlState::ShutDownInRecovery),
            ("shut down", ControlState::ShutDown),
            ("shutting down", ControlState::ShuttingDown),
            ("in crash recovery", ControlState::InCrashRecovery),
            ("in archive recovery", ControlState::InArchiveRecovery),
        ];
        for (phrase, control) in controls {
            if words.eat(phrase) {
                self.control = control;
                return true;
            }
        }
        false
    }

    fn position(&mut self, words: &mut Words<'_>) -> bool {
        if words.eat("tl") {
            self.timeline = Some(words.timeline());
        } else if words.eat("at") {
            self.at = words.lsn();
        } else if words.eat("streaming on tl") {
            self.live.streaming = Some(Some(words.timeline()));
        } else if words.eat("streaming") {
            self.live.streaming = Some(None);
        } else if words.eat("from archive") {
            self.live.from_archive = true;
        } else if words.eat("replay paused") {
            self.live.replay_paused = true;
        } else if words.eat("checkpoint on tl") {
            self.control_timeline = Some(words.timeline());
        } else if words.eat("slot") {
            self.live.slots.push(words.word().to_owned());
        } else {
            return false;
        }
        true
    }

    fn files(&mut self, words: &mut Words<'_>) -> bool {
        if words.eat("no data") {
            self.data = Data::Empty;
        } else if words.eat("unreadable data") {
            self.data = Data::Unreadable("Input/output error".into());
        } else if words.eat("of another cluster") {
            self.system_id = Some(other_system_id());
        } else if words.eat("of unknown cluster") {
            self.system_id = None;
        } else if words.eat("backup_label") {
            self.backup_label = true;
        } else if words.eat("recovery configured") {
            self.recovery_configured = true;
        } else if words.eat("cut-short rewind") {
            self.unfinished_rewind = true;
        } else if words.eat("history files up to tl") {
            self.newest_timeline = Some(words.timeline());
        } else if words.eat("origin") {
            self.origin = Some(clues::origin(words));
        } else if words.eat("version") {
            self.major = words.number() as u32;
        } else {
            return false;
        }
        true
    }

    fn rest(&mut self, words: &mut Words<'_>) -> bool {
        if words.eat("role") {
            self.role = Some(words.role());
        } else if words.eat("just adopted") {
            self.adopted = true;
        } else if words.eat("can rewind") {
            self.can_rewind = true;
        } else if words.eat("pending restart") {
            self.pending_restart = true;
        } else if words.eat("restarted by hand") {
            self.started = Wall::from_micros(started().micros() + 60_000_000);
        } else {
            return false;
        }
        true
    }

    fn facts(self) -> PostgresFacts {
        let role = self.role.unwrap_or(match (&self.data, self.answers, self.control) {
            (Data::Empty, _, _) => Role::Uninitialized,
            (_, Talk::Primary, _) => Role::Primary,
            (_, Talk::Down, ControlState::InProduction | ControlState::ShutDown) => Role::Demoted,
            (_, _, _) => Role::Replica,
        });
        let process = match self.answers {
            Talk::Down => Process::Absent,
            Talk::Starting | Talk::Silent | Talk::Primary | Talk::Standby => {
                Process::Running { pid: 4711, started: self.started }
            }
        };
        let state = match self.answers {
            Talk::Down => State::Stopped,
            Talk::Starting => State::Starting,
            Talk::Silent | Talk::Primary | Talk::Standby => State::Running,
        };
        let changed = ChangedValue { old: "100".into(), new: "200".into() };
        PostgresFacts {
            seen_at: Mono::default(),
            process,
            answers: self.answers(),
            state: self.state.unwrap_or(state),
            role,
            pending_restart: self.pending_restart.then(|| ("max_connections".into(), changed)).into_iter().collect(),
            callback_called: !self.adopted,
            can_rewind: self.can_rewind,
            data: self.data(),
        }
    }

    fn answers(&self) -> Answers {
        let timeline = self.timeline.unwrap_or(Timeline::FIRST);
        let standing = match self.answers {
            Talk::Down => return Answers::Unasked,
            Talk::Starting => return Answers::Rejecting,
            Talk::Silent => return Answers::Silent { because: "timeout".into() },
            Talk::Primary => Standing::Primary { timeline, flushed: self.at },
            Talk::Standby => Standing::Standby(Box::new(self.standby(timeline))),
        };
        Answers::Live(Box::new(Live {
            server_version: PgVersion::from_number(self.major * 10_000 + 4),
            postmaster_start_time: self.started,
            standing,
            replication: Vec::new(),
            slots: self.live.slots.iter().map(|name| Slot { name: name.clone(), ..Slot::default() }).collect(),
            synchronous: tamada_model::Synchronous { checkpointer_heard: true, ..Default::default() },
            restore_command: if self.live.from_archive { "cp /archive/%f %p".into() } else { String::new() },
        }))
    }

    fn standby(&self, timeline: Timeline) -> Standby {
        let receiver = self.live.streaming.map(|on| WalReceiver {
            status: "streaming".into(),
            timeline: Some(on.unwrap_or(timeline)),
            ..WalReceiver::default()
        });
        Standby {
            received: Some(self.at),
            replayed: Some(self.at),
            replay_paused: self.live.replay_paused,
            receiver,
            timeline: self.timeline,
            ..Standby::default()
        }
    }

    fn data(self) -> DataDir {
        match self.data {
            Data::Empty => return DataDir::Empty,
            Data::Unreadable(why) => return DataDir::Unreadable(why),
            Data::Present => {}
        }
        let control = Control {
            state: self.control,
            checkpoint: self.at,
            checkpoint_timeline: self.control_timeline,
            min_recovery_end: self.at,
            min_recovery_end_timeline: self.timeline.or(Some(Timeline::FIRST)),
            wal_log_hints: self.can_rewind,
            checksums: false,
            lines: vec![("Database cluster state".into(), format!("{:?}", self.control))],
        };
        let newest_timeline = self.newest_timeline.or(control.timeline());
        DataDir::Present(Box::new(Present {
            major: Some(PgMajor::of(self.major)),
            system_id: self.system_id,
            control: Some(control),
            backup_label: self.backup_label,
            recovery_configured: self.recovery_configured,
            unfinished_rewind: self.unfinished_rewind,
            newest_timeline,
            origin: self.origin,
        }))
    }
}

/// Another member: its record in the store, and what it answers.
pub struct Other {
    pub record: Member,
    pub answer: PeerAnswer,
    /// Its key ran out.
    pub gone: bool,
}

pub fn other(name: &MemberName, words: &mut Words<'_>) -> Other {
    let mut record = Member {
        conn_url: Some(format!("postgres://{name}:5432/postgres")),
        api_url: Some(format!("http://{name}:8008/patroni")),
        state: Some("running".into()),
        role: Some(Role::Replica),
        version: Some("4.1.4".into()),
        ..Member::default()
    };
    let mut status = PeerStatus { in_recovery: true, ..PeerStatus::default() };
    let (mut silent, mut gone) = (false, false);
    while !words.is_empty() {
        if words.eat("primary") {
            (record.role, status.in_recovery) = (Some(Role::Primary), false);
        } else if words.eat("standby") {
        } else if words.eat("silent") {
            silent = true;
        } else if words.eat("gone") {
            gone = true;
        } else if words.eat("stopped") {
            record.state = Some(State::Stopped.text().into());
        } else if words.eat("watchdog failed") {
            status.watchdog_failed = true;
        } else if words.eat("origin") {
            status.origin = Some(clues::origin(words));
        } else if !(position(words, &mut record, &mut status) || record_words(words, &mut record)) {
            words.lost();
        }
    }
    status.tags = record.tags.clone();
    let answer = match silent {
        true => PeerAnswer::Silent { because: "connection refused".into() },
        false => PeerAnswer::Answered(Box::new(status)),
    };
    Other { record, answer, gone }
}

fn position(words: &mut Words<'_>, record: &mut Member, status: &mut PeerStatus) -> bool {
    if words.eat("tl") {
        record.timeline = Some(words.timeline());
        status.timeline = record.timeline;
    } else if words.eat("at") {
        record.xlog_location = Some(words.lsn());
        status.position = if status.in_recovery { record.xlog_location.unwrap_or_default() } else { Lsn::ZERO };
    } else {
        return false;
    }
    true
}

fn record_words(words: &mut Words<'_>, record: &mut Member) -> bool {
    if words.eat("stopped") {
        record.state = Some("stopped".into());
    } else if words.eat("role") {
        record.role = Some(words.role());
    } else if words.eat("without address") {
        record.conn_url = None;
    } else if words.eat("without api") {
        record.api_url = None;
    } else if words.eat("checkpoint pending") {
        record.checkpoint_after_promote = Some(false);
    } else if words.eat("version") {
        record.version = Some(words.word().to_owned());
    } else if words.eat("streams") {
        record.replication_state = Some("streaming".into());
    } else {
        return tag(words, &mut record.tags);
    }
    true
}
