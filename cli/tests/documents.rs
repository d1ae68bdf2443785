//! Are completions, man pages and the documentation made of what the command takes?

mod common;

use std::process::{Command, Stdio};

use common::{ends, json, ok, run};

#[test]
fn the_documentation_is_up_to_date() {
    let written = include_str!("../../docs/cli.md");
    assert_eq!(ok(&["markdown"]), written, "run `cargo xtask docs-cli`");
}

#[test]
fn every_command_has_a_page_and_help() {
    let help = ok(&["help"]);
    let commands = [
        "ls",
        "stat",
        "top",
        "gc",
        "rm",
        "create",
        "get",
        "put",
        "add",
        "del",
        "take",
        "cas",
        "clear",
        "count",
        "sizes",
        "watch",
        "copy",
        "rename",
        "diff",
        "wait",
        "scan",
        "dump",
        "load",
        "check",
        "repair",
        "bench",
        "serve-metrics",
        "completions",
        "man",
    ];
    for command in commands {
        assert!(
            help.contains(&format!("\n  {command} ")),
            "{command}: {help}"
        );
        let page = ok(&["man", command]);
        assert!(
            page.contains(&format!(".TH shmtable-{command} 1")),
            "{page}"
        );
        assert!(ok(&["help", command]).contains("Usage: shmtable"));
        // Each of them knows `--json`.
        assert!(ok(&[command, "--help"]).contains("--json"));
    }
    assert!(ok(&["man"]).contains("Exit status"));
    assert!(
        json(0, &["man"])["text"]
            .as_str()
            .unwrap()
            .contains(".TH shmtable 1")
    );
    assert!(ends(2, &["man", "perl"]).contains("perl"));
    assert!(ok(&["--version"]).starts_with("shmtable 0."));
    for wrong in [&[][..], &["perl"], &["get"], &["ls", "x"]] {
        assert_eq!(run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn completions_are_made_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let script = ok(&["completions", shell]);
        for word in ["serve-metrics", "value-space", "dry-run"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    ends(2, &["completions", "perl"]);
    // The shell that is everywhere takes them.
    let script = ok(&["completions", "bash"]);
    let mut bash = Command::new("bash")
        .args(["-c", "source /dev/stdin; complete -p shmtable; COMP_WORDS=(shmtable st); COMP_CWORD=1; _shmtable shmtable st shmtable; echo ${COMPREPLY[@]}"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut bash.stdin.take().unwrap(), script.as_bytes()).unwrap();
    let output = bash.wait_with_output().unwrap();
    let said = common::text(&output.stdout);
    assert!(
        said.contains("shmtable") && said.ends_with("stat\n"),
        "{said}"
    );
}
