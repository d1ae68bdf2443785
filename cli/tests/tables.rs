//! Do the commands on tables show, create and remove them?

mod common;

use common::{Name, ends, json, listed, ok, open_table, table, user_of};
use rustix::process::Signal;
use shmtable::{Options, Table};

#[test]
fn a_table_is_created_as_asked() {
    let name = Name::new();
    let arguments = [
        "create",
        &name,
        "--capacity",
        "2k",
        "--value-space",
        "1.5MiB",
        "--codec",
        "pickle",
        "--mode",
        "640",
        "--stripes",
        "32",
        "--chunk-size",
        "64KiB",
        "--max-participants",
        "9",
    ];
    let created = json(0, &arguments);
    assert_eq!(
        (&created["capacity"], &created["codec"]),
        (&2000.into(), &"pickle".into())
    );
    let handle = Table::open(&name).unwrap();
    let stats = handle.stats().unwrap();
    assert_eq!((stats.capacity, stats.value_space), (2000, 3 << 19));
    assert_eq!(
        (stats.stripes, stats.chunk_bytes, stats.max_participants),
        (32, 65_536, 9)
    );
    assert_eq!(
        handle.codec_id(),
        shmtable::codec_id("messagepack", "messagepack+pickle")
    );
    let failure = ends(2, &arguments);
    assert!(failure.contains("already exists"), "{failure}");
    let failure = json(2, &arguments);
    assert_eq!(failure["kind"], "AlreadyExists");
    for (option, value) in [
        ("--stripes", "3"),
        ("--capacity", "0"),
        ("--value-space", "many"),
        ("--mode", "999"),
        ("--codec", "perl"),
    ] {
        let name = Name::new();
        ends(2, &["create", &name, option, value]);
        assert!(Table::open(&name).is_err(), "{option}: nothing was created");
    }
    assert!(ends(2, &["create", "a/b"]).contains("a/b"));
}

#[test]
fn a_table_without_a_size_grows() {
    let (name, bounded) = (Name::new(), Name::new());
    let created = json(0, &["create", &name]);
    assert_eq!(
        (&created["capacity"], &created["grows"]),
        (&(1_u64 << 32).into(), &true.into())
    );
    let sizes = ["--capacity", "100", "--max-capacity", "10k"];
    let created = json(0, &[&["create", &*bounded][..], &sizes].concat());
    assert_eq!(
        (&created["capacity"], &created["grows"]),
        (&10_000.into(), &true.into())
    );
    let other = Name::new();
    let sizes = ["--capacity", "100", "--max-capacity", "99"];
    let failure = ends(2, &[&["create", &*other][..], &sizes].concat());
    let told = "--max-capacity is 99; allowed is the capacity of 100 or more";
    assert!(failure.contains(told), "{failure}");
    let shown = ok(&["stat", &name]);
    for told in [
        "0, grows to 4,294,967,296; 28,672 slots",
        "index 656 KiB (up to 128 GiB), records 0 B",
    ] {
        assert!(shown.contains(told), "{shown}");
    }
    let handle = Table::open(&name).unwrap();
    for number in 0..50_000_u32 {
        handle.insert(number.to_le_bytes(), b"value").unwrap();
    }
    let one = listed(&name).unwrap();
    assert_eq!(one["entries"], 50_000);
    assert!(one["slots"].as_u64() > Some(50_000));
    assert!(one["memory_bytes"].as_u64() < Some(50 * 50_000));
    let table = Table::open(&bounded).unwrap();
    let refused = (0..1_000_000_u32)
        .map(|number| number.to_string())
        .find(|key| table.insert(key, b"").is_err())
        .unwrap();
    let failure = ends(2, &["put", &bounded, &refused, ""]);
    for told in ["it grows to 10000 entries", "a larger --max-capacity"] {
        assert!(failure.contains(told), "{failure}");
    }
    ok(&["check", &name]);
    ok(&["check", &bounded]);
}

#[test]
fn tables_are_removed() {
    let names = [table("bytes"), table("bytes")];
    let still = Table::open(&names[0]).unwrap();
    assert_eq!(
        json(0, &["rm", &names[0], &names[1]])["removed"][1],
        &*names[1]
    );
    assert!(listed(&names[0]).is_none() && listed(&names[1]).is_none());
    still.insert(b"still", b"usable").unwrap();
    assert!(ends(2, &["rm", &names[0]]).contains("no table"));
    let last = table("bytes");
    assert!(ends(2, &["rm", &names[0], &last]).contains("1 of 2"));
    assert!(listed(&last).is_none());
}

