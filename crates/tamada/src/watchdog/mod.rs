//! The kernel's watchdog: reboots the host when we do not say in time that all is well (ha-loop.md 25).
//!
//! 1. a leads, and its host stands still for longer than the lease: a hypervisor, a disk, a bug in the kernel.
//! 2. b takes the lock and is promoted. a's host goes on, with a's PostgreSQL and our guard.
//! 3. Until the guard has been given its turn, both take writes; if the kernel never gives it one, for ever.
//!
//! The watchdog is told what the guard is told, by the core: until when PostgreSQL may be writable. Each confirmed renewal
//! moves that on, and is a sign of life for the device. Unlike the original's, the device never counts beyond the lease's
//! end: where less of the lease is left than its timeout, because the store took long to answer, it is given less.

mod device;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tamada_core::{Arm, Event, WatchdogState};
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
    ttl: Duration,
    loop_wait: Duration,
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
    /// Seconds, as the device has been told last.
    timeout: u32,
    /// Of the configuration it was told for.
    wanted: u32,
}

impl Watchdog {
    pub fn new(events: mpsc::Sender<Event>, config: &WatchdogConfig, settings: &Settings) -> Self {
        let keeper = Keeper {
            events,
            config: config.clone(),
            ttl: settings.ttl,
            loop_wait: settings.loop_wait,
            running: None,
            unusable: None,
            is_safe: false,
            told: WatchdogState::NotRequired,
        };
        keeper.locked_in()
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
    fn locked_in(mut self) -> Watchdog {
        self.tell();
        Watchdog(Arc::new(Mutex::new(self)))
    }

    fn configure(&mut self, config: &WatchdogConfig, settings: &Settings) {
        let same_device = (&self.config.device, self.config.driver) == (&config.device, config.driver);
        if self.config != *config || self.ttl != settings.ttl || self.loop_wait != settings.loop_wait {
            self.unusable = None;
        }
        self.config = config.clone();
        self.ttl = settings.ttl;
        self.loop_wait = settings.loop_wait;
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
                    match self.start() {
                        Ok(running) => self.running = Some(running),
                        Err(why) => self.unusable = Some(why),
                    }
                }
                self.keep_alive(ends_at);
            }
        }
        self.tell();
    }

    /// 25.2, in whole seconds, as the device counts.
    fn wanted(&self) -> u32 {
        let ttl = u32::try_from(self.ttl.as_secs()).unwrap_or(u32::MAX);
        self.config.safety_margin_seconds.map_or(ttl / 2, |margin| ttl.saturating_sub(margin))
    }

    fn is_required(&self) -> bool {
        self.config.mode == WatchdogMode::Required
    }

    /// What every start needs (25.2, 25.7).
    fn possible(&self) -> Result<(), String> {
        Device::look(&self.config)?;
        let (ttl, loop_wait) = (self.ttl.as_secs_f64(), self.loop_wait.as_secs_f64());
        match f64::from(self.wanted()) < loop_wait {
            true => Err(format!("{UNSUPPORTED} because leader TTL {ttl} is less than 2x loop_wait {loop_wait}")),
            false => Ok(()),
        }
    }

    /// 25.3
    fn start(&self) -> Result<Running, String> {
        let wanted = self.wanted();
        let begun = self.possible().and_then(|()| Device::open(&self.config)).map_err(|why| self.not_started(why));
        let mut device = begun?;
        let set = if device.can_set_timeout() { device.set_timeout(wanted) } else { Ok(()) };
        match set.and_then(|()| device.timeout()) {
            Ok(timeout) => self.judge(device, timeout, wanted),
            Err(error) => {
                let why = format!("{device}: {error}");
                close(device);
                Err(self.not_started(why))
            }
        }
    }

    /// Whether the timeout that the device took is one to lead with.
    fn judge(&self, device: Device, timeout: u32, wanted: u32) -> Result<Running, String> {
        let (slack, loop_wait) = (f64::from(timeout) - self.loop_wait.as_secs_f64(), self.loop_wait.as_secs_f64());
        if slack < 0.0 {
            let why = format!("loop_wait of {loop_wait} seconds is too long for watchdog {timeout} second timeout");
            tracing::error!("{why}");
            if device.can_be_stopped() {
                tracing::info!("Disabling watchdog due to unsafe timeout.");
            }
            close(device);
            return Err(why);
        }
        if timeout > wanted && self.is_required() {
            let why = format!(
                "Configuration requires watchdog, but a safe watchdog timeout {wanted} could not be configured. \
                 Watchdog timeout is {timeout}."
            );
            tracing::error!("{why}");
            close(device);
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
        Ok(Running { device, timeout, wanted })
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
        let (wanted, loop_wait) = (self.wanted(), self.loop_wait.as_secs_f64());
        let Some(running) = &mut self.running else { return };
        let left = u32::try_from(clock::now().mono.until(ends_at).as_secs()).unwrap_or(u32::MAX);
        let timeout = wanted.min(left);
        if timeout == 0 {
            return;
        }
        if timeout != running.timeout && running.device.can_set_timeout() {
            match running.device.set_timeout(timeout) {
                Ok(()) => running.timeout = timeout,
                Err(error) => tracing::error!("Error while setting the watchdog's timeout: {error}"),
            }
        }
        if wanted != running.wanted {
            let slack = f64::from(wanted) - loop_wait;
            tracing::info!("{} updated with {wanted} second timeout, timing slack {slack} seconds", running.device);
            running.wanted = wanted;
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

/// 25.5: what cannot be stopped is given all the time that it can have.
fn close(mut device: Device) {
    let closed = if device.can_be_stopped() { device.stop() } else { device.keep_alive() };
    if let Err(error) = closed {
        tracing::error!("Error while disabling watchdog: {error}");
    }
}
