//! What the audit accepts, and the planted faults that it reports.

use super::super::diary::{Effect, Intent};
use super::super::finding::Kind;
use super::super::folder::Folder;
use super::super::list::Listed;
use super::super::shape::CELLS;
use super::*;

const SHAPE: Shape = Shape {
    workers: 2,
    value_max: 5000,
    tables: None,
};
const LENGTH: usize = 100;

/// A table, and two workers that wrote their steps down.
struct Scene {
    table: Table,
    diaries: Vec<Diary>,
    ledger: Ledger,
    step: u64,
    _folder: Folder,
}

impl Scene {
    fn new() -> Self {
        let folder = Folder::create().unwrap();
        let diary = |worker| Diary::create(&folder.path(worker), CELLS).unwrap();
        Self {
            table: SHAPE.options(0).create_anonymous().unwrap(),
            diaries: vec![diary("0"), diary("1")],
            ledger: Ledger::new(SHAPE),
            step: 0,
            _folder: folder,
        }
    }

    fn state(&self) -> State {
        State {
            origin: self.step,
            measure: LENGTH as u64,
        }
    }

    fn announce(&mut self, worker: usize, cell: usize, state: impl Fn(u64) -> State) {
        self.step += 1;
        let intent = Intent {
            step: self.step,
            time: 0,
            cells: cell..cell + 1,
            effect: Effect::Becomes(state(self.step)),
            reads: 0,
            refused: 0,
        };
        self.diaries[worker].announce(&intent).unwrap();
    }

    fn acknowledge(&self, worker: usize, cell: usize) {
        let (step, diary) = (self.step, &self.diaries[worker]);
        let state = diary.intent().unwrap().after(cell);
        diary.acknowledge(cell, Cell { step, state }).unwrap();
    }

    fn value(&self, worker: usize, cell: usize) -> Vec<u8> {
        let origin = Origin {
            writer: worker,
            step: self.step,
            length: LENGTH,
        };
        value::make(TrackedKey::new(worker, cell).number(), origin)
    }

    fn put(&mut self, worker: usize, cell: usize) -> Vec<u8> {
        self.announce(worker, cell, |origin| State {
            origin,
            measure: if SHARED.contains(&cell) {
                0
            } else {
                LENGTH as u64
            },
        });
        let value = self.value(worker, cell);
        let key = TrackedKey::new(worker, cell).key();
        self.table.insert(&key, &value).unwrap();
        self.acknowledge(worker, cell);
        value
    }

    fn add(&mut self, worker: usize, cell: usize) {
        let before = self.diaries[worker].cell(cell).unwrap().state.measure;
        self.announce(worker, cell, |_| State {
            origin: 1,
            measure: before + 1,
        });
        let key = TrackedKey::new(worker, cell).key();
        self.table.fetch_add(&key, 1).unwrap();
        self.acknowledge(worker, cell);
    }

    /// Adds one entry to a list.
    fn list(&mut self, worker: usize) {
        let listed = self.announce_listed(worker, 1);
        self.table.insert(listed.key(), listed.value()).unwrap();
        self.acknowledge(worker, LIST);
    }

    /// Announces so many more entries of a list; returns the first of them.
    fn announce_listed(&mut self, worker: usize, more: u64) -> Listed {
        let number = self.diaries[worker].cell(LIST).unwrap().state.measure;
        self.announce(worker, LIST, |origin| State {
            origin,
            measure: number + more,
        });
        Listed { worker, number }
    }

    fn plant(&self, worker: usize, cell: usize, value: &[u8]) {
        let key = TrackedKey::new(worker, cell).key();
        self.table.insert(&key, value).unwrap();
    }

    fn findings(&mut self) -> Vec<Kind> {
        let mut findings = Vec::new();
        for (worker, diary) in self.diaries.iter().enumerate() {
            let found = self.ledger.settle(&self.table, worker, diary);
            findings.extend(found.unwrap());
        }
        let diaries: Vec<&Diary> = self.diaries.iter().collect();
        findings.extend(self.ledger.audit(&self.table, &diaries).unwrap());
        findings.into_iter().map(|finding| finding.kind).collect()
    }

    fn assert_found(&mut self, kind: Kind) {
        let findings = self.findings();
        assert!(!findings.is_empty(), "the plant was not seen");
        assert!(findings.iter().all(|&found| found == kind), "{findings:?}");
    }
}

const OWN: usize = VALUES.start + 3;
const COUNTER: usize = COUNTERS.start;
const SUM: usize = SUMS.start;
const ALL: usize = SHARED.start + 2;

/// Both workers have done something of everything.
fn busy() -> Scene {
    let mut scene = Scene::new();
    for worker in [0, 1] {
        for _ in 0..3 {
            scene.put(worker, OWN);
            scene.add(worker, COUNTER);
            scene.add(worker, SUM);
            scene.put(worker, ALL);
            scene.list(worker);
        }
    }
    scene
}

#[test]
fn a_table_that_is_as_it_must_be_is_accepted() {
    let mut scene = busy();
    assert_eq!(scene.findings(), []);
    scene.put(1, OWN);
    assert_eq!(scene.findings(), []);
}

#[test]
fn the_step_a_worker_died_in_happened_or_not() {
    for happened in [false, true] {
        let mut scene = busy();
        let before = scene.diaries[0].cell(OWN).unwrap().state;
        scene.announce(0, OWN, |origin| State {
            origin,
            measure: LENGTH as u64,
        });
        if happened {
            scene.plant(0, OWN, &scene.value(0, OWN));
        }
        assert_eq!(scene.findings(), []);
        let settled = scene.diaries[0].cell(OWN).unwrap();
        let expected = if happened { scene.state() } else { before };
        assert_eq!(settled.state, expected);
        assert_eq!(settled.step, scene.step);
        // What it came to is exact from now on.
        assert_eq!(scene.findings(), []);
    }
}

