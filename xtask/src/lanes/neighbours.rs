//! `cargo xtask neighbours`: the tests that act as other users and make mounts and PID
//! namespaces. Where that isn't allowed, the lane `tests` leaves them out and says so; here
//! it is a failure.

use std::process::Command;

use crate::process::{cargo_test, output, run as run_command};
use crate::result::Result;

/// Without the kills that need nothing which may not be allowed, and take the longest.
const TESTS: &str = "--package shmtable --all-features --test errors --test kills --test mounts \
                     --test neighbours -- --skip doublings:: --skip writers::";

/// An error if this user may not make namespaces and act as other users.
pub(crate) fn require_root() -> Result {
    if !cfg!(target_os = "linux") {
        return Err("neighbours needs Linux: mount and PID namespaces".into());
    }
    let mut trial = Command::new("unshare");
    trial.args(["--mount", "--pid", "--fork", "chown", "--version"]);
    output(&mut trial).map(drop).map_err(|refusal| {
        format!(
            "neighbours makes namespaces and acts as other users; that takes root (CAP_SYS_ADMIN, \
             CAP_SETUID, CAP_CHOWN), and the program `unshare` of util-linux; it was refused:\n\
             {refusal}"
        )
        .into()
    })
}

/// Runs the tests, none of which may be left out.
pub(crate) fn run() -> Result {
    require_root()?;
    run_command(cargo_test(TESTS).env("SHMTABLE_TEST_PRIVILEGED", "1"))
}
