//! What players record is what happened.

use super::super::history::Content;
use super::super::model::{Figures, check_round};
use super::*;
use crate::tables::CAN_GROW;

/// What threads really did, with more than one at a time on a key.
fn rounds(kind: Kind, count: usize) -> Vec<Vec<Part>> {
    let table = options(kind, 3).create_anonymous().unwrap();
    let mut players: Vec<Player> = (0..3)
        .map(|process| {
            let table = Table::open(table.name()).unwrap();
            Player::new(kind, table, process, 7)
        })
        .collect();
    let rounds = (0..count)
        .map(|number| {
            let mut parts: Vec<Part> = std::thread::scope(|scope| {
                let threads: Vec<_> = players
                    .iter_mut()
                    .map(|player| scope.spawn(|| player.round(number).unwrap()))
                    .collect();
                let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().unwrap();
                threads.into_iter().map(join).collect()
            });
            parts[1].closing = players[1].close().unwrap();
            parts
        })
        .collect();
    assert_eq!(players[0].grown() > 1, kind == Kind::Growing && CAN_GROW);
    rounds
}

/// What is known after some rounds.
#[derive(Clone, Copy)]
struct Known {
    contents: [Content; KEYS],
    quiet_since: u64,
    figures: Figures,
}

impl Known {
    fn nothing() -> Self {
        Self {
            contents: [ABSENT; KEYS],
            quiet_since: 0,
            figures: Figures::default(),
        }
    }
}

/// Checks the next rounds.
fn check(mut known: Known, rounds: &[Vec<Part>]) -> Result<Known, String> {
    for parts in rounds {
        check_round(
            parts,
            &mut known.contents,
            &mut known.quiet_since,
            &mut known.figures,
        )?;
    }
    Ok(known)
}

#[test]
fn the_real_answers_are_accepted_and_any_other_is_not() {
    for kind in [Kind::Fixed, Kind::Growing] {
        real_answers_and_others(kind);
    }
}

fn real_answers_and_others(kind: Kind) {
    let rounds = rounds(kind, 15);
    let (last, before) = rounds.split_last().unwrap();
    let before = check(Known::nothing(), before).unwrap();
    let figures = check(before, std::slice::from_ref(last)).unwrap().figures;
    let expected = 15 * (3 * ROUND + KEYS) as u64;
    assert_eq!(figures.operations + figures.refused, expected);
    // Every answer of the last round that tells of a value, changed to another one.
    let mut planted = 0;
    for process in 0..3 {
        for index in 0..ROUND {
            let mut changed = last.clone();
            let part = &mut changed[process];
            let Some(record) = part.records.get_mut(index) else {
                continue;
            };
            let (Answer::Get { found: answer }
            | Answer::Take { old: answer }
            | Answer::Replace { old: answer, .. }
            | Answer::Update { old: answer, .. }
            | Answer::GetOrInsert { found: answer, .. }
            | Answer::RemoveIf { found: answer, .. }
            | Answer::FetchAdd { before: answer, .. }
            | Answer::FetchMax { before: answer, .. }
            | Answer::FetchMin { before: answer, .. }) = &mut record.answer
            else {
                continue;
            };
            *answer ^= 1 << 40;
            planted += 1;
            let outcome = check(before, &[changed]);
            assert!(outcome.is_err(), "a wrong answer was not seen");
        }
    }
    assert!(planted > 50, "{planted}");
}

#[test]
fn a_value_tells_its_number() {
    for kind in 1..=16 {
        let value = value_of(kind);
        assert_eq!(content(0, Some(&value)), Ok(kind));
        if value.len() > 8 {
            let mut torn = value;
            *torn.last_mut().unwrap() ^= 1;
            assert!(content(0, Some(&torn)).is_err());
        }
    }
    assert_eq!(content(0, None), Ok(ABSENT));
    assert_eq!(content(VALUES, Some(&7_u64.to_le_bytes())), Ok(8));
}
