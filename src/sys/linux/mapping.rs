//! A mapped segment: making, opening, copying and unlinking one.

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{
    FsWord, Mode, OFlags, SeekFrom, Stat, fchmod, fstat, fstatfs, ftruncate, lstat, open, seek,
    unlink,
};
use rustix::io::{Errno, pread};
use rustix::mm::{
    Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap, mmap_anonymous, mprotect, munlock,
    munmap,
};
use rustix::process::{Resource, getrlimit};

use super::pages::HUGE_PAGE;
use super::staging::{self, Staging, Taken, descriptor_path};
use super::{is_path_of, path_of};
use crate::sync::AtomicU64;
use crate::sys::fork::descriptors::{Descriptor, FileId};
use crate::sys::process_crash_point;
use crate::sys::unix::liveness::Liveness;
use crate::sys::unix::{access_flags, check_length, not_plain, open_plain, owner_of};
use crate::sys::{Access, FileTooLong, NoAddressSpace, Owner, TooShort, bytes_of};

/// The size of a header in bytes: no segment is shorter.
const MIN_BYTES: u64 = 4096;

/// What `statfs` calls the file system for shared memory.
const TMPFS: FsWord = 0x0102_1994;

/// The time of a file's last change, in nanoseconds, if every later change has another time; or 0.
#[derive(Default)]
pub(super) struct KnownSince(AtomicI64);

impl KnownSince {
    /// Times have the granularity of a clock that ticks 100 times a second, or more often.
    const SETTLED: i64 = 100_000_000;

    pub(super) fn is(&self, stat: &Stat) -> bool {
        let changed = Self::changed(stat);
        changed != 0 && self.0.load(Relaxed) == changed
    }

    /// Keeps the time of a file's last change, which was asked for after `now`.
    fn learn(&self, stat: &Stat, now: SystemTime) {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_nanos()).unwrap_or(0);
        let changed = Self::changed(stat);
        if now.saturating_sub(changed) > Self::SETTLED {
            self.0.store(changed, Relaxed);
        }
    }

    /// In nanoseconds.
    fn changed(stat: &Stat) -> i64 {
        let seconds = stat.st_ctime.saturating_mul(1_000_000_000);
        seconds.saturating_add(i64::try_from(stat.st_ctime_nsec).unwrap_or(0))
    }
}

/// One mapped segment; see the contract in [`crate::sys`].
///
/// The words of a mapping made with [`Access::ReadOnly`] may only be loaded: a store
/// raises a signal.
pub(crate) struct Mapping {
    /// The words of the mapping, which is there until the drop.
    words: NonNull<[AtomicU64]>,
    /// The length of the mapping and of the file, at most `isize::MAX`.
    bytes: usize,
    pub(super) access: Access,
    /// Forked children go on using their copy. It holds no lock.
    pub(super) descriptor: Descriptor,
    /// Other paths of the file, in case descriptors can't be opened again because there
    /// is no `/proc`.
    pub(super) paths: Vec<String>,
    /// The time of the last change of the file while the first path was known to name it.
    pub(super) named_since: KnownSince,
}

// SAFETY: the mapping is memory that belongs to no thread, and is unmapped only
// by the drop of this only owner, on whichever thread. The other fields are
// `Send` by themselves.
unsafe impl Send for Mapping {}

