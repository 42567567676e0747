//! The commands, and what they print.

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use tamada_sim::campaign::{Campaign, Tally, finds};
use tamada_sim::diary::Diary;
use tamada_sim::plant::{PLANTS, Plants};
use tamada_sim::scenario;
use tamada_sim::shrink::shrink;
use tamada_sim::world::{self, World};
use tamada_sim::{Script, swarm};

pub const HELP: &str = "\
tamada-sim run [--seeds N] [--first SEED] [--time SECONDS] [--threads N]   seeds, and which of them break a promise
tamada-sim replay SEED [--plant NAME]      who knew, decided and did what
tamada-sim shrink SEED [--plant NAME]      the fewest faults and the shortest time that still break it
tamada-sim twice SEED                      twice the same bytes?
tamada-sim scenarios [NUMBER]              the scenarios by their numbers
tamada-sim plants [--seeds N] [NAME]       each planted fault, and the first seed that finds it";

#[derive(Debug, PartialEq)]
pub enum Command {
    Run(Campaign),
    Replay(Script, Plants),
    Shrink(Script, Plants),
    Twice(u64),
    Scenarios(Option<u32>),
    Plants { seeds: u64, name: Option<String> },
    Help,
}

impl Command {
    pub fn read(words: &[String]) -> Result<Self, String> {
        let mut words = Words(words.to_vec());
        let command = words.next().unwrap_or_default();
        let read = match command.as_str() {
            "run" => Command::Run(Campaign {
                first: words.option("--first")?.unwrap_or(1),
                seeds: words.option("--seeds")?,
                time: words.option("--time")?.map(Duration::from_secs),
                threads: words.option("--threads")?.unwrap_or(1),
            }),
            "replay" => {
                let plants = words.plants()?;
                Command::Replay(swarm::script(words.seed()?), plants)
            }
            "shrink" => {
                let plants = words.plants()?;
                Command::Shrink(swarm::script(words.seed()?), plants)
            }
            "twice" => Command::Twice(words.seed()?),
            "scenarios" => Command::Scenarios(words.next().map(|word| number(&word)).transpose()?),
            "plants" => Command::Plants { seeds: words.option("--seeds")?.unwrap_or(2000), name: words.next() },
            "" | "help" | "--help" | "-h" => Command::Help,
            other => return Err(format!("there is no command {other}")),
        };
        match words.0.is_empty() {
            true => Ok(read),
            false => Err(format!("too many words: {}", words.0.join(" "))),
        }
    }

    pub fn run(self) -> ExitCode {
        world::be_quiet_about_panics();
        match self {
            Command::Run(campaign) => run(&campaign),
            Command::Replay(script, plants) => replay(script, plants),
            Command::Shrink(script, plants) => smallest(script, plants),
            Command::Twice(seed) => twice(seed),
            Command::Scenarios(number) => scenarios(number),
            Command::Plants { seeds, name } => plants(seeds, name.as_deref()),
            Command::Help => {
                println!("{HELP}");
                ExitCode::SUCCESS
            }
        }
    }
}

struct Words(Vec<String>);

impl Words {
    fn next(&mut self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    fn seed(&mut self) -> Result<u64, String> {
        number(&self.next().ok_or("which seed?")?)
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        let Some(at) = self.0.iter().position(|word| word == name) else {
            return Ok(None);
        };
        self.0.remove(at);
        match at < self.0.len() {
            true => Ok(Some(self.0.remove(at))),
            false => Err(format!("{name} needs a value")),
        }
    }

    fn option<T: std::str::FromStr>(&mut self, name: &str) -> Result<Option<T>, String> {
        self.text(name)?.map(|text| number(&text)).transpose()
    }

    fn plants(&mut self) -> Result<Plants, String> {
        match self.text("--plant")? {
            None => Ok(Plants::none()),
            Some(name) => Plants::named(&name).ok_or_else(|| format!("nothing of that name is planted: {name}")),
        }
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("not a number: {text}"))
}

/// Seeds on all threads until there are no more, the time is up, or far too many fail.
fn run(campaign: &Campaign) -> ExitCode {
    let next = AtomicU64::new(campaign.first);
    let stop = AtomicBool::new(false);
    let clock = tamada_sim::campaign::Stopwatch::start();
    let tally = std::thread::scope(|scope| {
        let work = || campaign.work(&next, &stop, &clock);
        let others: Vec<_> = (1..campaign.threads).map(|_| scope.spawn(work)).collect();
        // This thread works, too: where it is the only one, memory is to be had without locks.
        let ours = work();
        let theirs = others.into_iter().map(|thread| thread.join().expect("a thread that panics says so itself"));
        theirs.fold(ours, Tally::with)
    });
    println!("{}", tally.text(clock.elapsed(), campaign.threads.max(1)));
    match tally.failures.first() {
        None => ExitCode::SUCCESS,
        Some(_) => {
            println!("tamada-sim replay SEED tells what happened, tamada-sim shrink SEED what of it matters.");
            ExitCode::FAILURE
        }
    }
}

fn replay(script: Script, plants: Plants) -> ExitCode {
    let outcome = World::new(script, plants, Diary::open()).run();
    let mut out = std::io::stdout().lock();
    for line in outcome.diary.lines() {
        // A reader that stops reading, like `head`, has seen enough.
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    if outcome.violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn smallest(script: Script, plants: Plants) -> ExitCode {
    match shrink(script, plants) {
        None => {
            println!("it breaks nothing");
            ExitCode::SUCCESS
        }
        Some((script, violation)) => {
            let code = replay(script.clone(), plants);
            println!("\n{violation}\n\n{script:#?}");
            code
        }
    }
}

fn twice(seed: u64) -> ExitCode {
    let run = || World::new(swarm::script(seed), Plants::none(), Diary::open()).run().diary.lines().join("\n");
    let (first, second) = (run(), run());
    match first == second {
        true => {
            println!("seed {seed}: twice the same {} bytes", first.len());
            ExitCode::SUCCESS
        }
        false => {
            let line = first.lines().zip(second.lines()).position(|(a, b)| a != b);
            println!("seed {seed}: the runs part at line {}", line.map_or(0, |line| line + 1));
            ExitCode::FAILURE
        }
    }
}

fn scenarios(number: Option<u32>) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for scenario in scenario::all().filter(|scenario| number.is_none_or(|number| scenario.number == number)) {
        let broken = scenario::run(scenario);
        let how = broken.as_ref().map_or("kept".to_owned(), |(_, violation)| format!("BROKEN: {violation}"));
        println!("{:>3}  {}: {how}", scenario.number, scenario.what);
        if let Some((script, _)) = broken {
            code = ExitCode::FAILURE;
            // Asked for by its number, it tells its story.
            if number.is_some() {
                replay(script, Plants::none());
            }
        }
    }
    code
}

fn plants(seeds: u64, name: Option<&str>) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    println!("| {:<26} | {:>5} | what it breaks |", "planted", "seed");
    for plant in PLANTS.iter().filter(|plant| name.is_none_or(|name| plant.name == name)) {
        match (1..=seeds).find_map(|seed| finds(seed, plant).map(|violation| (seed, violation))) {
            Some((seed, violation)) => println!("| {:<26} | {seed:>5} | {violation} |", plant.name),
            None => {
                println!("| {:<26} |     — | NOT FOUND within {seeds} seeds |", plant.name);
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
