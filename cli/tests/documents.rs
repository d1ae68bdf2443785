//! Do the completions, the man pages and the documentation say what the command takes?

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{ends, json, ok, run};

#[test]
fn the_documentation_is_up_to_date() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let said = ok(&["markdown"]);
    let mut parts = said.trim_end().split("\n\n## ");
    let overview = fs::read_to_string(docs.join("cli.md")).unwrap();
    let begin = format!("{}\n", parts.next().unwrap());
    assert!(overview.starts_with(&begin), "run `cargo xtask docs-cli`");

    let site = fs::read_to_string(docs.join("../mkdocs.yml")).unwrap();
    let mut pages = 0;
    for part in parts {
        pages += 1;
        let name = part.lines().next().unwrap();
        let name = name.strip_prefix("shmtable ").unwrap();
        let page = fs::read_to_string(docs.join(format!("cli/{name}.md"))).unwrap();
        assert_eq!(page, format!("# {part}\n"), "run `cargo xtask docs-cli`");
        let link = format!("- [shmtable {name}](cli/{name}.md)\n");
        assert!(overview.contains(&link), "run `cargo xtask docs-cli`");
        let navigation = format!("cli/{name}.md\n");
        assert!(site.contains(&navigation), "{name} isn't in mkdocs.yml");
    }
    // A page of a command that is gone would stay unnoticed.
    assert_eq!(fs::read_dir(docs.join("cli")).unwrap().count(), pages);
    assert!(pages > 20);
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
        "max",
        "min",
        "del",
        "take",
        "cas",
        "clear",
        "shrink",
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