// SAFETY: through a shared `Mapping` the memory can be reached only as atomic
// words and by the kernel. The other fields are `Sync` by themselves.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Makes the segment `name` of `words` zero words, filled by `fill`.
    pub(crate) fn create<E: From<io::Error>>(
        name: &str,
        words: usize,
        mode: u32,
        fill: impl FnMut(&Mapping) -> Result<(), E>,
    ) -> Result<Mapping, E> {
        Self::make(name, words, mode, Taken::Refused, fill)
    }

    /// Makes the segment `name`, like `create`. If another segment has the name, that one
    /// loses it.
    pub(crate) fn replace<E: From<io::Error>>(
        name: &str,
        words: usize,
        mode: u32,
        fill: impl FnMut(&Mapping) -> Result<(), E>,
    ) -> Result<Mapping, E> {
        staging::sweep();
        Self::make(name, words, mode, Taken::Replaced, fill)
    }

    fn make<E: From<io::Error>>(
        name: &str,
        words: usize,
        mode: u32,
        taken: Taken,
        mut fill: impl FnMut(&Mapping) -> Result<(), E>,
    ) -> Result<Mapping, E> {
        let unnamed = Self::stage(name, words, mode, taken, Staging::begin, &mut fill)?;
        if let Some(mapping) = unnamed {
            return Ok(mapping);
        }
        let named = Self::stage(name, words, mode, taken, Staging::begin_named, fill)?;
        named.ok_or_else(|| io::Error::from(io::ErrorKind::PermissionDenied).into())
    }

    #[cfg(test)]
    pub(super) fn create_staged<E: From<io::Error>>(
        name: &str,
        words: usize,
        mode: u32,
        begin: impl FnOnce() -> io::Result<(Staging, OwnedFd)>,
        fill: impl FnOnce(&Mapping) -> Result<(), E>,
    ) -> Result<Mapping, E> {
        let staged = Self::stage(name, words, mode, Taken::Refused, begin, fill)?;
        staged.ok_or_else(|| io::Error::from(io::ErrorKind::PermissionDenied).into())
    }

    /// Makes a new segment; `None` if this machine gives no names to files of its kind.
    fn stage<E: From<io::Error>>(
        name: &str,
        words: usize,
        mode: u32,
        taken: Taken,
        begin: impl FnOnce() -> io::Result<(Staging, OwnedFd)>,
        fill: impl FnOnce(&Mapping) -> Result<(), E>,
    ) -> Result<Option<Mapping>, E> {
        let path = path_of(name)?;
        let bytes = bytes_of(words)?;
        if let Ok(stat) = lstat(&path) {
            let kind = io::ErrorKind::AlreadyExists;
            if let Some(error) = not_plain(&stat, kind) {
                return Err(error.into());
            }
            // The publication decides; this only avoids work that would be thrown away.
            if taken == Taken::Refused {
                return Err(io::Error::from(kind).into());
            }
        }
        let (staging, fd) = begin()?;
        // The umask may have removed the owner's own bits, and `fill` opens the file again.
        fchmod(&fd, Mode::RUSR | Mode::WUSR).map_err(io::Error::from)?;
        let mut paths = vec![path.clone()];
        paths.extend(staging.path().map(str::to_owned));
        resize(&fd, bytes)?;
        let mapping = Self::map(fd, bytes, Access::ReadWrite, paths)?;
        fill(&mapping)?;
        let fd = mapping.descriptor.fd()?;
        // Last, so that a mode without the owner's own bits doesn't affect `fill`. Unlike a
        // mode given when opening, this one isn't subject to the umask.
        fchmod(fd, Mode::from_raw_mode(mode & 0o777)).map_err(io::Error::from)?;
        process_crash_point!("create: complete, without a name");
        if !staging.publish(fd, &path, taken)? {
            return Ok(None);
        }
        process_crash_point!("create: named");
        Ok(Some(mapping))
    }

    /// Maps the segment `name` if `admit` accepts its owner.
    pub(crate) fn open<E: From<io::Error>>(
        name: &str,
        access: Access,
        admit: impl FnOnce(Owner) -> Result<(), E>,
    ) -> Result<Mapping, E> {
        let path = path_of(name)?;
        let (fd, stat) = open_plain(&path, access)?;
        let bytes = usize::try_from(stat.st_size).unwrap_or(0);
        if (bytes as u64) < MIN_BYTES {
            return Err(io::Error::from(TooShort(bytes as u64)).into());
        }
        admit(owner_of(&stat))?;
        Ok(Self::map(fd, bytes, access, vec![path])?)
    }

    /// Maps a file of `bytes` bytes, neither zero nor more than `isize::MAX`.
    fn map(fd: OwnedFd, bytes: usize, access: Access, paths: Vec<String>) -> io::Result<Mapping> {
        let descriptor = Descriptor::inherited(fd)?;
        let file = descriptor.fd()?;
        // Without rights at first: in a process that has the kernel lock all that it will map
        // (`mlockall`), the kernel would give pages to the whole segment.
        //
        // SAFETY: without MAP_FIXED the kernel takes the requested address if nothing is
        // mapped there, and else chooses one, so no memory in use changes.
        let base = unsafe {
            mmap(
                free_address(bytes),
                bytes,
                ProtFlags::empty(),
                MapFlags::SHARED,
                file,
                0,
            )
        }
        .map_err(|error| match error {
            Errno::NOMEM => {
                let limit = getrlimit(Resource::As).current;
                let reason = NoAddressSpace {
                    asked: bytes,
                    limit,
                };
                io::Error::new(io::ErrorKind::OutOfMemory, reason)
            }
            error => error.into(),
        })?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let mapping = Mapping {
            words: NonNull::slice_from_raw_parts(base, bytes / size_of::<u64>()),
            bytes,
            access,
            descriptor,
            paths,
            named_since: KnownSince::default(),
        };
        mapping.allow()?;
        Ok(mapping)
    }

    /// Gives a mapping that nobody has used yet its rights. It stays out of core dumps: to write
    /// one, the kernel would give a page to each that has none.
    fn allow(&self) -> io::Result<()> {
        let base = self.words.as_ptr().cast();
        // SAFETY: the bytes are those of this mapping; their pages need not stay in memory.
        let unlocked = unsafe { munlock(base, self.bytes) };
        // SAFETY: as above; what is in a core dump changes nothing in this process.
        let undumped = unsafe { madvise(base, self.bytes, Advice::LinuxDontDump) };
        // Both are refused by rules for system calls alone, which may be there.
        let _ = (unlocked, undumped);
        let flags = match self.access {
            Access::ReadOnly => MprotectFlags::READ,
            Access::ReadWrite => MprotectFlags::READ | MprotectFlags::WRITE,
        };
        // SAFETY: the bytes are those of this mapping, which gets the rights that `access` says.
        Ok(unsafe { mprotect(base, self.bytes, flags) }?)
    }

    /// The segment.
    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the whole slice, at most `isize::MAX` bytes, is mapped until `self` is
        // dropped, and `self` outlives the borrow; pages are aligned for words; any bits are
        // a valid word. Other threads and processes change the words at any time, which
        // atomics allow.
        unsafe { self.words.as_ref() }
    }

    /// Copies bytes of the segment. It reads the file, so a missing page raises no signal.
    pub(crate) fn copy_bytes(&self, offset: usize, out: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while let Some(rest @ [_, ..]) = out.get_mut(filled..) {
            match pread(self.descriptor.fd()?, &mut *rest, (offset + filled) as u64) {
                Ok(0) => {
                    rest.fill(0);
                    break;
                }
                Ok(more) => filled += more,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The next byte from `offset` on that has a page; `None` if there is none up to the end.
    pub(crate) fn next_present(&self, offset: usize) -> io::Result<Option<usize>> {
        match seek(self.descriptor.fd()?, SeekFrom::Data(offset as u64)) {
            Ok(found) => Ok(Some(usize::try_from(found).unwrap_or(usize::MAX))),
            Err(Errno::NXIO) => Ok(None),
            // The file system doesn't tell.
            Err(Errno::INVAL) => Ok(Some(offset)),
            Err(error) => Err(error.into()),
        }
    }

    /// The number of bytes that have pages.
    pub(crate) fn bytes_present(&self) -> io::Result<u64> {
        const BLOCK: u64 = 512;
        let stat = self.descriptor.stat()?;
        Ok(u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK)
    }

    /// The segment's owner now.
    pub(crate) fn owner(&self) -> io::Result<Owner> {
        Ok(owner_of(&self.descriptor.stat()?))
    }

    /// A new `Liveness` of this segment.
    pub(crate) fn liveness(&self) -> io::Result<Liveness> {
        let descriptor = Descriptor::not_inherited(|| self.open_again())?;
        if descriptor.id() == self.descriptor.id() {
            Ok(Liveness::new(descriptor))
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    /// A new open file description of the segment.
    fn open_again(&self) -> io::Result<OwnedFd> {
        let by_number = self.descriptor.fd().and_then(|fd| {
            let path = descriptor_path(fd.as_fd());
            let flags = access_flags(self.access) | OFlags::CLOEXEC;
            Ok(open(path, flags, Mode::empty())?)
        });
        match by_number {
            Ok(fd) if self.is_same(&fstat(&fd)?) => Ok(fd),
            tried => self
                .paths
                .iter()
                .filter_map(|path| open_plain(path, self.access).ok())
                .find_map(|(fd, stat)| self.is_same(&stat).then_some(fd))
                .ok_or_else(|| {
                    tried
                        .err()
                        .unwrap_or_else(|| io::ErrorKind::NotFound.into())
                }),
        }
    }

    fn is_same(&self, stat: &Stat) -> bool {
        FileId::of(stat) == self.descriptor.id()
    }

    /// Whether the name names this segment now.
    pub(crate) fn has_name(&self, name: &str) -> io::Result<bool> {
        Ok(self.look_up(name)?.is_some())
    }

    /// What the system says of the file, if the name names this segment.
    fn look_up(&self, name: &str) -> io::Result<Option<Stat>> {
        match lstat(path_of(name)?) {
            Ok(stat) => Ok(Some(stat).filter(|stat| self.is_same(stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The segment's owner now, if the name names it and the descriptor is still open.
    ///
    /// Looking a path up takes three times as long as asking a descriptor. To remove the name or
    /// to give it to another file changes the file, and so the time of its last change: as long as
    /// that time is the same, the name is not looked up again.
    pub(crate) fn owner_if_named(&self, name: &str) -> io::Result<Option<Owner>> {
        let Ok(stat) = self.descriptor.stat() else {
            return Ok(None);
        };
        let is_first = || {
            self.paths
                .first()
                .is_some_and(|path| is_path_of(path, name))
        };
        if stat.st_nlink > 0 && self.named_since.is(&stat) && is_first() {
            return Ok(Some(owner_of(&stat)));
        }
        let now = SystemTime::now();
        let Some(stat) = self.look_up(name)? else {
            return Ok(None);
        };
        if is_first() && self.changes_show() {
            self.named_since.learn(&stat, now);
        }
        Ok(Some(owner_of(&stat)))
    }

    /// Whether the file system notes the time when a name is given or taken: the one for shared
    /// memory does.
    fn changes_show(&self) -> bool {
        let file_system = self.descriptor.fd().map(fstatfs);
        matches!(file_system, Ok(Ok(found)) if found.f_type == TMPFS)
    }

    /// Removes the name if it still names this segment, and returns whether it did.
    ///
    /// The kernel can't do both at once: if another segment takes the name between the
    /// check and the removal, that segment loses the name.
    pub(crate) fn unlink_if_same(&self, name: &str) -> io::Result<bool> {
        if !self.has_name(name)? {
            return Ok(false);
        }
        match unlink(path_of(name)?) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `map` mapped exactly these bytes, and they are unmapped once, here;
        // `&mut self` excludes any borrow of the words. The call can't fail for such a
        // range.
        let _ = unsafe { munmap(self.words.as_ptr().cast(), self.bytes) };
    }
}

/// An address that suits huge pages, from which on as many bytes were free just now;
/// null if there is none, or too few bytes for it to matter.
fn free_address(bytes: usize) -> *mut c_void {
    if bytes < HUGE_PAGE {
        return ptr::null_mut();
    }
    let room = bytes.saturating_add(HUGE_PAGE);
    // SAFETY: without a requested address, the kernel chooses one where nothing is mapped, so
    // no memory in use changes.
    let found = unsafe {
        mmap_anonymous(
            ptr::null_mut(),
            room,
            ProtFlags::empty(),
            MapFlags::PRIVATE | MapFlags::NORESERVE,
        )
    };
    let Ok(found) = found else {
        return ptr::null_mut();
    };
    // SAFETY: exactly these bytes were mapped just now, and nothing refers to them.
    let _ = unsafe { munmap(found, room) };
    let skipped = (found as usize).next_multiple_of(HUGE_PAGE) - found as usize;
    found.wrapping_byte_add(skipped)
}

/// Gives a new file its length.
fn resize(fd: &OwnedFd, bytes: usize) -> io::Result<()> {
    check_length(bytes)?;
    ftruncate(fd, bytes as u64).map_err(|error| match error {
        Errno::FBIG => {
            let reason = FileTooLong {
                asked: bytes,
                limit: None,
            };
            io::Error::new(io::ErrorKind::FileTooLarge, reason)
        }
        error => error.into(),
    })
}
