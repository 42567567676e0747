//! The kernel's watchdog: reboots the host when we do not say in time that all is well (ha-loop.md 25).
//!
//! 1. a leads, and its host stands still for longer than the lease: a hypervisor, a disk, a bug in the kernel.
//! 2. b takes the lock and is promoted. a's host goes on, with a's PostgreSQL and our guard.
//! 3. Until the guard has been given its turn, both take writes; if the kernel never gives it one, for ever.
//!
//! The watchdog is told what the guard is told, by the core: until when PostgreSQL may be writable. Each confirmed renewal
//! moves that on, and is a sign of life for the device.
//!
//! Two things are unlike the original. The device never counts beyond the lease's end: where less of the lease is left
//! than its timeout, because the store took long to answer, it is given less. And it never counts less than the leader
//! needs to give up by itself: a store that is away must not reboot a host that is well.

mod device;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tamada_core::{Arm, Event, HeldLease, WatchdogState};
use tamada_model::{Mono, Settings, WatchdogConfig, WatchdogMode};
use tokio::sync::mpsc;

use crate::clock;
use device::Device;

const UNSUPPORTED: &str = "Watchdog not supported";

/// Clones are the same watchdog.
#[derive(Clone)]
pub struct Watchdog(Arc<Mutex<Keeper>>);

struct Keeper {
    events: mpsc::Sender<Event>,
    config: WatchdogConfig,
    times: Times,
    running: Option<Running>,
    /// Why it could not be started, which is not tried again before the configuration changes.
    unusable: Option<String>,
    /// PostgreSQL is being stopped and has no clients any more: nothing will be written, however long that takes.
    is_safe: bool,
    /// What the core was told last.
    told: WatchdogState,
}

struct Running {
    device: Device,
    /// Seconds, as the device has told last.
    timeout: u32,
    /// Of the configuration it was told for.
    wanted: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Times {
    ttl: Duration,
    loop_wait: Duration,
    retry_timeout: Duration,
}

impl Times {
    fn of(settings: &Settings) -> Self {
        let Settings { ttl, loop_wait, retry_timeout, .. } = *settings;
        Self { ttl, loop_wait, retry_timeout }
    }

    /// 25.2, in whole seconds, as the device counts; but with a second at least for the stop of a leader that gives up.
    fn timeout(&self, margin: Option<u32>) -> u32 {
        let ttl = u32::try_from(self.ttl.as_secs()).unwrap_or(u32::MAX);
        margin.map_or(ttl / 2, |margin| ttl.saturating_sub(margin)).max(self.least())
    }

    fn least(&self) -> u32 {
        let lease = HeldLease { asked_at: Mono::default(), ttl: self.ttl };
        let given_up = lease.give_up_at(self.retry_timeout).since_boot();
        given_up.as_secs_f64().ceil() as u32 + 1
    }
}

impl Watchdog {
    pub fn new(events: mpsc::Sender<Event>, config: &WatchdogConfig, settings: &Settings) -> Self {
        let mut keeper = Keeper {
            events,
            config: config.clone(),
            times: Times::of(settings),
            running: None,
            unusable: None,
            is_safe: false,
            told: WatchdogState::NotRequired,
        };
        keeper.tell();
        Self(Arc::new(Mutex::new(keeper)))
    }

    fn locked(&self) -> MutexGuard<'_, Keeper> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that is not wanted any more is stopped at once; everything else is in force with the next sign of life (25.8).
    pub fn configure(&self, config: &WatchdogConfig, settings: &Settings) {
        self.locked().configure(config, settings);
    }

    /// A new promise of how long PostgreSQL may be writable, or that it is not.
    pub fn publish(&self, arm: Arm) {
        self.locked().publish(arm);
    }

    /// Before each pass: whether one that is required could be started.
    pub fn look(&self) {
        self.locked().tell();
    }

    /// 25.6: from here on the end of PostgreSQL may take as long as it likes.
    pub fn no_clients(&self) {
        let mut keeper = self.locked();
        keeper.is_safe = true;
        keeper.stop();
    }

    /// Whatever ran, ran to its end: PostgreSQL may have clients again.
    pub fn job_ended(&self) {
        self.locked().is_safe = false;
    }
}

impl Keeper {
    fn configure(&mut self, config: &WatchdogConfig, settings: &Settings) {
        let same_device = (&self.config.device, self.config.driver) == (&config.device, config.driver);
        self.unusable = None;
        self.config = config.clone();
        self.times = Times::of(settings);
        if config.mode == WatchdogMode::Off || !same_device {
            self.stop();
        }
        self.tell();
    }

    fn publish(&mut self, arm: Arm) {
        match (arm, self.config.mode) {
            (Arm::Off, _) => self.stop(),
            (Arm::Until { .. }, WatchdogMode::Off) => {}
            (Arm::Until { .. }, _) if self.is_safe => {}
            (Arm::Until { ends_at, .. }, WatchdogMode::Automatic | WatchdogMode::Required) => {
                if self.running.is_none() && self.unusable.is_none() {
                    self.unusable = self.start().err();
                }
                self.keep_alive(ends_at);
            }
        }
        self.tell();
    }

    fn wanted(&self) -> u32 {
        self.times.timeout(self.config.safety_margin_seconds)
    }

    fn is_required(&self) -> bool {
        self.config.mode == WatchdogMode::Required
    }

    /// What every start needs (25.2, 25.7).
    fn possible(&self) -> Result<(), String> {
        Device::look(&self.config)?;
        let Times { ttl, retry_timeout, .. } = self.times;
        match u64::from(self.wanted()) > ttl.as_secs() {
            true => Err(format!(
                "{UNSUPPORTED} because with ttl {} and retry_timeout {} it would have to count {} seconds, longer than the \
                 lease",
                ttl.as_secs_f64(),
                retry_timeout.as_secs_f64(),
                self.wanted()
            )),
            false => Ok(()),
        }
    }

