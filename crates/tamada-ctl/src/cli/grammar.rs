//! What a grammar is made of.

/// One command with its arguments and options, in the order of the usage line and the help.
pub struct CommandSpec {
    pub name: &'static str,
    /// The first sentence is also the command's line in the overview.
    pub about: &'static str,
    pub arguments: &'static [ArgumentSpec],
    pub options: &'static [&'static OptionSpec],
}

/// Commands that are written behind another, or behind the program's name.
pub struct Group {
    /// Its options are those in front of the command.
    pub itself: &'static CommandSpec,
    /// In the order of the overview; their names begin with its own.
    pub commands: &'static [CommandSpec],
}

pub struct ArgumentSpec {
    /// As in the usage line: `CLUSTER_NAME`.
    pub name: &'static str,
    pub many: Many,
    pub takes: Takes,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Many {
    One,
    AtMostOne,
    Any,
}

pub struct OptionSpec {
    /// In the order in which mistakes name them; the first one identifies the option.
    pub names: &'static [&'static str],
    pub takes: Takes,
    pub help: &'static str,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Takes {
    /// No value.
    Nothing,
    Text,
    /// Text, and the option may be repeated.
    Texts,
    Integer,
    Float,
    OneOf(&'static [&'static str]),
}

impl OptionSpec {
    pub fn id(&self) -> &'static str {
        self.names[0]
    }

    /// `'--format' / '-f'`
    pub fn hint(&self) -> String {
        self.names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(" / ")
    }

    /// `-f, --format [pretty|tsv]`, short names first.
    pub fn usage(&self) -> String {
        let (short, long): (Vec<&str>, Vec<&str>) = self.names.iter().partition(|name| !name.starts_with("--"));
        let names = [short, long].concat().join(", ");
        match self.takes {
            Takes::Nothing => names,
            Takes::Text | Takes::Texts => format!("{names} TEXT"),
            Takes::Integer => format!("{names} INTEGER"),
            Takes::Float => format!("{names} FLOAT"),
            Takes::OneOf(choices) => format!("{names} [{}]", choices.join("|")),
        }
    }
}

impl ArgumentSpec {
    pub fn usage(&self) -> String {
        match self.many {
            Many::One => self.name.to_owned(),
            Many::AtMostOne => format!("[{}]", self.name),
            Many::Any => format!("[{}]...", self.name),
        }
    }
}

impl Group {
    /// `status` for `store status`.
    pub fn name_of(&self, command: &CommandSpec) -> &'static str {
        command.name.strip_prefix(self.itself.name).unwrap_or(command.name).trim_start()
    }
}

impl CommandSpec {
    pub fn option(&self, name: &str) -> Option<&'static OptionSpec> {
        self.options.iter().copied().find(|option| option.names.contains(&name))
    }
}
