//! Every parameter is one row: where it stands in the files, which variable sets it, what it may hold, what it is
//! when nobody says, when a change takes effect, and one line of help.
//!
//! The environment mapping, the check at start, `--validate-config` and the reference page all come from these rows
//! (style.md 29), so a parameter that is added here is known everywhere, and one that is not here is nowhere.

mod dynamic;
mod local;
mod postgresql;
mod store;

use std::fmt;

use tamada_model::Document;

use crate::timing::Beat;

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Dotted, as in the YAML file. A part in angle brackets stands for a name that the user chooses.
    pub path: &'static str,
    pub layer: Layer,
    pub kind: Kind,
    pub env: Env,
    pub need: Need,
    pub default: &'static str,
    pub applies: Applies,
    pub help: &'static str,
}

/// Which configuration may hold the parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layer {
    /// The files and variables of one member.
    Local,
    /// The document in the store, the same for all members; in files only below `bootstrap.dcs`.
    Dynamic,
    /// Both; the local value wins.
    Both,
}

/// What a parameter may hold. `check` accepts what can be made sense of; `--validate-config` is stricter and wants the
/// type that the documentation names.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    /// A mapping whose keys have rows of their own.
    Section,
    Text,
    /// Text that is never printed.
    Secret,
    /// Text, number or boolean, taken as text.
    Scalar,
    Bool,
    /// A boolean that no validator looks at.
    Truth,
    Integer(Range),
    /// A real number not below this; or, if `above`, greater.
    Real {
        least: f64,
        above: bool,
    },
    /// Seconds, with fractions, not below what the store in use can keep.
    Seconds(Beat),
    Choice(&'static [&'static str], Case),
    /// A list of texts.
    Texts,
    /// A list of names, or one text with commas or blanks between them.
    Names,
    /// Options of an external command: a list of texts and one-entry mappings, or a mapping.
    Options,
    Map,
    /// A list of mappings.
    Maps,
    /// `host:port` that we listen on; with `many`, several hosts before the port, which may be left out.
    Listen {
        many: bool,
    },
    /// `host:port` that others connect to; the port of PostgreSQL may be left out.
    ConnectAddress {
        port: Option<u16>,
    },
    /// `host:port` that we connect to.
    Peer,
    /// Several of them: a list, or text with commas. Without a port of its own each has this one; `None`: each needs one.
    Peers {
        port: Option<u16>,
    },
    DataDir,
    BinDir,
    Binary,
    LogFormat,
    WatchdogMode,
    SynchronousMode,
    /// A tag that is read by truthiness, and one that is a priority; any value is accepted.
    TagBool,
    TagPriority,
    Anything,
}

/// Limits of an integer. They bind `--validate-config` only: at run time the rules of each setting apply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    pub least: i64,
    pub most: i64,
    /// The unit that a number without one has; `None`: units are not understood.
    pub unit: Option<&'static str>,
    /// The value must be a YAML integer, not text that reads as one.
    pub typed: bool,
    pub multiple_of: i64,
}

impl Range {
    pub const ANY: Range = Range { least: i64::MIN, most: i64::MAX, unit: None, typed: false, multiple_of: 1 };

    pub const fn from(least: i64) -> Self {
        Range { least, ..Self::ANY }
    }

    pub const fn to(self, most: i64) -> Self {
        Range { most, ..self }
    }

    pub const fn typed(self) -> Self {
        Range { typed: true, ..self }
    }

    pub const fn unit(self, unit: &'static str) -> Self {
        Range { unit: Some(unit), ..self }
    }

