//! Reads a command line against its grammar.
//!
//! Mistakes are noticed in this order, and only the first is told: what is no option or lacks its value, from left to
//! right; then values that do not fit, in the order they were given; then arguments that are missing; then words too
//! many. Asking for help wins over all but the first kind.

use super::commands::{ALL, HELP, OF_THE_STORE, STORE};
use super::grammar::{ArgumentSpec, CommandSpec, Group, Many, OptionSpec, Takes};
use super::{help, suggest::suggestion};
use crate::failure::Failure;

/// What a command line turned out to be.
#[derive(Debug)]
pub enum Heard<T> {
    Said(T),
    /// Help was asked for; this is the page.
    Help(String),
}

/// What was given to one command, checked against its grammar.
#[derive(Debug, Default)]
pub struct Given {
    options: Vec<(&'static str, Value)>,
    arguments: Vec<Vec<String>>,
}

#[derive(Clone, PartialEq, Debug)]
enum Value {
    Set,
    Text(String),
    Integer(i64),
    Float(f64),
}

impl Given {
    fn last(&self, option: &OptionSpec) -> Option<&Value> {
        self.options.iter().rev().find(|(id, _)| *id == option.id()).map(|(_, value)| value)
    }

    pub fn flag(&self, option: &OptionSpec) -> bool {
        self.last(option).is_some()
    }

    pub fn text(&self, option: &OptionSpec) -> Option<&str> {
        match self.last(option)? {
            Value::Text(text) => Some(text),
            Value::Set | Value::Integer(_) | Value::Float(_) => None,
        }
    }

    pub fn texts(&self, option: &OptionSpec) -> Vec<String> {
        let text = |value: &Value| match value {
            Value::Text(text) => Some(text.clone()),
            Value::Set | Value::Integer(_) | Value::Float(_) => None,
        };
        self.options.iter().filter(|(id, _)| *id == option.id()).filter_map(|(_, value)| text(value)).collect()
    }

    pub fn integer(&self, option: &OptionSpec) -> Option<i64> {
        match self.last(option)? {
            Value::Integer(number) => Some(*number),
            Value::Set | Value::Text(_) | Value::Float(_) => None,
        }
    }

    pub fn float(&self, option: &OptionSpec) -> Option<f64> {
        match self.last(option)? {
            Value::Float(number) => Some(*number),
            Value::Set | Value::Text(_) | Value::Integer(_) => None,
        }
    }

    /// The argument at this place of the grammar.
    pub fn argument(&self, place: usize) -> Option<&str> {
        self.arguments(place).first().map(String::as_str)
    }

    pub fn arguments(&self, place: usize) -> &[String] {
        self.arguments.get(place).map_or(&[], Vec::as_slice)
    }
}

/// The options before the command, the command, and the words behind it.
pub type Global = (Given, &'static CommandSpec, Vec<String>);

pub fn global(prog: &str, words: &[String]) -> Result<Heard<Global>, Failure> {
    let (options, command, rest) = match choose(prog, &ALL, words)? {
        Heard::Said(said) => said,
        Heard::Help(page) => return Ok(Heard::Help(page)),
    };
    if command.name != STORE.name {
        return Ok(Heard::Said((options, command, rest)));
    }
    Ok(match choose(prog, &OF_THE_STORE, &rest)? {
        Heard::Said((_, command, rest)) => Heard::Said((options, command, rest)),
        Heard::Help(page) => Heard::Help(page),
    })
}

fn choose(prog: &str, group: &Group, words: &[String]) -> Result<Heard<Global>, Failure> {
    if words.is_empty() {
        return Err(Failure::Usage(help::overview(prog, group)));
    }
    let line = Line { prog, command: group.itself };
    let raw = line.split(words, Interspersed::No)?;
    if raw.asks_for_help() {
        return Ok(Heard::Help(help::overview(prog, group)));
    }
    let options = line.check_options(&raw.options)?;
    let (name, rest) = raw.words.split_first().ok_or_else(|| line.mistake("Missing command."))?;
    let command = group.commands.iter().find(|command| group.name_of(command) == name).ok_or_else(|| {
        let offered = suggestion(name, group.commands.iter().map(|command| group.name_of(command)));
        line.mistake(&format!("No such command '{name}'.{offered}"))
    })?;
    Ok(Heard::Said((Given { options, arguments: Vec::new() }, command, rest.to_vec())))
}

/// The words behind the command.
pub fn subcommand(prog: &str, command: &'static CommandSpec, words: &[String]) -> Result<Heard<Given>, Failure> {
    let line = Line { prog, command };
    let raw = line.split(words, Interspersed::Yes)?;
    if raw.asks_for_help() {
        return Ok(Heard::Help(help::page(prog, command)));
    }
    let options = line.check_options(&raw.options)?;
    let arguments = line.check_arguments(&raw.words)?;
    Ok(Heard::Said(Given { options, arguments }))
}

/// May options come behind arguments?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Interspersed {
    Yes,
    No,
}

/// Options with their values, and the other words; nothing checked yet.
struct Raw {
    options: Vec<(&'static OptionSpec, Option<String>)>,
    words: Vec<String>,
}

impl Raw {
    fn asks_for_help(&self) -> bool {
        self.options.iter().any(|(option, _)| option.id() == HELP.id())
    }
}

struct Line<'a> {
    prog: &'a str,
    command: &'static CommandSpec,
}

impl Line<'_> {
    fn mistake(&self, message: &str) -> Failure {
        let path = help::path(self.prog, self.command);
        let usage = help::usage(self.prog, self.command);
        Failure::Usage(format!("{usage}\nTry '{path} --help' for help.\n\nError: {message}"))
    }

