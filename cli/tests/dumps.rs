//! Does `load` restore what `dump` wrote, byte for byte, and tell what it could not?

mod common;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use common::{Name, Running, ends, json, ok, open_table, run_with, shmtable, table, text};
use shmtable::{Options, Table};

/// Keys and values of all kinds, among them all single bytes, the empty one, what looks
/// like the notation, what `MessagePack` says in other than the shortest form, and what is nested
/// as deep as a table allows.
fn samples() -> HashMap<Vec<u8>, Vec<u8>> {
    let mut samples: HashMap<Vec<u8>, Vec<u8>> = (0..=255_u8)
        .map(|byte| (vec![byte], vec![byte ^ 0x55; usize::from(byte)]))
        .collect();
    // Maps whose keys are no strings, in `MessagePack`; arrays in JSON.
    let maps = [b"\x81\x01".repeat(128), b"\xc0".to_vec()].concat();
    let arrays = [b"[".repeat(128), b"]".repeat(128)].concat();
    let odd: [&[u8]; 11] = [
        b"",
        b"text",
        b"\n\"\\\x1b\0",
        b"{\"$raw\":\"00\"}",
        b"{\"b\": 1,  \"a\": 1}",
        b"\xcd\x00\x01",
        b"\xca\x3f\x80\0\0",
        b"\xff\xfe\x80",
        &[0x80; 10_000],
        &maps,
        &arrays,
    ];
    for (number, bytes) in odd.into_iter().enumerate() {
        let mut key = bytes.to_vec();
        key.truncate(200);
        key.push(number as u8);
        samples.insert(key.clone(), bytes.to_vec());
        samples.insert(
            [bytes, b"\x01"].concat()[..bytes.len().min(200)].to_vec(),
            key,
        );
    }
    samples
}

fn contents(name: &str) -> HashMap<Vec<u8>, Vec<u8>> {
    Table::open(name).unwrap().snapshot().unwrap().into_map()
}

/// A file that goes when this is dropped.
struct Path(PathBuf);

