//! A stripe, represented by its header.

use crate::layout::STRIPE_WORDS;
use crate::sync::AtomicU64;

#[derive(Clone, Copy)]
pub(crate) struct Stripe<'a>(&'a [AtomicU64; STRIPE_WORDS]);

impl<'a> Stripe<'a> {
    #[inline]
    pub(crate) fn new(header: &'a [AtomicU64; STRIPE_WORDS]) -> Self {
        Self(header)
    }

    /// A word of the header: `STRIPE_LOCK` or one of its neighbors in `layout`.
    #[inline]
    pub(crate) fn word(self, at: usize) -> &'a AtomicU64 {
        &self.0[at]
    }

    /// The position of the header's first word in `words`, the words of the segment.
    pub(crate) fn at_in(self, words: &[AtomicU64]) -> usize {
        (self.0.as_ptr().addr() - words.as_ptr().addr()) / size_of::<AtomicU64>()
    }
}

impl PartialEq for Stripe<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}
