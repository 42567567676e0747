//! What service managers and operators say to us by signal (configuration.md 6, 8).

use std::io;

use tokio::signal::unix::{self, SignalKind, signal};

pub struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    reload: unix::Signal,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    Stop,
    Reload,
}

impl Signals {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    pub async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.reload.recv() => Told::Reload,
        }
    }
}
