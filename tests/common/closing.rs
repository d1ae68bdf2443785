//! A process that closes all of its descriptors, as daemons do.

// To close a descriptor that other code owns breaks what the compiler relies on. It is
// allowed only here and in `forked`.
#![allow(unsafe_code)]
#![allow(unreachable_pub, reason = "a module of a test program")]

/// Closes all descriptors of this process but the standard streams.
pub fn close_descriptors() {
    for number in 3..256 {
        // SAFETY: closes a number, or is told that there is none. Its owner is the crate
        // under test, which promises to find out, or the test harness, which keeps to the
        // standard streams.
        unsafe { libc::close(number) };
    }
}
