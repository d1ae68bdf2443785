//! Does `watch` print the changes of a table as they happen?

mod common;

use std::io::{BufRead, BufReader};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use common::{Running, ends, eventually, open_table, shmtable};
use shmtable::Table;

/// Changes a key until a change of it is printed, which shows that the first scan is over. The
/// changes are far apart, so that only one is printed.
fn started(running: &mut Running, table: &shmtable::Table) -> BufReader<std::process::ChildStdout> {
    let mut lines = BufReader::new(running.0.stdout.take().unwrap());
    let mut line = String::new();
    eventually("the table is open", || table.has_readers().unwrap());
    let (printed, is_printed) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0_u32.. {
                // The first scan most likely ends in this time.
                std::thread::sleep(Duration::from_millis(20));
                table.insert("start", number.to_string()).unwrap();
                let waited = is_printed.recv_timeout(Duration::from_secs(2));
                if waited != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
        });
        lines.read_line(&mut line).unwrap();
        drop(printed);
    });
    assert!(line.contains("start"), "{line}");
    lines
}

fn next(lines: &mut impl BufRead) -> String {
    loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended");
        if !line.contains("start") {
            return line;
        }
    }
}

#[test]
fn changes_are_printed_as_they_come() {
    let (name, table) = open_table();
    table.insert("there", "before").unwrap();
    let mut running = Running::start(&mut shmtable(&["watch", &name, "--interval", "10ms"]));
    let mut lines = started(&mut running, &table);
    table.insert("a", "1").unwrap();
    assert_eq!(next(&mut lines), "+ a\t1\n");
    table.insert("a", "2").unwrap();
    assert_eq!(next(&mut lines), "~ a\t2\n");
    table.remove("a").unwrap();
    assert_eq!(next(&mut lines), "- a\n");
}

#[test]
fn only_what_a_prefix_says_is_watched_and_so_many_changes() {
    let (name, table) = open_table();
    let arguments = [
        "--json",
        "watch",
        &name,
        "--interval",
        "10ms",
        "--match",
        "*a*",
        "--count",
        "2",
    ];
    let mut running = Running::start(&mut shmtable(&arguments));
    let mut lines = started(&mut running, &table);
    table.insert("b", "1").unwrap();
    table.insert("a", "1").unwrap();
    let line: serde_json::Value = serde_json::from_str(&next(&mut lines)).unwrap();
    assert_eq!(
        (&line["change"], &line["key"]),
        (&"inserted".into(), &"a".into())
    );
    assert!(running.end().success());
}

#[test]
fn a_time_without_a_change_ends_with_status_one() {
    let (name, table) = open_table();
    assert_eq!(ends(1, &["watch", &name, "--timeout", "50ms"]), "");
    // Reads and rewrites are no changes.
    table.insert("a", "1").unwrap();
    assert_eq!(
        ends(1, &["watch", &name, "--timeout", "50ms", "--prefix", "b"]),
        ""
    );
}

#[test]
fn waiting_and_watching_end_when_the_table_loses_its_name() {
    for command in [&["wait"][..], &["wait", "--change"], &["watch"]] {
        let (name, table) = open_table();
        let mut arguments = command.to_vec();
        arguments.insert(1, &name);
        if command[0] == "wait" {
            arguments.insert(2, "never");
        }
        let running = Running::start(&mut shmtable(&arguments));
        eventually("it has the table open", || {
            table.participants().unwrap().len() > 1 || table.has_readers().unwrap()
        });
        Table::unlink(&name).unwrap();
        let (status, out, err) = running.output();
        assert_eq!(status.code(), Some(2), "{command:?}: {out}{err}");
        assert!(err.contains("was removed, renamed or replaced"), "{err}");
    }
}
