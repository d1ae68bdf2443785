//! Is there an order of single steps that explains every answer?
//!
//! Linearizability is local: a history is linearizable if that of each key is. And it
//! can be cut where nobody is at work: between two rounds all processes have ended, and
//! one of them alone reads every key. A read that overlaps nothing leaves the key's
//! content no choice, so the window of a key and a round, from the content before to the
//! one that is read at its end, can be judged alone, and nothing is lost by that. Each
//! goes to the checker of `todc-utils`, after Wing, Gong and Lowe.

use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

use super::history::{ABSENT, Answer, Content, HistoryRecord, Part};

/// A key: what it answers, and what becomes of it.
struct Key;

#[derive(Debug, Clone)]
enum Step {
    /// What the key holds when the window begins. It is no process's operation.
    Begin(Content),
    Done(Answer),
}

impl Specification for Key {
    type State = Content;
    type Operation = Step;

    fn init() -> Content {
        ABSENT
    }

    fn apply(step: &Step, &now: &Content) -> (bool, Content) {
        let answer = match *step {
            Step::Begin(content) => return (true, content),
            Step::Done(answer) => answer,
        };
        let (fits, then) = match answer {
            Answer::Insert { new, fresh } => (fresh == (now == ABSENT), new),
            Answer::TryInsert { new, won: true } => (now == ABSENT, new),
            Answer::TryInsert { won: false, .. } => (now != ABSENT, now),
            Answer::Replace { new, old } | Answer::Update { new, old } => (old == now, new),
            Answer::Remove { there } => (there == (now != ABSENT), ABSENT),
            Answer::Take { old } => (old == now, ABSENT),
            Answer::GetOrInsert { new, found } if now == ABSENT => (found == new, new),
            Answer::RemoveIf {
                removed: true,
                found,
            } => (found == now && now != ABSENT, ABSENT),
            Answer::Get { found }
            | Answer::GetOrInsert { found, .. }
            | Answer::RemoveIf { found, .. } => (found == now, now),
            Answer::Exchanged { expected, new } => (expected == now, new),
            Answer::NotExchanged { expected, found } => (found == now && found != expected, now),
            // An absent counter counts as 0.
            Answer::FetchAdd { add, before } => (before == now.saturating_sub(1), before + add + 1),
            // An absent counter counts as `n`.
            Answer::FetchMax { n, before } => (is_before(before, n, now), before.max(n) + 1),
            Answer::FetchMin { n, before } => (is_before(before, n, now), before.min(n) + 1),
        };
        if fits { (true, then) } else { (false, now) }
    }
}

/// Whether a counter that held `now` is told as `before`, when an absent one is told as `n`.
fn is_before(before: u64, n: u64, now: Content) -> bool {
    before == if now == ABSENT { n } else { now - 1 }
}

/// What a round or all of them came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) operations: u64,
    pub(crate) windows: u64,
    /// Operations of the longest window.
    pub(crate) longest: usize,
    /// Operations during which another process was at work on the same key.
    pub(crate) overlapping: u64,
    pub(crate) refused: u64,
}

