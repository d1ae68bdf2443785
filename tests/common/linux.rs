//! What Linux alone has: signals, zombies, programs in place of others.

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use super::children::ROLE;
use super::{Child, eventually};

pub(super) fn die_with_parent() {
    set_parent_process_death_signal(Some(Signal::KILL)).expect("the system ends orphans");
}

impl Child {
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the child is there");
    }

    /// Kills it and leaves it a zombie until it is dropped.
    #[track_caller]
    pub fn kill_to_zombie(&mut self) {
        self.process.kill().expect("the child is killed");
        let stat = format!("/proc/{}/stat", self.process.id());
        eventually("the child is a zombie", || {
            let stat = std::fs::read_to_string(&stat).expect("a zombie is listed");
            stat.rsplit_once(") ")
                .is_some_and(|(_, rest)| rest.starts_with('Z'))
        });
    }
}

/// Has this child go on as a new program in its process, with another role in the same
/// test and the same arguments.
pub fn execute(test: &str, role: &str) -> ! {
    let program = std::env::current_exe().expect("the test program has a path");
    let error = Command::new(program)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .exec();
    panic!("{error}");
}