    pub const fn multiple_of(self, multiple_of: i64) -> Self {
        Range { multiple_of, ..self }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Case {
    Exact,
    Any,
}

/// The environment variable of a parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Env {
    None,
    Own(&'static str),
    /// Read only when another variable has made the section (`PATRONI_ETCD3_USERNAME`).
    IfSection(&'static str),
    /// One of the suffixes that are understood for any section: `PATRONI_<SECTION>_<SUFFIX>`.
    Swept(&'static str),
}

impl Env {
    pub fn name(self) -> Option<&'static str> {
        match self {
            Env::None => None,
            Env::Own(name) | Env::IfSection(name) | Env::Swept(name) => Some(name),
        }
    }
}

/// Whether the validator misses the parameter when its section is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    Optional,
    Required,
    /// At least one of the group.
    OneOf(&'static str),
    /// Not together with the other of the group.
    AtMostOneOf(&'static str),
}

/// When a change takes effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applies {
    /// At the next reload (local) or at once (dynamic).
    Reload,
    /// When the agent starts again.
    Restart,
    /// When PostgreSQL starts again.
    PostgresRestart,
    /// Only while a new cluster is made.
    Bootstrap,
}

impl fmt::Display for Applies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Applies::Reload => "reload",
            Applies::Restart => "agent restart",
            Applies::PostgresRestart => "PostgreSQL restart",
            Applies::Bootstrap => "new cluster",
        })
    }
}

/// A row to be refined; begins optional, without variable, applied on reload.
const fn row(layer: Layer, path: &'static str, kind: Kind, help: &'static str) -> Row {
    Row { path, layer, kind, env: Env::None, need: Need::Optional, default: "", applies: Applies::Reload, help }
}

const fn local(path: &'static str, kind: Kind, help: &'static str) -> Row {
    row(Layer::Local, path, kind, help)
}

const fn both(path: &'static str, kind: Kind, help: &'static str) -> Row {
    row(Layer::Both, path, kind, help)
}

const fn dynamic(path: &'static str, kind: Kind, help: &'static str) -> Row {
    row(Layer::Dynamic, path, kind, help)
}

impl Row {
    const fn env(self, name: &'static str) -> Row {
        Row { env: Env::Own(name), ..self }
    }

    const fn swept(self, name: &'static str) -> Row {
        Row { env: Env::Swept(name), ..self }
    }

    const fn if_section(self, name: &'static str) -> Row {
        Row { env: Env::IfSection(name), ..self }
    }

    const fn required(self) -> Row {
        Row { need: Need::Required, ..self }
    }

    const fn one_of(self, group: &'static str) -> Row {
        Row { need: Need::OneOf(group), ..self }
    }

    const fn at_most_one_of(self, group: &'static str) -> Row {
        Row { need: Need::AtMostOneOf(group), ..self }
    }

    const fn default(self, default: &'static str) -> Row {
        Row { default, ..self }
    }

    const fn restart(self) -> Row {
        Row { applies: Applies::Restart, ..self }
    }

    const fn postgres_restart(self) -> Row {
        Row { applies: Applies::PostgresRestart, ..self }
    }

    const fn bootstrap(self) -> Row {
        Row { applies: Applies::Bootstrap, ..self }
    }

    /// The last part of the path.
    pub fn key(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, key)| key)
    }

    /// The section that holds the parameter; empty for the root.
    pub fn section(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// The path names one place, without a part that the user chooses.
    pub fn is_literal(&self) -> bool {
        !self.path.contains('<')
    }

    pub fn is_local(&self) -> bool {
        match self.layer {
            Layer::Local | Layer::Both => true,
            Layer::Dynamic => false,
        }
    }

    pub fn is_dynamic(&self) -> bool {
        match self.layer {
            Layer::Dynamic | Layer::Both => true,
            Layer::Local => false,
        }
    }
}

/// All rows, in the order in which problems are reported.
pub fn all() -> impl Iterator<Item = &'static Row> {
    [local::ROOT, local::LOG, local::CTL, local::RESTAPI, local::BOOTSTRAP, store::ROWS, local::CITUS]
        .into_iter()
        .chain([postgresql::ADDRESSES, postgresql::AUTHENTICATION, postgresql::ROWS])
        .chain([local::GUARD, local::WATCHDOG, local::TAGS, dynamic::ROWS])
        .flatten()
}

/// Sections that name a configuration store, in the order in which the first present one is chosen
/// (configuration.md 3.3).
pub const STORES: [&str; 7] = ["consul", "etcd", "etcd3", "exhibitor", "kubernetes", "raft", "zookeeper"];

/// The store that a configuration chooses.
pub fn chosen_store(document: &Document) -> Option<&'static str> {
    STORES.into_iter().find(|store| document.contains_key(*store))
}

/// Those that are built.
pub const SUPPORTED_STORES: [&str; 2] = ["etcd3", "raft"];
