//! Child processes.
//!
//! A child is this very test program, started again to run one test alone, with a role in
//! its environment. So a test of several processes reads from top to bottom: first what its
//! children do, then what the parent does.
//!
//! ```text
//! #[test]
//! fn one_of_many_wins() {
//!     if let Some(role) = common::role() { ...the child's part; role.tell("it") ... return; }
//!     let child = Child::start(this_test!(), "racer", &[&name]);
//!     child.hear() ...
//! }
//! ```
//!
//! Parent and child talk in lines. A child ends with the thread that started it, and after
//! five minutes at the latest; a parent waits for [`LIMIT`] at the most.

use std::io::{BufRead, BufReader, Stdin, Stdout, Write};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use shmtable::Table;
use test_support::LIMIT;

/// The longest that a child may live.
const LIFETIME: Duration = Duration::from_mins(5);

pub(super) const ROLE: &str = "SHMTABLE_TEST_ROLE";
const ARGUMENTS: &str = "SHMTABLE_TEST_ARGUMENTS";
const SEPARATOR: &str = "\u{1f}";
/// What a line for the other process begins with. The test harness prints lines of its own.
const MARK: &str = "@shmtable ";
const DONE: &str = "done";

/// A child process; killed and reaped when it is dropped.
pub struct Child {
    pub(super) process: std::process::Child,
    input: Option<ChildStdin>,
    heard: Receiver<String>,
    role: String,
}

impl Child {
    /// Starts this program again to play `role` in the test of that name.
    pub fn start(test: &str, role: &str, arguments: &[&str]) -> Self {
        Self::start_with(test, role, arguments, |_| {})
    }

    /// The same with more environment and the like.
    pub fn start_with(
        test: &str,
        role: &str,
        arguments: &[&str],
        configure: impl FnOnce(&mut Command),
    ) -> Self {
        let program = std::env::current_exe().expect("the test program has a path");
        let mut command = Command::new(program);
        configure(&mut command);
        Self::run(command, test, role, arguments)
    }

