//! Does the JSON of each command have the fields that `docs/json.md` and the pages in
//! `docs/json/` say?

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

use common::{Name, Running, json, ok, open_table, run, shmtable, table, text, user_of};
use serde_json::Value as Json;

/// A documented field.
struct Field {
    /// Without the marks.
    path: String,
    /// Whether it, and all that it is a part of, is always there.
    always: bool,
    /// Whether it is shown as a codec has it, so that nothing is known of what is in it.
    any: bool,
}

/// The text of all pages: a page that is added is read, too.
fn pages() -> String {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut text = fs::read_to_string(docs.join("json.md")).unwrap();
    for page in fs::read_dir(docs.join("json")).unwrap() {
        text += &fs::read_to_string(page.unwrap().path()).unwrap();
    }
    text
}

/// The fields of each section of the pages.
fn documented() -> BTreeMap<String, Vec<Field>> {
    let mut sections: BTreeMap<String, Vec<Field>> = BTreeMap::new();
    let mut section = String::new();
    for line in pages().lines() {
        if let Some(name) = line.strip_prefix("## ") {
            name.clone_into(&mut section);
            let before = sections.insert(name.to_owned(), Vec::new());
            assert!(before.is_none(), "two sections of {name}");
        } else if let Some(row) = line.strip_prefix("| `") {
            let (path, rest) = row.split_once('`').expect("a name ends");
            let kind = rest.split('|').nth(1).expect("a second column").trim();
            sections.get_mut(&section).expect("a section").push(Field {
                path: path.replace('?', ""),
                always: !path.contains('?'),
                any: kind == "any",
            });
        }
    }
    sections
}

/// The paths of all fields in JSON; what `any` says is not looked into.
fn paths(json: &Json, path: &str, any: &dyn Fn(&str) -> bool, found: &mut BTreeSet<String>) {
    match json {
        _ if any(path) => drop(found.insert(path.to_owned())),
        Json::Object(object) => {
            for (name, value) in object {
                let path = format!("{path}.{name}");
                paths(value, path.trim_start_matches('.'), any, found);
            }
        }
        Json::Array(items) => {
            let path = format!("{path}[]");
            found.insert(path.clone());
            for item in items {
                paths(item, &path, any, found);
            }
        }
        _ => drop(found.insert(path.to_owned())),
    }
}

/// Compares what a command printed in several ways with a section.
#[track_caller]
fn compare(section: &str, fields: &[Field], objects: &[Json]) {
    let any = |path: &str| fields.iter().any(|field| field.any && field.path == path);
    let mut seen = BTreeSet::new();
    for object in objects {
        assert_eq!(object["schema"], 1, "{section}: {object}");
        let mut found = BTreeSet::new();
        paths(object, "", &any, &mut found);
        found.remove("schema");
        for path in &found {
            // A field of objects, or of texts, is a field itself.
            let known = fields.iter().any(|field| field.path == *path)
                || fields
                    .iter()
                    .any(|field| field.path.starts_with(&format!("{path}.")));
            assert!(known, "{section}: {path} is not in docs/json/: {object}");
        }
        let missing = fields
            .iter()
            .filter(|field| field.always && !field.path.contains("[]."))
            .find(|field| !found.contains(&field.path));
        if let Some(field) = missing {
            panic!("{section}: {} is not in {object}", field.path);
        }
        seen.extend(found);
    }
    for field in fields {
        assert!(
            seen.contains(&field.path),
            "{section}: no command printed {}",
            field.path
        );
    }
}

/// What a command prints, an object on each line.
#[track_caller]
fn objects(arguments: &[&str]) -> Vec<Json> {
    let output = run(&[&["--json"], arguments].concat());
    let printed = text(&output.stdout);
    let objects = printed
        .lines()
        .map(|line| serde_json::from_str(line).expect(line));
    objects.collect()
}

/// The first objects of a command that goes on.
fn first(arguments: &[&str], count: usize) -> Vec<Json> {
    let mut running = Running::start(&mut shmtable(&[&["--json"], arguments].concat()));
    let lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let objects = lines
        .take(count)
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap());
    objects.collect()
}

