//! Who may hold a segment's locks: a participant of it.

use std::sync::Arc;

use crate::error::Result;
use crate::layout::PARTICIPANT_STATE;
use crate::locking::participants::Attachment;
use crate::segment::Segment;
use crate::sync::Ordering;
use crate::sys::KeptWord;

/// Read through one reference by all who lock, so that a lock's guard is small.
pub(crate) struct Holder {
    pub(crate) segment: Arc<Segment>,
    pub(crate) me: Attachment,
    /// The state of the participant's slot.
    state: KeptWord<Segment>,
}

impl Holder {
    pub(crate) fn new(segment: &Arc<Segment>, me: Attachment) -> Self {
        let slot = segment.geometry.participant(me.id().slot);
        Self {
            state: KeptWord::new(segment, |segment| {
                &segment.words()[slot + PARTICIPANT_STATE]
            }),
            segment: Arc::clone(segment),
            me,
        }
    }

    /// Whether somebody took the participant for dead, or [`look`](Self::look) found it so:
    /// for a glance before each store that others may rely on not to happen then.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn is_doubted(&self) -> bool {
        // Relaxed: who is about to take something over waits longer than a store takes to
        // be seen. Models have no descriptors to close.
        !cfg!(loom) && self.state.get().load(Ordering::Relaxed) != self.me.expected_state()
    }

    /// `DescriptorClosed` if others take the participant for dead.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_doubted() {
            self.look()?;
        }
        Ok(())
    }

    /// The same after a look at the descriptor.
    #[cold]
    #[inline(never)]
    pub(crate) fn look(&self) -> Result<()> {
        let state = self.state.get().load(Ordering::Relaxed);
        self.me.look(state)
    }
}
