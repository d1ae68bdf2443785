//! `cargo xtask full-tmpfs`: what the table does when /dev/shm is full.
//!
//! The tests see a /dev/shm of a few megabytes, in a mount namespace that ends
//! with them; the machine's own /dev/shm stays as it is.

use std::process::Command;

use crate::process::{cargo, output, root, run as run_command};
use crate::result::Result;

const SIZE: &str = "16m";

const TESTS: &str = "test --package shmtable --all-features --test full_memory";

/// An error if this machine gives no mount namespace to this user.
pub(crate) fn require_namespace() -> Result {
    namespace().map(drop)
}

/// Builds the tests, then runs them in a namespace with a small /dev/shm.
pub(crate) fn run() -> Result {
    let namespace = namespace()?;
    run_command(&mut cargo(&format!("{TESTS} --no-run")))?;
    let tests = cargo(TESTS);
    run_command(
        Command::new("unshare")
            .args(namespace)
            .args(["sh", "-c"])
            .arg(format!(
                "mount -t tmpfs -o size={SIZE} tmpfs /dev/shm && exec \"$@\""
            ))
            .arg("sh")
            .arg(tests.get_program())
            .args(tests.get_args())
            .current_dir(root())
            .env("SHMTABLE_TEST_SMALL_TMPFS", "1"),
    )
}

/// The options that make `unshare` give us a namespace to mount in: root's own, or that of
/// a user who is root only inside it.
fn namespace() -> Result<&'static [&'static str]> {
    const WAYS: [&[&str]; 2] = [&["--mount"], &["--map-root-user", "--mount"]];
    if !cfg!(target_os = "linux") {
        return Err("full-tmpfs needs Linux: /dev/shm and mount namespaces".into());
    }
    let mut refusals = Vec::new();
    for way in WAYS {
        let mut trial = Command::new("unshare");
        trial
            .args(way)
            .args(["mount", "-t", "tmpfs", "tmpfs", "/dev/shm"]);
        match output(&mut trial) {
            Ok(_) => return Ok(way),
            Err(refusal) => refusals.push(refusal.to_string()),
        }
    }
    Err(format!(
        "full-tmpfs mounts a small tmpfs over /dev/shm in a mount namespace; that takes root \
         (CAP_SYS_ADMIN), or a system where users may make namespaces, and the programs \
         `unshare` and `mount` of util-linux; it was refused:\n{}",
        refusals.join("\n").trim_end()
    )
    .into())
}
