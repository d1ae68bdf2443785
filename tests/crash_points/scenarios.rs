//! What the worker does before it dies: one scenario for each operation.

use std::time::Duration;

use shmtable::{Options, Table};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::common::{Dice, Named};
use crate::damage;
use crate::steps::Step::{
    self, Check, Clear, Exchange, FetchAdd, FetchMax, FetchMin, Insert, InsertSlices, Remove,
    Repair, Replace, Retain, Shrink, Snapshot, Take, TryInsert, Update, Wait,
};
use crate::steps::{KEYS_EACH, Model, Part, apply_all, key_of};

pub const CHUNK: usize = 4096;
/// The keys of the process that the worker meets.
pub const OTHER: u64 = 3 * KEYS_EACH;

/// The process that the worker meets.
#[derive(Clone, Copy)]
pub enum Meeting {
    Nobody,
    /// A process that owns the stripe's lock until the worker waits for it.
    Holder,
    /// A process that inserts an entry of this many bytes while the worker stands at a
    /// point, with a handle that lives longer, or not.
    Writer(&'static str, usize, Handle),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Handle {
    Lasting,
    Brief,
}

pub struct Scenario {
    pub name: &'static str,
    /// The capacity with which it begins, if it grows.
    first: Option<usize>,
    pub capacity: usize,
    pub space: usize,
    stripes: usize,
    pub setup: Vec<Step>,
    pub steps: Vec<Step>,
    /// Which passes of a point to die at, beside the first two.
    pub passes: &'static [u64],
    /// Points after a death at which repairers die too, in the short form.
    pub repaired: &'static [&'static str],
    /// The repairer was attached before the death.
    pub witnessed: bool,
    pub meeting: Meeting,
    /// A process sleeps until a key of the stripe changes.
    sleeper: bool,
    /// The handle that set the table up is closed.
    closed: bool,
    /// A free chunk holds something.
    pub damaged: bool,
}

impl Scenario {
    pub fn options(&self) -> Options {
        Options::new()
            .capacity(self.first.unwrap_or(self.capacity))
            .max_capacity(self.capacity)
            .value_space(self.space)
            .stripes(self.stripes)
            .chunk_size(CHUNK)
            .max_participants(3)
            .lock_timeout(Duration::from_mins(1))
    }

    pub fn before(&self) -> Model {
        Part::whole(Model::new(), &self.setup, 500).after()
    }

    pub fn new_table(&self) -> Named {
        let mut named = Named::create(&self.options());
        apply_all(&self.setup, &named, 500);
        if self.sleeper {
            // It leaves its mark in the lock word.
            Wait(99).apply(&named, 0);
        }
        if self.damaged {
            damage::fill_free_chunk(&named.name);
        }
        if self.closed {
            // The new handle is there before the old one goes.
            named.table = self.options().open(&named.name).unwrap();
        }
        named
    }

    /// What the one that the worker meets does.
    pub fn others_steps(&self) -> Vec<Step> {
        match self.meeting {
            Meeting::Writer(_, length, _) => vec![Insert(OTHER, length)],
            Meeting::Nobody | Meeting::Holder => Vec::new(),
        }
    }

    pub fn meet(&self, named: &Named) {
        let apply = |table: &Table| apply_all(&self.others_steps(), table, OTHER);
        match self.meeting {
            Meeting::Writer(_, _, Handle::Brief) => apply(&named.open()),
            _ => apply(named),
        }
    }
}

/// What a repairer that writes does: enough to meet what the dead have left.
pub fn repairers_steps(first_key: u64) -> Vec<Step> {
    vec![
        Insert(first_key, 100),
        Replace(first_key, 200),
        FetchAdd(first_key + 1, 5),
        Insert(first_key + 2, 3000),
        Remove(first_key),
    ]
}

fn plain(name: &'static str, setup: &[Step], steps: &[Step]) -> Scenario {
    Scenario {
        name,
        first: None,
        capacity: 40,
        space: 60_000,
        stripes: 1,
        setup: setup.to_vec(),
        steps: steps.to_vec(),
        passes: &[],
        repaired: &[],
        witnessed: false,
        meeting: Meeting::Nobody,
        sleeper: false,
        closed: false,
        damaged: false,
    }
}

fn with_repair(scenario: Scenario, repaired: &'static [&'static str]) -> Scenario {
    Scenario {
        repaired,
        ..scenario
    }
}

pub fn scenarios() -> Vec<Scenario> {
    let thirty: Vec<Step> = (1..=30).map(|key| Insert(key, 20 + key as usize)).collect();
    // A table of 40 has 9 buckets of 7 slots in one stripe. With this many entries, some are
    // behind their home bucket, and two repairers still find room.
    let full: Vec<Step> = (1..=56).map(|key| Insert(key, 20)).collect();
    let mut scenarios = of_one_key(&thirty, &full);
    scenarios.push(with_repair(
        Scenario {
            stripes: 4,
            passes: &[3, 4, 5, 8],
            ..plain(
                "all stripes at once",
                &thirty,
                &[Snapshot, Check, Repair, Clear],
            )
        },
        // With all locks held.
        &["unlock: before"],
    ));
    // Where tables don't grow, they keep their memory.
    if cfg!(not(any(windows, shmtable_portable))) {
        scenarios.extend(memory());
    }
    scenarios.extend(doublings());
    scenarios.extend(chunks(&thirty));
    scenarios.extend(encounters(&thirty));
    scenarios
}

