//! Does any damage give an error or a right answer, never a signal, a hang or a panic?
//!
//! A small table is written, closed, and damaged in its file, in one way at a time: each
//! bit before the arena flipped, and random bits of records; words of the index
//! overwritten; the file cut or lengthened; random bytes, behind a valid header or not.
//! Each time it is opened, read, written, checked and repaired. Children do that, so that
//! the test sees a signal or a hang, and knows its case.
//!
//! `SHMTABLE_DAMAGE` may be `all` or `third`, as `cargo xtask damage` sets it. Without it a smaller
//! part of the cases runs; the least on Windows, where a case takes four times as long under wine,
//! and with `least`, as the sanitizers' lanes set it.

#![cfg(any(target_os = "linux", windows))]
#![allow(unreachable_pub, reason = "a program of several modules")]

mod allowed;
mod cases;
#[path = "../common/mod.rs"]
mod common;
mod faults;
mod found_once;
#[cfg(all(target_os = "linux", not(shmtable_portable)))]
mod growth;
mod image;
mod patched;
mod trial;

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cases::{Damage, cases, description};
use common::{Child, Name, write_at};
use image::{Image, Kind};
use trial::{Count, GUARD, run};

/// Cases of one child.
const SHARE: usize = 500;

/// Where a child notes what it is at.
fn progress_of(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("{name}.progress"))
}

/// What a child was at.
fn last_case(name: &str) -> usize {
    let text = std::fs::read(progress_of(name)).unwrap_or_default();
    text.first_chunk()
        .map_or(0, |bytes| usize::from_le_bytes(*bytes))
}

#[test]
fn no_damage_gives_a_wrong_answer_a_signal_or_a_hang() {
    if let Some(role) = common::role() {
        let image = Image::new(Kind::all()[role.number(3)]);
        let cases = cases(&image);
        let name = role.argument(0);
        let progress = File::create(progress_of(name)).unwrap();
        let mut count = Count::default();
        let (from, to) = (role.number(1), role.number(2));
        for (number, case) in cases.iter().enumerate().take(to).skip(from) {
            write_at(&progress, &number.to_le_bytes(), 0);
            run(&image, *case, name, &mut count);
        }
        role.tell(&format!(
            "{} {} {} {} {}",
            count.opened,
            count.refused,
            count.errors,
            count.noticed,
            count.slowest.as_millis()
        ));
        return;
    }
    for (number, kind) in Kind::all().iter().enumerate() {
        try_all(common::this_test!(), *kind, number);
    }
}

/// Tries all cases of a kind of table, in children that run this test.
fn try_all(test: &str, kind: Kind, number_of_kind: usize) {
    let image = Image::new(kind);
    let cases = cases(&image);
    let of_kind = number_of_kind.to_string();
    let begin = Instant::now();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut sums = [0; 5];
        loop {
            let from = next.fetch_add(SHARE, Ordering::Relaxed);
            if from >= cases.len() {
                return sums;
            }
            let to = cases.len().min(from + SHARE);
            let name = Name::new();
            let (first, last) = (from.to_string(), to.to_string());
            let arguments = [&*name, &first, &last, &of_kind];
            let mut child = Child::start(test, "damager", &arguments);
            let mut seen = (from, Instant::now());
            let (said, hangs) = loop {
                let asked = Instant::now();
                if let Some(line) = child.hear_within(Duration::from_secs(1)) {
                    break (Some(line), false);
                }
                if asked.elapsed() < Duration::from_millis(900) {
                    // It cannot say more.
                    break (None, false);
                }
                let at = last_case(&name);
                if at != seen.0 {
                    seen = (at, Instant::now());
                }
                if seen.1.elapsed() > 2 * GUARD {
                    break (None, true);
                }
            };
            let Some(said) = said else {
                let kept = std::env::temp_dir().join(format!("{}.segment", &*name));
                let _ = std::fs::copy(name.path(), &kept);
                let how = if hangs {
                    "a hang".to_owned()
                } else {
                    child.exit_status().to_string()
                };
                let number = last_case(&name);
                panic!(
                    "case {number}, {}: {how}; the segment as it was then: {}",
                    description(&image, cases[number]),
                    kept.display()
                );
            };
            let _ = std::fs::remove_file(progress_of(&name));
            let numbers: Vec<usize> = said.split(' ').map(|n| n.parse().unwrap()).collect();
            for (sum, number) in sums.iter_mut().zip(&numbers).take(4) {
                *sum += number;
            }
            sums[4] = sums[4].max(numbers[4]);
        }
    };
    let sums: Vec<[usize; 5]> = common::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    let [opened, refused, errors, noticed] =
        [0, 1, 2, 3].map(|i| sums.iter().map(|sum| sum[i]).sum::<usize>());
    let flips = cases
        .iter()
        .filter(|case| matches!(case, Damage::Flip { .. }))
        .count();
    println!(
        "{kind:?}: {} cases, of them {flips} flipped bits: {opened} opens, {refused} refused, {errors} reads \
         failed, check noticed {noticed}; the slowest case took {} ms, all {:?}",
        cases.len(),
        sums.iter().map(|sum| sum[4]).max().unwrap_or(0),
        begin.elapsed()
    );
    assert!(opened > 500 && refused > 100 && errors > 100 && noticed > 100);
}
