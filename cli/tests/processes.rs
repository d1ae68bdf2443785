//! What the command does among other processes: those that use tables and die, those that
//! read its output, and people who press Ctrl-C.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use common::{Name, Running, ends, eventually, json, listed, ok, open_table, shmtable, user_of};
use rustix::process::Signal;
use shmtable::{Options, Table};

/// A process with an anonymous table of its own, and the table's name. It goes on for
/// longer than any test.
fn creator() -> (Running, String) {
    let entries = [
        "bench",
        "--entries",
        "300000",
        "--value-size",
        "1000",
        "--threads",
        "1",
    ];
    let running = Running::start(&mut shmtable(&entries));
    let mut name = None;
    eventually("its table is there", || {
        name = anonymous_of(running.pid());
        name.is_some()
    });
    // So that it never ends by itself.
    running.signal(Signal::STOP);
    (running, name.unwrap())
}

fn anonymous_of(pid: u32) -> Option<String> {
    let list = json(0, &["ls"]);
    let mut tables = list["tables"].as_array()?.iter();
    let table = tables.find(|table| {
        let participants = table["participants"].as_array();
        participants.is_some_and(|all| all.iter().any(|one| one["pid"] == pid))
    })?;
    Some(table["name"].as_str()?.to_owned())
}

fn has(list: &serde_json::Value, what: &str, name: &str) -> bool {
    list[what].as_array().unwrap().iter().any(|one| one == name)
}

/// Only a dry run is for all tables: others' orphans are theirs.
#[test]
fn gc_removes_what_a_killed_creator_left_and_nothing_else() {
    let (creator, orphan) = creator();
    let (named, handle) = open_table();
    drop(handle);
    let (used, _handle) = open_table();
    let anonymous = Options::new().capacity(100).create_anonymous().unwrap();
    let not_for_gc = [&*named, &*used, anonymous.name()];
    let untouched = |why: &str| {
        assert!(
            !has(&json(0, &["gc", "--dry-run"]), "removed", &orphan),
            "{why}"
        );
        let collected = json(1, &["gc", &orphan]);
        assert!(!has(&collected, "removed", &orphan), "{why}");
        assert_eq!(listed(&orphan).unwrap()["state"], "used", "{why}");
    };
    untouched("its creator lives, though it is stopped");
    let waiting = user_of(&orphan);
    creator.kill();
    untouched("another process uses it, though its creator is dead");
    let reader = Table::open_read_only(&orphan).unwrap();
    waiting.kill();
    untouched("a process reads it");
    drop(reader);
    // No process uses it, but one has it open.
    let looker = Options::new().open_observer(&orphan).unwrap();
    let collected = json(1, &["gc", &orphan]);
    assert!(has(&collected, "kept", &orphan) && !has(&collected, "removed", &orphan));
    assert!(ends(1, &["gc", &orphan]).contains("kept, because a process has it open"));
    assert_eq!(listed(&orphan).unwrap()["state"], "used");
    let collected = json(0, &["gc", "--dry-run"]);
    assert!(has(&collected, "kept", &orphan) && !has(&collected, "removed", &orphan));
    drop(looker);
    // Another test's `ls` may have it open at this very moment, or a creation removes it.
    eventually("the dry run tells of the orphan, or it is gone", || {
        has(&json(0, &["gc", "--dry-run"]), "removed", &orphan) || listed(&orphan).is_none()
    });
    eventually("it is listed as an orphan, or is gone", || {
        listed(&orphan).is_none_or(|table| table["state"] == "orphan")
    });
    assert!(
        not_for_gc
            .iter()
            .all(|name| !has(&collected, "removed", name))
    );
    eventually("people are told, too", || {
        ok(&["gc", "--dry-run"]).contains(&format!("{orphan}: would be removed\n"))
            || listed(&orphan).is_none()
    });
    // Another test's `ls` may have it open at this very moment, or a creation removes it.
    eventually("the orphan is collected", || {
        let all = [&["gc", &orphan], &not_for_gc[..]].concat();
        common::run(&all).status.success() || listed(&orphan).is_none()
    });
    assert!(listed(&orphan).is_none());
    for name in not_for_gc {
        assert!(listed(name).is_some(), "{name} is kept");
    }
    assert!(ends(2, &["gc", &orphan]).contains("no table"));
}

