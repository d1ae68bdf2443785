//! `cargo xtask refused-calls`: what the table does where a container's filter, a sandbox or
//! an old kernel refuses system calls for which there is another way.
//!
//! `strace` answers in the kernel's place, only for the test programs.

use std::process::Command;

use crate::process::{cargo, output, run as run_command};
use crate::result::Result;

const SEGMENTS: &str = "test --package shmtable --all-features --test claims --test replacing \
                        --test sizes";
const WAITS: &str = "test --package shmtable --all-features --test api waits::";

/// The calls that are refused, the error of each, and the tests that need them.
const REFUSALS: [(&str, &str, &str); 8] = [
    ("madvise", "EPERM", SEGMENTS),
    ("madvise", "ENOSYS", SEGMENTS),
    ("madvise", "EOPNOTSUPP", SEGMENTS),
    // An unnamed file that is given no name.
    ("linkat", "EPERM", SEGMENTS),
    ("linkat", "EACCES", SEGMENTS),
    // Tells how much room there is; the table works without it.
    ("fstatfs", "ENOSYS", SEGMENTS),
    // Sleeps on several words; without it the sleeps are short ones.
    ("futex_waitv", "ENOSYS", WAITS),
    ("futex_waitv", "EPERM", WAITS),
];

/// An error if `strace` is missing.
pub(crate) fn require_strace() -> Result {
    if !cfg!(target_os = "linux") {
        return Err("refused-calls needs Linux: its system calls".into());
    }
    let trial = output(Command::new("strace").args(["-o", "/dev/null", "true"])).map(drop);
    trial.map_err(|refusal| {
        format!(
            "refused-calls needs the program `strace` (Debian: apt-get install strace); {refusal}"
        )
        .into()
    })
}

/// Runs the tests once for each refusal.
pub(crate) fn run() -> Result {
    require_strace()?;
    for tests in [SEGMENTS, WAITS] {
        run_command(&mut cargo(&format!("{tests} --no-run")))?;
    }
    for (call, error, tests) in REFUSALS {
        let strace = format!(
            "'strace', '-f', '-qq', '--seccomp-bpf', '-o', '/dev/null', \
             '-e', 'trace={call}', '-e', 'inject={call}:error={error}'"
        );
        let runner = format!("target.'cfg(all())'.runner = [{strace}]");
        run_command(
            cargo("--config")
                .arg(runner)
                .args(tests.split_ascii_whitespace()),
        )?;
    }
    Ok(())
}
