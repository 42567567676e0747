//! What must be right before anything is supervised (issue 2, section 7). Nothing is changed here.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use tamada_model::{PgMajor, PgVersion, PostgresConfig};

use crate::inspect::data_dir;
use crate::process::child;
use crate::tools::{Tool, Tools};
use crate::{Postgres, SetupError};

const OLDEST: PgMajor = PgMajor::of(13);
/// Printing a version; more means the disk with the programs hangs.
const LIMIT: Duration = Duration::from_secs(10);

impl Postgres {
    /// Checks programs, versions and permissions. Each complaint is one sentence that says what to do; the data
    /// directory is never altered.
    pub async fn open(config: PostgresConfig) -> Result<Self, SetupError> {
        if rustix::process::geteuid().is_root() {
            return Err(SetupError::RunsAsRoot);
        }
        let tools = Tools::new(&config);
        check_programs(&tools)?;
        let version = program_version(&tools).await?;
        if version.major() < OLDEST {
            return Err(SetupError::TooOld { programs: version.major() });
        }
        let (checked, place) = (config.clone(), tools.place());
        let look = tokio::task::spawn_blocking(move || check_data_dir(&checked, version.major(), place));
        // A volume that hangs is no mistake in the set-up; the looks will show it.
        if let Ok(Ok(checked)) = tokio::time::timeout(LIMIT, look).await {
            checked?;
        }
        Ok(Self::assemble(config, version))
    }
}

fn check_programs(tools: &Tools) -> Result<(), SetupError> {
    let missing: Vec<&str> =
        Tool::NEEDED.into_iter().filter(|tool| !tools.has(*tool)).map(|tool| tools.file_name(tool)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(SetupError::ProgramsMissing { missing: missing.join(", "), place: tools.place() })
}

/// `postgres (PostgreSQL) 15.18 (Debian …)`
async fn program_version(tools: &Tools) -> Result<PgVersion, SetupError> {
    let program = tools.path(Tool::Postgres);
    let broken = |answer: String| SetupError::ProgramBroken { program: program.display().to_string(), answer };
    let asked = child::ask(child::with(child::command(&program), ["--version"]), LIMIT).await;
    let output = asked.map_err(|error| broken(error.in_words()))?;
    let version = output.stdout.split_once(") ").and_then(|(_, tail)| PgVersion::parse(tail));
    version.ok_or_else(|| broken(format!("{}{}", output.stdout.trim(), output.stderr.trim())))
}

fn check_data_dir(config: &PostgresConfig, programs: PgMajor, place: String) -> Result<(), SetupError> {
    let data_dir = &config.data_dir;
    let about = match std::fs::metadata(data_dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return check_parent(data_dir),
        Err(error) => return Err(SetupError::CannotLook { path: data_dir.clone(), why: error.to_string() }),
        Ok(about) if !about.is_dir() => return Err(SetupError::NotADirectory(data_dir.clone())),
        Ok(about) => about,
    };
    let we = rustix::process::geteuid().as_raw();
    if about.uid() != we {
        return Err(SetupError::WrongOwner { data_dir: data_dir.clone(), owner: about.uid(), we });
    }
    let mode = about.permissions().mode() & 0o7777;
    let wrong_mode = || SetupError::WrongMode { data_dir: data_dir.clone(), mode };
    if mode & 0o700 != 0o700 {
        return Err(wrong_mode());
    }
    let Some(data) = data_dir::major(data_dir) else { return Ok(()) };
    if mode & 0o027 != 0 {
        return Err(wrong_mode());
    }
    if data != programs {
        return Err(SetupError::WrongVersion { data_dir: data_dir.clone(), data, place, programs });
    }
    Ok(())
}

/// A directory that does not exist yet must be ours to create.
fn check_parent(data_dir: &Path) -> Result<(), SetupError> {
    let Some(parent) = data_dir.ancestors().skip(1).find(|parent| parent.exists()) else { return Ok(()) };
    rustix::fs::access(parent, rustix::fs::Access::WRITE_OK).map_err(|error| SetupError::CannotCreate {
        data_dir: data_dir.to_owned(),
        parent: parent.to_owned(),
        why: std::io::Error::from(error).to_string(),
    })
}
