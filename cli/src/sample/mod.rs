//! A table at one moment: its figures and its participants.

pub(crate) mod figures;
mod rates;
mod text;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::LazyLock;

use serde_json::{Value as Json, json};
use shmtable::{Figure, Options, Participant, Stats, Table};

pub(crate) use rates::Rates;
pub(crate) use text::text;

use crate::codec::Codec;
use crate::failure::Result;
use crate::units::{moment, since};

/// A table at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) stats: Stats,
    /// The figures of `stats`.
    pub(crate) figures: Vec<Figure>,
    pub(crate) participants: Vec<Participant>,
    pub(crate) readers: bool,
    pub(crate) anonymous: bool,
    /// Whether `gc` would remove it.
    pub(crate) orphan: bool,
    pub(crate) owner: u32,
    pub(crate) codec: u64,
}

/// Whether a process uses a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Used,
    Unused,
    Orphan,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Unused => "unused",
            Self::Orphan => "orphan",
        }
    }
}

/// The file of a table's segment.
pub(crate) fn segment_file(table: &str) -> PathBuf {
    PathBuf::from(format!("/dev/shm/shmtable.{table}"))
}

/// Opens a handle that doesn't count as a user of the table.
pub(crate) fn open_observer(options: &Options, name: &str) -> Result<Table> {
    Ok(options.open_observer(name)?)
}

impl Sample {
    /// Takes a sample.
    pub(crate) fn take(table: &Table) -> Result<Self> {
        Self::with(table, table.quick_stats()?)
    }

    /// Takes a sample with the longest probe, for which every bucket is read.
    pub(crate) fn take_all(table: &Table) -> Result<Self> {
        Self::with(table, table.stats()?)
    }

    fn with(table: &Table, stats: Stats) -> Result<Self> {
        Ok(Self {
            name: table.name().to_owned(),
            figures: stats.figures().collect(),
            stats,
            participants: table.participants()?,
            readers: table.has_readers()?,
            anonymous: table.is_anonymous(),
            orphan: table.is_orphan()?,
            owner: table.owner()?,
            codec: table.codec_id(),
        })
    }

    pub(crate) fn living(&self) -> usize {
        self.participants.iter().filter(|one| one.alive).count()
    }

    /// The number of participants whose processes died and whose slots are not reused yet.
    pub(crate) fn died(&self) -> usize {
        self.participants.len() - self.living()
    }

    pub(crate) fn state(&self) -> State {
        if self.orphan {
            State::Orphan
        } else if self.living() > 0 || self.readers || self.seems_orphaned() {
            // A process, such as a forked reader, may have it open without holding a lock.
            State::Used
        } else {
            State::Unused
        }
    }

    /// Whether it is anonymous and no lock shows that a process uses it.
    pub(crate) fn seems_orphaned(&self) -> bool {
        let generated = self.name.starts_with("anon-");
        self.anonymous && generated && self.living() == 0 && !self.readers
    }

    /// Bytes of memory that the table takes.
    pub(crate) fn memory(&self) -> u64 {
        self.stats.memory_bytes as u64
    }

    pub(crate) fn used(&self) -> u64 {
        self.stats.value_bytes_live as u64
    }

    pub(crate) fn to_json(&self) -> Json {
        let mut json = json!({
            "name": self.name,
            "state": self.state().name(),
        });
        for figure in &self.figures {
            figures::add_to(&mut json, figure);
        }
        let mut add = |name: &str, value: Json| json[name] = value;
        add("bytes_used", self.used().into());
        add("readers", self.readers.into());
        add("died", self.died().into());
        add("owner", user_name(self.owner).into());
        add("uid", self.owner.into());
        add("age_seconds", since(self.stats.created).as_secs().into());
        add("anonymous", self.anonymous.into());
        add("codec", Codec::of(self.codec).name.into());
        add("codec_id", format!("{:016x}", self.codec).into());
        json["participants"] = self
            .participants
            .iter()
            .map(|one| {
                json!({
                    "slot": one.slot,
                    "pid": one.pid,
                    "since": moment(one.since),
                    "state": process_state(one, &self.name),
                    "locks": one.locks,
                    "chunks": one.chunks,
                })
            })
            .collect();
        json
    }
}

/// The state of a participant's process.
///
/// The process id is that of its own namespace. So the process with this id here is only taken
/// for the participant if it has the table open.
pub(crate) fn process_state(one: &Participant, table: &str) -> &'static str {
    if !one.alive {
        return "died";
    }
    let known = (|| {
        let folder = format!("/proc/{}", one.pid);
        let file = fs::metadata(segment_file(table)).ok()?;
        // Names don't tell: the creator opened the table before it had one.
        let is_it = fs::read_dir(format!("{folder}/fd")).ok()?.any(|entry| {
            let open = entry.ok().and_then(|entry| fs::metadata(entry.path()).ok());
            open.is_some_and(|open| (open.dev(), open.ino()) == (file.dev(), file.ino()))
        });
        let stat = fs::read_to_string(format!("{folder}/stat")).ok()?;
        let state = stat.rsplit_once(") ")?.1.chars().next()?;
        is_it.then_some(match state {
            'T' | 't' => "stopped",
            'R' => "running",
            'D' => "waiting",
            'Z' => "zombie",
            _ => "sleeping",
        })
    })();
    known.unwrap_or("alive")
}

/// The name of a user, or the number if there is no name.
pub(crate) fn user_name(user: u32) -> String {
    static NAMES: LazyLock<HashMap<u32, String>> = LazyLock::new(|| {
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        users
            .lines()
            .filter_map(|line| {
                let mut fields = line.split(':');
                let name = fields.next()?;
                Some((fields.nth(1)?.parse().ok()?, name.to_owned()))
            })
            .collect()
    });
    NAMES
        .get(&user)
        .cloned()
        .unwrap_or_else(|| user.to_string())
}
