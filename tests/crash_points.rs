//! Does the table hold if a process dies between any two stores of any operation?
//!
//! Built only with `--cfg shmtable_crash_points`. For each scenario a first child
//! tells which points it passes; then, for each of these, a child on a new table
//! dies there by SIGKILL. Afterwards everything that was acknowledged is there,
//! the step under way happened or did not, nothing is broken, nobody hangs, and
//! the table takes all that it was created for.

#![cfg(all(target_os = "linux", shmtable_crash_points))]

mod common;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Child, Dice, Name, Named, assert_sound, bounded, bytes, contents, files_named};
use shmtable::{Error, Options, Table};

type Model = HashMap<Vec<u8>, Vec<u8>>;

const CHUNK: usize = 4096;
/// Keys from here on belong to the second process of a test.
const SECOND: u64 = 1000;

#[derive(Debug, Clone, Copy)]
enum Step {
    Insert(u64, usize),
    TryInsert(u64, usize),
    Replace(u64, usize),
    Update(u64, Option<usize>),
    Exchange(u64, Option<usize>),
    FetchAdd(u64, i64),
    Remove(u64),
    Take(u64),
}

fn key_of(number: u64) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

impl Step {
    fn key(self) -> Vec<u8> {
        let (Self::Insert(key, _)
        | Self::TryInsert(key, _)
        | Self::Replace(key, _)
        | Self::Update(key, _)
        | Self::Exchange(key, _)
        | Self::FetchAdd(key, _)
        | Self::Remove(key)
        | Self::Take(key)) = self;
        key_of(key)
    }

    /// What it leaves under its key, which held `old`.
    fn leaves(self, old: Option<&Vec<u8>>, seed: u64) -> Option<Vec<u8>> {
        match self {
            Self::Insert(_, length) | Self::Replace(_, length) => Some(bytes(seed, length)),
            Self::TryInsert(_, length) => old.cloned().or_else(|| Some(bytes(seed, length))),
            Self::Update(_, length) | Self::Exchange(_, length) => {
                length.map(|length| bytes(seed, length))
            }
            Self::FetchAdd(_, add) => {
                let before = old.map_or(0, |old| {
                    i64::from_le_bytes(old.as_slice().try_into().expect("a counter"))
                });
                Some((before + add).to_le_bytes().to_vec())
            }
            Self::Remove(_) | Self::Take(_) => None,
        }
    }

    fn apply(self, table: &Table, seed: u64) {
        let key = self.key();
        let old = table.get(&key).unwrap();
        let new = self.leaves(old.as_ref(), seed);
        match self {
            Self::Insert(..) => drop(table.insert(&key, &new.unwrap()).unwrap()),
            Self::TryInsert(..) => drop(table.try_insert(&key, &new.unwrap()).unwrap()),
            Self::Replace(..) => {
                assert_eq!(table.replace(&key, &new.unwrap()).unwrap(), old);
            }
            Self::Update(..) => drop(table.update(&key, |_| new.clone()).unwrap()),
            Self::Exchange(..) => {
                let outcome = table.compare_exchange(&key, old.as_deref(), new.as_deref());
                assert_eq!(outcome.unwrap(), Ok(()));
            }
            Self::FetchAdd(_, add) => drop(table.fetch_add(&key, add).unwrap()),
            Self::Remove(_) => drop(table.remove(&key).unwrap()),
            Self::Take(_) => assert_eq!(table.take(&key).unwrap(), old),
        }
    }
}

/// The model after 0, 1, 2... steps.
fn models(before: &Model, steps: &[Step], seed: u64) -> Vec<Model> {
    let mut models = vec![before.clone()];
    for (at, step) in steps.iter().enumerate() {
        let mut model = models[at].clone();
        let key = step.key();
        match step.leaves(model.get(&key), seed + at as u64) {
            Some(value) => model.insert(key, value),
            None => model.remove(&key),
        };
        models.push(model);
    }
    models
}

struct Scenario {
    name: &'static str,
    capacity: usize,
    space: usize,
    setup: Vec<Step>,
    steps: Vec<Step>,
    /// Which passes of a point to die at.
    passes: &'static [u64],
    /// Somebody sleeps until a key of the stripe changes.
    sleeper: bool,
    /// The parent holds the lock until the child waits for it.
    contended: bool,
}

