//! The kernel's watchdog device (<https://docs.kernel.org/watchdog/watchdog-api.html>), and a named pipe that is spoken
//! to in its place, for tests (log-lines.md 18.5).

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::ioctl::{self, Getter, Updater, opcode};
use tamada_model::{WatchdogConfig, WatchdogDriver};

/// What the device is told: that all is well; and that it may stop counting, which it believes only right before it is
/// closed.
const ALIVE: &[u8] = b"1";
const FAREWELL: &[u8] = b"V";

/// `linux/watchdog.h`
const CAN_SET_TIMEOUT: u32 = 0x0080;
const CAN_BE_STOPPED: u32 = 0x0100;
const GET_SUPPORT: ioctl::Opcode = opcode::read::<Support>(b'W', 0);
const SET_TIMEOUT: ioctl::Opcode = opcode::read_write::<libc::c_int>(b'W', 6);
const GET_TIMEOUT: ioctl::Opcode = opcode::read::<libc::c_int>(b'W', 7);

/// `struct watchdog_info`
#[repr(C)]
struct Support {
    options: u32,
    firmware_version: u32,
    identity: [u8; 32],
}

/// Counts from when it is opened; what happens at zero is the kernel's business.
pub struct Device {
    file: File,
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    Linux(Support),
    /// With the seconds it was told last.
    Pipe(u32),
}

impl Device {
    /// Whether there is one that may be opened. Opening it would start it.
    pub fn look(config: &WatchdogConfig) -> Result<(), String> {
        rustix::fs::access(&config.device, rustix::fs::Access::WRITE_OK)
            .map_err(|error| told(&config.device, error.into()))
    }

    pub fn open(config: &WatchdogConfig) -> Result<Self, String> {
        let path = config.device.clone();
        let opened = || {
            // A pipe that nobody reads would hold us up.
            let file = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&path)?;
            let kind = match config.driver {
                WatchdogDriver::Testing => Kind::Pipe(0),
                WatchdogDriver::Default => Kind::Linux(support(&file)?),
            };
            Ok((file, kind))
        };
        let (file, kind) = opened().map_err(|error| told(&path, error))?;
        Ok(Self { file, path, kind })
    }

    pub fn can_set_timeout(&self) -> bool {
        match &self.kind {
            Kind::Linux(support) => support.options & CAN_SET_TIMEOUT != 0,
            Kind::Pipe(_) => true,
        }
    }

    pub fn can_be_stopped(&self) -> bool {
        match &self.kind {
            Kind::Linux(support) => support.options & CAN_BE_STOPPED != 0,
            Kind::Pipe(_) => true,
        }
    }

    /// In seconds; it may take another one that it likes better.
    pub fn set_timeout(&mut self, seconds: u32) -> io::Result<()> {
        match &mut self.kind {
            Kind::Linux(_) => {
                let mut seconds = libc::c_int::try_from(seconds).unwrap_or(libc::c_int::MAX);
                // SAFETY: the kernel reads and writes one int.
                unsafe { ioctl::ioctl(&self.file, Updater::<SET_TIMEOUT, libc::c_int>::new(&mut seconds)) }?;
            }
            Kind::Pipe(told) => {
                self.file.write_all(format!("Ctimeout={seconds}\n").as_bytes())?;
                *told = seconds;
            }
        }
        Ok(())
    }

    pub fn timeout(&self) -> io::Result<u32> {
        match &self.kind {
            Kind::Linux(_) => {
                // SAFETY: the kernel writes one int.
                let seconds = unsafe { ioctl::ioctl(&self.file, Getter::<GET_TIMEOUT, libc::c_int>::new()) }?;
                Ok(u32::try_from(seconds).unwrap_or(0))
            }
            Kind::Pipe(told) => Ok(*told),
        }
    }

    pub fn keep_alive(&mut self) -> io::Result<()> {
        self.file.write_all(ALIVE)
    }

    /// Closes it; without this it goes on counting, whoever closes it.
    pub fn stop(mut self) -> io::Result<()> {
        self.file.write_all(FAREWELL)
    }
}

fn support(file: &File) -> io::Result<Support> {
    // SAFETY: the kernel fills the structure, whose layout is its own; every pattern of bits is a value of it.
    Ok(unsafe { ioctl::ioctl(file, Getter::<GET_SUPPORT, Support>::new()) }?)
}

fn told(path: &Path, error: io::Error) -> String {
    format!("{}: {error}", path.display())
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Pipe(_) => f.write_str("Watchdog pipe")?,
            Kind::Linux(support) => {
                let identity = String::from_utf8_lossy(&support.identity);
                match identity.trim_end_matches('\0') {
                    "" => f.write_str("Linux watchdog device")?,
                    identity => f.write_str(identity)?,
                }
                if support.firmware_version != 0 {
                    write!(f, " (firmware {})", support.firmware_version)?;
                }
            }
        }
        if self.path != WatchdogConfig::default().device {
            write!(f, " at {}", self.path.display())?;
        }
        Ok(())
    }
}
