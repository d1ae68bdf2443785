//! Fences of which one side pays for both: `membarrier`.
//!
//! After the system call each thread that was running has passed a full fence, and the others
//! passed one when they were taken from their processors. So a thread that often has to order a store
//! before a load need only keep the compiler from exchanging them.

use std::sync::atomic::{Ordering, compiler_fence};

/// Has every thread of the machine pass a fence: "global", of Linux 4.3, which needs no
/// registration. It takes some milliseconds. `false` if the kernel has no such call, as with
/// processors that it leaves alone (`nohz_full`), or a rule for system calls refuses it.
pub(crate) fn fence_everywhere() -> bool {
    // SAFETY: the call takes two numbers and touches no memory of this process.
    let status = unsafe {
        libc::syscall(
            libc::SYS_membarrier,
            libc::MEMBARRIER_CMD_GLOBAL,
            0_usize,
            0_usize,
        )
    };
    status == 0
}

/// This thread's part of a fence that [`fence_everywhere`] is the other part of.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn fence_here() {
    compiler_fence(Ordering::SeqCst);
}
