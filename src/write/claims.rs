//! Claims of one handle in one process, and what their holders wait for.
//!
//! A claim is the lock of one byte of the segment's file, on the descriptor that shows
//! the participant's liveness. So any number of claims takes no further descriptor, and
//! the kernel lets go of all of them when the process ends. Locks on one open file do not
//! exclude each other: among the threads of a handle, [`Inner::held`] decides, and
//! between handles and processes the kernel does.
//!
//! # Which claim waits for which
//! While the holder of claim A waits for claim B, it announces *A waits for B*: in
//! [`Inner::waits`] for the threads of its own handle, and as the lock of the byte that
//! the two [`Node`]s make for all others. That lock is on the same descriptor, so it ends
//! with the process too. A waiter follows such steps from the claim that it wants. If they
//! lead to a claim that it holds itself, no thread in that circle can go on.
//!
//! The steps are read one after the other: each was there when it was read, perhaps not all of
//! them together. So a circle counts when it is seen again later. Of its waiters, the one
//! with the greatest [`Node`] gives up; all of them see the same nodes.

use std::collections::{BTreeMap, HashSet};
use std::io;

use crate::layout::{CLAIM_BYTES, WAIT_BYTES};
use crate::sync::Mutex;
use crate::write::writer::Writer;

/// Bits of a node; two of them and [`WAIT_BYTES`] make a byte's number.
const NODE_BITS: u32 = 30;

/// Claims that a walk passes at most.
const LONGEST: usize = 100;

/// What a claim is called where others wait for it: 30 bits that depend on the table and
/// the claim's byte. Two claims of one name only make a circle look closed that is not:
/// one chance in 2^30 where there is a claim to wait for at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Node(u32);

impl Node {
    /// The node of a claim's byte in the table with this seed.
    pub(crate) fn new(seed: u64, byte: u64) -> Self {
        let mixed = (seed ^ (byte & !CLAIM_BYTES)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self((mixed >> (u64::BITS - NODE_BITS)) as u32)
    }

    /// The first byte of those that say what its holder waits for.
    fn bytes(self) -> u64 {
        WAIT_BYTES + (u64::from(self.0) << NODE_BITS)
    }

    /// The byte that says that its holder waits for `other`.
    fn waits_for(self, other: Node) -> u64 {
        self.bytes() + u64::from(other.0)
    }
}

/// What the threads of this handle and process hold, and wait for.
pub(crate) struct Claims(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// The bytes of claims.
    held: HashSet<u64>,
    /// How many threads announced that the first waits for the second.
    waits: BTreeMap<(Node, Node), usize>,
}

impl Claims {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Inner::default()))
    }
}

impl Writer {
    /// Takes a claim; `false` if any thread of any process has it.
    pub(crate) fn try_claim(&self, byte: u64) -> io::Result<bool> {
        let mut claims = self.claims.0.lock();
        // The kernel would say yes.
        if claims.held.contains(&byte) {
            return Ok(false);
        }
        let free = self.me.liveness().try_hold(byte)?;
        if free {
            claims.held.insert(byte);
        }
        Ok(free)
    }

    /// Gives a claim back.
    pub(crate) fn end_claim(&self, byte: u64) {
        let mut claims = self.claims.0.lock();
        if claims.held.remove(&byte) {
            self.me.liveness().release(byte);
        }
    }

    /// Announces that the holder of one claim waits for another.
    pub(crate) fn announce(&self, holds: Node, wants: Node) {
        let mut claims = self.claims.0.lock();
        let waiters = claims.waits.entry((holds, wants)).or_default();
        *waiters += 1;
        if *waiters == 1 {
            // If the system refuses, others don't see it, and a circle ends by their
            // timeouts alone.
            let _ = self.me.liveness().try_hold(holds.waits_for(wants));
        }
    }

    /// Ends an [`announce`](Self::announce)ment.
    pub(crate) fn withdraw(&self, holds: Node, wants: Node) {
        let mut claims = self.claims.0.lock();
        if let Some(waiters) = claims.waits.get_mut(&(holds, wants)) {
            *waiters -= 1;
            if *waiters == 0 {
                claims.waits.remove(&(holds, wants));
                self.me.liveness().release(holds.waits_for(wants));
            }
        }
    }

    /// What the holder of a claim waits for, as far as this handle's table tells.
    fn wanted_by(&self, holder: Node) -> Option<Node> {
        let claims = self.claims.0.lock();
        let from = (holder, Node(0));
        let own = claims.waits.range(from..).next();
        if let Some((&(found, wants), _)) = own
            && found == holder
        {
            return Some(wants);
        }
        drop(claims);
        let bytes = holder.bytes()..holder.bytes() + (1 << NODE_BITS);
        let byte = self.me.liveness().first_held_by_others(bytes.clone())?;
        Some(Node((byte - bytes.start) as u32))
    }
}

/// The circle that a wait for `wants` closes: from there to the first claim that the
/// waiter holds. `None` if there is none.
pub(crate) fn circle(
    handles: &[&Writer],
    wants: Node,
    holds: impl Fn(Node) -> bool,
) -> Option<Vec<Node>> {
    let mut path = vec![wants];
    let mut at = wants;
    while !holds(at) {
        at = handles.iter().find_map(|handle| handle.wanted_by(at))?;
        // A circle without the waiter is not its business.
        if path.len() == LONGEST || path.contains(&at) {
            return None;
        }
        path.push(at);
    }
    Some(path)
}
