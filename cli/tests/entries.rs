//! Do the commands on keys read and print values by the table's codec?

mod common;

use std::fs;

use common::{ends, json, ok, open_table, run, run_with, table, text};
use shmtable::{Options, Table};

#[test]
fn a_value_is_stored_found_and_removed() {
    let name = table("bytes");
    assert_eq!(ends(1, &["get", &name, "key"]), "");
    assert_eq!(ok(&["put", &name, "key", "value"]), "");
    assert_eq!(ok(&["get", &name, "key"]), "value\n");
    // Another process sees it as it is.
    let handle = Table::open(&name).unwrap();
    assert_eq!(handle.get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
    assert_eq!(ends(1, &["put", &name, "key", "other", "--if-absent"]), "");
    assert_eq!(ok(&["get", &name, "key"]), "value\n");
    assert_eq!(ok(&["del", &name, "key", "absent"]), "1 entry removed\n");
    assert_eq!(ends(1, &["del", &name, "key"]), "0 entries removed\n");
    assert_eq!(ends(1, &["get", &name, "key"]), "");
    assert_eq!(json(0, &["put", &name, "k", "1"])["replaced"], false);
    assert_eq!(json(0, &["put", &name, "k", "2"])["replaced"], true);
    assert_eq!(
        json(1, &["put", &name, "k", "3", "--if-absent"])["stored"],
        false
    );
    assert_eq!(json(0, &["get", &name, "k"])["value"], "2");
    assert_eq!(json(1, &["get", &name, "absent"])["found"], false);
    assert_eq!(json(0, &["del", &name, "k"])["removed"], 1);
    // An empty value is a value.
    ok(&["put", &name, "", ""]);
    assert_eq!(ok(&["get", &name, ""]), "\n");
    assert_eq!(ok(&["get", &name, "", "--raw"]), "");
    // What begins with a hyphen is not an option.
    ok(&["put", &name, "-1", "-2"]);
    assert_eq!(ok(&["get", &name, "-1"]), "-2\n");
}

#[test]
fn values_come_from_files_and_the_standard_input_and_leave_as_they_were() {
    let name = table("bytes");
    let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let path = std::env::temp_dir().join(&*name);
    fs::write(&path, &bytes).unwrap();
    ok(&["put", &name, "file", "--file", path.to_str().unwrap()]);
    fs::remove_file(&path).unwrap();
    assert!(run_with(&["put", &name, "input"], &bytes).status.success());
    for (key, digits) in [("file", "66696c65"), ("input", "696e707574")] {
        assert_eq!(run(&["get", &name, key, "--raw"]).stdout, bytes);
        let shown = ok(&["get", &name, key]);
        assert!(shown.starts_with("0x000102"), "{shown}");
        assert_eq!(
            ok(&["get", &name, digits, "--hex"]),
            shown.replace("0x", "")
        );
    }
    assert!(ends(2, &["put", &name, "k", "--file", "/no/such/file"]).contains("/no/such/file"));
    // Bytes by their digits, keys too.
    ok(&["put", &name, "00ff", "fe", "--hex"]);
    let handle = Table::open(&name).unwrap();
    assert_eq!(handle.get(&[0, 255]).unwrap(), Some(vec![254]));
    assert_eq!(ok(&["get", &name, "00ff", "--hex"]), "fe\n");
    let hex = json(0, &["get", &name, "00ff", "--hex"]);
    assert_eq!(hex["hex"], "fe");
    ends(2, &["get", &name, "0", "--hex"]);
}

#[test]
fn a_value_that_steers_a_terminal_is_not_printed_as_it_is() {
    let (name, handle) = open_table();
    handle.insert(b"\x1b[2Jkey", b"\x1b]0;title\x07").unwrap();
    for arguments in [&["scan", &*name][..], &["--json", "scan", &name]] {
        assert!(!ok(arguments).contains('\x1b'));
    }
    let shown = ok(&["get", &name, "1b5b324a6b6579", "--hex"]);
    assert!(!shown.contains('\x1b'));
}

/// Codecs with numbers, and whether they have floats and text as well.
const NUMBER_CODECS: [(&str, bool); 6] = [
    ("bytes", false),
    ("str/i64", false),
    ("str/u8", false),
    ("msgpack", true),
    ("pickle", true),
    ("json", true),
];

#[test]
fn the_greater_or_the_smaller_number_stays_in_each_codec() {
    for (codec, text) in NUMBER_CODECS {
        let name = table(codec);
        assert_eq!(ok(&["max", &name, "n", "7"]), "7\n", "{codec}");
        assert_eq!(ok(&["max", &name, "n", "9"]), "9\n", "{codec}");
        assert_eq!(json(0, &["max", &name, "n", "8"])["value"], 9, "{codec}");
        assert_eq!(ok(&["min", &name, "n", "20"]), "9\n", "{codec}");
        assert_eq!(ok(&["min", &name, "n", "4"]), "4\n", "{codec}");
        assert_eq!(ok(&["min", &name, "new", "4"]), "4\n", "{codec}");
        if codec != "bytes" {
            assert_eq!(ok(&["get", &name, "n"]), "4\n", "{codec}");
        }
        if text {
            assert_eq!(ok(&["max", &name, "n", "4.5"]), "4.5\n");
            assert_eq!(ok(&["min", &name, "n", "5"]), "4.5\n");
            // An integer beside a float of nearly its value.
            ok(&["put", &name, "large", "9007199254740993"]);
            let stays = ok(&["min", &name, "large", "9007199254740992.0"]);
            assert_eq!(stays, "9007199254740992.0\n");
            ok(&["put", &name, "t", "text"]);
            assert!(ends(2, &["max", &name, "t", "1"]).contains("\"text\""));
        }
        ends(2, &["max", &name, "n", "much"]);
    }
    let name = table("str/u8");
    assert!(ends(2, &["max", &name, "n", "300"]).contains("300 is not u8"));
    assert_eq!(ends(1, &["get", &name, "n"]), "");
    let name = table("bytes");
    ok(&["put", &name, "t", "text"]);
    assert!(ends(2, &["min", &name, "t", "1"]).contains("a counter has 8"));
}

#[test]
fn numbers_are_added_to_in_each_codec() {
    for (codec, text) in NUMBER_CODECS {
        let name = table(codec);
        assert_eq!(ok(&["add", &name, "n"]), "1\n", "{codec}");
        assert_eq!(ok(&["add", &name, "n", "41"]), "42\n", "{codec}");
        assert_eq!(json(0, &["add", &name, "n", "-2"])["value"], 40, "{codec}");
        if codec != "bytes" {
            assert_eq!(ok(&["get", &name, "n"]), "40\n", "{codec}");
        }
        if text {
            assert_eq!(ok(&["add", &name, "n", "0.5"]), "40.5\n");
            ok(&["put", &name, "t", "text"]);
            assert!(ends(2, &["add", &name, "t"]).contains("\"text\""));
        }
        ends(2, &["add", &name, "n", "much"]);
    }
    let name = table("bytes");
    assert_eq!(
        ok(&["add", &name, "n", &i64::MAX.to_string()]),
        format!("{}\n", i64::MAX)
    );
    assert!(ends(2, &["add", &name, "n"]).contains("overflow"));
    ok(&["put", &name, "t", "text"]);
    assert!(ends(2, &["add", &name, "t"]).contains("a counter has 8"));
    let name = table("str/u8");
    assert!(ends(2, &["add", &name, "n", "300"]).contains("300"));
    assert_eq!(ends(1, &["get", &name, "n"]), "");
}

#[test]
fn messagepack_is_typed_and_shown_as_json() {
    let name = table("pickle");
    for (key, value, shown) in [
        ("text", "plain", "\"plain\""),
        ("42", "42", "42"),
        (
            "\"42\"",
            "{\"a\": [1, 2.5, null, true]}",
            "{\"a\":[1,2.5,null,true]}",
        ),
        ("[1, \"a\"]", "{\"$bin\": \"00ff\"}", "{\"$bin\":\"00ff\"}"),
        ("null", "{\"$map\": [[1, 2]]}", "{\"$map\":[[1,2]]}"),
        ("1.5", "\"\\u001b\"", "\"\\u001b\""),
        (
            "pickled",
            "{\"$ext\": [80, \"80049580\"]}",
            "<pickle, 4 bytes>",
        ),
        (
            "pickled with buffers",
            "{\"$ext\": [66, \"9204929201c39201c28004492e00000000000000ff\"]}",
            "<pickle with 2 buffers, 21 bytes>",
        ),
        (
            "another",
            "{\"$ext\": [66, \"9204\"]}",
            "{\"$ext\":[66,\"9204\"]}",
        ),
    ] {
        ok(&["put", &name, key, value]);
        assert_eq!(ok(&["get", &name, key]), format!("{shown}\n"), "{key}");
    }
    // Equal in Python, equal here.
    assert_eq!(ok(&["get", &name, "42.0"]), "42\n");
    assert_eq!(ends(1, &["get", &name, "43"]), "");
    assert_eq!(
        ok(&["get", &name, "42", "--text"]),
        "{\"a\":[1,2.5,null,true]}\n"
    );
    assert!(ends(2, &["get", &name, "{\"a\": 1}"]).contains("a map cannot be a key"));
    let pickled = json(0, &["get", &name, "pickled"]);
    assert_eq!(pickled["value"]["$ext"][1], "80049580");
    // The bytes are those that Python stores.
    let handle = Table::open(&name).unwrap();
    let stored = handle.get(b"\x92\x01\xa1a").unwrap();
    assert_eq!(stored.as_deref(), Some(&b"\xc4\x02\x00\xff"[..]));
    // What is not MessagePack is shown all the same.
    handle.insert(b"\xc1", b"\xc1").unwrap();
    assert!(ok(&["scan", &name]).contains("0xc1\t0xc1\n"));
}

#[test]
fn json_and_typed_tables_are_shown_as_what_they_are() {
    let name = table("json");
    ok(&["put", &name, "k", "{\"b\": 1, \"a\": [\"x\"]}"]);
    assert_eq!(json(0, &["get", &name, "k"])["value"]["a"][0], "x");
    let handle = Table::open(&name).unwrap();
    let stored = handle.get(b"\xa1k").unwrap().unwrap();
    assert_eq!(text(&stored), "{\"b\":1,\"a\":[\"x\"]}");
    let output = run_with(&["put", &name, "k"], b"[1, 2]\n");
    assert!(output.status.success());
    assert_eq!(ok(&["get", &name, "k"]), "[1,2]\n");

    let name = table("u32/f64");
    ok(&["put", &name, "7", "2.5"]);
    assert_eq!(ok(&["scan", &name]), "7\t2.5\n");
    assert!(ends(2, &["put", &name, "x", "1"]).contains("u32/f64"));
    let typed = shmtable::TypedTable::<u32, f64>::open(Options::new(), &name).unwrap();
    assert_eq!(typed.get(&7).unwrap(), Some(2.5));
    assert_eq!(json(0, &["stat", &name])["codec"], "u32/f64");
}

#[test]
fn scan_selects() {
    let (name, handle) = open_table();
    assert_eq!(ends(1, &["scan", &name]), "");
    for number in 0..50 {
        let key = format!("user/{number:02}");
        handle
            .insert(key.as_bytes(), format!("{number}").as_bytes())
            .unwrap();
    }
    handle.insert(b"other", b"x\ty").unwrap();
    let sorted = |text: String| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(ok(&["scan", &name])).len(), 51);
    let users = sorted(ok(&["scan", &name, "--prefix", "user/"]));
    assert_eq!(users.len(), 50);
    assert_eq!(users[3], "user/03\t3");
    assert_eq!(ok(&["scan", &name, "--limit", "7"]).lines().count(), 7);
    assert_eq!(ok(&["scan", &name, "--prefix", "o", "--keys"]), "other\n");
    // A tab in a value is none between key and value.
    assert_eq!(ok(&["scan", &name, "--prefix", "o"]), "other\t0x780979\n");
    assert_eq!(ends(1, &["scan", &name, "--prefix", "none"]), "");
    assert_eq!(ends(1, &["scan", &name, "--limit", "0"]), "");
    assert_eq!(
        ok(&["scan", &name, "--prefix", "6f74", "--hex", "--keys"]),
        "6f74686572\n"
    );
    let lines = ok(&["--json", "scan", &name, "--prefix", "user/0"]);
    assert_eq!(lines.lines().count(), 10);
    for line in lines.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(entry["key"].as_str().unwrap().starts_with("user/0"));
    }
    let name = table("msgpack");
    ok(&["put", &name, "user/1", "1"]);
    ok(&["put", &name, "7", "1"]);
    assert_eq!(ok(&["scan", &name, "--prefix", "user"]), "\"user/1\"\t1\n");
}
