//! Descriptors that notice when their number no longer stands for their file.
//!
//! A descriptor is a number, and other code may change what it means: a fork copies
//! it, a daemon closes all numbers it can find, and the next `open` anywhere in the
//! process reuses a closed one. A [`Descriptor`] is a number together with the
//! file it stands for and a ticket in a process-wide registry. It is used, and
//! closed, only while both are still valid. The registry lets the child side of a
//! fork close the descriptors that the child must not keep.
//!
//! # The registry
//!
//! The registry is a list of nodes that only grows; vacant nodes are used again. The
//! ticket word says what a node's state is, and who may change it:
//!
//! | ticket | state | who may change it |
//! |---|---|---|
//! | 0 | vacant | any thread, to 1 |
//! | 1 | claimed: its other fields are being written | the claiming thread, to its new ticket |
//! | 2 and up | live; never given out twice | any thread, to 0: it then owns the number |
//!
//! The code that swaps a ticket out owns the number and closes it: the
//! [`Descriptor`]'s drop, or the child's fork handler. A later registration of the same
//! number swaps the ticket out without closing the number: the kernel gives a number out
//! again only after it was closed, so other code has closed it.
//!
//! # Orderings
//!
//! The fields of a node are written between claim and publication; publication
//! is a release, and every use begins with an acquire load of the ticket.
//! A reader that checks the ticket after it read the fields (the swap is such a check)
//! has read that ticket's fields, since tickets don't come back.
//! `between_forks` tells what happens when a registration and a fork in another
//! thread meet.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering, fence};

use rustix::fs::{Stat, fstat};
use rustix::io::fcntl_dupfd_cloexec;

use super::watch;

/// The identity of the file that a descriptor stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    // The fields' types differ between architectures.
    #[allow(clippy::unnecessary_cast)]
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
        }
    }
}

const VACANT: u64 = 0;
const CLAIMED: u64 = 1;

struct Node {
    ticket: AtomicU64,
    raw: AtomicI32,
    device: AtomicU64,
    inode: AtomicU64,
    closes_in_child: AtomicBool,
    /// Written before the node is pushed, constant from then on.
    next: AtomicPtr<Node>,
}

static HEAD: AtomicPtr<Node> = AtomicPtr::new(std::ptr::null_mut());
static NEXT_TICKET: AtomicU64 = AtomicU64::new(CLAIMED + 1);

impl Node {
    fn from_pointer(pointer: *mut Node) -> Option<&'static Node> {
        // SAFETY: pointers in the list are null or come from `Box::leak` in
        // `claim`, so the node lives forever, and all its fields are atomic.
        unsafe { pointer.as_ref() }
    }

    fn all() -> impl Iterator<Item = &'static Node> {
        let first = Self::from_pointer(HEAD.load(Ordering::Acquire));
        std::iter::successors(first, |node| {
            Self::from_pointer(node.next.load(Ordering::Relaxed))
        })
    }

    fn take(&self, ticket: u64) -> bool {
        self.ticket
            .compare_exchange(ticket, VACANT, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    fn id(&self) -> FileId {
        FileId {
            device: self.device.load(Ordering::Relaxed),
            inode: self.inode.load(Ordering::Relaxed),
        }
    }

    /// Claims a node: a vacant one, or a new one.
    fn claim() -> &'static Node {
        let vacant = Self::all().find(|node| {
            node.ticket
                .compare_exchange(VACANT, CLAIMED, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        });
        if let Some(node) = vacant {
            return node;
        }
        let node: &'static mut Node = Box::leak(Box::new(Node {
            ticket: AtomicU64::new(CLAIMED),
            raw: AtomicI32::new(-1),
            device: AtomicU64::new(0),
            inode: AtomicU64::new(0),
            closes_in_child: AtomicBool::new(false),
            next: AtomicPtr::new(HEAD.load(Ordering::Acquire)),
        }));
        let node = &*node;
        let pointer = std::ptr::from_ref(node).cast_mut();
        while let Err(head) = HEAD.compare_exchange(
            node.next.load(Ordering::Relaxed),
            pointer,
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            node.next.store(head, Ordering::Relaxed);
        }
        node
    }
}

/// An open descriptor of a file; see the [module](self).
pub(crate) struct Descriptor {
    node: &'static Node,
    ticket: u64,
    raw: RawFd,
    id: FileId,
}

impl Descriptor {
    /// Registers a descriptor that forked children inherit and use.
    pub(crate) fn inherited(fd: OwnedFd) -> io::Result<Self> {
        watch::start()?;
        Self::register(fd, false)
    }

    /// Opens and registers a descriptor that forked children don't have: their copy is
    /// closed before `fork` returns there.
    ///
    /// `open` is repeated until no fork was under way from before the call to after
    /// the registration: a child forked in between would have a copy that its
    /// fork handler doesn't know. The descriptor of such an attempt is dropped unused, so
    /// the copy that the child keeps holds no lock.
    pub(crate) fn not_inherited(open: impl Fn() -> io::Result<OwnedFd>) -> io::Result<Self> {
        watch::between_forks(|| Self::register(open()?, true))
    }