/// Scenarios of the entries of one stripe.
fn of_one_key(thirty: &[Step], full: &[Step]) -> Vec<Scenario> {
    let removals: Vec<Step> = (1..=56).map(Remove).collect();
    vec![
        plain("attach, detach", thirty, &[]),
        with_repair(
            plain("insert", thirty, &[Insert(100, 50), Insert(101, 400)]),
            &[
                "lock: taken",
                "allocate: cursor moved",
                "bucket: slot written, tag not",
                "insert: published",
            ],
        ),
        plain(
            "insert_slices",
            thirty,
            &[InsertSlices(100, 300), InsertSlices(3, 300)],
        ),
        plain(
            "try_insert",
            thirty,
            &[TryInsert(101, 8), TryInsert(101, 9)],
        ),
        with_repair(
            plain("insert past full buckets", &full[..48], &full[48..]),
            &["insert: overflow raised"],
        ),
        with_repair(
            plain(
                "replace",
                thirty,
                &[Insert(3, 77), Replace(4, 0), Replace(4, 8)],
            ),
            &["bucket: slot replaced, version not bumped"],
        ),
        plain(
            "replace in place",
            &[thirty, &[Insert(50, 8), Insert(51, 3)]].concat(),
            &[Insert(50, 8), Replace(51, 3), Update(51, Some(3))],
        ),
        with_repair(
            plain(
                "records written anew",
                thirty,
                // The second one takes the space that the first one kept.
                &[
                    Insert(5, 25),
                    Replace(5, 25),
                    Update(7, Some(27)),
                    Insert(8, 28),
                ],
            ),
            &["rewrite: other record published", "rewrite: record written"],
        ),
        with_repair(
            plain(
                "entries in their slots",
                thirty,
                &[
                    Insert(100, 5),
                    // A record, and a slot's again.
                    Insert(100, 2),
                    Replace(100, 7),
                    TryInsert(101, 0),
                    Update(101, Some(4)),
                    Exchange(101, Some(6)),
                    Remove(100),
                    Insert(100, 1),
                ],
            ),
            &[
                "bucket: tail written, head not",
                "bucket: slot written, tag not",
                "bucket: slot replaced, version not bumped",
                "bucket: tag cleared, version not bumped",
            ],
        ),
        with_repair(
            plain("remove", full, &removals),
            &[
                "bucket: tag cleared, version not bumped",
                "remove: unlinked",
                "remove: overflow lowered",
            ],
        ),
        plain("take", full, &[Take(3), Take(56), Take(99)]),
        plain(
            "update",
            thirty,
            &[Update(100, Some(40)), Update(3, Some(9)), Update(4, None)],
        ),
        plain(
            "compare_exchange",
            thirty,
            &[
                Exchange(100, Some(20)),
                Exchange(100, Some(30)),
                Exchange(3, Some(23)),
                Exchange(4, None),
            ],
        ),
        plain(
            "fetch_add",
            thirty,
            &[FetchAdd(100, 7), FetchAdd(100, -9), FetchAdd(100, 1)],
        ),
        plain(
            "fetch_max and fetch_min",
            thirty,
            &[FetchMax(100, 7), FetchMax(100, 9), FetchMin(100, -9)],
        ),
        with_repair(plain("retain", full, &[Retain(3)]), &["remove: unlinked"]),
        with_repair(
            Scenario {
                closed: true,
                ..plain("clear", full, &[Clear, Insert(100, 400)])
            },
            &["clear: chunk taken", "clear: bucket emptied"],
        ),
    ]
}

/// Scenarios of a stripe that is doubled, from one bucket on.
fn doublings() -> Vec<Scenario> {
    let insert = |keys: std::ops::RangeInclusive<u64>| -> Vec<Step> {
        // Every third is a record.
        let length = |key: u64| if key.is_multiple_of(3) { 20 } else { 5 };
        keys.map(|key| Insert(key, length(key))).collect()
    };
    let grows = |scenario| Scenario {
        first: Some(4),
        capacity: 80,
        ..scenario
    };
    // More of them go to one new bucket than it has room for.
    let (going, others) = (keys_of_places(2, 10), keys_of_places(1, 3));
    let crowd: Vec<Step> = others
        .iter()
        .chain(&going)
        .map(|key| Insert(*key, 5))
        .collect();
    vec![
        with_repair(
            grows(plain("a crowd that goes", &crowd[..12], &crowd[12..])),
            &["double: overflow raised in a new bucket"],
        ),
        // The next insertion doubles it, whoever does it.
        with_repair(
            grows(plain("the first doubling", &insert(1..=7), &insert(8..=9))),
            &[
                "double: pages present",
                "double: slot copied",
                "double: copies published",
                "bucket: tags cleared, version not bumped",
            ],
        ),
        with_repair(
            Scenario {
                passes: &[3, 4, 5, 8, 12],
                ..grows(plain("doublings", &insert(1..=20), &insert(21..=80)))
            },
            &[
                "double: entries of an old bucket removed",
                "double: overflow lowered in an old bucket",
                "double: nearer copies published",
            ],
        ),
    ]
}

