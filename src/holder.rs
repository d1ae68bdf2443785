//! Who may hold a segment's locks: a participant of it.

use std::sync::Arc;

use crate::participants::Participant;
use crate::segment::Segment;

/// Read through one reference by all who lock, so that a lock's guard is small.
pub(crate) struct Holder {
    pub(crate) segment: Arc<Segment>,
    pub(crate) me: Participant,
}
