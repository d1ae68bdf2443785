//! What the integration tests share: names that are removed again, tables of
//! several shapes, values that show whether they are whole, and child processes.
//!
//! # Children
//! A child is this very test program, started again to run one test alone, with
//! a role in its environment. So a test of several processes reads from top to
//! bottom: first what its children do, then what the parent does.
//!
//! ```text
//! #[test]
//! fn one_of_many_wins() {
//!     if let Some(role) = common::role() { ...the child's part; role.tell("it") ... return; }
//!     let child = Child::start("one_of_many_wins", "racer", &[&name]);
//!     child.hear() ...
//! }
//! ```
//!
//! Parent and child talk in lines. No child outlives the thread that started it,
//! nor five minutes; a parent never waits longer than [`LIMIT`].

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "every test program uses a part of this"
)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Stdin, Stdout, Write};
use std::ops::Deref;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use shmtable::{Options, Table};

mod claims;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod machine;
mod place;
mod threads;

pub use claims::*;
#[cfg(target_os = "linux")]
pub use linux::*;
#[cfg(target_os = "linux")]
pub use machine::*;
pub use place::*;
pub use threads::*;

/// Longer than anything takes on a very busy machine: who waits so long, hangs.
pub const LIMIT: Duration = Duration::from_secs(100);
/// The same for a whole child.
const LIFETIME: Duration = Duration::from_mins(5);

const ROLE: &str = "SHMTABLE_TEST_ROLE";
const ARGUMENTS: &str = "SHMTABLE_TEST_ARGUMENTS";
const SEPARATOR: &str = "\u{1f}";
/// What a line that is meant for the other process begins with; the test harness
/// prints lines of its own.
const MARK: &str = "@shmtable ";
const DONE: &str = "done";

/// A number of repetitions, multiplied by `SHMTABLE_TEST_SCALE` (1 by default).
pub fn scaled(repetitions: usize) -> usize {
    let scale = std::env::var("SHMTABLE_TEST_SCALE").map_or(1.0, |scale| {
        scale
            .parse::<f64>()
            .expect("SHMTABLE_TEST_SCALE is a number")
    });
    ((repetitions as f64 * scale).ceil() as usize).max(1)
}

/// A name for a segment that no other test uses, unlinked when it is dropped.
pub struct Name(String);

impl Name {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(format!("test-{}-{count}", std::process::id()))
    }

    /// The segment's file.
    pub fn path(&self) -> String {
        path_of(&self.0)
    }

    /// The file whose owner and mode say who may use it.
    pub fn access_path(&self) -> String {
        access_path_of(&self.0)
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = Table::unlink(&self.0);
    }
}

/// A table and its name; the name goes when this is dropped.
pub struct Named {
    pub table: Table,
    pub name: Name,
}

impl Named {
    pub fn create(options: &Options) -> Self {
        let name = Name::new();
        let table = options.create(&name).expect("a table is created");
        Self { table, name }
    }

    /// Another handle.
    pub fn open(&self) -> Table {
        Table::open(&self.name).expect("the table is opened")
    }
}

impl Deref for Named {
    type Target = Table;

    fn deref(&self) -> &Table {
        &self.table
    }
}

/// The shapes that tests of the contract are run on: as by default, with one
/// lock, with many and the smallest chunks.
pub fn shapes(capacity: usize, value_space: usize) -> [(&'static str, Options); 3] {
    let plain = Options::new().capacity(capacity).value_space(value_space);
    [
        ("default", plain.clone()),
        ("one stripe", plain.clone().stripes(1).max_participants(4)),
        (
            "small chunks",
            plain.stripes(64).chunk_size(4096).max_participants(8),
        ),
    ]
}

/// Nothing that the table promises of itself is broken.
#[track_caller]
pub fn assert_sound(table: &Table) {
    assert_eq!(table.check().expect("check runs"), Vec::<String>::new());
}

/// All entries, by iteration; each key once.
#[track_caller]
pub fn contents(table: &Table) -> HashMap<Vec<u8>, Vec<u8>> {
    let mut contents = HashMap::new();
    for entry in table {
        let (key, value) = entry.expect("iteration goes on");
        let twice = contents.insert(key, value);
        assert_eq!(twice, None, "a key is seen once");
    }
    contents
}

/// Bytes that look random and follow from a number.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A value that shows whether it is whole and whose it is: the key's number, the
/// version, the length, and bytes that follow from all three.
pub fn whole(key: u64, version: u64, length: usize) -> Vec<u8> {
    let mut value = Vec::with_capacity(24 + length);
    value.extend_from_slice(&key.to_le_bytes());
    value.extend_from_slice(&version.to_le_bytes());
    value.extend_from_slice(&(length as u64).to_le_bytes());
    value.extend_from_slice(&bytes(key ^ version.rotate_left(32), length));
    value
}

/// The version of a value of [`whole`]; panics if it is torn or another key's.
#[track_caller]
pub fn version_of(key: u64, value: &[u8]) -> u64 {
    assert!(
        value.len() >= 24,
        "{} bytes are no whole value",
        value.len()
    );
    let word = |at: usize| u64::from_le_bytes(value[at..at + 8].try_into().expect("8 bytes"));
    assert_eq!(word(0), key, "the value is another key's");
    let (version, length) = (word(8), word(16) as usize);
    assert!(
        value == whole(key, version, length),
        "the value of key {key}, version {version}, length {length}, is torn"
    );
    version
}

/// Small random numbers that follow from a seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)) * bound as u128) >> 64) as usize
    }
}

/// Waits until something holds.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < LIMIT, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Runs something on a thread of its own and fails if it does not come back.
#[track_caller]
pub fn bounded<R: Send + 'static>(what: &str, run: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _ = sender.send(run());
    });
    match receiver.recv_timeout(LIMIT) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs: {what}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().expect_err("it ended without a result"))
        }
    }
}

/// A child process; killed and reaped when it is dropped.
pub struct Child {
    process: std::process::Child,
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
    fn run(mut command: Command, test: &str, role: &str, arguments: &[&str]) -> Self {
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

    /// The next line of the child's.
    #[track_caller]
    pub fn hear(&self) -> String {
        self.hear_within(LIMIT)
            .unwrap_or_else(|| panic!("the child '{}' says nothing more", self.role))
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
        // Whoever waits for more input sees its end.
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
    pub fn exit_status(&mut self) -> std::process::ExitStatus {
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
    linux::die_with_parent();
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
pub fn start_together(test: &str, role: &str, arguments: &[Vec<String>]) -> Vec<Child> {
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