    fn unknown_option(&self, name: &str) -> Failure {
        let known = self.command.options.iter().flat_map(|option| option.names).filter(|name| name.starts_with("--"));
        let offered = if name.starts_with("--") { suggestion(name, known.copied()) } else { String::new() };
        self.mistake(&format!("No such option '{name}'.{offered}"))
    }

    fn split(&self, words: &[String], interspersed: Interspersed) -> Result<Raw, Failure> {
        let mut raw = Raw { options: Vec::new(), words: Vec::new() };
        let mut left: std::collections::VecDeque<String> = words.iter().cloned().collect();
        while let Some(word) = left.pop_front() {
            if word == "--" {
                break;
            } else if word.starts_with("--") {
                self.long_option(&word, &mut left, &mut raw)?;
            } else if word.starts_with('-') && word.len() > 1 {
                self.short_options(&word, &mut left, &mut raw)?;
            } else {
                raw.words.push(word);
                if interspersed == Interspersed::No {
                    break;
                }
            }
        }
        raw.words.extend(left);
        Ok(raw)
    }

    /// `--name`, `--name value` or `--name=value`.
    fn long_option(&self, word: &str, left: &mut Left, raw: &mut Raw) -> Result<(), Failure> {
        let (name, attached) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        let option = self.command.option(name).ok_or_else(|| self.unknown_option(name))?;
        let value = match (option.takes, attached) {
            (Takes::Nothing, None) => None,
            (Takes::Nothing, Some(_)) => return Err(bare(&format!("Option '{name}' does not take a value."))),
            (_, Some(value)) => Some(value),
            (_, None) => Some(left.pop_front().ok_or_else(|| lacks_value(name))?),
        };
        raw.options.push((option, value));
        Ok(())
    }

    /// `-e`, `-et`, `-f value` or `-fvalue`.
    fn short_options(&self, word: &str, left: &mut Left, raw: &mut Raw) -> Result<(), Failure> {
        for (at, letter) in word.char_indices().skip(1) {
            let name = format!("-{letter}");
            let option = self.command.option(&name).ok_or_else(|| self.unknown_option(&name))?;
            if option.takes == Takes::Nothing {
                raw.options.push((option, None));
                continue;
            }
            let attached = &word[at + letter.len_utf8()..];
            let value = match attached {
                "" => left.pop_front().ok_or_else(|| lacks_value(&name))?,
                attached => attached.to_owned(),
            };
            raw.options.push((option, Some(value)));
            break;
        }
        Ok(())
    }

