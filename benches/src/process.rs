//! Contenders' processes, seen from the conductor.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::str::FromStr;

use shmtable_bench::Result;
use shmtable_bench::contender::{About, Room, Sharing};

use crate::order::{Mix, Mixed, Order, Pass, Passed};

/// This program. Its path may lead to a newer build by now.
pub(crate) const THIS_PROGRAM: &str = "/proc/self/exe";

/// A contender, and the program that plays it.
#[derive(Debug, Clone)]
pub(crate) struct Player {
    pub(crate) about: About,
    /// A program in another language; this program if `None`.
    pub(crate) program: Option<PathBuf>,
}

/// A process that takes orders. It ends when its input does, even if this process is
/// killed, and then removes what it created.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// The address at which other processes find its table.
    address: String,
    /// Nanoseconds that creating or opening it took.
    ready: u64,
}

impl Process {
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let mut child = command
            // Only the conductor gets an interrupt; its processes then find their input
            // ended.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let orders = child.stdin.take();
        let answers = child.stdout.take().ok_or("no output")?;
        let mut process = Self {
            name,
            child,
            orders,
            answers: BufReader::new(answers),
            address: String::new(),
            ready: 0,
        };
        // Its table is now created or opened.
        let line = process.answer()?;
        if let Some((address, nanoseconds)) = line.split_once(' ') {
            address.clone_into(&mut process.address);
            process.ready = nanoseconds.parse()?;
        }
        Ok(process)
    }

    /// Kills it with a signal that it can't handle.
    pub(crate) fn kill(&mut self) -> Result {
        self.child.kill()?;
        Ok(())
    }

    pub(crate) fn order(&mut self, order: &Order) -> Result {
        let orders = self.orders.as_mut().ok_or("it has ended")?;
        writeln!(orders, "{order}").map_err(|error| format!("{}: {error}", self.name).into())
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.is_empty() {
            return Err(format!("{} failed; see what it said above", self.name).into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn ask<A: FromStr<Err: Into<Box<dyn std::error::Error>>>>(
        &mut self,
        order: &Order,
    ) -> Result<A> {
        self.order(order)?;
        self.answer()?.parse().map_err(Into::into)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.child.wait();
    }
}

/// A contender's table, and the processes that have it open.
#[derive(Debug)]
pub(crate) struct Team {
    pub(crate) about: About,
    player: Player,
    work: PathBuf,
    arguments: Vec<String>,
    processes: Vec<Process>,
}

impl Team {
    /// Creates a table for the work, with this value space or enough.
    pub(crate) fn start(player: &Player, work: &Path, value_space: Option<usize>) -> Result<Self> {
        let mut arguments = Vec::new();
        if let Some(value_space) = value_space {
            arguments.push(format!("--value-space={value_space}"));
        }
        Self::with(player, work, arguments)
    }

    /// Creates a table with room for something else than the work.
    pub(crate) fn start_with_room(player: &Player, work: &Path, room: Room) -> Result<Self> {
        let entries = format!("--entries={}", room.entries);
        let value_space = format!("--value-space={}", room.value_space);
        Self::with(player, work, vec![entries, value_space])
    }

    /// Creates a table of counters.
    pub(crate) fn start_counters(player: &Player, work: &Path) -> Result<Self> {
        Self::with(player, work, vec!["--counters".to_owned()])
    }

    fn with(player: &Player, work: &Path, arguments: Vec<String>) -> Result<Self> {
        let mut command = command(player, work);
        command.args(&arguments);
        Ok(Self {
            about: player.about,
            player: player.clone(),
            work: work.to_owned(),
            arguments,
            processes: vec![Process::start(player.about.name, &mut command)?],
        })
    }

    /// The address at which other processes find the table.
    pub(crate) fn address(&self) -> &str {
        &self.processes[0].address
    }

    /// Nanoseconds that creating the table took.
    pub(crate) fn creation(&self) -> u64 {
        self.processes[0].ready
    }

    /// Nanoseconds that another process takes to open it.
    pub(crate) fn attach(&mut self) -> Result<u64> {
        Ok(self.another()?.ready)
    }

    fn another(&self) -> Result<Process> {
        let mut command = command(&self.player, &self.work);
        command
            .args(&self.arguments)
            .arg("--attach")
            .arg(self.address());
        Process::start(self.about.name, &mut command)
    }

    pub(crate) fn pass(&mut self, pass: Pass) -> Result<Passed> {
        self.processes[0].ask(&Order::Pass(pass))
    }

    /// A pass after a shorter one, because other contenders emptied the caches.
    pub(crate) fn warm_pass(&mut self, pass: Pass) -> Result<Passed> {
        self.pass(Pass {
            count: pass.count / 8,
            most: pass.most / 4,
            ..pass
        })?;
        self.pass(pass)
    }

    /// The latencies of single insertions: by the processor's time in the place of gets, and by
    /// the wall clock in that of writes.
    pub(crate) fn latencies(&mut self, pass: Pass) -> Result<Mixed> {
        self.processes[0].ask(&Order::Latencies(pass))
    }

    pub(crate) fn bytes(&mut self) -> Result<u64> {
        self.processes[0].ask(&Order::Bytes)
    }

    pub(crate) fn counter(&mut self) -> Result<u64> {
        self.processes[0].ask(&Order::Counter)
    }

    /// Runs a mix in this many processes or threads at the same time.
    pub(crate) fn mix(&mut self, mut mix: Mix, parties: usize) -> Result<Mixed> {
        mix.of = parties;
        if self.about.sharing != Sharing::Processes {
            mix.threads = parties;
            return self.processes[0].ask(&Order::Mix(mix));
        }
        while self.processes.len() < parties {
            let another = self.another()?;
            self.processes.push(another);
        }
        for (index, process) in self.processes[..parties].iter_mut().enumerate() {
            process.order(&Order::Mix(Mix { index, ..mix }))?;
        }
        let mut mixed = Mixed::new();
        for process in &mut self.processes[..parties] {
            mixed.join(&process.answer()?.parse()?)?;
        }
        Ok(mixed)
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        // The process that created the table ends last.
        while self.processes.pop().is_some() {}
    }
}

fn command(player: &Player, work: &Path) -> Command {
    let mut command = match &player.program {
        Some(program) => Command::new(program),
        None => Command::new(THIS_PROGRAM),
    };
    command.args(["worker", player.about.name]).arg(work);
    command
}
