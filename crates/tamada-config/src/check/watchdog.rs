//! The `watchdog` section (configuration.md 2.5), and `guard`, its neighbour.

use tamada_model::document::{boolean, scalar_text};
use tamada_model::{Document, GuardMode, WatchdogConfig, WatchdogDriver, WatchdogMode};

use crate::path::{at, file, integer, text};

pub fn watchdog(effective: &Document) -> WatchdogConfig {
    let unset = WatchdogConfig::default();
    WatchdogConfig {
        mode: mode(effective, "watchdog.mode").unwrap_or(unset.mode),
        device: file(effective, "watchdog.device").unwrap_or(unset.device),
        safety_margin_seconds: match integer(effective, "watchdog.safety_margin", None) {
            Some(margin) => u32::try_from(margin).ok(),
            None => unset.safety_margin_seconds,
        },
        driver: match text(effective, "watchdog.driver").as_deref() {
            Some("testing") => WatchdogDriver::Testing,
            Some(_) | None => WatchdogDriver::Default,
        },
    }
}

/// The guard has the same words, below `guard`.
pub fn guard_mode(effective: &Document) -> GuardMode {
    match mode(effective, "guard.mode") {
        Some(WatchdogMode::Off) => GuardMode::Off,
        Some(WatchdogMode::Automatic) => GuardMode::Automatic,
        Some(WatchdogMode::Required) => GuardMode::Required,
        None => GuardMode::default(),
    }
}

fn mode(effective: &Document, path: &str) -> Option<WatchdogMode> {
    let value = at(effective, path)?;
    Some(match scalar_text(value).to_lowercase().as_str() {
        "require" | "required" => WatchdogMode::Required,
        "auto" | "automatic" => WatchdogMode::Automatic,
        _ if boolean(value) == Some(true) => WatchdogMode::Automatic,
        _ => WatchdogMode::Off,
    })
}