    fn check_options(&self, raw: &RawOptions) -> Result<Vec<(&'static str, Value)>, Failure> {
        // Of a repeated option the last value counts, and only that one is looked at.
        let repeats = |option: &OptionSpec| option.takes == Takes::Texts;
        let superseded =
            |i: usize, option: &OptionSpec| raw[i + 1..].iter().any(|(later, _)| later.id() == option.id());
        let counting = raw.iter().enumerate().filter(|(i, (option, _))| repeats(option) || !superseded(*i, option));
        counting
            .map(|(_, (option, text))| {
                let value = match text {
                    None => Ok(Value::Set),
                    Some(text) => convert(option.takes, text),
                };
                let wrong = |reason| self.mistake(&format!("Invalid value for {}: {reason}", option.hint()));
                Ok((option.id(), value.map_err(wrong)?))
            })
            .collect()
    }

    fn check_arguments(&self, words: &[String]) -> Result<Vec<Vec<String>>, Failure> {
        let (placed, extra) = place(self.command.arguments, words);
        for (argument, given) in self.command.arguments.iter().zip(&placed) {
            self.check_argument(argument, given)?;
        }
        match extra {
            [] => Ok(placed),
            [one] => Err(self.mistake(&format!("Got unexpected extra argument ({one})"))),
            many => Err(self.mistake(&format!("Got unexpected extra arguments ({})", many.join(" ")))),
        }
    }

    fn check_argument(&self, argument: &ArgumentSpec, given: &[String]) -> Result<(), Failure> {
        if given.is_empty() && argument.many == Many::One {
            let choices = match argument.takes {
                Takes::OneOf(choices) => format!(" Choose from:\n\t{}", choices.join(",\n\t")),
                Takes::Nothing | Takes::Text | Takes::Texts | Takes::Integer | Takes::Float => String::new(),
            };
            return Err(self.mistake(&format!("Missing argument '{}'.{choices}", argument.name)));
        }
        for text in given {
            let wrong = |reason| self.mistake(&format!("Invalid value for '{}': {reason}", argument.name));
            convert(argument.takes, text).map_err(wrong)?;
        }
        Ok(())
    }
}

type Left = std::collections::VecDeque<String>;
type RawOptions = [(&'static OptionSpec, Option<String>)];

/// A mistake told without the usage line, as the original tells a few.
fn bare(message: &str) -> Failure {
    Failure::Usage(format!("Error: {message}"))
}

fn lacks_value(name: &str) -> Failure {
    bare(&format!("Option '{name}' requires an argument."))
}

fn convert(takes: Takes, text: &str) -> Result<Value, String> {
    match takes {
        Takes::Nothing => Ok(Value::Set),
        Takes::Text | Takes::Texts => Ok(Value::Text(text.to_owned())),
        Takes::Integer => {
            text.trim().parse().map(Value::Integer).map_err(|_| format!("'{text}' is not a valid integer."))
        }
        Takes::Float => text.trim().parse().map(Value::Float).map_err(|_| format!("'{text}' is not a valid float.")),
        Takes::OneOf(choices) if choices.contains(&text) => Ok(Value::Text(text.to_owned())),
        Takes::OneOf(choices) => {
            let quoted: Vec<String> = choices.iter().map(|choice| format!("'{choice}'")).collect();
            Err(format!("'{text}' is not one of {}.", quoted.join(", ")))
        }
    }
}

/// Words to arguments: single ones from the front, those behind a list from the back, the list takes the middle.
fn place<'w>(arguments: &[ArgumentSpec], words: &'w [String]) -> (Vec<Vec<String>>, &'w [String]) {
    let list_at = arguments.iter().position(|argument| argument.many == Many::Any);
    let before = list_at.unwrap_or(arguments.len());
    let behind = arguments.len() - before - usize::from(list_at.is_some());
    let (front, rest) = words.split_at(before.min(words.len()));
    let one = |word: Option<&String>| word.cloned().into_iter().collect::<Vec<String>>();
    let mut placed: Vec<Vec<String>> = (0..before).map(|i| one(front.get(i))).collect();
    if list_at.is_none() {
        return (placed, rest);
    }
    let (middle, back) = rest.split_at(rest.len().saturating_sub(behind));
    placed.push(middle.to_vec());
    placed.extend((0..behind).map(|i| one(back.get(i))));
    (placed, &[])
}
