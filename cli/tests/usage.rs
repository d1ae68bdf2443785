//! Do errors name what was typed, the reason and the remedy?

mod common;

use common::{Name, ends, json, listed, ok, run, run_with, table, text};

#[test]
fn an_addition_tells_the_true_reason() {
    for (codec, value, amount, reasons) in [
        ("bytes/str", "text", "1", &["are str, not numbers"][..]),
        ("str/bool", "true", "1", &["are bool, not numbers"]),
        ("msgpack", "text", "1", &["not a number", "\"text\""]),
        (
            "bytes/u64",
            "3",
            "0.0",
            &["amount", "0.0 is not a whole number"],
        ),
        ("bytes/u8", "200", "100", &["200 + 100", "overflows u8"]),
        ("bytes/u8", "1", "-2", &["1 + -2", "overflows u8"]),
        (
            "msgpack",
            "18446744073709551615",
            "1",
            &["overflows 64 bits"],
        ),
        ("msgpack", "1", "x", &["x is not a number"]),
        ("msgpack", "1", "true", &["true is not a number"]),
    ] {
        let name = table(codec);
        ok(&["put", &name, "k", value]);
        let before = ok(&["get", &name, "k"]);
        let failure = ends(2, &["add", &name, "k", amount]);
        for reason in reasons {
            assert!(failure.contains(reason), "{codec}: {failure}");
        }
        assert_eq!(ok(&["get", &name, "k"]), before, "{codec}");
    }
    let counters = table("bytes");
    for amount in ["1.5", "0.0", "1e3", "9223372036854775808"] {
        let failure = ends(2, &["add", &counters, "k", amount]);
        assert!(
            failure.contains(&format!("{amount} is not a whole number of 64 bits")),
            "{failure}"
        );
    }
    ends(1, &["get", &counters, "k"]);
}

#[test]
fn numbers_of_128_bits_are_added_to() {
    for codec in ["str/u128", "str/i128"] {
        let name = table(codec);
        ok(&["put", &name, "k", "18446744073709551615"]);
        assert_eq!(ok(&["add", &name, "k"]), "\"18446744073709551616\"\n");
        assert_eq!(ok(&["add", &name, "k", "-1"]), "18446744073709551615\n");
    }
}

#[test]
fn with_json_a_wrong_line_is_told_in_json() {
    let name = table("bytes");
    for arguments in [
        &["get", &name][..],
        &["get", &name, "k", "--josn"],
        &["no-such-command"],
        &["create", &name, "--mode", "999"],
        &["cas", &name, "k"],
    ] {
        let failure = json(2, arguments);
        assert_eq!(failure["kind"], "Usage", "{failure}");
        let error = failure["error"].as_str().unwrap();
        assert!(!error.starts_with("error"), "{error}");
        assert_eq!(failure["schema"], 1);
    }
    // A key is not an option.
    let failure = ends(2, &["get", &name, "--josn", "--", "--json"]);
    assert!(failure.starts_with("error: "), "{failure}");
    assert!(ends(2, &["get", &name]).starts_with("error: "));
    assert!(ok(&["--json", "get", "--help"]).contains("Usage"));
}

#[test]
fn a_value_that_is_there_is_not_replaced_if_absent() {
    let name = table("bytes");
    ok(&["put", &name, "k", "v"]);
    let told = json(1, &["put", &name, "k", "w", "--if-absent"]);
    assert_eq!(
        (&told["stored"], &told["replaced"]),
        (&false.into(), &false.into())
    );
}

#[test]
fn a_table_for_lines_made_by_hand_needs_no_size() {
    let name = Name::new();
    let line = b"{\"key\": \"k\", \"value\": \"v\"}\n";
    let loaded = run_with(&["load", &name, "--create"], line);
    assert!(loaded.status.success(), "{}", text(&loaded.stderr));
    assert_eq!(listed(&name).unwrap()["grows"], true);
    let name = Name::new();
    let loaded = run_with(&["load", &name, "--create", "--capacity", "5k"], line);
    assert!(loaded.status.success(), "{}", text(&loaded.stderr));
    assert_eq!(listed(&name).unwrap()["capacity"], 5000);
    let failure = json(2, &["load", &name, "--capacity", "10"]);
    assert_eq!(failure["kind"], "Usage");
    assert!(failure["error"].as_str().unwrap().contains("--create"));
    let missing = Name::new();
    let failure = run_with(&["load", &missing, "--json"], line);
    assert!(text(&failure.stderr).contains("--create"));
    assert!(text(&failure.stderr).contains("\"NotFound\""));
}

#[test]
fn a_name_that_is_taken_is_told_with_its_remedy() {
    let (name, other) = (table("bytes"), table("bytes"));
    for arguments in [&["rename", &name, &other][..], &["create", &name]] {
        let failure = ends(2, arguments);
        assert!(failure.contains("give --replace"), "{failure}");
        assert_eq!(json(2, arguments)["kind"], "AlreadyExists");
    }
    let failure = ends(2, &["rename", &name, &name]);
    assert!(failure.contains("is already the table's name"), "{failure}");
    assert!(!failure.contains("rm"), "{failure}");
    let missing = Name::new();
    assert!(ends(2, &["rename", &missing, &missing]).contains("there is no table"));
    let failure = ends(2, &["rm", &missing]);
    assert!(
        failure.contains("shmtable ls") && !failure.contains("create"),
        "{failure}"
    );
    assert_eq!(json(2, &["rm", &missing])["kind"], "NotFound");
}

#[test]
fn an_option_is_shown_as_it_was_typed() {
    let name = Name::new();
    for (option, typed, allowed) in [
        ("--capacity", "0", "1 to 2^40"),
        ("--capacity", "9999G", "1 to 2^40"),
        ("--value-space", "99999TiB", "1 to 2^43"),
        ("--stripes", "3", "a power of two"),
        ("--chunk-size", "3k", "a power of two"),
        ("--max-participants", "0", "1 to "),
        (
            "--mode",
            "700",
            "600 with any of 040, 020, 004 and 002 added, such as 660\n",
        ),
    ] {
        let expected = format!("the option {option} is {typed}; allowed is {allowed}");
        let failure = ends(2, &["create", &name, option, typed]);
        assert!(failure.contains(&expected), "{failure}");
        let failure = ends(2, &["create", &name, &format!("{option}={typed}")]);
        assert!(failure.contains(&expected), "{failure}");
    }
    assert!(run(&["get", &name, "k"]).status.code() == Some(2));
}

#[test]
fn arguments_that_cannot_be_meant_are_a_usage_error() {
    let name = table("bytes");
    for (arguments, reason) in [
        (&["scan", &name, "--match", "[a"][..], "is not closed"),
        (&["bench", "--entries", "0"], "at least 1"),
        (&["bench", "--threads", "0"], "at least 1"),
        (
            &["del", &name],
            "`-` to read them from the standard input, --prefix or --match",
        ),
    ] {
        let failure = json(2, arguments);
        assert_eq!(failure["kind"], "Usage", "{failure}");
        let error = failure["error"].as_str().unwrap();
        assert!(error.contains(reason), "{error}");
    }
}