impl Scenario {
    fn options(&self) -> Options {
        Options::new()
            .capacity(self.capacity)
            .value_space(self.space)
            .stripes(1)
            .chunk_size(CHUNK)
            .max_participants(3)
            .lock_timeout(Duration::from_mins(1))
    }

    fn before(&self) -> Model {
        models(&Model::new(), &self.setup, 500).pop().unwrap()
    }
}

fn scenarios() -> Vec<Scenario> {
    use Step::{Exchange, FetchAdd, Insert, Remove, Replace, Take, TryInsert, Update};
    let thirty: Vec<Step> = (1..=30).map(|key| Insert(key, 20 + key as usize)).collect();
    // A table of 40 has 5 buckets of 11 slots in one stripe: with 52 entries some
    // stand behind their own bucket, whatever the seed.
    let full: Vec<Step> = (1..=52).map(|key| Insert(key, 20)).collect();
    let plain = |name, setup: &[Step], steps: &[Step]| Scenario {
        name,
        capacity: 40,
        space: 60_000,
        setup: setup.to_vec(),
        steps: steps.to_vec(),
        passes: &[1, 2],
        sleeper: false,
        contended: false,
    };
    let mut dice = Dice::new(11);
    // The space is nearly full of values that die one by one, so that chunks with
    // live records are cleaned too.
    let cleaning: Vec<Step> = (0..300)
        .map(|_| {
            let key = 1 + dice.below(36) as u64;
            match dice.below(12) {
                0 => Remove(key),
                1 => Update(key, Some(200 + dice.below(170))),
                _ => Insert(key, 200 + dice.below(170)),
            }
        })
        .collect();
    let removals: Vec<Step> = (1..=52)
        .map(|key| if key % 3 == 0 { Take(key) } else { Remove(key) })
        .collect();
    let runs: Vec<Step> = (0..60)
        .map(|_| match dice.below(5) {
            0 => Remove(1),
            1 | 2 => Insert(1, 5000 + dice.below(7000)),
            _ => Insert(2 + dice.below(8) as u64, dice.below(900)),
        })
        .collect();
    vec![
        plain("insert", &thirty, &[Insert(100, 50), TryInsert(101, 8)]),
        plain("insert past full buckets", &full[..44], &full[44..]),
        plain(
            "replace",
            &thirty,
            &[Insert(3, 77), Replace(4, 0), Replace(4, 8)],
        ),
        plain(
            "replace in place",
            &[&thirty[..], &[Insert(50, 8), Insert(51, 3)]].concat(),
            &[Insert(50, 8), Replace(51, 3), Update(51, Some(3))],
        ),
        plain("remove", &full, &removals),
        plain(
            "update",
            &thirty,
            &[Update(100, Some(40)), Update(3, Some(9)), Update(4, None)],
        ),
        plain(
            "fetch_add",
            &thirty,
            &[FetchAdd(100, 7), FetchAdd(100, -9), FetchAdd(100, 1)],
        ),
        plain(
            "compare_exchange",
            &thirty,
            &[
                Exchange(100, Some(20)),
                Exchange(100, Some(30)),
                Exchange(3, Some(23)),
                Exchange(4, None),
            ],
        ),
        plain(
            "values of several chunks",
            &thirty,
            &[
                Insert(100, 9000),
                Replace(100, 13_000),
                Update(100, Some(5000)),
                Take(100),
            ],
        ),
        Scenario {
            space: 14_000,
            passes: &[1, 2, 7, 25],
            ..plain("cleaning", &[], &cleaning)
        },
        Scenario {
            space: 16_000,
            passes: &[1, 2, 7],
            ..plain("cleaning and several chunks", &[], &runs)
        },
        Scenario {
            sleeper: true,
            ..plain("insert while somebody sleeps", &thirty, &[Insert(100, 50)])
        },
        Scenario {
            contended: true,
            ..plain("insert after waiting", &thirty, &[Insert(100, 50)])
        },
    ]
}

/// A file for the points that a child passes.
struct Log(PathBuf);

impl Log {
    fn new() -> Self {
        let name = Name::new();
        Self(std::env::temp_dir().join(format!("{}.points", &*name)))
    }

