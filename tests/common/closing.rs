//! A process whose descriptors somebody closes, as daemons do.

// Whoever closes a number that is not his own breaks what the compiler relies on: here and
// in `forked` alone.
#![allow(unsafe_code)]
#![allow(unreachable_pub, reason = "a module of a test program")]

/// Closes all descriptors of this process but the standard streams.
pub fn close_descriptors() {
    for number in 3..256 {
        // SAFETY: closes a number, or is told that there is none. Whoever in this process
        // owned it is the crate under test, which promises to find out, or the test
        // harness, which keeps to the standard streams.
        unsafe { libc::close(number) };
    }
}
