//! Do the commands on several entries change each of them?

mod common;

use common::{Name, ends, json, ok, open_table, run, run_with, table, text};
use shmtable::Table;

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn several_keys_are_got_at_once() {
    let name = table("msgpack");
    ok(&["put", &name, "a", "1"]);
    ok(&["put", &name, "b", "two"]);
    assert_eq!(ok(&["get", &name, "b", "a"]), "\"b\"\t\"two\"\n\"a\"\t1\n");
    // One that is not there is none of the lines.
    assert_eq!(ends(1, &["get", &name, "none", "a"]), "\"a\"\t1\n");
    let lines = ends(1, &["--json", "get", &name, "a", "none"]);
    let lines: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&lines[0]["key"], &lines[0]["value"]),
        (&"a".into(), &1.into())
    );
    assert_eq!(
        (&lines[1]["key"], &lines[1]["found"]),
        (&"none".into(), &false.into())
    );
    assert!(ends(2, &["get", &name, "a", "b", "--raw"]).contains("one key"));
}

#[test]
fn a_value_is_in_hexadecimal_while_its_key_is_not() {
    let name = table("bytes");
    ok(&["put", &name, "user:5", "00ff", "--hex-value"]);
    assert_eq!(ok(&["get", &name, "user:5", "--hex-value"]), "00ff\n");
    assert_eq!(
        json(0, &["get", &name, "user:5", "--hex-value"])["hex"],
        "00ff"
    );
    assert_eq!(ok(&["scan", &name, "--hex-value"]), "user:5\t00ff\n");
    let handle = Table::open(&name).unwrap();
    assert_eq!(handle.get(b"user:5").unwrap(), Some(vec![0, 255]));
}

#[test]
fn del_prints_how_many_there_were() {
    let name = table("bytes");
    for key in ["a", "b"] {
        ok(&["put", &name, key, "1"]);
    }
    assert_eq!(ok(&["del", &name, "a", "b", "none"]), "2 entries removed\n");
    assert_eq!(ends(1, &["del", &name, "a"]), "0 entries removed\n");
}

#[test]
fn del_takes_keys_from_the_standard_input() {
    let name = table("bytes");
    for key in ["a", "b c", "--json", "d"] {
        ok(&["put", &name, "--", key, "1"]);
    }
    let output = run_with(&["del", &name, "-"], b"a\nb c\n--json\nnone\n");
    assert_eq!(text(&output.stdout), "3 entries removed\n");
    assert_eq!(ok(&["scan", &name, "--keys"]), "d\n");
}

