//! A cable that is made of software, so that there can be bad weather on the way: what is sent comes late, in another
//! order, or not at all.
//!
//! Each end is a network device whose frames we are given and whose frames we write (`tun(4)`). The kernel's own means
//! (`netem`) would be less work, but many kernels are built without them.

use std::ffi::c_short;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use tokio::io::unix::AsyncFd;

use super::machine::Machine;

/// As long as a frame can be on a network like ours, and its head.
const FRAME: usize = 2048;

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Weather {
    pub delay: Duration,
    /// Each frame is later than the delay by anything up to this; one may overtake another.
    pub jitter: Duration,
    /// The part of all frames that is lost, from 0 to 1.
    pub loss: f64,
}

impl Weather {
    pub const FINE: Self = Self { delay: Duration::ZERO, jitter: Duration::ZERO, loss: 0.0 };
}

pub struct Cable {
    weather: Arc<Mutex<Weather>>,
}

type End = Arc<AsyncFd<File>>;

impl Cable {
    /// A device of this name on each of the machines. It lives as long as the second one.
    pub fn between(one: &Machine, its_name: &str, other: &Machine, others_name: &str) -> io::Result<Self> {
        let weather = Arc::new(Mutex::new(Weather::FINE));
        let (near, far) = (device(one, its_name)?, device(other, others_name)?);
        let carried = weather.clone();
        other.start(async move {
            let (near, far) = (end(near), end(far));
            tokio::join!(carry(near.clone(), far.clone(), &carried), carry(far, near, &carried));
        });
        Ok(Self { weather })
    }

    /// From now on, in both directions.
    pub fn weather(&self, weather: Weather) {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }
}

fn end(device: File) -> End {
    // SAFETY: a file has one descriptor as long as it lives.
    let registered = unsafe { AsyncFd::register(device) };
    Arc::new(registered.expect("a device can be waited for"))
}

/// Until the machine ends.
async fn carry(from: End, to: End, weather: &Mutex<Weather>) {
    let mut dice = Rng::new();
    let mut frame = [0; FRAME];
    loop {
        let Ok(mut ready) = from.readable().await else { return };
        match ready.try_io(|end| end.get_ref().read(&mut frame)) {
            Ok(Ok(length)) => {
                let now = *weather.lock().unwrap_or_else(PoisonError::into_inner);
                pass_on(frame[..length].to_vec(), to.clone(), now, &mut dice);
            }
            // Nothing was there after all; or the device is still down.
            Err(_) | Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

fn pass_on(frame: Vec<u8>, to: End, weather: Weather, dice: &mut Rng) {
    if dice.f64() < weather.loss {
        return;
    }
    let delay = weather.delay + weather.jitter.mul_f64(dice.f64());
    // A device that takes no more loses it, as a real one would.
    if delay.is_zero() {
        let _ = to.get_ref().write(&frame);
        return;
    }
    tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        let _ = to.get_ref().write(&frame);
    });
}

fn device(machine: &Machine, name: &str) -> io::Result<File> {
    let name = name.to_owned();
    machine.run(move || {
        let device = File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
        let mut request = Request { name: [0; libc::IFNAMSIZ], flags: FRAMES, _rest: [0; 22] };
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        // SAFETY: the kernel reads and writes one `struct ifreq`, which is as long as ours.
        let made = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
        if made == 0 { Ok(device) } else { Err(io::Error::last_os_error()) }
    })
}

/// `struct ifreq`, as far as it is used here.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    flags: c_short,
    _rest: [u8; 22],
}

/// Whole frames, and nothing before them.
const FRAMES: c_short = (libc::IFF_TAP | libc::IFF_NO_PI) as c_short;
