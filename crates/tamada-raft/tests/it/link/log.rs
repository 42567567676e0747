//! What is logged on this thread.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber, span};

use super::node::LONG;

pub struct Log {
    lines: Arc<Lines>,
    _guard: DefaultGuard,
}

#[derive(Default)]
struct Lines {
    text: Mutex<String>,
    written: Notify,
}

impl Log {
    /// Collects warnings and worse from here on.
    pub fn of_this_thread() -> Self {
        let lines = Arc::new(Lines::default());
        Self { lines: lines.clone(), _guard: tracing::subscriber::set_default(Collector(lines)) }
    }

    pub async fn wait_for(&self, text: &str) {
        let appears = async {
            while !self.text().contains(text) {
                self.lines.written.notified().await;
            }
        };
        if tokio::time::timeout(LONG, appears).await.is_err() {
            panic!("{text:?} is not in the log: {}", self.text());
        }
    }

    pub fn text(&self) -> String {
        self.lines.text.lock().unwrap().clone()
    }
}

struct Collector(Arc<Lines>);

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        writeln!(self.0.text.lock().unwrap(), "{}", line.0).expect("a string takes everything");
        self.0.written.notify_one();
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).expect("a string takes everything");
    }
}