#[test]
fn del_removes_what_a_prefix_or_a_pattern_says() {
    let name = table("msgpack");
    for key in ["user/1", "user/2", "job/1", "job/2", "7"] {
        ok(&["put", &name, key, "1"]);
    }
    assert_eq!(
        ok(&["del", &name, "--prefix", "user/"]),
        "2 entries removed\n"
    );
    assert_eq!(
        ok(&["del", &name, "--match", "j?b/[2-9]"]),
        "1 entry removed\n"
    );
    assert_eq!(
        ends(1, &["del", &name, "--match", "j?b"]),
        "0 entries removed\n"
    );
    assert_eq!(sorted(&ok(&["scan", &name, "--keys"])), ["\"job/1\"", "7"]);
    // Keys and a prefix contradict each other, and one of them must be.
    for wrong in [&["a", "--prefix", "b"][..], &[]] {
        let arguments = [&["del", &name], wrong].concat();
        assert_eq!(run(&arguments).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn nothing_is_removed_if_a_key_is_none() {
    let name = table("u32/str");
    ok(&["put", &name, "1", "one"]);
    assert!(ends(2, &["del", &name, "1", "x"]).contains("u32/str"));
    assert_eq!(ok(&["count", &name]), "1\n");
}

#[test]
fn clear_removes_all_and_leaves_the_table() {
    let (name, handle) = open_table();
    handle.insert_many([("a", "1"), ("b", "2")]).unwrap();
    assert_eq!(ok(&["clear", &name]), "2 entries removed\n");
    assert!(handle.is_empty());
    handle.insert("c", "3").unwrap();
    assert_eq!(json(0, &["clear", &name])["removed"], 1);
    assert_eq!(json(0, &["clear", &name])["removed"], 0);
}

#[test]
fn shrink_gives_back_what_a_table_can_spare() {
    let name = Name::new();
    ok(&["create", &name]);
    let handle = Table::open(&name).unwrap();
    for number in 0..20_000_u32 {
        handle.insert(number.to_le_bytes(), [0; 1000]).unwrap();
    }
    for number in 0..20_000_u32 {
        handle.insert(number.to_le_bytes(), [1; 10]).unwrap();
    }
    let before = handle.quick_stats().unwrap().memory_bytes;
    let given = json(0, &["shrink", &name])["given_back_bytes"]
        .as_u64()
        .unwrap() as usize;
    assert!(given > 10_000_000, "{given}");
    // The command itself took a page, as a participant.
    let after = handle.quick_stats().unwrap().memory_bytes;
    assert!(
        after <= before - given + 4096,
        "{before} - {given}, then {after}"
    );
    assert_eq!(ok(&["shrink", &name]), "0 B given back\n");
    assert_eq!(handle.get(7_u32.to_le_bytes()).unwrap(), Some(vec![1; 10]));
}

#[test]
fn a_value_is_taken_once() {
    let name = table("bytes");
    ok(&["put", &name, "k", "v"]);
    assert_eq!(ok(&["take", &name, "k"]), "v\n");
    assert_eq!(ends(1, &["take", &name, "k"]), "");
    ok(&["put", &name, "k", "w"]);
    assert_eq!(ok(&["take", &name, "k", "--raw"]), "w");
    assert_eq!(json(1, &["take", &name, "k"])["found"], false);
}

#[test]
fn a_value_is_exchanged_if_it_is_the_expected_one() {
    let name = table("msgpack");
    assert_eq!(ends(1, &["cas", &name, "k", "old", "new"]), "");
    assert_eq!(ok(&["cas", &name, "k", "--absent", "1"]), "");
    assert_eq!(ends(1, &["cas", &name, "k", "--absent", "2"]), "1\n");
    assert_eq!(ends(1, &["cas", &name, "k", "7", "2"]), "1\n");
    let found = json(1, &["cas", &name, "k", "7", "2"]);
    assert_eq!(
        (&found["exchanged"], &found["value"]),
        (&false.into(), &1.into())
    );
    assert_eq!(json(0, &["cas", &name, "k", "1", "-2"])["exchanged"], true);
    assert_eq!(ok(&["get", &name, "k"]), "-2\n");
    assert_eq!(ok(&["cas", &name, "k", "-2", "--remove"]), "");
    assert_eq!(ends(1, &["get", &name, "k"]), "");
    for wrong in [&["1"][..], &[], &["1", "2", "--absent"], &["--remove"]] {
        let arguments = [&["cas", &name, "k"], wrong].concat();
        assert!(ends(2, &arguments).contains("EXPECTED"), "{wrong:?}");
    }
}

#[test]
fn entries_are_counted() {
    let (name, handle) = open_table();
    assert_eq!(ok(&["count", &name]), "0\n");
    handle
        .insert_many([("a1", "1"), ("a2", "2"), ("b", "3")])
        .unwrap();
    assert_eq!(ok(&["count", &name]), "3\n");
    assert_eq!(ok(&["count", &name, "--prefix", "a"]), "2\n");
    assert_eq!(ok(&["count", &name, "--prefix", "61", "--hex"]), "2\n");
    assert_eq!(ok(&["count", &name, "--match", "*2"]), "1\n");
    assert_eq!(ok(&["count", &name, "--match", "none"]), "0\n");
    assert_eq!(json(0, &["count", &name])["entries"], 3);
}

#[test]
fn scan_selects_by_a_pattern() {
    let name = table("bytes");
    for key in ["user/1", "user/22", "other"] {
        ok(&["put", &name, key, "v"]);
    }
    assert_eq!(ok(&["scan", &name, "--match", "user/?"]), "user/1\tv\n");
    let both = ["scan", &name, "--prefix", "user", "--match", "*2", "--keys"];
    assert_eq!(ok(&both), "user/22\n");
}

#[test]
fn lengths_of_keys_and_values_are_counted() {
    let (name, handle) = open_table();
    handle.insert("", "").unwrap();
    handle.insert("k", "v").unwrap();
    handle.insert("key", vec![7; 1000]).unwrap();
    let sizes = json(0, &["sizes", &name]);
    assert_eq!(sizes["entries"], 3);
    assert_eq!(
        (&sizes["keys"]["bytes"], &sizes["values"]["bytes"]),
        (&4.into(), &1001.into())
    );
    assert_eq!(
        (&sizes["largest"]["key"], &sizes["largest"]["bytes"]),
        (&"key".into(), &1003.into())
    );
    let lengths = sizes["values"]["lengths"].as_array().unwrap();
    let lengths: Vec<_> = lengths
        .iter()
        .map(|one| ["from", "to", "entries"].map(|field| one[field].as_u64().unwrap()))
        .collect();
    assert_eq!(lengths, [[0, 0, 1], [1, 1, 1], [512, 1023, 1]]);
    let shown = ok(&["sizes", &name]);
    assert!(shown.contains("512-1,023     0       1\n"), "{shown}");
    assert!(shown.ends_with("largest: key, 1003 B\n"), "{shown}");
}

#[test]
fn lines_of_keys_may_be_empty_and_end_as_on_windows() {
    let (name, table) = open_table();
    for key in ["", "a", "b", "c", "d"] {
        table.insert(key, "v").unwrap();
    }
    let output = run_with(&["del", &name, "-"], b"a\r\n\n\r\nb\nc\r");
    assert_eq!(text(&output.stdout), "3 entries removed\n");
    assert_eq!(table.len(), 2);
    assert!(table.contains_key("").unwrap() && table.contains_key("d").unwrap());
}