#[test]
fn ls_tells_who_uses_a_table_and_is_no_user_itself() {
    let (name, handle) = open_table();
    handle.insert(b"key", &[1; 1000]).unwrap();
    let one = listed(&name).unwrap();
    assert_eq!(
        (&one["entries"], &one["capacity"]),
        (&1.into(), &1000.into())
    );
    assert_eq!(
        (&one["attached"], &one["state"]),
        (&1.into(), &"used".into())
    );
    assert_eq!(one["bytes_used"], 1016);
    assert!(one["memory_bytes"].as_u64() > Some(1016));
    assert_eq!(one["uid"], rustix::process::geteuid().as_raw());
    let reader = Table::open_read_only(&name).unwrap();
    drop(handle);
    let one = listed(&name).unwrap();
    assert_eq!(
        (&one["attached"], &one["readers"]),
        (&0.into(), &true.into())
    );
    assert_eq!(one["state"], "used");
    drop(reader);
    assert_eq!(listed(&name).unwrap()["state"], "unused");
    // Twice: the first look has left nothing.
    assert_eq!(listed(&name).unwrap()["state"], "unused");
    let text = ok(&["ls"]);
    assert!(text.starts_with("NAME "), "{text}");
    let line = text.lines().find(|line| line.starts_with(&*name)).unwrap();
    assert!(line.ends_with("unused"), "{line}");
}

#[test]
fn a_file_that_is_no_table_is_listed_all_the_same() {
    let name = Name::new();
    let path = name.path();
    std::fs::write(&path, vec![7; 8192]).unwrap();
    let one = listed(&name).unwrap();
    assert_eq!(one["kind"], "IncompatibleFormat");
    let text = ok(&["ls"]);
    let line = text.lines().find(|line| line.starts_with(&*name)).unwrap();
    assert!(line.ends_with("other version"), "{line}");
    assert!(ends(2, &["stat", &name]).contains("not a table"));
    std::fs::write(&path, b"short").unwrap();
    assert_eq!(listed(&name).unwrap()["kind"], "IncompatibleFormat");
    ends(2, &["get", &name, "key"]);
    ok(&["rm", &name]);
}

#[test]
fn stat_tells_of_processes_running_stopped_and_dead() {
    let (name, handle) = open_table();
    let user = user_of(&name);
    let state = |pid: u32| {
        let stat = json(0, &["stat", &name]);
        let participants = stat["participants"].as_array().unwrap().clone();
        let one = participants.into_iter().find(|one| one["pid"] == pid);
        one.map(|one| one["state"].as_str().unwrap().to_owned())
    };
    assert_eq!(state(user.pid()).as_deref(), Some("sleeping"));
    user.signal(Signal::STOP);
    common::eventually("it stops", || {
        state(user.pid()).as_deref() == Some("stopped")
    });
    let pid = user.pid();
    user.kill();
    assert_eq!(state(pid).as_deref(), Some("died"));
    let stat = json(0, &["stat", &name]);
    assert_eq!((&stat["attached"], &stat["died"]), (&1.into(), &1.into()));
    let text = ok(&["stat", &name]);
    assert!(
        text.contains("1 of 1024 for writing") && text.contains("died"),
        "{text}"
    );
    drop(handle);
}

#[test]
fn stat_watches() {
    let (name, handle) = open_table();
    let lines = ok(&["--json", "stat", &name, "--watch", "10ms", "--count", "3"]);
    let lines: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].get("per_second").is_none());
    assert_eq!(lines[2]["per_second"]["locks_acquired"], 0.0);
    handle.insert(b"key", b"value").unwrap();
    let text = ok(&["stat", &name, "--watch=10ms", "--count", "2"]);
    assert_eq!(text.matches("\nper second").count(), 1, "{text}");
    assert_eq!(text.matches("1 of 1,000 (0.1 %)").count(), 2, "{text}");
    ends(2, &["stat", "cli-test-no-such-table"]);
    ends(2, &["stat", &name, "--count", "2"]);
}