/// Checks one round; `contents` are what the keys hold before it, and afterwards.
///
/// # Errors
/// The window that nothing explains; or the trial itself went wrong.
pub(crate) fn check_round(
    parts: &[Part],
    contents: &mut [Content],
    quiet_since: &mut u64,
    figures: &mut Figures,
) -> Result<(), String> {
    let closing: Vec<&HistoryRecord> = parts.iter().flat_map(|part| &part.closing).collect();
    let all = || parts.iter().flat_map(|part| &part.records);
    let last = all().map(|record| record.end).max().unwrap_or(*quiet_since);
    if all().any(|record| record.begin < *quiet_since)
        || closing.iter().any(|record| record.begin < last)
        || closing.len() != contents.len()
    {
        return Err("the trial itself failed: two rounds overlap".to_owned());
    }
    for (key, content) in contents.iter_mut().enumerate() {
        let own = |record: &&HistoryRecord| record.key == key;
        let mut window: Vec<(usize, HistoryRecord)> = Vec::new();
        for (process, part) in parts.iter().enumerate() {
            let records = part.records.iter().chain(&part.closing).filter(own);
            window.extend(records.map(|&record| (process, record)));
        }
        figures.windows += 1;
        figures.operations += window.len() as u64;
        figures.longest = figures.longest.max(window.len());
        figures.overlapping += overlapping(&mut window);
        if !is_linearizable(*content, &window) {
            let lines: Vec<String> = window
                .iter()
                .map(|(process, record)| format!("  process {process}, {record}"))
                .collect();
            return Err(format!(
                "not linearizable: key {key} held {content} and then\n{}",
                lines.join("\n")
            ));
        }
        let read = closing.iter().find(|record| record.key == key);
        let Some(Answer::Get { found }) = read.map(|record| record.answer) else {
            return Err(format!("the trial itself failed: nobody read key {key}"));
        };
        *content = found;
    }
    *quiet_since = closing
        .iter()
        .map(|record| record.end)
        .max()
        .unwrap_or(last);
    figures.refused += parts.iter().map(|part| part.refused).sum::<u64>();
    Ok(())
}

/// Whether the operations of a window can have happened one after the other.
fn is_linearizable(content: Content, window: &[(usize, HistoryRecord)]) -> bool {
    // Of what happens at the same moment the beginnings come first: then they may have
    // overlapped, and no order is demanded that there was not.
    let mut events: Vec<(u64, bool, usize, Step)> = Vec::with_capacity(2 * window.len());
    for &(process, record) in window {
        let step = Step::Done(record.answer);
        events.push((record.begin, false, 1 + process, step.clone()));
        events.push((record.end, true, 1 + process, step));
    }
    events.sort_by_key(|&(time, is_end, ..)| (time, is_end));
    let begin = Step::Begin(content);
    let actions = [
        (0, Action::Call(begin.clone())),
        (0, Action::Response(begin)),
    ]
    .into_iter()
    .chain(events.into_iter().map(|(_, is_end, process, step)| {
        let action = if is_end {
            Action::Response(step)
        } else {
            Action::Call(step)
        };
        (process, action)
    }))
    .collect();
    WGLChecker::<Key>::is_linearizable(History::from_actions(actions))
}

