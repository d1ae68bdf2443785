//! What the layers of a segment ask those above them for.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::{Error, Result};

/// Gets a sleep, calls it, and says whether to go on waiting.
type AroundSleep = dyn Fn(&mut (dyn FnMut() + Send)) -> ControlFlow<()> + Send + Sync;

#[derive(Clone)]
pub(crate) struct Hooks {
    /// What the caller does around each sleep.
    around_sleep: Option<Arc<AroundSleep>>,
    /// Adds to an error of refused memory what could be done about it.
    explain: fn(Error) -> Error,
}

impl Hooks {
    pub(crate) fn new(explain: fn(Error) -> Error) -> Self {
        Self {
            around_sleep: None,
            explain,
        }
    }

    /// The error of refused memory, with what could be done about it.
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

    /// Sleeps as the caller of the table wants it. The one way to sleep: for a lock, for
    /// room, and for a key.
    ///
    /// No mutex of this process may be held: the caller's closure may run code that wants it.
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
