//! Are tables copied, renamed and compared as a whole?

mod common;

use common::{Name, ends, json, listed, ok, open_table, table};
use shmtable::{Options, Table};

fn filled(entries: u32) -> (Name, Table) {
    let (name, handle) = open_table();
    for number in 0..entries {
        handle
            .insert(number.to_string(), vec![7; number as usize])
            .unwrap();
    }
    (name, handle)
}

#[test]
fn a_copy_is_as_large_as_the_table_and_has_its_codec() {
    let (from, to) = (table("pickle"), Name::new());
    ok(&["put", &from, "k", "[1, 2]"]);
    assert_eq!(ok(&["copy", &from, &to]), "1 entry copied\n");
    assert_eq!(ok(&["get", &to, "k"]), "[1,2]\n");
    let (old, new) = (listed(&from).unwrap(), listed(&to).unwrap());
    for field in ["capacity", "value_space", "codec", "max_participants"] {
        assert_eq!(old[field], new[field], "{field}");
    }
}

#[test]
fn a_copy_has_another_size_if_that_is_asked_for() {
    let ((from, _handle), to) = (filled(200), Name::new());
    let arguments = [
        "copy",
        &from,
        &to,
        "--capacity",
        "5k",
        "--value-space",
        "2MiB",
        "--snapshot",
    ];
    assert_eq!(json(0, &arguments)["copied"], 200);
    let copy = listed(&to).unwrap();
    assert_eq!(
        (&copy["capacity"], &copy["entries"]),
        (&5000.into(), &200.into())
    );
    assert_eq!(ok(&["diff", &from, &to]), "");
}

#[test]
fn a_copy_that_has_no_room_leaves_nothing() {
    let ((from, _handle), to) = (filled(200), Name::new());
    let failure = ends(2, &["copy", &from, &to, "--value-space", "10"]);
    assert!(failure.contains("--value-space"), "{failure}");
    let left: Vec<_> = Table::list()
        .unwrap()
        .into_iter()
        .filter(|name| name.contains(&*to))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_copy_takes_a_name_away_only_if_that_is_asked_for() {
    let ((from, _), (to, users)) = (filled(3), filled(1));
    let failure = ends(2, &["copy", &from, &to]);
    assert!(failure.contains("--replace"), "{failure}");
    assert_eq!(json(2, &["copy", &from, &to])["kind"], "AlreadyExists");
    assert_eq!(ok(&["count", &to]), "1\n");
    ok(&["copy", &from, &to, "--replace"]);
    assert_eq!(ok(&["count", &to]), "3\n");
    // Who had the other one open has it still.
    assert_eq!(users.len(), 1);
}

#[test]
fn a_table_is_renamed() {
    let ((from, handle), to) = (filled(3), Name::new());
    assert_eq!(ok(&["rename", &from, &to]), "");
    assert_eq!(ok(&["count", &to]), "3\n");
    assert!(listed(&from).is_none());
    handle.insert("new", "1").unwrap();
    assert_eq!(ok(&["count", &to]), "4\n");
    let (other, _) = filled(1);
    assert!(ends(2, &["rename", &to, &other]).contains("already exists"));
    assert_eq!(
        json(0, &["rename", &to, &other, "--replace"])["renamed"],
        &*other
    );
    assert_eq!(ok(&["count", &other]), "4\n");
    assert!(ends(2, &["rename", &to, &from]).contains("no table"));
}

#[test]
fn a_file_that_is_no_table_does_not_lose_its_name_to_one() {
    let ((from, _), to) = (filled(3), Name::new());
    let path = to.path();
    std::fs::write(&path, vec![7; 8192]).unwrap();
    for command in ["copy", "rename"] {
        let failure = ends(2, &[command, &from, &to, "--replace"]);
        assert!(failure.contains("is not a table"), "{failure}");
        assert_eq!(std::fs::read(&path).unwrap(), [7; 8192]);
        assert_eq!(ok(&["count", &from]), "3\n");
    }
}

#[test]
fn tables_are_compared() {
    let ((first, one), (second, other)) = (filled(5), filled(5));
    assert_eq!(ok(&["diff", &first, &second]), "");
    one.insert("changed", "old").unwrap();
    other.insert("changed", "new").unwrap();
    other.insert("more", "").unwrap();
    one.insert("less", "x").unwrap();
    let shown = ends(1, &["diff", &first, &second]);
    let mut lines: Vec<_> = shown.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["+ changed\tnew", "+ more\t", "- changed\told", "- less\tx"]
    );
    let lines = ends(1, &["--json", "diff", &first, &second, "--hex"]);
    let changed = lines
        .lines()
        .find(|line| line.contains("first") && line.contains("second"));
    let changed: serde_json::Value = serde_json::from_str(changed.unwrap()).unwrap();
    assert_eq!(changed["key"], "6368616e676564");
    assert_eq!(
        (&changed["first"], &changed["second"]),
        (&"6f6c64".into(), &"6e6577".into())
    );
}

#[test]
fn tables_of_two_codecs_are_not_compared() {
    let (first, second) = (table("json"), table("bytes"));
    let failure = ends(2, &["diff", &first, &second]);
    assert!(
        failure.contains("json") && failure.contains("bytes"),
        "{failure}"
    );
}

#[test]
fn a_copy_may_be_opened_by_those_who_may_open_the_table() {
    use std::os::unix::fs::PermissionsExt;
    let (from, to) = (Name::new(), Name::new());
    drop(
        Options::new()
            .capacity(10)
            .mode(0o640)
            .create(&from)
            .unwrap(),
    );
    ok(&["copy", &from, &to]);
    let mode = |name: &str| {
        let data = std::fs::metadata(common::path_of(name)).unwrap();
        data.permissions().mode() & 0o777
    };
    assert_eq!(mode(&to), 0o640);
    ok(&["copy", &from, &to, "--replace", "--mode", "600"]);
    assert_eq!(mode(&to), 0o600);
}
