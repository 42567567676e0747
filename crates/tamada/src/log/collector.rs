//! The end that `tracing` talks to: is this place heard, and what did it say.

use std::sync::{Arc, PoisonError, RwLock};

use tamada_model::LogConfig;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record as SpanValues};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

use super::levels::Levels;
use super::queue::Queue;
use super::record::Record;
use crate::clock;

#[derive(Clone)]
pub struct Collector {
    levels: Arc<RwLock<Levels>>,
    queue: Arc<Queue>,
}

impl Collector {
    pub fn new(config: &LogConfig, queue: Arc<Queue>) -> Self {
        Self { levels: Arc::new(RwLock::new(Levels::new(config))), queue }
    }

    pub fn set_levels(&self, config: &LogConfig) {
        *self.levels.write().unwrap_or_else(PoisonError::into_inner) = Levels::new(config);
        tracing::callsite::rebuild_interest_cache();
    }

    fn hears(&self, metadata: &Metadata<'_>) -> bool {
        self.levels.read().unwrap_or_else(PoisonError::into_inner).hears(metadata)
    }
}

/// Spans are not ours: nobody enters one, so their methods are never called.
impl Subscriber for Collector {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.hears(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.hears(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.levels.read().unwrap_or_else(PoisonError::into_inner).most_verbose())
    }

    fn event(&self, event: &Event<'_>) {
        if let Some(record) = Record::of(event, clock::now().wall) {
            self.queue.push(record);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &SpanValues<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
