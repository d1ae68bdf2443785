//! What the tests of the command share.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test program uses a part of this"
)]

use std::process::{Child, Command, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use shmtable::{Options, Table};
pub use test_support::*;

/// A table with this codec that no process uses. It was created by the command.
pub fn table(codec: &str) -> Name {
    let name = Name::new();
    let shape = [
        "--capacity",
        "1000",
        "--value-space",
        "1MiB",
        "--codec",
        codec,
    ];
    ok(&[&["create", &name], &shape[..]].concat());
    name
}

/// A table of plain bytes, and a handle.
pub fn open_table() -> (Name, Table) {
    let name = Name::new();
    let options = Options::new().capacity(1000).value_space(1 << 20);
    let table = options.create(&name).expect("a table is created");
    (name, table)
}

/// The program under test: that of this build, or the one whose path is in `SHMTABLE_COMMAND`, such
/// as the one that pip installed.
pub fn program() -> String {
    std::env::var("SHMTABLE_COMMAND").unwrap_or_else(|_| env!("CARGO_BIN_EXE_shmtable").to_owned())
}

/// The command, without a terminal.
pub fn shmtable(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs the command with this input.
#[track_caller]
pub fn run_with(arguments: &[&str], input: &[u8]) -> Output {
    assert_cmd::Command::from_std(shmtable(arguments))
        .write_stdin(input)
        .timeout(LIMIT)
        .output()
        .expect("the command runs")
}

/// Runs the command.
#[track_caller]
pub fn run(arguments: &[&str]) -> Output {
    run_with(arguments, b"")
}

/// What the command prints when it ends with this status.
#[track_caller]
pub fn ends(status: i32, arguments: &[&str]) -> String {
    let output = run(arguments);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(
        output.status.code(),
        Some(status),
        "{arguments:?}: {out}{err}"
    );
    assert_eq!(err.is_empty(), status != 2, "{arguments:?}: {err}");
    if status == 2 { err } else { out }
}

/// What the command prints when it finds what was asked for.
#[track_caller]
pub fn ok(arguments: &[&str]) -> String {
    ends(0, arguments)
}

/// The same with `--json`.
#[track_caller]
pub fn json(status: i32, arguments: &[&str]) -> Json {
    let text = ends(status, &[&["--json"], arguments].concat());
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{arguments:?} prints {text}"))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the output is text")
}

/// What `ls` says of a table; `None`: it is not listed.
#[track_caller]
pub fn listed(name: &str) -> Option<Json> {
    let list = json(0, &["ls"]);
    let tables = list["tables"].as_array().expect("a list");
    tables.iter().find(|table| table["name"] == name).cloned()
}

/// A process that was started; killed and reaped when it is dropped.
pub struct Running(pub Child);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().expect("a process is started"))
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("the process is there");
    }

    /// Kills it and waits until it is gone.
    pub fn kill(mut self) {
        self.0.kill().expect("the process is killed");
        self.0.wait().expect("the process is reaped");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the process ends", || {
            status = self.0.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        status.expect("it has ended")
    }

    /// Waits for its end; what it said.
    #[track_caller]
    pub fn output(mut self) -> (ExitStatus, String, String) {
        use std::io::Read;
        let (mut out, mut err) = (String::new(), String::new());
        let status = self.end();
        if let Some(mut stdout) = self.0.stdout.take() {
            stdout.read_to_string(&mut out).expect("its output is text");
        }
        if let Some(mut stderr) = self.0.stderr.take() {
            stderr
                .read_to_string(&mut err)
                .expect("its errors are text");
        }
        (status, out, err)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that has the table open, and waits.
#[track_caller]
pub fn user_of(name: &str) -> Running {
    let running = Running::start(&mut shmtable(&["wait", name, "never"]));
    eventually("a process attaches", || {
        let table = listed(name).expect("the table is listed");
        let participants = table["participants"].as_array().expect("a list");
        participants.iter().any(|one| one["pid"] == running.pid())
    });
    running
}
