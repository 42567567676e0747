//! Every command with its arguments and options (ctl.md 3–6).

use super::grammar::{ArgumentSpec, CommandSpec, Group, Many, OptionSpec, Takes};

const fn option(names: &'static [&'static str], takes: Takes, help: &'static str) -> OptionSpec {
    OptionSpec { names, takes, help }
}

pub const HELP: OptionSpec = option(&["--help"], Takes::Nothing, "Show this message and exit.");

pub const CONFIG_FILE: OptionSpec = option(&["-c", "--config-file"], Takes::Text, "Read this configuration file");
pub const DCS_URL: OptionSpec =
    option(&["-d", "--dcs-url", "--dcs"], Takes::Text, "Use the store at this URL instead of the configured one");
pub const INSECURE: OptionSpec =
    option(&["-k", "--insecure"], Takes::Nothing, "Do not verify the certificates of REST APIs");

pub const GROUP: OptionSpec = option(&["--group"], Takes::Integer, "Work on this Citus group");
pub const FORMATS: &[&str] = &["pretty", "tsv", "json", "yaml", "yml"];
pub const FORMAT: OptionSpec = option(&["--format", "-f"], Takes::OneOf(FORMATS), "Print in this format");
pub const EXTENDED: OptionSpec = option(&["--extended", "-e"], Takes::Nothing, "Show the optional columns too");
pub const TIMESTAMP: OptionSpec = option(&["--timestamp", "-t"], Takes::Nothing, "Print the time first");
pub const WATCH_TWO: OptionSpec = option(&["-W"], Takes::Nothing, "Show again every 2 seconds");
pub const WATCH: OptionSpec = option(&["-w", "--watch"], Takes::Float, "Show again every X seconds");

pub const ROLES: &[&str] = &["leader", "primary", "standby-leader", "replica", "standby", "any"];
pub const ROLE: OptionSpec = option(&["--role", "-r"], Takes::OneOf(ROLES), "Choose among members with this role");
pub const MEMBER: OptionSpec = option(&["--member", "-m"], Takes::Text, "Choose this member");
pub const FORCE: OptionSpec = option(&["--force"], Takes::Nothing, "Ask nothing, assume yes");
pub const WAIT: OptionSpec = option(&["--wait"], Takes::Nothing, "Wait until it is done everywhere");

pub const ANY: OptionSpec = option(&["--any"], Takes::Nothing, "Restart only one of them, picked at random");
pub const SCHEDULED: OptionSpec = option(
    &["--scheduled"],
    Takes::Text,
    "When to do it, for example 2030-01-31T04:00+01:00; without a zone: local time",
);
pub const PG_VERSION: OptionSpec =
    option(&["--pg-version"], Takes::Text, "Restart only where PostgreSQL is older than this, e.g. 16.4");
pub const PENDING: OptionSpec = option(&["--pending"], Takes::Nothing, "Restart only where a restart is pending");
pub const TIMEOUT: OptionSpec =
    option(&["--timeout"], Takes::Text, "Report failure, and let another member take over, if the start takes longer");
pub const FROM_LEADER: OptionSpec = option(&["--from-leader"], Takes::Nothing, "Take the base backup from the leader");

pub const LEADER: OptionSpec = option(&["--leader", "--primary"], Takes::Text, "Name of the present leader");
pub const CANDIDATE: OptionSpec = option(&["--candidate"], Takes::Text, "Name of the member to become leader");

pub const QUIET: OptionSpec = option(&["--quiet", "-q"], Takes::Nothing, "Do not show the difference");
pub const SET: OptionSpec =
    option(&["--set", "-s"], Takes::Texts, "KEY=VALUE with dots between levels; null removes. May be repeated");
pub const PG: OptionSpec = option(&["--pg", "-p"], Takes::Texts, "Like -s postgresql.parameters.KEY=VALUE");
pub const APPLY: OptionSpec = option(&["--apply"], Takes::Text, "Merge this YAML file; - is standard input");
pub const REPLACE: OptionSpec =
    option(&["--replace"], Takes::Text, "Put this YAML file in its place; - is standard input");

const fn argument(name: &'static str, many: Many) -> ArgumentSpec {
    ArgumentSpec { name, many, takes: Takes::Text }
}

const CLUSTERS: ArgumentSpec = argument("CLUSTER_NAMES", Many::Any);
const THIS_CLUSTER: ArgumentSpec = argument("CLUSTER_NAME", Many::One);
const A_CLUSTER: ArgumentSpec = argument("CLUSTER_NAME", Many::AtMostOne);
const MEMBERS: ArgumentSpec = argument("MEMBER_NAMES", Many::Any);
pub const FLUSH_TARGETS: &[&str] = &["restart", "switchover"];
const FLUSH_TARGET: ArgumentSpec =
    ArgumentSpec { name: "{restart|switchover}", many: Many::One, takes: Takes::OneOf(FLUSH_TARGETS) };

const ADDRESS: ArgumentSpec = argument("ADDRESS", Many::One);

pub const ALL: Group = Group { itself: &GLOBAL, commands: COMMANDS };
pub const OF_THE_STORE: Group = Group { itself: &STORE, commands: STORE_COMMANDS };

