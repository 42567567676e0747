//! Where the tool talks to people: output, complaints, questions.
//!
//! Questions look like `text [default]: ` and `text [y/N]: ` (ctl.md 1.3). The answer is read on a thread of its own, so
//! that an interrupt is heard while we wait for it; commands that ask nothing never start that thread. Tests put
//! buffers in place of the terminal.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use crate::failure::Failure;

pub struct Console {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    answers: Answers,
    terminal: bool,
    /// Standard output went away (a pager was closed): nobody reads on, so watching may end.
    broken: bool,
}

/// Where answers come from.
enum Answers {
    StandardInput,
    Given(VecDeque<String>),
}

/// What somebody said to a yes-or-no question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consent {
    Given,
    Refused,
}

impl Console {
    pub fn of_this_process() -> Self {
        let out = io::stdout();
        let terminal = out.is_terminal();
        Self {
            out: Box::new(io::BufWriter::new(out)),
            err: Box::new(io::stderr()),
            answers: Answers::StandardInput,
            terminal,
            broken: false,
        }
    }

    /// Not a terminal; answers are taken from `answers` until they run out.
    pub fn scripted(out: Box<dyn Write>, err: Box<dyn Write>, answers: &[&str]) -> Self {
        let answers = answers.iter().map(|answer| (*answer).to_owned()).collect();
        Self { out, err, answers: Answers::Given(answers), terminal: false, broken: false }
    }

    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    pub fn is_broken(&self) -> bool {
        self.broken
    }

    pub fn say(&mut self, line: impl Display) {
        self.write(&format!("{line}\n"));
    }

    pub fn complain(&mut self, line: &str) {
        self.flush();
        // If standard error is gone there is nobody left to tell.
        let _ = writeln!(self.err, "{line}");
    }

    /// A log line: `2026-11-23 09:00:00,123 - WARNING - message`.
    pub fn warn(&mut self, message: impl Display) {
        self.complain(&format!("{} - WARNING - {message}", crate::clock::log_stamp()));
    }

    pub fn clear_screen(&mut self) {
        if self.terminal {
            self.write("\x1b[2J\x1b[1;1H");
        }
    }

    pub fn flush(&mut self) {
        self.broken |= self.out.flush().is_err();
    }

    fn write(&mut self, text: &str) {
        self.broken |= self.out.write_all(text.as_bytes()).is_err();
    }

    /// Asks until there is an answer.
    pub async fn ask(&mut self, question: &str) -> Result<String, Failure> {
        loop {
            let answer = self.read_after(&format!("{question}: ")).await?;
            if !answer.is_empty() {
                return Ok(answer);
            }
        }
    }

    /// An empty answer means `default`.
    pub async fn ask_or(&mut self, question: &str, default: &str) -> Result<String, Failure> {
        let answer = self.read_after(&format!("{question} [{default}]: ")).await?;
        Ok(if answer.is_empty() { default.to_owned() } else { answer })
    }

    /// Asks until the answer is a whole number.
    pub async fn ask_number(&mut self, question: &str) -> Result<i64, Failure> {
        loop {
            let answer = self.ask(question).await?;
            match answer.trim().parse() {
                Ok(number) => return Ok(number),
                Err(_) => self.say(format_args!("Error: '{answer}' is not a valid integer.")),
            }
        }
    }

    /// An empty answer means no.
    pub async fn confirm(&mut self, question: &str) -> Result<Consent, Failure> {
        loop {
            let answer = self.read_after(&format!("{question} [y/N]: ")).await?;
            match answer.trim().to_lowercase().as_str() {
                "y" | "yes" => return Ok(Consent::Given),
                "n" | "no" | "" => return Ok(Consent::Refused),
                _ => self.say("Error: invalid input"),
            }
        }
    }

    async fn read_after(&mut self, prompt: &str) -> Result<String, Failure> {
        self.write(prompt);
        self.flush();
        self.answers.next().await.ok_or(Failure::Aborted)
    }

    /// Everything that is left on standard input.
    pub async fn read_all(&mut self) -> io::Result<String> {
        match &mut self.answers {
            Answers::StandardInput => blocking(|| io::read_to_string(io::stdin())).await,
            Answers::Given(answers) => Ok(answers.drain(..).map(|answer| answer + "\n").collect()),
        }
    }
}

impl Answers {
    /// One line without its end; `None` when no more will come.
    async fn next(&mut self) -> Option<String> {
        match self {
            Answers::StandardInput => blocking(|| io::stdin().lines().next().transpose()).await.ok().flatten(),
            Answers::Given(answers) => answers.pop_front(),
        }
    }
}

async fn blocking<T: Send + 'static>(read: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
}