#[test]
fn others_tables_are_opened_only_if_that_is_said() {
    // Root sees everything; a table of another user is one that only root can make here.
    if !rustix::process::geteuid().is_root() {
        let name = table("bytes");
        let me = rustix::process::geteuid().as_raw().to_string();
        ok(&["stat", &name, "--trust", &me]);
        return;
    }
    let name = table("bytes");
    let path = name.path();
    std::os::unix::fs::chown(path, Some(12345), None).unwrap();
    let failure = ends(2, &["get", &name, "key"]);
    assert!(failure.contains("12345"), "{failure}");
    assert_eq!(listed(&name).unwrap()["kind"], "WrongOwner");
    assert_eq!(
        json(0, &["stat", &name, "--trust", "1,12345"])["uid"],
        12345
    );
    ends(1, &["get", &name, "key", "--trust", "anyone"]);
    ends(2, &["get", &name, "key", "--trust", "nobody"]);
}

#[test]
fn a_damaged_table_is_found_and_repaired() {
    let (name, handle) = open_table();
    handle.insert(b"key", b"value").unwrap();
    assert_eq!(ok(&["check", &name]), "");
    assert_eq!(
        json(0, &["check", &name])["wrong"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
    // A word of the header that means nothing.
    let path = name.path();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[1], 4000).unwrap();
    assert!(ends(1, &["check", &name]).contains("4000"));
    assert_eq!(
        json(1, &["check", &name])["wrong"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let done = ok(&["repair", &name]);
    assert!(!done.is_empty());
    assert_eq!(ok(&["check", &name]), "");
    assert_eq!(
        json(0, &["repair", &name])["repaired"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
    assert_eq!(handle.get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
    ends(2, &["check", "cli-test-no-such-table"]);
    ends(2, &["repair", "cli-test-no-such-table"]);
}

#[test]
fn bench_measures_and_leaves_nothing() {
    let figures = json(0, &["bench", "--entries", "2000", "--threads", "2"]);
    assert_eq!(
        (&figures["entries"], &figures["threads"]),
        (&2000.into(), &2.into())
    );
    let operations = figures["operations"].as_array().unwrap();
    assert!(operations.len() >= 5);
    assert!(
        operations
            .iter()
            .all(|one| one["nanoseconds"].as_f64() > Some(0.0))
    );
    let text = ok(&["bench", "--entries", "1k", "--value-size", "1KiB"]);
    assert!(
        text.contains("insert") && text.contains("values of 1024"),
        "{text}"
    );
    let failure = ends(2, &["bench", "--entries", "1k", "--value-size", "999TiB"]);
    assert!(failure.contains("--value-space"), "{failure}");
}

#[test]
fn a_lock_that_is_kept_is_an_error_after_the_time_that_was_said() {
    let (name, handle) = open_table();
    let failure = handle
        .update(b"key", |_| {
            let failure = ends(2, &["put", &name, "key", "value", "--lock-timeout", "50ms"]);
            Some(failure.into_bytes())
        })
        .unwrap();
    let failure = String::from_utf8(failure.unwrap()).unwrap();
    assert!(failure.contains("50ms"), "{failure}");
    // Options of the crate's, not only those of a name.
    assert_eq!(Options::new().open(&name).unwrap().len(), 1);
}

#[test]
fn a_table_is_replaced_only_if_that_is_asked_for() {
    let (name, handle) = open_table();
    handle.insert("k", "v").unwrap();
    assert!(ends(2, &["create", &name]).contains("already exists"));
    assert_eq!(ok(&["count", &name]), "1\n");
    let replaced = json(0, &["create", &name, "--replace", "--capacity", "7"]);
    assert_eq!(replaced["capacity"], 7);
    assert_eq!(ok(&["count", &name]), "0\n");
    // Who had the other one open has it still.
    assert_eq!(handle.len(), 1);
}

#[test]
fn a_name_that_is_not_utf8_is_listed_and_removed() {
    use std::os::unix::ffi::OsStringExt;
    let name = Name::new();
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(0xe9);
    let path = [b"/dev/shm/shmtable.", &bytes[..]].concat();
    let path = std::path::PathBuf::from(std::ffi::OsString::from_vec(path));
    std::fs::write(&path, "no table").unwrap();
    let shown = format!("{}\\xe9", &*name);
    assert_eq!(listed(&shown).unwrap()["kind"], "InvalidName");
    assert!(ok(&["ls"]).contains(&shown));
    let mut command = common::shmtable(&["--json", "rm"]);
    let output = command
        .arg(std::ffi::OsString::from_vec(bytes))
        .output()
        .unwrap();
    assert!(
        common::text(&output.stdout).contains(r"\\xe9"),
        "{output:?}"
    );
    assert!(!path.exists());
}