/// Scenarios of memory that is given back, and got again.
fn memory() -> Vec<Scenario> {
    let insert = |keys: std::ops::RangeInclusive<u64>| -> Vec<Step> {
        keys.map(|key| Insert(key, 900)).collect()
    };
    let mut steps = vec![Retain(20), Shrink];
    steps.extend(insert(101..=140));
    vec![with_repair(
        Scenario {
            first: Some(4),
            capacity: 80,
            // The worker gets the slot of one that has read.
            closed: true,
            ..plain("memory", &insert(1..=50), &steps)
        },
        &[
            "memory: chunk taken to give it back",
            "memory: given back",
            "memory: chunk without it",
            "memory: chunk taken to get it",
            "memory: got",
        ],
    )]
}

/// Keys whose home in a stripe of four buckets is at this place.
fn keys_of_places(place: u64, count: usize) -> Vec<u64> {
    // The seed of this build, and the bits of a hash that choose the bucket.
    const SEED: u64 = 0x5eed_5eed_5eed_5eed;
    (1..KEYS_EACH)
        .filter(|key| xxh3_64_with_seed(&key_of(*key), SEED) >> 8 & 3 == place)
        .take(count)
        .collect()
}

/// Scenarios of chunks: runs of them, and cleaning.
fn chunks(thirty: &[Step]) -> Vec<Scenario> {
    vec![
        with_repair(
            plain(
                "values of several chunks",
                thirty,
                &[
                    Insert(100, 9000),
                    Replace(100, 13_000),
                    Update(100, Some(5000)),
                    Take(100),
                ],
            ),
            &["run: tail taken", "free: a tail freed", "free: run reset"],
        ),
        with_repair(
            Scenario {
                space: 14_000,
                passes: &[7, 25],
                ..plain("cleaning", &[], &cleaning())
            },
            &[
                "clean: chunk taken",
                "clean: record copied",
                "free: cursor reset",
            ],
        ),
        Scenario {
            space: 16_000,
            passes: &[7],
            ..plain("cleaning, several chunks", &[], &runs())
        },
    ]
}

/// Scenarios in which there is another process.
fn encounters(thirty: &[Step]) -> Vec<Scenario> {
    // So large that its room is taken before the stripe's lock, which others want.
    let insert = |name| plain(name, thirty, &[Insert(100, 400)]);
    // Almost a whole chunk.
    let most = 4000;
    vec![
        Scenario {
            sleeper: true,
            ..insert("insert, a sleeper")
        },
        Scenario {
            meeting: Meeting::Holder,
            ..insert("insert after waiting")
        },
        Scenario {
            witnessed: true,
            ..with_repair(insert("insert before a witness"), &["insert: published"])
        },
        plain("wait", thirty, &[Wait(99), Wait(1)]),
        Scenario {
            closed: true,
            ..insert("chunk reopened")
        },
        Scenario {
            closed: true,
            meeting: Meeting::Writer("reopen: room seen", 2000, Handle::Brief),
            ..insert("chunk filled by another")
        },
        Scenario {
            meeting: Meeting::Writer("take: enough are free", most, Handle::Lasting),
            ..insert("chunk taken by another")
        },
        Scenario {
            meeting: Meeting::Writer("run: length written", most, Handle::Lasting),
            ..plain("tail taken by another", thirty, &[Insert(100, 9000)])
        },
        Scenario {
            damaged: true,
            ..insert("chunk not free at all")
        },
    ]
}

/// The space is nearly full of values that die one by one, so that chunks with live
/// records are cleaned too.
fn cleaning() -> Vec<Step> {
    let mut dice = Dice::new(11);
    (0..300)
        .map(|_| {
            let key = 1 + dice.below(36) as u64;
            match dice.below(12) {
                0 => Remove(key),
                1 => Update(key, Some(200 + dice.below(170))),
                _ => Insert(key, 200 + dice.below(170)),
            }
        })
        .collect()
}

fn runs() -> Vec<Step> {
    let mut dice = Dice::new(12);
    (0..60)
        .map(|_| match dice.below(5) {
            0 => Remove(1),
            1 | 2 => Insert(1, 5000 + dice.below(7000)),
            _ => Insert(2 + dice.below(8) as u64, dice.below(900)),
        })
        .collect()
}
