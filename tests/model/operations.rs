//! The operations of a sequence, and how they are drawn.

use proptest::prelude::*;

use crate::FITS;
use crate::common::bytes;

#[derive(Debug, Clone)]
pub enum Operation {
    Insert(u8, usize),
    TryInsert(u8, usize),
    Replace(u8, usize),
    /// Length, or removal.
    Update(u8, Option<usize>),
    /// Whether to expect what is there; the new length.
    CompareExchange(u8, bool, Option<usize>),
    FetchAdd(u8, i64),
    FetchMax(u8, i64),
    FetchMin(u8, i64),
    Remove(u8),
    Take(u8),
    /// Whether its condition holds.
    RemoveIf(u8, bool),
    /// The length of the computed value, and of one that is stored during the computation.
    GetOrInsert(u8, usize, Option<usize>),
    Get(u8),
    Retain(u8),
    RemovePrefix(u8),
    Clear,
    /// Drops the second handle and opens it again.
    Reopen,
    /// Changes hands: the other handle does what follows.
    Other,
}

impl Operation {
    /// The number of its key.
    pub fn key(&self) -> u8 {
        match *self {
            Self::Insert(key, _)
            | Self::TryInsert(key, _)
            | Self::Replace(key, _)
            | Self::Update(key, _)
            | Self::CompareExchange(key, _, _)
            | Self::FetchAdd(key, _)
            | Self::FetchMax(key, _)
            | Self::FetchMin(key, _)
            | Self::Remove(key)
            | Self::Take(key)
            | Self::RemoveIf(key, _)
            | Self::GetOrInsert(key, _, _)
            | Self::Get(key)
            | Self::Retain(key)
            | Self::RemovePrefix(key) => key,
            Self::Clear | Self::Reopen | Self::Other => 0,
        }
    }
}

/// Lengths that need care: those of one word, about a half and a whole chunk, all
/// sorts, and, if allowed, several chunks.
pub fn length(most: usize) -> impl Strategy<Value = usize> {
    prop_oneof![
        3 => 0..20_usize,
        2 => Just(8_usize),
        4 => 20..1500_usize,
        2 => 1900..2200_usize,
        2 => FITS - 60..FITS - 35,
        1 => 0..=most,
    ]
}

pub fn operation(most: usize) -> impl Strategy<Value = Operation> {
    use Operation as Op;
    let key = 0..30_u8;
    prop_oneof![
        6 => (key.clone(), length(most)).prop_map(|(k, l)| Op::Insert(k, l)),
        2 => (key.clone(), length(most)).prop_map(|(k, l)| Op::TryInsert(k, l)),
        2 => (key.clone(), length(most)).prop_map(|(k, l)| Op::Replace(k, l)),
        3 => (key.clone(), prop::option::weighted(0.8, length(most)))
            .prop_map(|(k, l)| Op::Update(k, l)),
        3 => (key.clone(), prop::bool::weighted(0.8), prop::option::weighted(0.8, length(most)))
            .prop_map(|(k, e, l)| Op::CompareExchange(k, e, l)),
        2 => (key.clone(), any::<i64>()).prop_map(|(k, n)| Op::FetchAdd(k, n)),
        1 => (key.clone(), any::<i64>()).prop_map(|(k, n)| Op::FetchMax(k, n)),
        1 => (key.clone(), any::<i64>()).prop_map(|(k, n)| Op::FetchMin(k, n)),
        3 => key.clone().prop_map(Op::Remove),
        1 => key.clone().prop_map(Op::Take),
        1 => (key.clone(), any::<bool>()).prop_map(|(k, goes)| Op::RemoveIf(k, goes)),
        2 => (key.clone(), length(most), prop::option::weighted(0.3, length(most)))
            .prop_map(|(k, l, m)| Op::GetOrInsert(k, l, m)),
        2 => key.clone().prop_map(Op::Get),
        1 => key.clone().prop_map(Op::Retain),
        1 => key.prop_map(Op::RemovePrefix),
        1 => Just(Op::Clear),
        1 => Just(Op::Reopen),
        3 => Just(Op::Other),
    ]
}

/// Keys of 0 bytes and more.
pub fn key_of(number: u8) -> Vec<u8> {
    bytes(u64::from(number) + 100, usize::from(number))
}
