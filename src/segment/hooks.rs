//! Hooks by which the layers of a segment call those above them.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::{Error, Result};

/// A closure that gets a sleep, calls it, and returns whether to go on waiting.
type AroundSleep = dyn Fn(&mut (dyn FnMut() + Send)) -> ControlFlow<()> + Send + Sync;

#[derive(Clone)]
pub(crate) struct Hooks {
    /// The caller's closure around each sleep.
    around_sleep: Option<Arc<AroundSleep>>,
    /// Adds the possible remedies to an error of refused memory.
    explain: fn(Error) -> Error,
}

impl Hooks {
    pub(crate) fn new(explain: fn(Error) -> Error) -> Self {
        Self {
            around_sleep: None,
            explain,
        }
    }

    /// Returns the error of refused memory, with the possible remedies.
    #[cold]
    pub(crate) fn explain(&self, error: Error) -> Error {
        (self.explain)(error)
    }

    pub(crate) fn set_around_sleep(
        &mut self,
        around: impl Fn(&mut (dyn FnMut() + Send)) -> ControlFlow<()> + Send + Sync + 'static,
    ) {
        self.around_sleep = Some(Arc::new(around));
    }

    /// Sleeps, inside the caller's closure if there is one. Every sleep goes through here: for
    /// a lock, for room, and for a key.
    ///
    /// The thread must not hold a mutex of this process: the closure may run code that
    /// locks it.
    pub(crate) fn sleep(&self, mut sleep: impl FnMut() + Send) -> Result<()> {
        match &self.around_sleep {
            None => {
                sleep();
                Ok(())
            }
            Some(around) => match around(&mut sleep) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(Error::Interrupted),
            },
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.around_sleep {
            None => "Hooks(sleep)",
            Some(_) => "Hooks(around sleep)",
        })
    }
}
