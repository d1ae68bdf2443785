//! `cargo xtask refused-calls`: what the table does where a container's filter, a sandbox or
//! an old kernel refuses system calls for which there is another way.
//!
//! `strace` answers in the kernel's place, only for the test programs.

use std::process::Command;

use crate::process::{cargo, output, run as run_command};
use crate::result::Result;

const TESTS: &str = "test --package shmtable --all-features --test claims --test replacing \
                     --test sizes";

/// The calls that are refused, and the error of each.
const REFUSALS: [(&str, &str); 6] = [
    ("madvise", "EPERM"),
    ("madvise", "ENOSYS"),
    ("madvise", "EOPNOTSUPP"),
    // An unnamed file that is given no name.
    ("linkat", "EPERM"),
    ("linkat", "EACCES"),
    // Tells how much room there is; the table works without it.
    ("fstatfs", "ENOSYS"),
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
    run_command(&mut cargo(&format!("{TESTS} --no-run")))?;
    for (call, error) in REFUSALS {
        let strace = format!(
            "'strace', '-f', '-qq', '--seccomp-bpf', '-o', '/dev/null', \
             '-e', 'trace={call}', '-e', 'inject={call}:error={error}'"
        );
        let runner = format!("target.'cfg(all())'.runner = [{strace}]");
        run_command(
            cargo("--config")
                .arg(runner)
                .args(TESTS.split_ascii_whitespace()),
        )?;
    }
    Ok(())
}