    fn register(fd: OwnedFd, closes_in_child: bool) -> io::Result<Self> {
        // Not the number of a standard stream: code that prints to a closed one must not
        // write to this file.
        let fd = if fd.as_raw_fd() > 2 {
            fd
        } else {
            fcntl_dupfd_cloexec(&fd, 3)?
        };
        let id = FileId::of(&fstat(&fd)?);
        let node = Node::claim();
        let raw = fd.into_raw_fd();
        for other in Node::all() {
            let ticket = other.ticket.load(Ordering::Acquire);
            if ticket > CLAIMED && other.raw.load(Ordering::Relaxed) == raw {
                other.take(ticket);
            }
        }
        node.raw.store(raw, Ordering::Relaxed);
        node.device.store(id.device, Ordering::Relaxed);
        node.inode.store(id.inode, Ordering::Relaxed);
        node.closes_in_child
            .store(closes_in_child, Ordering::Relaxed);
        let ticket = NEXT_TICKET.fetch_add(1, Ordering::Relaxed);
        node.ticket.store(ticket, Ordering::Release);
        // Publish first, check for forks second: see `between_forks`.
        fence(Ordering::SeqCst);
        Ok(Self {
            node,
            ticket,
            raw,
            id,
        })
    }

    /// The file that this is a descriptor of.
    pub(crate) fn id(&self) -> FileId {
        self.id
    }

    /// The descriptor, if it is still one of the file that it was opened for. If other
    /// code closed the number, it may come to stand for another file at any time. So an
    /// answer that was got through it counts only if this succeeds again afterwards.
    pub(crate) fn fd(&self) -> io::Result<BorrowedFd<'_>> {
        self.stat()?;
        // SAFETY: the number is not -1, and this object owns it: by the ticket neither
        // the fork handler nor a later registration took it away, and by `fstat` it is
        // open.
        Ok(unsafe { BorrowedFd::borrow_raw(self.raw) })
    }

    /// What the system says of the file, if the descriptor is still one of it.
    pub(crate) fn stat(&self) -> io::Result<Stat> {
        let ours = self.node.ticket.load(Ordering::Acquire) == self.ticket;
        let stat = stat_of(self.raw).filter(|stat| ours && FileId::of(stat) == self.id);
        stat.ok_or_else(|| {
            io::Error::other(
                "the descriptor of the segment was closed by something else in this process",
            )
        })
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        let ours = is_file(self.raw, self.id);
        if self.node.take(self.ticket) && ours {
            close(self.raw);
        }
    }
}

/// Whether this process has a [`Descriptor`] of that file.
#[cfg(all(target_os = "linux", not(shmtable_portable)))]
pub(crate) fn is_open_here(id: FileId) -> bool {
    Node::all().any(|node| {
        let ticket = node.ticket.load(Ordering::Acquire);
        ticket > CLAIMED && node.id() == id
    })
}

/// Whether `raw` is a descriptor of that file.
fn is_file(raw: RawFd, id: FileId) -> bool {
    stat_of(raw).is_some_and(|stat| FileId::of(&stat) == id)
}

/// What the system says of the file that the number stands for now.
fn stat_of(raw: RawFd) -> Option<Stat> {
    // SAFETY: registered numbers are not -1. The borrow ends with the call
    // below, which changes nothing: if the number is closed or stands for another
    // file, `fstat` says so, and finding this out is its purpose.
    let fd = unsafe { BorrowedFd::borrow_raw(raw) };
    fstat(fd).ok()
}

/// Closes a number whose ticket the caller has swapped out.
fn close(raw: RawFd) {
    // SAFETY: the number came from `into_raw_fd`, and its only owner is the code that
    // swapped its ticket out: the caller, once.
    drop(unsafe { OwnedFd::from_raw_fd(raw) });
}

/// Closes the descriptors that a forked child must not keep. Runs in the child's fork
/// handler: it is async-signal-safe, and there is no other thread.
pub(super) fn close_inherited() {
    for node in Node::all() {
        let ticket = node.ticket.load(Ordering::Acquire);
        if ticket <= CLAIMED || !node.closes_in_child.load(Ordering::Relaxed) {
            continue;
        }
        let raw = node.raw.load(Ordering::Relaxed);
        let ours = is_file(raw, node.id());
        if node.take(ticket) && ours {
            close(raw);
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{Mode, OFlags, open};

    use super::*;

    fn null() -> io::Result<OwnedFd> {
        Ok(open(
            "/dev/null",
            OFlags::RDWR | OFlags::CLOEXEC,
            Mode::empty(),
        )?)
    }

    #[test]
    fn an_open_descriptor_is_usable() {
        let descriptor = Descriptor::not_inherited(null).unwrap();
        assert!(descriptor.fd().is_ok());
        assert!(descriptor.raw > 2);
        assert_eq!(
            descriptor.id(),
            FileId::of(&fstat(null().unwrap()).unwrap())
        );
    }

    #[test]
    fn a_number_that_became_another_file_is_neither_used_nor_closed() {
        let descriptor = Descriptor::not_inherited(null).unwrap();
        let other = open("/", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        // SAFETY: plays other code that puts another file under our number; both
        // numbers are open, and the result is checked.
        let status = unsafe { libc::dup2(other.as_raw_fd(), descriptor.raw) };
        assert_eq!(status, descriptor.raw);
        assert!(descriptor.fd().is_err());
        let raw = descriptor.raw;
        drop(descriptor);
        assert!(is_file(raw, FileId::of(&fstat(&other).unwrap())));
        close(raw);
    }

    #[test]
    fn a_number_taken_over_by_a_later_registration_belongs_to_that_one() {
        let old = Descriptor::inherited(null().unwrap()).unwrap();
        let fresh = null().unwrap();
        // SAFETY: as above; `old.raw` then is one more descriptor of the file.
        let status = unsafe { libc::dup2(fresh.as_raw_fd(), old.raw) };
        assert_eq!(status, old.raw);
        // SAFETY: `dup2` made this number a new descriptor that only `new` owns
        // from here on: `old` is to find out.
        let taken = unsafe { OwnedFd::from_raw_fd(status) };
        let new = Descriptor::inherited(taken).unwrap();
        assert!(old.fd().is_err());
        drop(old);
        assert!(new.fd().is_ok());
    }
}