impl Path {
    fn new(name: &Name) -> Self {
        Self(std::env::temp_dir().join(format!("{}.dump", &**name)))
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn every_byte_comes_back_in_both_formats_and_every_codec() {
    for codec in ["bytes", "pickle", "json", "str/str", "u64/f64", "unit/bool"] {
        let from = table(codec);
        let handle = Table::open(&from).unwrap();
        for (key, value) in samples() {
            handle.insert(&key, &value).unwrap();
        }
        for format in ["jsonl", "binary"] {
            for more in [&[][..], &["--snapshot"]] {
                let to = Name::new();
                // Both at once, as in a shell.
                let arguments = [&["dump", &from, "--format", format], more].concat();
                let mut dump = Running::start(&mut shmtable(&arguments));
                let dumped = dump.0.stdout.take().unwrap();
                let mut load = shmtable(&["load", &to, "--create"]);
                let load = Running::start(load.stdin(Stdio::from(dumped)));
                let (status, out, err) = load.output();
                assert!(status.success(), "{codec} {format}: {err}");
                assert_eq!(out, format!("{} entries loaded\n", samples().len()));
                assert!(dump.end().success());
                assert_eq!(contents(&to), samples(), "{codec} {format}");
                let (old, new) = (json(0, &["stat", &from]), json(0, &["stat", &to]));
                for name in ["codec_id", "capacity", "value_space"] {
                    assert_eq!(old[name], new[name], "{name}");
                }
            }
        }
    }
}

/// A dump of one kind of table, loaded into the other and into its own.
#[test]
fn a_dump_goes_from_a_table_of_either_kind_to_one_of_either_kind() {
    for format in ["jsonl", "binary"] {
        for (kind, grows) in [(&["--capacity", "300"][..], false), (&[][..], true)] {
            let from = Name::new();
            ok(&[&["create", &*from][..], kind].concat());
            let handle = Table::open(&from).unwrap();
            for (key, value) in samples() {
                handle.insert(&key, &value).unwrap();
            }
            let dump = common::run(&["dump", &from, "--format", format]).stdout;
            for (asked, made, capacity) in [
                (&[][..], grows, handle.capacity() as u64),
                (&["--capacity", "400"], false, 400),
                (&["--max-capacity", "1M"], true, 1_000_000),
                (&["--capacity", "400", "--max-capacity", "4k"], true, 4000),
            ] {
                let to = Name::new();
                let output = run_with(&[&["load", &*to, "--create"], asked].concat(), &dump);
                assert!(output.status.success(), "{}", text(&output.stderr));
                assert_eq!(contents(&to), samples());
                let loaded = json(0, &["stat", &to]);
                assert_eq!(loaded["grows"], made, "{asked:?}");
                assert_eq!(loaded["capacity"], capacity, "{asked:?}");
                let copy = Name::new();
                ok(&[&["copy", &*from, &*copy], asked].concat());
                let copied = json(0, &["stat", &copy]);
                for figure in ["grows", "capacity", "value_space"] {
                    assert_eq!(loaded[figure], copied[figure], "{figure} {asked:?}");
                }
                ok(&["diff", &from, &copy]);
                ok(&["diff", &from, &to]);
            }
            assert!(json(0, &["stat", &from])["grows"] == grows);
        }
    }
}

/// Dumps of the version before: of tables that did not grow.
#[test]
fn a_dump_of_an_older_version_is_loaded() {
    let name = Name::new();
    let lines = "{\"shmtable\":\"dump\",\"version\":1,\"codec\":\"bytes\",\"codec_id\":\
                 \"0000000000000000\",\"capacity\":10,\"value_space\":67108864,\"entries\":0}\n\
                 {\"shmtable\":\"end\",\"entries\":0,\"xxh3\":\"2d06800538d394c2\"}\n";
    let output = run_with(&["load", &name, "--create"], lines.as_bytes());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let loaded = json(0, &["stat", &name]);
    assert_eq!(
        (&loaded["capacity"], &loaded["grows"]),
        (&10.into(), &false.into())
    );
}

#[test]
fn a_file_appears_when_it_is_complete() {
    let (name, handle) = open_table();
    handle.insert(b"key", b"value").unwrap();
    let path = Path::new(&name);
    assert_eq!(
        ok(&["dump", &name, "--output", path.text()]),
        "1 entry dumped\n"
    );
    assert!(
        fs::read_to_string(path.text())
            .unwrap()
            .contains("{\"key\":\"key\",\"value\":\"value\"}")
    );
    // In place of what was there.
    let dumped = json(0, &["dump", &name, "-o", path.text(), "--format", "binary"]);
    assert_eq!(dumped["entries"], 1);
    handle.remove(b"key").unwrap();
    assert_eq!(json(0, &["load", &name, path.text()])["loaded"], 1);
    assert_eq!(handle.get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
    assert!(ends(2, &["dump", &name, "-o", "/no/such/folder/x"]).contains("/no/such"));
    assert!(ends(2, &["dump", "cli-test-no-such-table", "-o", path.text()]).contains("no table"));
    // Its owner's alone, as the table is.
    let mode = fs::metadata(path.text()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let folder = fs::read_dir(std::env::temp_dir()).unwrap();
    let partial = folder.filter(|file| {
        let file = file.as_ref().unwrap().file_name();
        file.to_str()
            .is_some_and(|file| file.contains(&*name) && file.ends_with(".partial"))
    });
    assert_eq!(partial.count(), 0);
    // A device is written to as it is.
    ok(&["dump", &name, "-o", "/dev/null"]);
}

#[test]
fn entries_are_replaced_or_kept() {
    let (from, handle) = open_table();
    for number in 0..10 {
        handle.insert(&[number], b"dumped").unwrap();
    }
    let dump = ok(&["dump", &from]);
    for number in 5..20 {
        handle.insert(&[number], b"later").unwrap();
    }
    let kept = run_with(&["load", &from, "--keep"], dump.as_bytes());
    assert_eq!(
        text(&kept.stdout),
        "0 entries loaded, 10 left as they were\n"
    );
    assert_eq!(handle.get(&[7]).unwrap().as_deref(), Some(&b"later"[..]));
    let replaced = run_with(&["load", &from], dump.as_bytes());
    assert_eq!(
        text(&replaced.stdout),
        "10 entries loaded, 10 of which replaced others\n"
    );
    assert_eq!(handle.get(&[7]).unwrap().as_deref(), Some(&b"dumped"[..]));
    assert_eq!(handle.get(&[17]).unwrap().as_deref(), Some(&b"later"[..]));
}

#[test]
fn lines_made_by_hand_are_loaded() {
    let name = table("msgpack");
    let lines = b"{\"key\": 1, \"value\": [true]}\n\n{\"key\": \"a\", \"value\": null}";
    assert!(run_with(&["load", &name], lines).status.success());
    assert_eq!(ok(&["get", &name, "1"]), "[true]\n");
    assert_eq!(ok(&["get", &name, "a"]), "null\n");
    assert!(run_with(&["load", &name], b"").status.success());
    let other = Name::new();
    let failed = run_with(&["load", &other, "--create"], lines);
    assert_eq!(failed.status.code(), Some(2));
    assert!(text(&failed.stderr).contains("removed again"));
    assert!(Table::open(&other).is_err());
}

/// Loads into a table of its own and into one that is there: both must fail.
#[track_caller]
fn refused(dump: &[u8], reason: &str) {
    let created = Name::new();
    let output = run_with(&["load", &created, "--create"], dump);
    let failure = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{reason}: {failure}");
    assert!(failure.contains(reason), "{reason}: {failure}");
    assert!(Table::open(&created).is_err(), "it is removed again");
    let (name, _handle) = open_table();
    let output = run_with(&["load", &name], dump);
    let failure = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{reason}: {failure}");
    assert!(failure.contains("loaded"), "{reason}: {failure}");
}

#[test]
fn a_damaged_dump_is_told_and_what_was_loaded_of_it() {
    let (name, handle) = open_table();
    for number in 0..100 {
        handle
            .insert(format!("{number}").as_bytes(), &[b'v'; 2000])
            .unwrap();
    }
    for format in ["jsonl", "binary"] {
        let whole = common::run(&["dump", &name, "--format", format]).stdout;
        let changed = |at: usize, to: u8| {
            let mut bytes = whole.clone();
            bytes[at] = to;
            bytes
        };
        refused(&whole[..whole.len() - 1][..whole.len() / 2], "");
        refused(&[&whole[..], b"{}"].concat(), "");
        // A value, in the middle: its checksum tells.
        refused(&changed(whole.len() / 2, b'w'), "checksum");
        for at in (0..whole.len()).step_by(whole.len() / 23) {
            refused(&changed(at, whole[at] ^ 0x15), "");
        }
    }
    let whole = ok(&["dump", &name]);
    let lines: Vec<_> = whole.lines().collect();
    refused(lines[..50].join("\n").as_bytes(), "too early");
    refused(
        [&lines[..50], &lines[51..]].concat().join("\n").as_bytes(),
        "100 entries",
    );
    refused(
        whole.replace("\"version\":2", "\"version\":3").as_bytes(),
        "version",
    );
    let (other, _handle) = open_table();
    let output = run_with(&["load", &other], lines[..50].join("\n").as_bytes());
    assert!(
        text(&output.stderr).contains("49 entries loaded"),
        "{output:?}"
    );
    // Where, and what was expected there.
    let mut binary = common::run(&["dump", &name, "--format", "binary"]).stdout;
    let expected = format!(
        "{:016x}",
        u64::from_le_bytes(*binary[68..].first_chunk().unwrap())
    );
    binary[100] ^= 1;
    refused(
        &binary,
        "at block 1 (byte 60, entry 1): its checksum is wrong",
    );
    refused(&binary, &expected);
    // A frame that promises more than there is takes no memory for it.
    let binary = common::run(&["dump", &name, "--format", "binary"]).stdout;
    let mut promise = binary[..60].to_vec();
    promise.extend_from_slice(&[0xff; 8]);
    promise.extend_from_slice(&binary[60..]);
    refused(&promise, "too early");
}

#[test]
fn a_dump_of_a_larger_table_is_refused_with_the_limits() {
    let (name, handle) = open_table();
    for number in 0..500 {
        handle
            .insert(format!("{number}").as_bytes(), &[0; 100])
            .unwrap();
    }
    handle.insert(b"large", &[0; 10_000]).unwrap();
    let dump = common::run(&["dump", &name, "--format", "binary"]).stdout;
    let load_into = |options: &Options, arguments: &[&str]| {
        let small = Name::new();
        let _handle = options.create(&small).unwrap();
        let output = run_with(&[&["--json", "load", &small], arguments].concat(), &dump);
        assert_eq!(output.status.code(), Some(2));
        let failure: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        let error = failure["error"].as_str().unwrap().to_owned();
        (failure["kind"].as_str().unwrap().to_owned(), error)
    };
    let (kind, error) = load_into(&Options::new().capacity(100).value_space(1 << 20), &[]);
    assert_eq!(kind, "DumpTooLarge");
    assert!(error.contains("501") && error.contains("100"), "{error}");
    let (kind, error) = load_into(&Options::new().capacity(1000).value_space(9000), &[]);
    assert!(
        kind == "ValueTooLarge" || kind == "ValueSpaceFull",
        "{kind}"
    );
    assert!(error.contains("9000") || error.contains("8995"), "{error}");
    // After the first, if chance has dumped the large one second.
    let loaded = ["entries loaded", "1 entry loaded"];
    assert!(loaded.iter().any(|end| error.ends_with(end)), "{error}");
    let codec = Options::new()
        .capacity(1000)
        .codec(shmtable::codec_id("str", "u64"));
    let (kind, error) = load_into(&codec, &[]);
    assert_eq!(kind, "OtherCodec");
    assert!(error.contains("str/u64"), "{error}");
    // As large as it was, or larger.
    let output = run_with(&["load", &name, "--create"], &dump);
    assert!(text(&output.stderr).contains("exists already"));
    let to = Name::new();
    let output = run_with(&["load", &to, "--create", "--capacity", "2000"], &dump);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(json(0, &["stat", &to])["capacity"], 2000);
    assert_eq!(contents(&to), contents(&name));
}