/// Sorts a window, and counts the operations that overlap another process's.
fn overlapping(window: &mut [(usize, HistoryRecord)]) -> u64 {
    window.sort_by_key(|(_, record)| record.begin);
    let mut overlaps = vec![false; window.len()];
    for (one, (process, record)) in window.iter().enumerate() {
        for (other, (its_process, its)) in window.iter().enumerate().skip(one + 1) {
            if its.begin > record.end {
                break;
            }
            if its_process != process {
                overlaps[one] = true;
                overlaps[other] = true;
            }
        }
    }
    overlaps.into_iter().filter(|&overlap| overlap).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A round of one key that holds 1 and ends by a read of `last`; each operation is
    /// a process's, by its number, and lasts from one moment to another.
    fn check(operations: &[(usize, u64, u64, Answer)], last: Content) -> Result<(), String> {
        let mut parts = vec![Part::default(); 4];
        for &(process, begin, end, answer) in operations {
            parts[process].records.push(HistoryRecord {
                begin: 10 + begin,
                end: 10 + end,
                key: 0,
                answer,
            });
        }
        parts[0].closing.push(HistoryRecord {
            begin: 1000,
            end: 1001,
            key: 0,
            answer: Answer::Get { found: last },
        });
        let mut contents = [1];
        let result = check_round(&parts, &mut contents, &mut 5, &mut Figures::default());
        assert!(result.is_err() || contents == [last]);
        result
    }

    fn get(found: Content) -> Answer {
        Answer::Get { found }
    }

    fn insert(new: Content) -> Answer {
        Answer::Insert { new, fresh: false }
    }

    const REMOVE: Answer = Answer::Remove { there: true };

    fn try_insert(new: Content, won: bool) -> Answer {
        Answer::TryInsert { new, won }
    }

    fn add(before: u64) -> Answer {
        Answer::FetchAdd { add: 1, before }
    }

    #[test]
    fn a_correct_concurrent_history_is_accepted() {
        // Three write at the same time, and a fourth sees two of them, in this order.
        let history = [
            (0, 0, 100, insert(2)),
            (1, 0, 100, insert(3)),
            (2, 0, 100, insert(4)),
            (3, 10, 20, get(1)),
            (3, 30, 40, get(4)),
            (3, 50, 60, get(2)),
            (3, 110, 120, get(3)),
        ];
        assert_eq!(check(&history, 3), Ok(()));
        // The read that began first may see what is written while it lasts, or not.
        for found in [1, 2] {
            let history = [(0, 0, 100, get(found)), (1, 10, 20, insert(2))];
            assert_eq!(check(&history, 2), Ok(()));
        }
        // A failed exchange is a read; a taken key is free for one.
        let history = [
            (0, 0, 50, Answer::Take { old: 1 }),
            (1, 10, 90, try_insert(2, true)),
            (2, 20, 95, try_insert(3, false)),
            (
                3,
                60,
                99,
                Answer::NotExchanged {
                    expected: 1,
                    found: 2,
                },
            ),
            (
                0,
                100,
                110,
                Answer::Exchanged {
                    expected: 2,
                    new: 5,
                },
            ),
        ];
        assert_eq!(check(&history, 5), Ok(()));
        // Additions at the same time, each with a number of its own; it held 0.
        let history = [(0, 0, 50, add(1)), (1, 0, 50, add(0)), (2, 20, 70, add(2))];
        assert_eq!(check(&history, 4), Ok(()));
    }

    #[test]
    fn a_planted_stale_read_is_rejected() {
        let stale = [(0, 0, 10, insert(2)), (1, 20, 30, get(1))];
        assert!(check(&stale, 2).is_err());
        // Two readers that see two writes in two orders.
        let orders = [
            (0, 0, 100, insert(2)),
            (1, 10, 20, get(2)),
            (2, 30, 40, get(1)),
        ];
        assert!(check(&orders, 2).is_err());
        // What was removed is seen again.
        let removed = [(0, 0, 10, REMOVE), (1, 20, 30, get(1))];
        assert!(check(&removed, 0).is_err());
    }

    #[test]
    fn a_planted_lost_update_is_rejected() {
        // No read sees the write, and at the end it is not there.
        assert!(check(&[(0, 0, 10, insert(2))], 1).is_err());
        // Two that read, changed and wrote as one step both replaced the same.
        let lost = [
            (0, 0, 50, Answer::Update { new: 2, old: 1 }),
            (1, 0, 50, Answer::Update { new: 3, old: 1 }),
        ];
        assert!(check(&lost, 3).is_err());
        let twice = [
            (
                0,
                0,
                50,
                Answer::Exchanged {
                    expected: 1,
                    new: 2,
                },
            ),
            (
                1,
                0,
                50,
                Answer::Exchanged {
                    expected: 1,
                    new: 3,
                },
            ),
        ];
        assert!(check(&twice, 3).is_err());
        // Two additions, of which one is not in the sum; one that is in it twice.
        let additions = [(0, 0, 50, add(0)), (1, 0, 50, add(0))];
        assert!(check(&additions, 2).is_err());
        assert!(check(&[(0, 0, 50, add(0))], 3).is_err());
    }

    #[test]
    fn a_planted_lost_maximum_is_rejected() {
        // It holds 1, which is a counter of 0.
        let max = |n, before| Answer::FetchMax { n, before };
        let min = |n, before| Answer::FetchMin { n, before };
        let both = |one, other| [(0, 0, 50, one), (1, 0, 50, other)];
        assert_eq!(check(&both(max(5, 0), max(7, 5)), 8), Ok(()));
        assert_eq!(check(&both(max(5, 7), max(7, 0)), 8), Ok(()));
        assert!(check(&both(max(5, 0), max(7, 0)), 8).is_err());
        assert!(check(&both(max(5, 7), max(7, 0)), 6).is_err());
        assert_eq!(check(&both(max(5, 0), min(2, 5)), 3), Ok(()));
        assert!(check(&both(max(5, 0), min(2, 5)), 6).is_err());
        // Of a key that is not there, each stores its number.
        let absent = |answer, last| check(&[(0, 0, 10, REMOVE), (1, 20, 30, answer)], last);
        assert_eq!(absent(max(3, 3), 4), Ok(()));
        assert_eq!(absent(min(3, 3), 4), Ok(()));
        assert!(absent(max(3, 0), 4).is_err());
    }

    #[test]
    fn a_planted_overwriting_by_a_computation_is_rejected() {
        let computed = |new, found| Answer::GetOrInsert { new, found };
        // The value is computed while another is stored: that one stands.
        let begin = [(0, 0, 10, REMOVE), (1, 20, 30, try_insert(2, true))];
        let history = |last| [begin[0], begin[1], (2, 15, 50, last)];
        assert_eq!(check(&history(computed(3, 2)), 2), Ok(()));
        assert!(check(&history(computed(3, 3)), 3).is_err());
        assert!(check(&history(computed(3, 2)), 3).is_err());
        // Two that compute at the same time get the same.
        let both = |one, other| {
            [
                (0, 0, 10, REMOVE),
                (1, 20, 50, computed(2, one)),
                (2, 20, 50, computed(3, other)),
            ]
        };
        assert_eq!(check(&both(2, 2), 2), Ok(()));
        assert!(check(&both(2, 3), 3).is_err());
        // An addition at the same time is in the sum.
        let counter = [
            (0, 0, 10, REMOVE),
            (1, 20, 50, computed(7, 7)),
            (2, 20, 50, add(0)),
        ];
        assert!(check(&counter, 7).is_err());
    }

    #[test]
    fn a_planted_wrong_removal_is_rejected() {
        let removal = |removed, found| [(0, 0, 10, Answer::RemoveIf { removed, found })];
        assert_eq!(check(&removal(true, 1), ABSENT), Ok(()));
        assert_eq!(check(&removal(false, 1), 1), Ok(()));
        assert!(check(&removal(true, 1), 1).is_err());
        assert!(check(&removal(false, 2), 1).is_err());
        // It removed another value than the one that it saw.
        let late = [
            (0, 0, 10, insert(2)),
            (
                1,
                20,
                30,
                Answer::RemoveIf {
                    removed: true,
                    found: 1,
                },
            ),
        ];
        assert!(check(&late, ABSENT).is_err());
    }

    #[test]
    fn a_planted_second_winner_is_rejected() {
        let winners = [
            (0, 0, 10, REMOVE),
            (1, 20, 50, try_insert(2, true)),
            (2, 20, 50, try_insert(3, true)),
        ];
        assert!(check(&winners, 3).is_err());
        assert!(check(&winners[..2], 2).is_ok());
        // Nor do two take the same value.
        let takers = [
            (0, 0, 50, Answer::Take { old: 1 }),
            (1, 0, 50, Answer::Take { old: 1 }),
        ];
        assert!(check(&takers, 0).is_err());
    }

    #[test]
    fn rounds_that_overlap_are_no_answer() {
        let parts = [Part {
            records: vec![HistoryRecord {
                begin: 4,
                end: 6,
                key: 0,
                answer: get(1),
            }],
            closing: vec![HistoryRecord {
                begin: 7,
                end: 8,
                key: 0,
                answer: get(1),
            }],
            refused: 0,
        }];
        let check = |mut quiet| check_round(&parts, &mut [1], &mut quiet, &mut Figures::default());
        assert_eq!(check(4), Ok(()));
        assert!(check(5).unwrap_err().contains("trial itself"));
    }

    #[test]
    fn overlaps_are_counted() {
        let record = |begin, end| HistoryRecord {
            begin,
            end,
            key: 0,
            answer: get(1),
        };
        let mut window = vec![
            (0, record(0, 10)),
            (1, record(5, 6)),
            (1, record(8, 20)),
            (2, record(30, 40)),
        ];
        assert_eq!(overlapping(&mut window), 3);
    }
}