#[test]
fn an_addition_a_worker_died_in_happened_once_or_not() {
    for (times, ok) in [(0, true), (1, true), (2, false)] {
        let mut scene = busy();
        let before = scene.diaries[0].cell(SUM).unwrap().state.measure;
        scene.announce(0, SUM, |_| State {
            origin: 1,
            measure: before + 1,
        });
        let key = TrackedKey::new(0, SUM).key();
        scene.table.fetch_add(&key, times).unwrap();
        assert_eq!(scene.findings().is_empty(), ok, "{times}");
        if ok {
            // It cannot happen later.
            scene.table.fetch_add(&key, 1).unwrap();
            scene.assert_found(Kind::Wrong);
        }
    }
}

#[test]
fn a_shared_step_a_worker_died_in_happened_or_not() {
    for happened in [false, true] {
        let mut scene = busy();
        scene.announce(0, ALL, |origin| State { origin, measure: 0 });
        if happened {
            scene.plant(0, ALL, &scene.value(0, ALL));
        }
        assert_eq!(scene.findings(), []);
        assert_eq!(scene.findings(), []);
    }
}

#[test]
fn a_planted_lost_write_is_reported() {
    let mut scene = busy();
    let older = scene.put(0, OWN);
    scene.put(0, OWN);
    scene.plant(0, OWN, &older);
    scene.assert_found(Kind::Lost);

    for cell in [OWN, ALL, COUNTER] {
        let mut scene = busy();
        scene.table.remove(&TrackedKey::new(0, cell).key()).unwrap();
        scene.assert_found(Kind::Lost);
    }

    let mut scene = busy();
    scene
        .table
        .fetch_add(&TrackedKey::new(0, SUM).key(), -1)
        .unwrap();
    scene.assert_found(Kind::Lost);

    let mut scene = busy();
    let older = scene.put(0, ALL);
    scene.put(0, ALL);
    scene.plant(0, ALL, &older);
    scene.assert_found(Kind::Lost);
}

#[test]
fn a_planted_torn_value_is_reported() {
    for cell in [OWN, ALL] {
        let mut scene = busy();
        let older = scene.put(0, cell);
        let mut torn = scene.put(0, cell);
        torn[50..].copy_from_slice(&older[50..]);
        scene.plant(0, cell, &torn);
        scene.assert_found(Kind::Torn);
    }
    for cell in [COUNTER, SUM] {
        let mut scene = busy();
        scene.plant(0, cell, b"short");
        scene.assert_found(Kind::Torn);
    }
}

#[test]
fn a_planted_wrong_value_is_reported() {
    for cell in [OWN, ALL] {
        // Another key's.
        let mut scene = busy();
        let value = scene.put(0, VALUES.start + 7);
        scene.plant(0, cell, &value);
        scene.assert_found(Kind::Wrong);
        // One that its writer never wrote.
        let mut scene = busy();
        scene.step += 1;
        scene.plant(0, cell, &scene.value(0, cell));
        scene.assert_found(Kind::Wrong);
    }
    // One that came back after it was removed.
    let mut scene = busy();
    let value = scene.put(0, OWN);
    scene.announce(0, OWN, |_| State::default());
    scene.acknowledge(0, OWN);
    scene.plant(0, OWN, &value);
    scene.assert_found(Kind::Wrong);
    // A key of nobody.
    let mut scene = busy();
    scene.table.insert(b"key of nobody", b"1").unwrap();
    scene.assert_found(Kind::Wrong);
}

#[test]
fn a_planted_double_addition_is_reported() {
    for cell in [COUNTER, SUM] {
        let mut scene = busy();
        scene
            .table
            .fetch_add(&TrackedKey::new(0, cell).key(), 1)
            .unwrap();
        scene.assert_found(Kind::Wrong);
    }
}

#[test]
fn entries_that_a_worker_died_listing_are_there_or_not() {
    for happened in 0..=3 {
        let mut scene = busy();
        let first = scene.announce_listed(1, 3);
        for number in first.number..first.number + happened {
            let listed = Listed { number, ..first };
            scene.table.insert(listed.key(), listed.value()).unwrap();
        }
        assert_eq!(scene.findings(), []);
        let settled = scene.diaries[1].cell(LIST).unwrap().state.measure;
        assert_eq!(settled, first.number + happened);
        assert_eq!(scene.findings(), []);
    }
    // The second one without the first.
    let mut scene = busy();
    let first = scene.announce_listed(1, 3);
    let second = Listed {
        number: first.number + 1,
        ..first
    };
    scene.table.insert(second.key(), second.value()).unwrap();
    scene.assert_found(Kind::Wrong);
}

#[test]
fn a_planted_fault_of_a_list_is_reported() {
    let listed = |number| Listed { worker: 1, number };
    let mut scene = busy();
    scene.table.remove(listed(1).key()).unwrap();
    scene.assert_found(Kind::Lost);
    let mut scene = busy();
    scene.table.insert(listed(1).key(), b"other").unwrap();
    scene.assert_found(Kind::Torn);
    // One that nobody listed.
    let mut scene = busy();
    let beyond = listed(3);
    scene.table.insert(beyond.key(), beyond.value()).unwrap();
    scene.assert_found(Kind::Wrong);
}