    fn points(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// How a child ended.
struct End {
    killed: bool,
    /// Steps that it acknowledged.
    done: usize,
}

const LOG: &str = "SHMTABLE_CRASH_LOG";
const AT: &str = "SHMTABLE_CRASH_AT";

/// The child's part: all steps of a list.
fn act(role: &common::Role) {
    if role.name == "mender" {
        let table = Table::open(role.argument(0)).unwrap();
        assert!(!table.repair().unwrap().is_empty());
        return;
    }
    let (steps, seed) = if role.name == "second" {
        (second_steps(), 9000)
    } else {
        let scenario = scenarios().swap_remove(role.number(1));
        (scenario.steps, 1000)
    };
    let options = Options::new().lock_timeout(Duration::from_mins(1));
    let table = options.open(role.argument(0)).unwrap();
    for (at, step) in steps.iter().enumerate() {
        step.apply(&table, seed + at as u64);
        role.tell("step");
    }
}

/// What the second process does: enough to meet what the first has left.
fn second_steps() -> Vec<Step> {
    let key = SECOND;
    vec![
        Step::Insert(key, 100),
        Step::Replace(key, 200),
        Step::FetchAdd(key + 1, 5),
        Step::Insert(key + 2, 3000),
        Step::Remove(key),
    ]
}

fn new_table(scenario: &Scenario) -> Named {
    let named = Named::create(&scenario.options());
    for (at, step) in scenario.setup.iter().enumerate() {
        step.apply(&named, 500 + at as u64);
    }
    if scenario.sleeper {
        // It leaves its mark in the lock word.
        let woken = named.wait(&key_of(99), Duration::from_millis(1)).unwrap();
        assert_eq!(woken, None);
    }
    named
}

fn run(test: &str, role: &str, named: &Named, index: usize, environment: (&str, &str)) -> End {
    let index_text = index.to_string();
    let arguments: [&str; 2] = [&named.name, &index_text];
    let start = || {
        Child::start_with(test, role, &arguments, |command| {
            command.env(environment.0, environment.1);
        })
    };
    let mut child = if role == "first" && scenarios()[index].contended {
        let mut child = None;
        named
            .update(&key_of(98), |_| {
                child.get_or_insert_with(start);
                // Until it sleeps for the lock.
                std::thread::sleep(Duration::from_millis(60));
                None
            })
            .unwrap();
        child.unwrap()
    } else {
        start()
    };
    let status = child.exit_status();
    let done = child
        .hear_rest()
        .iter()
        .filter(|line| *line == "step")
        .count();
    let killed = status.signal() == Some(9);
    assert!(killed || status.success(), "a child failed: {status:?}");
    End { killed, done }
}

/// One process's part of a table: what may be there.
struct Part {
    models: Vec<Model>,
    end: End,
}

impl Part {
    fn is_state(&self, found: &Model) -> bool {
        let next = (self.end.done + usize::from(self.end.killed)).min(self.models.len() - 1);
        self.models[self.end.done..=next].contains(found)
    }
}

fn number_of(key: &[u8]) -> u64 {
    u64::from_le_bytes(key.try_into().unwrap())
}

/// The table is in a state that these processes may have left, and is as good as
/// new.
fn verify(case: &str, named: &Named, scenario: &Scenario, parts: Vec<Part>) {
    let table = named.table.clone();
    let (capacity, space) = (scenario.capacity, scenario.space);
    let name = case.to_owned();
    bounded(case, move || {
        let matches = |when: &str| {
            let found = contents(&table);
            let (first, second): (Model, Model) = found
                .into_iter()
                .partition(|(key, _)| number_of(key) < SECOND);
            for (part, found) in parts.iter().zip([first, second]) {
                let lengths: BTreeMap<u64, usize> = found
                    .iter()
                    .map(|(key, value)| (number_of(key), value.len()))
                    .collect();
                assert!(
                    part.is_state(&found),
                    "{name}: {when}: not a state after {} steps (killed: {}): {lengths:?}",
                    part.end.done,
                    part.end.killed
                );
            }
        };
        matches("before any repair");
        assert_sound(&table);
        matches("after repair");
        let stats = table.stats().unwrap();
        assert_eq!(
            (stats.entries, stats.participants),
            (contents(&table).len(), 1),
            "{name}"
        );
        // All that the table was created for still fits, twice.
        for round in 0..2 {
            table.clear().unwrap();
            let length = (space / capacity - 8).min(CHUNK - 32);
            for number in 0..capacity as u64 {
                let value = bytes(number, length);
                let inserted = table.insert(&key_of(5000 * round + number), &value);
                assert!(inserted.unwrap(), "{name}: entry {number} of round {round}");
            }
            assert_eq!(table.len(), capacity);
            assert_sound(&table);
        }
        // In one piece, too.
        table.clear().unwrap();
        table.insert(b"", &bytes(1, space)).unwrap();
        assert_eq!(table.get(b"").unwrap(), Some(bytes(1, space)));
        assert_sound(&table);
    });
}

/// The points that a scenario's child passes. Which buckets overflow depends on a
/// table's random seed, so several are asked.
fn points_of(test: &str, index: usize) -> Vec<String> {
    let mut points: Vec<String> = Vec::new();
    for _ in 0..3 {
        let named = new_table(&scenarios()[index]);
        let log = Log::new();
        let end = run(test, "first", &named, index, (LOG, log.0.to_str().unwrap()));
        assert!(!end.killed);
        for point in log.points() {
            if !points.contains(&point) {
                points.push(point);
            }
        }
    }
    points
}

/// Kills children on new tables at one pass of a point until one met it, and
/// returns that table. `None`: this pass does not happen.
fn kill_at(test: &str, index: usize, point: &str, pass: u64) -> Option<(Named, End)> {
    // A first pass was seen, so it likely comes again; a later one perhaps not.
    let attempts = if pass == 1 { 12 } else { 1 };
    let at = format!("{point}:{pass}");
    (0..attempts).find_map(|_| {
        let named = new_table(&scenarios()[index]);
        let end = run(test, "first", &named, index, (AT, &at));
        end.killed.then_some((named, end))
    })
}

fn first_part(scenario: &Scenario, end: End) -> Part {
    Part {
        models: models(&scenario.before(), &scenario.steps, 1000),
        end,
    }
}

#[test]
fn a_death_at_any_point_of_any_operation() {
    let test = "a_death_at_any_point_of_any_operation";
    if let Some(role) = common::role() {
        return act(&role);
    }
    let mut kills = 0;
    let (mut seen, mut died_at) = (BTreeSet::new(), BTreeSet::new());
    for (index, scenario) in scenarios().iter().enumerate() {
        let points = points_of(test, index);
        let mut here = 0;
        for point in &points {
            for pass in scenario.passes {
                let case = format!("{}, {point}, pass {pass}", scenario.name);
                let Some((named, end)) = kill_at(test, index, point, *pass) else {
                    // An overflow that another table's seed brought about.
                    continue;
                };
                died_at.insert(point.clone());
                verify(&case, &named, scenario, vec![first_part(scenario, end)]);
                here += 1;
            }
        }
        println!("{}: {} points, {here} kills", scenario.name, points.len());
        kills += here;
        seen.extend(points);
    }
    println!("together {} points, {kills} kills", seen.len());
    assert_eq!(seen, died_at, "somebody died at every point that was seen");
}

#[test]
fn a_death_at_any_point_of_repair_and_take_over() {
    let test = "a_death_at_any_point_of_repair_and_take_over";
    if let Some(role) = common::role() {
        return act(&role);
    }
    let mut kills = 0;
    let scenarios = scenarios();
    for (name, first_point) in [
        ("insert", "lock: taken"),
        ("insert", "allocate: cursor moved"),
        ("insert", "bucket: slot written, tag not"),
        ("insert", "insert: published"),
        ("insert past full buckets", "insert: overflow raised"),
        ("replace", "bucket: slot replaced, version not bumped"),
        ("remove", "remove: unlinked"),
        ("remove", "remove: overflow lowered"),
        ("values of several chunks", "run: tail taken"),
        ("values of several chunks", "free: a tail freed"),
        ("cleaning", "clean: chunk taken"),
        ("cleaning", "clean: record copied"),
    ] {
        let index = scenarios.iter().position(|s| s.name == name).unwrap();
        let scenario = &scenarios[index];
        let second_models = models(&Model::new(), &second_steps(), 9000);
        // Which points the second passes, of those that only a death brings about.
        let (named, _) = kill_at(test, index, first_point, 1).expect("the first dies");
        let log = Log::new();
        let end = run(
            test,
            "second",
            &named,
            index,
            (LOG, log.0.to_str().unwrap()),
        );
        assert!(!end.killed);
        let points: Vec<String> = log
            .points()
            .into_iter()
            .filter(|point| {
                [
                    "lock: taken over",
                    "repair:",
                    "take over:",
                    "reopen:",
                    "close:",
                ]
                .iter()
                .any(|prefix| point.starts_with(prefix))
            })
            .collect();
        assert!(
            !points.is_empty(),
            "nothing of {name}, {first_point} was taken over"
        );
        let mut here = 0;
        for point in &points {
            for pass in [1, 2, 4] {
                let case = format!("{name}, {first_point}, then {point}, pass {pass}");
                let (named, first) = kill_at(test, index, first_point, 1).expect("it dies");
                let at = format!("{point}:{pass}");
                let second = run(test, "second", &named, index, (AT, &at));
                here += usize::from(second.killed);
                let parts = vec![
                    first_part(scenario, first),
                    Part {
                        models: second_models.clone(),
                        end: second,
                    },
                ];
                verify(&case, &named, scenario, parts);
            }
        }
        println!(
            "{name}, {first_point}: {} points of take-over, {here} kills",
            points.len()
        );
        assert!(here >= points.len());
        kills += here;
    }
    println!("together {kills} second kills");
}

#[test]
fn a_death_at_any_point_of_creation() {
    let test = "a_death_at_any_point_of_creation";
    let options = || Options::new().capacity(50).stripes(1).chunk_size(CHUNK);
    if let Some(role) = common::role() {
        let table = options().create(role.argument(0)).unwrap();
        role.tell("created");
        table.insert(&key_of(1), b"value").unwrap();
        role.tell("inserted");
        return;
    }
    let create = |name: &Name, environment: (&str, &str)| {
        let mut child = Child::start_with(test, "creator", &[name], |command| {
            command.env(environment.0, environment.1);
        });
        let status = child.exit_status();
        (status.signal() == Some(9), child.hear_rest())
    };
    let log = Log::new();
    let (killed, _) = create(&Name::new(), (LOG, log.0.to_str().unwrap()));
    assert!(!killed);
    let points = log.points();
    for point in &points {
        let name = Name::new();
        let (killed, said) = create(&name, (AT, point));
        assert!(killed, "nobody died at {point}");
        match Table::open(&name) {
            Err(Error::NotFound { .. }) => {
                assert!(said.is_empty(), "{point}");
                assert!(files_named(&name).is_empty(), "{point}");
            }
            Ok(table) => {
                assert_eq!(table.capacity(), 50);
                assert_sound(&table);
                let found = table.get(&key_of(1)).unwrap();
                assert!(
                    found.is_some() || said.len() < 2,
                    "{point}: acknowledged, and gone"
                );
                table.insert(&key_of(2), b"more").unwrap();
                assert_eq!(table.stats().unwrap().participants, 1);
            }
            Err(error) => panic!("{point}: a half-made table: {error:?}"),
        }
    }
    println!("{} points, as many kills: {points:?}", points.len());
}

/// A table with damage of every kind that repair mends, and how many entries of its
/// 31 that costs.
fn damaged_table() -> (Named, Model, usize) {
    const LARGE: usize = 9000;
    let scenarios = scenarios();
    let scenario = scenarios
        .iter()
        .find(|s| s.name == "values of several chunks")
        .unwrap();
    let Named { table, name } = new_table(scenario);
    table.insert(&key_of(100), &bytes(1, LARGE)).unwrap();
    let model = contents(&table);
    drop(table);
    let mut file = std::fs::read(name.path()).unwrap();
    let get = |file: &[u8], at: usize| -> u64 {
        u64::from_le_bytes(file[at * 8..at * 8 + 8].try_into().unwrap())
    };
    let mut change = |at: usize, change: &dyn Fn(u64) -> u64| {
        let word = change(get(&file, at));
        file[at * 8..at * 8 + 8].copy_from_slice(&word.to_le_bytes());
    };
    // By docs/format.md.
    let before = std::fs::read(name.path()).unwrap();
    let [stripes, length, participants, chunks] = [6, 7, 8, 9].map(|at| get(&before, at) as usize);
    let buckets_at = 512 + participants * 8 + stripes * 8;
    let states_at = buckets_at + stripes * length * 8;
    let details_at = states_at + chunks.next_multiple_of(8);
    let kind = |chunk: usize| get(&before, states_at + chunk) >> 16 & 0xf;
    // A word that means nothing, and an overflow count.
    change(100, &|_| 7);
    change(buckets_at + 7, &|word| word ^ 1 << 40);
    // A slot that leads nowhere, and a tag that is not its key's.
    let full = |bucket: &usize| get(&before, buckets_at + bucket * 8 + 1) & 0xff_ffff != 0;
    let bucket = (0..stripes * length).find(full).unwrap();
    let tags = get(&before, buckets_at + bucket * 8 + 1);
    let mut used = (0..8).filter(|slot| tags >> (8 * slot) & 0xff != 0);
    let lost = used.next().unwrap();
    change(buckets_at + bucket * 8 + 2 + lost / 2, &|word| {
        word | 0xffff_ff00 << (32 * (lost % 2))
    });
    if let Some(other) = used.next() {
        change(buckets_at + bucket * 8 + 1, &|word| {
            let tag = word >> (8 * other) & 0xff;
            word ^ if tag == 1 { 3 } else { 1 } << (8 * other)
        });
    }
    // A chunk of nobody's, one whose cursor lies, and a tail that is none.
    let sealed: Vec<usize> = (0..chunks).filter(|chunk| kind(*chunk) == 2).collect();
    change(states_at + sealed[0], &|_| 1 << 16 | 60_000);
    change(details_at + sealed[1] * 8, &|_| 3);
    let tail = (0..chunks).find(|chunk| kind(*chunk) == 4).unwrap();
    change(states_at + tail, &|word| word | 1 << 30);
    std::fs::write(name.path(), &file).unwrap();
    let table = scenario.options().open(&name).unwrap();
    (Named { table, name }, model, 1)
}

#[test]
fn a_death_at_any_point_of_mending() {
    let test = "a_death_at_any_point_of_mending";
    if let Some(role) = common::role() {
        return act(&role);
    }
    let (named, ..) = damaged_table();
    let log = Log::new();
    let end = run(test, "mender", &named, 0, (LOG, log.0.to_str().unwrap()));
    assert!(!end.killed);
    let points = log.points();
    let mending: Vec<&String> = points.iter().filter(|p| p.starts_with("mend:")).collect();
    let mut kills = 0;
    for point in &mending {
        for pass in [1, 2, 3, 5, 8] {
            let (named, model, cost) = damaged_table();
            let end = run(test, "mender", &named, 0, (AT, &format!("{point}:{pass}")));
            kills += usize::from(end.killed);
            let case = format!("{point}, pass {pass}");
            bounded(&case.clone(), move || {
                named.repair().unwrap();
                assert_sound(&named);
                let found = contents(&named);
                assert!(found.len() + cost >= model.len(), "{case}: {}", found.len());
                for (key, value) in &found {
                    assert_eq!(model.get(key), Some(value), "{case}");
                }
                named.insert(&key_of(200), &bytes(2, 5000)).unwrap();
                assert_sound(&named);
            });
        }
    }
    println!("{} points of mending, {kills} kills", mending.len());
    assert!(kills > mending.len());
}

/// All points that the source names.
fn points_in(folder: &Path, points: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            points_in(&path, points);
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            for part in text.split("crash_point!(\"").skip(1) {
                points.insert(part.split('"').next().unwrap().to_owned());
            }
        }
    }
}

#[test]
fn the_tests_pass_every_point_of_the_source() {
    let test = "the_tests_pass_every_point_of_the_source";
    if let Some(role) = common::role() {
        return act(&role);
    }
    let mut passed = BTreeSet::new();
    for index in 0..scenarios().len() {
        passed.extend(points_of(test, index));
    }
    // Those that only a death brings about.
    let (named, _) = kill_at(test, 0, "insert: published", 1).expect("it dies");
    let log = Log::new();
    run(test, "second", &named, 0, (LOG, log.0.to_str().unwrap()));
    passed.extend(log.points());
    // And damage.
    let (named, ..) = damaged_table();
    let log = Log::new();
    run(test, "mender", &named, 0, (LOG, log.0.to_str().unwrap()));
    passed.extend(log.points());
    let mut all = BTreeSet::new();
    points_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    let missed: Vec<_> = all.difference(&passed).collect();
    println!("{} points in the source, missed: {missed:?}", all.len());
    assert!(all.len() > 40);
    assert!(missed.is_empty(), "no test passes {missed:?}");
}
