//! One file per situation. This page is the table of contents: every situation by name, no `_`.

mod bootstrapping;
mod busy;
mod dark;
mod doubt;
mod down;
mod following;
mod leaderless;
mod leading;
mod leaving;
mod namesake;
mod no_data;
mod starting;
mod stepping_down;
pub use down::rewind_allowed;
pub use stepping_down::SUCCESSOR_PATIENCE;
mod stranger;

use crate::decision::Step;
use crate::situation::{Situation, situation};
use crate::view::View;

/// Pure: the same view gives the same step, whatever woke us.
pub fn decide(view: &View<'_>) -> Step {
    match situation(view) {
        Situation::Leaving { cluster, busy } => leaving::decide(view, cluster, busy),
        Situation::Dark { because, busy } => dark::decide(view, because, busy),
        Situation::Busy { cluster, work } => busy::decide(view, cluster, work),
        Situation::SteppingDown { cluster, step_down } => stepping_down::decide(view, cluster, step_down),
        Situation::Bootstrapping { cluster, stage } => bootstrapping::decide(view, cluster, stage),
        Situation::NoData { cluster, unreadable } => no_data::decide(view, cluster, unreadable),
        Situation::Stranger { identity } => stranger::decide(view, identity),
        Situation::Down { cluster, present } => down::decide(view, cluster, present),
        Situation::Starting { cluster } => starting::decide(view, cluster),
        Situation::Leading { cluster } => leading::decide(view, cluster),
        Situation::Following { cluster } => following::decide(view, cluster),
        Situation::Leaderless { cluster } => leaderless::decide(view, cluster),
    }
}
