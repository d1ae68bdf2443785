//! A stripe: its number and its header.

use crate::layout::STRIPE_WORDS;
use crate::sync::AtomicU64;

#[derive(Clone, Copy)]
pub(crate) struct Stripe<'a> {
    number: usize,
    header: &'a [AtomicU64; STRIPE_WORDS],
}

impl<'a> Stripe<'a> {
    #[inline]
    pub(crate) fn new(number: usize, header: &'a [AtomicU64; STRIPE_WORDS]) -> Self {
        Self { number, header }
    }

    #[inline]
    pub(crate) fn number(self) -> usize {
        self.number
    }

    /// A word of the header: one of `STRIPE_LOCK` and its neighbours in `layout`.
    #[inline]
    pub(crate) fn word(self, at: usize) -> &'a AtomicU64 {
        &self.header[at]
    }
}