const GLOBAL: CommandSpec = CommandSpec {
    name: "",
    about: "See and steer PostgreSQL clusters.",
    arguments: &[argument("COMMAND", Many::One), argument("ARGS", Many::Any)],
    options: &[&CONFIG_FILE, &DCS_URL, &INSECURE, &HELP],
};

pub const STORE: CommandSpec = CommandSpec {
    name: "store",
    about: "See and change the embedded store",
    arguments: &[argument("COMMAND", Many::One), argument("ARGS", Many::Any)],
    options: &[&HELP],
};

/// All but `store` are the original's too.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "dsn",
        about: "Print host and port of a member, the leader if none is chosen",
        arguments: &[A_CLUSTER],
        options: &[&ROLE, &MEMBER, &GROUP, &HELP],
    },
    CommandSpec {
        name: "edit-config",
        about: "Change the dynamic configuration",
        arguments: &[A_CLUSTER],
        options: &[&GROUP, &QUIET, &SET, &PG, &APPLY, &REPLACE, &FORCE, &HELP],
    },
    CommandSpec {
        name: "failover",
        about: "Make a replica the leader, whatever became of the old one",
        arguments: &[A_CLUSTER],
        options: &[&GROUP, &CANDIDATE, &FORCE, &HELP],
    },
    CommandSpec {
        name: "flush",
        about: "Drop what is scheduled",
        arguments: &[THIS_CLUSTER, MEMBERS, FLUSH_TARGET],
        options: &[&GROUP, &ROLE, &FORCE, &HELP],
    },
    CommandSpec {
        name: "history",
        about: "Show the past promotions",
        arguments: &[A_CLUSTER],
        options: &[&GROUP, &FORMAT, &HELP],
    },
    CommandSpec {
        name: "list",
        about: "Show the members of a cluster",
        arguments: &[CLUSTERS],
        options: &[&GROUP, &EXTENDED, &TIMESTAMP, &FORMAT, &WATCH_TWO, &WATCH, &HELP],
    },
    CommandSpec {
        name: "pause",
        about: "Switch automatic failover off",
        arguments: &[A_CLUSTER],
        options: &[&GROUP, &WAIT, &HELP],
    },
    CommandSpec {
        name: "reinit",
        about: "Throw a replica's data away and copy it anew",
        arguments: &[THIS_CLUSTER, MEMBERS],
        options: &[&GROUP, &FORCE, &FROM_LEADER, &WAIT, &HELP],
    },
    CommandSpec {
        name: "reload",
        about: "Have members read their configuration again",
        arguments: &[THIS_CLUSTER, MEMBERS],
        options: &[&GROUP, &ROLE, &FORCE, &HELP],
    },
    CommandSpec {
        name: "remove",
        about: "Delete what the store knows of a cluster",
        arguments: &[THIS_CLUSTER],
        options: &[&GROUP, &FORMAT, &HELP],
    },
    CommandSpec {
        name: "restart",
        about: "Restart PostgreSQL, now or later",
        arguments: &[THIS_CLUSTER, MEMBERS],
        options: &[&GROUP, &ROLE, &ANY, &SCHEDULED, &PG_VERSION, &PENDING, &TIMEOUT, &FORCE, &HELP],
    },
    CommandSpec {
        name: "resume",
        about: "Switch automatic failover on again",
        arguments: &[A_CLUSTER],
        options: &[&GROUP, &WAIT, &HELP],
    },
    CommandSpec {
        name: "show-config",
        about: "Print the dynamic configuration",
        arguments: &[A_CLUSTER],
        options: &[&GROUP, &HELP],
    },
    STORE,
    CommandSpec {
        name: "switchover",
        about: "Hand the leadership over to a replica, now or later",
        arguments: &[A_CLUSTER],
        options: &[&GROUP, &LEADER, &CANDIDATE, &SCHEDULED, &FORCE, &HELP],
    },
    CommandSpec {
        name: "topology",
        about: "Show who replicates from whom",
        arguments: &[CLUSTERS],
        options: &[&GROUP, &WATCH_TWO, &WATCH, &HELP],
    },
    CommandSpec {
        name: "version",
        about: "Print the version of this tool, and of members",
        arguments: &[A_CLUSTER, MEMBERS],
        options: &[&GROUP, &HELP],
    },
];

const STORE_COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "store add",
        about: "Let a node join, as a copy without a vote",
        arguments: &[ADDRESS],
        options: &[&HELP],
    },
    CommandSpec { name: "store promote", about: "Give a copy a vote", arguments: &[ADDRESS], options: &[&HELP] },
    CommandSpec {
        name: "store recover",
        about: "Go on with this node alone after the majority is lost for good",
        arguments: &[],
        options: &[&HELP],
    },
    CommandSpec {
        name: "store remove",
        about: "Take a node out, dead or alive",
        arguments: &[ADDRESS],
        options: &[&FORCE, &HELP],
    },
    CommandSpec {
        name: "store status",
        about: "Show the nodes of the store, who leads, and what is wrong",
        arguments: &[],
        options: &[&FORMAT, &WATCH_TWO, &WATCH, &HELP],
    },
];
