//! Processes of a trial: this program again, with a hidden command.

use std::process::{Command, Stdio};

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::result::Result;

/// This program, to be started with `command`. It hears and says nothing, except to
/// the standard error.
pub(crate) fn command(command: &str) -> Command {
    // Not by its path, under which a new build may lie by now.
    let mut program = Command::new("/proc/self/exe");
    program
        .arg(command)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    program
}

/// Makes the kernel end this process with the one that started it.
pub(crate) fn end_with_parent() -> Result {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}
