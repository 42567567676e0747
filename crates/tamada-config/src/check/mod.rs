//! From what was told to what is used: checked settings, or every complaint at once.
//!
//! First each row looks at its value, then the rules that span several values, and only if nobody complains are the
//! settings built; building never fails. What is wrong in the files stops a start. What is wrong in the dynamic
//! configuration never does: a value that cannot be used is passed over, and a document that cannot be understood is
//! rejected with complaints of its own, so that the caller keeps the one in force.

mod ctl;
mod etcd3;
mod log;
mod me;
mod postgres;
mod raft;
mod required;
mod restapi;
mod settings;
mod slots;
mod store;
mod voter;
mod watchdog;

use serde_json::Value;
use tamada_model::{
    CtlConfig, Document, LogConfig, Me, PostgresConfig, RestApiConfig, Settings, StoreConfig, StoreScope,
    WatchdogConfig,
};

use crate::complaint::Complaint;
use crate::effective;
use crate::local::Local;
use crate::path::at;
use crate::rows;
use crate::timing;

pub use ctl::{CtlChecked, check_for_ctl, store_of_url};
pub use required::RESERVED_NAME;
pub use voter::{VoterChecked, check_for_voter};

/// Everything a member needs to know, in types.
#[derive(Clone, PartialEq, Debug)]
pub struct Checked {
    pub me: Me,
    pub settings: Settings,
    pub postgres: PostgresConfig,
    pub restapi: RestApiConfig,
    pub ctl: CtlConfig,
    pub log: LogConfig,
    pub store: StoreConfig,
    pub store_scope: StoreScope,
    pub watchdog: WatchdogConfig,
    /// What was corrected or passed over: lines for the log, as warnings.
    pub adjustments: Vec<String>,
    /// The first dynamic configuration of a new cluster: `bootstrap.dcs` as written.
    pub bootstrap_dcs: Document,
}

/// Checks the local configuration together with the dynamic one. Without a dynamic configuration `bootstrap.dcs`
/// takes its place (configuration.md 1.7).
pub fn check(local: &Local, dynamic: Option<&Document>) -> Result<Checked, Vec<Complaint>> {
    let mut adjustments = local.warnings().to_vec();
    let mut complaints = required::the_rows(local);
    let initial = bootstrap_dcs(local.document());
    let origin = if dynamic.is_some() { Origin::Store } else { Origin::BootstrapDcs };
    let dynamic = dynamic.unwrap_or(&initial);
    let (timing, readable) = understood(dynamic, origin, local, &mut complaints, &mut adjustments);
    let effective = effective::effective(local.document(), &readable, &mut adjustments);
    complaints.extend(required::across(local, &effective));
    if !complaints.is_empty() {
        return Err(complaints);
    }
    let settings = settings::settings(&readable, &effective, timing, &mut adjustments);
    let restapi = restapi::restapi(&effective);
    let postgres = postgres::postgres(&effective, &settings, local.environment(), &mut adjustments);
    let me = me::me(&effective, &restapi, &postgres);
    adjustments.extend(me::contradictions(&me));
    let store = store::store(&effective);
    adjustments.extend(store::doubts(&store, &effective));
    Ok(Checked {
        store,
        store_scope: store::scope(&effective, &timing),
        ctl: ctl::ctl(&effective),
        log: log::log(&effective, &mut adjustments),
        watchdog: watchdog::watchdog(&effective),
        me,
        settings,
        postgres,
        restapi,
        adjustments,
        bootstrap_dcs: initial,
    })
}

/// Where the dynamic configuration under check came from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Store,
    /// The local file: complaints then name the place in it.
    BootstrapDcs,
}

fn understood(
    dynamic: &Document,
    origin: Origin,
    local: &Local,
    complaints: &mut Vec<Complaint>,
    adjustments: &mut Vec<String>,
) -> (timing::Timing, Document) {
    let mut trouble = Vec::new();
    let (timing, corrected) =
        timing::timing(dynamic, rows::chosen_store(local.document())).unwrap_or_else(|complaints| {
            trouble.extend(complaints);
            (timing::DEFAULT, Vec::new())
        });
    adjustments.extend(corrected);
    let readable = effective::readable(dynamic, adjustments).unwrap_or_else(|complaints| {
        trouble.extend(complaints);
        Document::new()
    });
    complaints.extend(trouble.into_iter().map(|complaint| match origin {
        Origin::Store => complaint,
        Origin::BootstrapDcs => {
            let path = format!("bootstrap.dcs.{}", complaint.path);
            Complaint { place: local.place(&path), path, ..complaint }
        }
    }));
    (timing, readable)
}

fn bootstrap_dcs(local: &Document) -> Document {
    match at(local, "bootstrap.dcs") {
        Some(Value::Object(dcs)) => dcs.clone(),
        Some(_) | None => Document::new(),
    }
}
