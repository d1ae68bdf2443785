//! The holder of a segment's locks: one of its participants.

use std::sync::Arc;

use crate::error::Result;
use crate::layout::PARTICIPANT_STATE;
use crate::locking::participants::Attachment;
use crate::segment::Segment;
use crate::sync::Ordering;
use crate::sys::KeptWord;

/// A participant, its segment and its slot. A lock's guard has one reference to all of it, so
/// that the guard is small.
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

    /// Whether another participant has taken this one for dead, or [`look`](Self::look) found
    /// that it could: read before each store that must not happen then.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn is_doubted(&self) -> bool {
        // Relaxed: a participant that takes something over waits longer than a store takes to
        // be seen. Models have no descriptors to close.
        !cfg!(loom) && self.state.get().load(Ordering::Relaxed) != self.me.expected_state()
    }

    /// Fails with `DescriptorClosed` if others take the participant for dead.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_doubted() {
            self.look()?;
        }
        Ok(())
    }

    /// Fails with `DescriptorClosed` if the descriptor is closed. Costs a system call.
    #[cold]
    #[inline(never)]
    pub(crate) fn look(&self) -> Result<()> {
        let state = self.state.get().load(Ordering::Relaxed);
        self.me.look(state)
    }
}