    /// 25.3
    fn start(&mut self) -> Result<(), String> {
        let begun = self.possible().and_then(|()| Device::open(&self.config)).map_err(|why| self.not_started(why));
        let mut running = Running { device: begun?, timeout: 0, wanted: self.wanted() };
        let set = running.set(running.wanted).map_err(|error| self.not_started(format!("{}: {error}", running.device)));
        let judged = set.and_then(|()| self.judge(&running));
        // One that cannot be stopped counts from when it was opened: it is kept alive, whatever is thought of it.
        if judged.is_ok() || !running.device.can_be_stopped() {
            self.running = Some(running);
        } else {
            close(running.device);
        }
        judged
    }

    /// Whether the timeout that the device took is one to lead with.
    fn judge(&self, running: &Running) -> Result<(), String> {
        let Running { device, timeout, wanted } = running;
        let loop_wait = self.times.loop_wait.as_secs_f64();
        let slack = f64::from(*timeout) - loop_wait;
        if *timeout < self.times.least() {
            let why = format!("loop_wait of {loop_wait} seconds is too long for watchdog {timeout} second timeout");
            tracing::error!("{why}");
            if device.can_be_stopped() {
                tracing::info!("Disabling watchdog due to unsafe timeout.");
            }
            return Err(why);
        }
        if timeout > wanted && self.is_required() {
            let why = format!(
                "Configuration requires watchdog, but a safe watchdog timeout {wanted} could not be configured. \
                 Watchdog timeout is {timeout}."
            );
            tracing::error!("{why}");
            return Err(why);
        }
        if timeout > wanted {
            tracing::warn!(
                "Watchdog timeout {timeout} seconds does not ensure safe termination within {wanted} seconds"
            );
        }
        if !device.can_be_stopped() {
            tracing::warn!(
                "Watchdog implementation can't be disabled. Watchdog will trigger after Tamada loses leader key."
            );
        }
        tracing::info!("{device} activated with {timeout} second timeout, timing slack {slack} seconds");
        Ok(())
    }

    /// Said aloud where somebody counts on it, or could have it for the asking.
    fn not_started(&self, why: String) -> String {
        match self.config.mode {
            _ if why.starts_with(UNSUPPORTED) => tracing::warn!("{why}"),
            WatchdogMode::Required => tracing::warn!("Could not activate watchdog: {why}"),
            WatchdogMode::Automatic | WatchdogMode::Off => tracing::debug!("Could not activate watchdog: {why}"),
        }
        why
    }

    /// 25.4, once for each confirmed renewal.
    fn keep_alive(&mut self, ends_at: Mono) {
        let (wanted, loop_wait) = (self.wanted(), self.times.loop_wait.as_secs_f64());
        let Some(running) = &mut self.running else { return };
        let left = u32::try_from(clock::now().mono.until(ends_at).as_secs()).unwrap_or(u32::MAX);
        let timeout = wanted.min(left);
        if timeout == 0 {
            return;
        }
        if timeout != running.timeout
            && let Err(error) = running.set(timeout)
        {
            tracing::error!("Error while setting the watchdog's timeout: {error}");
        }
        if wanted != running.wanted {
            let (slack, timeout) = (f64::from(running.timeout) - loop_wait, running.timeout);
            tracing::info!("{} updated with {timeout} second timeout, timing slack {slack} seconds", running.device);
            running.wanted = wanted;
        }
        // What is left of the last sign of life has to do: this one would last longer than the lease.
        if running.device.can_set_timeout() && running.timeout > left {
            return;
        }
        if let Err(error) = running.device.keep_alive() {
            tracing::error!("Error while sending keepalive: {error}");
        }
    }

    fn stop(&mut self) {
        if let Some(Running { device, timeout, .. }) = self.running.take() {
            if !device.can_be_stopped() {
                tracing::warn!(
                    "Watchdog implementation can't be disabled. System will reboot after {timeout} seconds when watchdog \
                     times out."
                );
            }
            close(device);
        }
    }

    /// The core hears of what is required only, and only when it changes.
    fn tell(&mut self) {
        let state = match (self.config.mode, &self.unusable, &self.running) {
            (WatchdogMode::Off | WatchdogMode::Automatic, _, _) => WatchdogState::NotRequired,
            (WatchdogMode::Required, Some(why), _) => WatchdogState::Failed(why.clone()),
            (WatchdogMode::Required, None, Some(_)) => WatchdogState::Running,
            (WatchdogMode::Required, None, None) => match self.possible() {
                Ok(()) => WatchdogState::Resting,
                Err(why) => WatchdogState::Failed(why),
            },
        };
        // With no room now, it is told before the next pass.
        if state != self.told && self.events.try_send(Event::Watchdog(state.clone())).is_ok() {
            self.told = state;
        }
    }
}

impl Running {
    /// A device that has a timeout of its own keeps it.
    fn set(&mut self, seconds: u32) -> io::Result<()> {
        if self.device.can_set_timeout() {
            self.device.set_timeout(seconds)?;
        }
        self.timeout = self.device.timeout()?;
        Ok(())
    }
}

/// 25.5: what cannot be stopped is given all the time that it can have.
fn close(mut device: Device) {
    let closed = if device.can_be_stopped() { device.stop() } else { device.keep_alive() };
    if let Err(error) = closed {
        tracing::error!("Error while disabling watchdog: {error}");
    }
}
