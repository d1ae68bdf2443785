//! What happens around each sleep of an operation that waits.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::{Error, Result};

/// Gets a sleep, calls it, and says whether to go on waiting.
type Around = dyn Fn(&mut (dyn FnMut() + Send)) -> ControlFlow<()> + Send + Sync;

/// The one way to sleep, for a lock, for room or for a key.
#[derive(Clone, Default)]
pub(crate) struct Waiting(Option<Arc<Around>>);

impl Waiting {
    pub(crate) fn around(
        around: impl Fn(&mut (dyn FnMut() + Send)) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(around)))
    }

    /// Sleeps as the caller of the table wants it.
    ///
    /// No mutex of this process may be held: whoever the caller lets run
    /// meanwhile may want it.
    pub(crate) fn sleep(&self, mut sleep: impl FnMut() + Send) -> Result<()> {
        match &self.0 {
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

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "Waiting(sleep)",
            Some(_) => "Waiting(around)",
        })
    }
}