/// What each command printed, by its section.
fn printed() -> BTreeMap<&'static str, Vec<Json>> {
    let (name, handle) = open_table();
    handle
        .insert_many([("a", "1"), ("b", "2"), ("c", "3")])
        .unwrap();
    let user = user_of(&name);
    let (copy, other) = (Name::new(), Name::new());
    let broken = table("bytes");
    std::fs::write(broken.path(), vec![7; 8192]).unwrap();
    let dump = std::env::temp_dir().join(format!("{}.dump", &*name));
    let dump = dump.to_str().unwrap();
    let several = |calls: &[&[&str]]| calls.iter().flat_map(|call| objects(call)).collect();
    let mut printed = BTreeMap::from([
        ("ls", objects(&["ls"])),
        (
            "stat",
            [
                first(&["stat", &name, "--watch", "10ms"], 2),
                objects(&["stat", &name]),
            ]
            .concat(),
        ),
        ("top", first(&["top", "--interval", "10ms"], 1)),
        ("gc", objects(&["gc", "--dry-run"])),
        ("create", objects(&["create", &other, "--capacity", "10"])),
        ("rm", objects(&["rm", &other])),
        ("put", objects(&["put", &name, "k", "v"])),
        ("add", objects(&["add", &name, "n"])),
        ("max", objects(&["max", &name, "n", "5"])),
        ("min", objects(&["min", &name, "n", "3"])),
        (
            "wait",
            several(&[
                &["wait", &name, "k"],
                &["wait", &name, "k", "--hex-value"],
                &["wait", &name, "none", "--timeout", "1ms"],
            ]),
        ),
        (
            "cas",
            several(&[
                &["cas", &name, "k", "x", "y"],
                &["cas", &name, "k", "v", "w"],
            ]),
        ),
        (
            "scan",
            several(&[&["scan", &name], &["scan", &name, "--keys"]]),
        ),
        ("count", objects(&["count", &name])),
        ("sizes", objects(&["sizes", &name])),
        (
            "dump",
            several(&[
                &["dump", &name, "-o", dump],
                &["dump", &name, "--salvage", "-o", dump],
            ]),
        ),
        ("load", objects(&["load", &name, dump])),
        ("copy", objects(&["copy", &name, &copy])),
        ("check", objects(&["check", &name])),
        ("repair", objects(&["repair", &name])),
        ("bench", objects(&["bench", "--entries", "100"])),
        (
            "serve-metrics",
            first(&["serve-metrics", "--listen", "127.0.0.1:0"], 1),
        ),
        ("completions", objects(&["completions", "bash"])),
        ("man", objects(&["man"])),
        (
            "take",
            several(&[&["take", &name, "b"], &["take", &name, "c", "--hex-value"]]),
        ),
        ("del", objects(&["del", &name, "a"])),
    ]);
    handle.insert("more", "1").unwrap();
    printed.insert("diff", objects(&["diff", &name, &copy]));
    printed.insert("rename", objects(&["rename", &copy, &other]));
    printed.insert("clear", objects(&["clear", &other]));
    printed.insert("shrink", objects(&["shrink", &other]));
    std::fs::remove_file(dump).unwrap();
    drop(user);
    printed
}

#[test]
fn every_command_prints_the_fields_of_its_section() {
    let mut sections = documented();
    let printed = printed();
    // A table's own figures are those of the list.
    let of_a_table = |section: &str| {
        let mut fields = Vec::new();
        for field in &documented()["ls"] {
            let path = field.path.replacen("tables[].", "", 1);
            let failed = ["tables[]", "error", "kind"].contains(&&*path);
            if section == "stat" && !failed {
                fields.push(Field {
                    path,
                    always: true,
                    any: false,
                });
            } else if section == "top"
                && !field.path.ends_with("].error")
                && !field.path.ends_with("].kind")
            {
                fields.push(Field {
                    path: field.path.clone(),
                    always: true,
                    any: false,
                });
            }
        }
        fields
    };
    for section in ["stat", "top"] {
        sections
            .get_mut(section)
            .unwrap()
            .extend(of_a_table(section));
    }
    for section in sections.keys() {
        let apart = ["Errors", "get", "watch"].contains(&&**section);
        assert!(
            apart || printed.contains_key(&**section),
            "{section} is not tried"
        );
    }
    for (section, objects) in &printed {
        let fields = sections.get(*section);
        let fields = fields.unwrap_or_else(|| panic!("{section} is not in docs/json/"));
        compare(section, fields, objects);
    }
}

#[test]
fn get_prints_one_object_or_an_object_for_each_key() {
    let name = table("bytes");
    ok(&["put", &name, "a", "1"]);
    let mut fields = documented().remove("get").unwrap();
    let of_several = fields.split_off(3);
    let mut one = objects(&["get", &name, "a"]);
    one.extend(objects(&["get", &name, "a", "--hex-value"]));
    one.extend(objects(&["get", &name, "none"]));
    compare("get", &fields, &one);
    compare("get", &of_several, &objects(&["get", &name, "a", "none"]));
}

#[test]
fn watch_prints_an_object_for_each_change() {
    let (name, handle) = open_table();
    let watch = ["--json", "watch", &name, "--interval", "10ms"];
    let mut running = Running::start(&mut shmtable(&watch));
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let done = &std::sync::atomic::AtomicBool::new(false);
    let mut changes = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                handle.insert("k", "v").unwrap();
                std::thread::sleep(std::time::Duration::from_millis(40));
                handle.remove("k").unwrap();
                std::thread::sleep(std::time::Duration::from_millis(40));
            }
        });
        while changes
            .iter()
            .all(|change: &Json| change["change"] != "removed")
        {
            changes.push(serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap());
        }
        while changes
            .iter()
            .all(|change: &Json| change["change"] != "inserted")
        {
            changes.push(serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap());
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    compare("watch", &documented()["watch"], &changes);
}

#[test]
fn errors_are_objects_too() {
    let error = json(2, &["get", "no-such-table", "k"]);
    compare("Errors", &documented()["Errors"], &[error]);
}

#[test]
fn every_command_has_a_section() {
    let sections = documented();
    let help = ok(&["help"]);
    let commands = help.split_once("Commands:\n").unwrap().1;
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let names = commands.filter_map(|line| {
        let name = line.strip_prefix("  ")?.split(' ').next()?;
        (!name.is_empty() && name != "help").then_some(name)
    });
    for name in names {
        assert!(sections.contains_key(name), "{name} is not in docs/json/");
    }
}