    /// Runs a command that ends with this program's name.
    pub(super) fn run(mut command: Command, test: &str, role: &str, arguments: &[&str]) -> Self {
        command
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(ARGUMENTS, arguments.join(SEPARATOR))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = start_process(&mut command);
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().expect("its output is piped"));
        let (sender, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some(message) = line.strip_prefix(MARK)
                    && sender.send(message.to_owned()).is_err()
                {
                    break;
                }
            }
        });
        let role = role.to_owned();
        Self {
            process,
            input,
            heard,
            role,
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The child's next line.
    #[track_caller]
    pub fn hear(&self) -> String {
        self.hear_within(LIMIT)
            .unwrap_or_else(|| panic!("the child '{}' says nothing more", self.role))
    }

    /// Waits for its next line, which must be this one.
    #[track_caller]
    pub fn once_it_says(self, line: &str) -> Self {
        assert_eq!(self.hear(), line);
        self
    }

    /// The next line, if there is one before that time is over.
    pub fn hear_within(&self, limit: Duration) -> Option<String> {
        self.heard.recv_timeout(limit).ok()
    }

    /// All lines that were said and not heard yet, until the child has ended.
    pub fn hear_rest(&self) -> Vec<String> {
        self.heard.iter().collect()
    }

    /// Says a line to the child.
    #[track_caller]
    pub fn say(&mut self, line: &str) {
        let input = self.input.as_mut().expect("the child listens");
        writeln!(input, "{line}").expect("the child listens");
    }

    /// Says no more and waits for an orderly end: all that the child still said.
    #[track_caller]
    pub fn finish(mut self) -> Vec<String> {
        // A child that waits for more input sees its end.
        self.input = None;
        let mut said = Vec::new();
        loop {
            let line = self.hear();
            if line == DONE {
                break;
            }
            said.push(line);
        }
        assert!(self.wait(), "the child '{}' failed", self.role);
        said
    }

    /// Waits for its end; whether it ended in good order.
    #[track_caller]
    pub fn wait(&mut self) -> bool {
        self.exit_status().success()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn exit_status(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(begin.elapsed() < LIMIT, "the child '{}' hangs", self.role);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether it ended, in whichever way.
    pub fn has_ended(&mut self) -> bool {
        let status = self.process.try_wait();
        status.expect("a child can be waited for").is_some()
    }

    /// Kills it with SIGKILL, and waits until it is gone.
    pub fn kill(mut self) {
        self.kill_and_reap();
    }

    /// The same; the lines it said are still to be heard.
    pub fn kill_and_reap(&mut self) {
        self.process.kill().expect("the child is killed");
        self.process.wait().expect("the child is reaped");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a child is to do.
pub struct Role {
    pub name: String,
    arguments: Vec<String>,
    input: Stdin,
    output: Stdout,
}

/// The role of this process, if it is a child.
pub fn role() -> Option<Role> {
    let name = std::env::var(ROLE).ok()?;
    #[cfg(target_os = "linux")]
    super::linux::die_with_parent();
    std::thread::spawn(|| {
        std::thread::sleep(LIFETIME);
        eprintln!("a child of the tests has lived too long");
        std::process::abort();
    });
    let arguments = std::env::var(ARGUMENTS).unwrap_or_default();
    Some(Role {
        name,
        arguments: arguments.split(SEPARATOR).map(str::to_owned).collect(),
        input: std::io::stdin(),
        output: std::io::stdout(),
    })
}

impl Role {
    pub fn argument(&self, at: usize) -> &str {
        &self.arguments[at]
    }

    pub fn number(&self, at: usize) -> usize {
        self.arguments[at].parse().expect("a number")
    }

    /// The table named in the first argument, opened.
    pub fn open(&self) -> Table {
        Table::open(self.argument(0)).expect("the parent's table is opened")
    }

    /// Says a line to the parent.
    pub fn tell(&self, line: &str) {
        // The harness leaves the first line it writes without an end.
        let mut output = self.output.lock();
        let sent = output.write_all(format!("\n{MARK}{line}\n").as_bytes());
        sent.and_then(|()| output.flush())
            .expect("the parent listens");
    }

    /// The parent's next line; `None`: it will say no more.
    pub fn hear(&self) -> Option<String> {
        let mut line = String::new();
        let length = self.input.read_line(&mut line).ok()?;
        (length > 0).then(|| line.trim_end().to_owned())
    }

    /// Says "ready", and waits until the parent says anything.
    pub fn wait_for_start(&self) {
        self.tell("ready");
        self.hear().expect("the parent gives the start");
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.tell(DONE);
        }
    }
}

/// Children that begin at the same time.
fn start_together(test: &str, role: &str, arguments: &[Vec<String>]) -> Vec<Child> {
    let mut children: Vec<Child> = arguments
        .iter()
        .map(|arguments| {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            Child::start(test, role, &arguments)
        })
        .collect();
    for child in &children {
        assert_eq!(child.hear(), "ready");
    }
    for child in &mut children {
        child.say("go");
    }
    children
}

/// What all of them said, in their order, after all ended well.
#[track_caller]
pub fn finish_all(children: Vec<Child>) -> Vec<Vec<String>> {
    children.into_iter().map(Child::finish).collect()
}

/// One of the processes of a [`race`].
pub struct Racer {
    pub table: Table,
    /// Its number, from 0 on.
    pub number: usize,
    role: Role,
}

/// This process's part of a race, which has begun; `None` for the parent.
pub fn racer() -> Option<Racer> {
    let role = role()?;
    let (table, number) = (role.open(), role.number(1));
    role.wait_for_start();
    Some(Racer {
        table,
        number,
        role,
    })
}

impl Racer {
    /// Says a line to the parent.
    pub fn tell(&self, line: &str) {
        self.role.tell(line);
    }
}

/// Starts children that are [`racer`]s on the table of this name. They begin together.
pub fn race(test: &str, name: &str, processes: usize) -> Vec<Child> {
    race_as("racer", test, name, processes)
}

/// Starts children of this role, whose arguments are the name and their number. They begin
/// together.
pub fn race_as(role: &str, test: &str, name: &str, processes: usize) -> Vec<Child> {
    let arguments: Vec<Vec<String>> = (0..processes)
        .map(|number| vec![name.to_owned(), number.to_string()])
        .collect();
    start_together(test, role, &arguments)
}

/// Whether a process was killed, and did not end by itself. Where there are no signals, a
/// crash point kills with this exit code.
pub fn was_killed(status: ExitStatus) -> bool {
    #[cfg(unix)]
    return std::os::unix::process::ExitStatusExt::signal(&status) == Some(9);
    #[cfg(windows)]
    return status.code() == Some(9);
}

/// wine fails to start one process in some thousands.
fn start_process(command: &mut Command) -> std::process::Child {
    match command.spawn() {
        Err(_) if cfg!(windows) => command.spawn(),
        started => started,
    }
    .expect("a child is started")
}