#[test]
fn wait_is_woken_by_another_process() {
    let (name, handle) = open_table();
    let wait = Running::start(&mut shmtable(&["wait", &name, "key", "--timeout", "100s"]));
    eventually("it waits", || handle.stats().unwrap().participants == 2);
    ok(&["put", &name, "key", "value"]);
    let (status, out, _) = wait.output();
    assert_eq!((status.code(), out.as_str()), (Some(0), "value\n"));
    assert_eq!(ends(1, &["wait", &name, "absent", "--timeout", "20ms"]), "");
    let timeout = json(1, &["wait", &name, "absent", "--timeout", "20ms"]);
    assert_eq!(timeout["timeout"], true);
    // For a change.
    assert_eq!(
        ends(1, &["wait", &name, "key", "--change", "--timeout", "20ms"]),
        ""
    );
    let wait = Running::start(&mut shmtable(&["wait", &name, "key", "--change", "--json"]));
    // It attached and has seen the value when it says that it sleeps; until then, and
    // after, the value changes again and again.
    let mut number = 0;
    let mut wait = wait;
    eventually("it sees a change", || {
        number += 1;
        handle
            .insert(b"key", format!("{number}").as_bytes())
            .unwrap();
        wait.0.try_wait().unwrap().is_some()
    });
    let (status, out, _) = wait.output();
    assert_eq!(status.code(), Some(0));
    assert!(out.contains("\"found\":true"), "{out}");
    // One that reads alone waits too.
    let full = Name::new();
    let only = Options::new()
        .capacity(100)
        .max_participants(1)
        .create(&full)
        .unwrap();
    let wait = Running::start(&mut shmtable(&["wait", &full, "key"]));
    eventually("it waits", || only.has_readers().unwrap());
    only.insert(b"key", b"value").unwrap();
    let (status, out, err) = wait.output();
    assert_eq!((status.code(), out.as_str()), (Some(0), "value\n"), "{err}");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let (name, handle) = open_table();
    for number in 0..900_u32 {
        handle.insert(&number.to_le_bytes(), &[b'x'; 900]).unwrap();
    }
    for arguments in [
        &["scan", &*name][..],
        &["dump", &name],
        &["dump", &name, "--format", "binary"],
        &["stat", &name, "--watch", "1ms"],
        &["ls", "--json"],
    ] {
        let mut running = Running::start(&mut shmtable(arguments));
        // At most a part of it is read, and then the reader is gone.
        let mut out = running.0.stdout.take().unwrap();
        if arguments[0] != "ls" {
            let _ = out.read(&mut [0; 10]).unwrap();
        }
        drop(out);
        let (status, _, err) = running.output();
        assert_eq!(
            (status.code(), err.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

/// Waits until the process has said how it ended: by the signal, and what it said.
#[track_caller]
fn interrupted(running: Running) -> String {
    running.signal(Signal::INT);
    let (status, _, err) = running.output();
    assert_eq!(
        status.signal(),
        Some(Signal::INT.as_raw()),
        "{status}: {err}"
    );
    err
}

#[test]
fn interrupted_waits_detach() {
    let (name, handle) = open_table();
    for arguments in [
        &["wait", &*name, "never"][..],
        &["wait", &name, "never", "--change"],
    ] {
        let wait = Running::start(&mut shmtable(arguments));
        eventually("it waits", || handle.stats().unwrap().participants == 2);
        eventually("it has caught the signal", || catches(wait.pid()));
        interrupted(wait);
        // Not even a dead participant is left.
        assert_eq!(handle.participants().unwrap().len(), 1);
    }
}

#[test]
fn an_interrupted_removal_keeps_what_it_did_and_tells_it() {
    let (name, handle) = open_table();
    handle.insert("a", "1").unwrap();
    handle.insert("b", "2").unwrap();
    let mut command = shmtable(&["del", &name, "-"]);
    let mut del = Running::start(command.stdin(Stdio::piped()));
    let mut stdin = del.0.stdin.take().unwrap();
    stdin.write_all(b"a\n").unwrap();
    eventually("the key is removed", || handle.len() == 1);
    let err = interrupted(del);
    assert!(err.contains("interrupted; 1 entry removed"), "{err}");
    assert!(handle.contains_key("b").unwrap());
}

/// Whether the process has a handler for Ctrl-C.
fn catches(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let caught = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:\t"));
    let caught = u64::from_str_radix(caught.unwrap(), 16).unwrap();
    caught >> (Signal::INT.as_raw() - 1) & 1 == 1
}

#[test]
fn an_interrupted_dump_leaves_no_file_and_whole_lines() {
    let (name, handle) = open_table();
    for number in 0..900_u32 {
        handle.insert(&number.to_le_bytes(), &[b'x'; 900]).unwrap();
    }
    let mut running = Running::start(&mut shmtable(&["dump", &name]));
    let mut out = BufReader::new(running.0.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    // Its output is a full pipe now: it comes to look when there is room again.
    running.signal(Signal::INT);
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let (status, _, _) = running.output();
    assert_eq!(status.signal(), Some(Signal::INT.as_raw()));
    assert!(
        rest.ends_with('\n') && !rest.contains("\"end\""),
        "no end is claimed"
    );
    assert!(!handle.has_readers().unwrap());

    // Into a file: a named pipe as its input would not do, so it is stopped first.
    let folder = std::env::temp_dir().join(format!("{}-interrupted", &*name));
    fs::create_dir(&folder).unwrap();
    let path = folder.join("dump");
    // A writer holds a lock for which the snapshot waits.
    handle
        .update(b"key", |_| {
            let arguments = ["dump", &name, "--snapshot", "-o", path.to_str().unwrap()];
            let running = Running::start(&mut shmtable(&arguments));
            eventually("its file is there", || {
                fs::read_dir(&folder).unwrap().count() == 1
            });
            let error = interrupted(running);
            assert!(error.contains("interrupted"), "{error}");
            None
        })
        .unwrap();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    fs::remove_dir(&folder).unwrap();
}

#[test]
fn an_interrupted_load_tells_what_it_did_or_removes_its_table() {
    let (name, handle) = open_table();
    let load = |arguments: &[&str]| {
        let mut command = shmtable(arguments);
        let mut running = Running::start(command.stdin(Stdio::piped()));
        let mut input = running.0.stdin.take().unwrap();
        for number in 0..10 {
            writeln!(input, "{{\"key\": \"{number}\", \"value\": \"x\"}}").unwrap();
        }
        (running, input)
    };
    let (running, _input) = load(&["load", &name]);
    eventually("it loads", || handle.len() == 10);
    let told = interrupted(running);
    assert!(told.contains("10 entries loaded"), "{told}");
    assert_eq!(handle.participants().unwrap().len(), 1);
    let created = Name::new();
    let shape = ["--create", "--capacity", "100", "--value-space", "1000"];
    let (running, _input) = load(&[&["load", &created][..], &shape].concat());
    eventually("it loads", || {
        Options::new()
            .open_observer(&created)
            .is_ok_and(|table| table.len() == 10)
    });
    let told = interrupted(running);
    assert!(told.contains("removed again"), "{told}");
    assert!(Table::open(&created).is_err());
}

#[test]
fn an_interrupted_bench_removes_its_table() {
    let (running, name) = creator();
    running.signal(Signal::INT);
    running.signal(Signal::CONT);
    let (status, _, _) = running.output();
    assert_eq!(status.signal(), Some(Signal::INT.as_raw()));
    assert!(listed(&name).is_none());
}

#[test]
fn an_interrupted_watch_ends() {
    let (name, _handle) = open_table();
    let mut running = Running::start(&mut shmtable(&["--json", "stat", &name, "--watch", "5ms"]));
    let mut out = BufReader::new(running.0.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    running.signal(Signal::TERM);
    out.read_to_string(&mut line).unwrap();
    assert!(line.ends_with("}\n"));
    let (status, _, _) = running.output();
    assert_eq!(status.signal(), Some(Signal::TERM.as_raw()));
}
