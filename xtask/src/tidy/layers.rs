//! Holds the imports between the rooms of a crate: a room is a folder or a file at the top
//! of its `src`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::imports::{of_file, re_exports};
use super::{files, read, top};

/// The floors of the crate shmtable, from the top. A room may import from the floors below
/// its own, and from rooms of its own floor as long as that makes no circle.
const FLOORS: &[&[&str]] = &[
    &["lib.rs"],
    &["loom_model"],
    &["damage", "typed"],
    &["table"],
    &["write"],
    &["index"],
    &["arena"],
    &["locking"],
    &["segment"],
    &["error"],
    &["sys"],
    &["sync"],
    &["layout"],
];

/// The crates whose rooms have no order, but must not import in a circle.
const WITHOUT_CIRCLES: [&str; 5] = [
    "cli/src",
    "dump/src",
    "python/src",
    "trials/src",
    "xtask/src",
];

/// What the rooms of a crate import: for each pair of rooms the first place that does.
type Imports = BTreeMap<(String, String), String>;

/// The name of a crate's root among its rooms.
fn is_root(name: &str) -> bool {
    ["lib.rs", "main.rs"].contains(&name)
}

/// The imports of a crate whose files are given by their paths below `src`, with the text.
fn between_rooms<'a>(files: impl Iterator<Item = (&'a Path, &'a str)> + Clone) -> Imports {
    let rooms: BTreeSet<String> = files.clone().map(|(path, _)| room(path)).collect();
    let mut own_root = String::new();
    let mut renamed = BTreeMap::new();
    for (path, text) in files.clone().filter(|(path, _)| is_root(&room(path))) {
        own_root = room(path);
        renamed = re_exports(text);
    }
    let mut imports = Imports::new();
    for (path, text) in files {
        let from = room(path);
        for import in of_file(text, depth(path)) {
            let module = renamed.get(&import.name).unwrap_or(&import.name);
            // What is no room is an item of the root itself.
            let to = rooms.get(module).unwrap_or(&own_root);
            if *to != from && !to.is_empty() {
                let place = format!("{}:{}", path.display(), import.line);
                imports.entry((from.clone(), to.clone())).or_insert(place);
            }
        }
    }
    // The root declares all rooms.
    for to in rooms
        .into_iter()
        .filter(|to| *to != own_root && !own_root.is_empty())
    {
        let pair = (own_root.clone(), to);
        imports.entry(pair).or_insert_with(|| own_root.clone());
    }
    imports
}

/// The room of a file: the folder or the file at the top of `src`, without its ending.
fn room(path: &Path) -> String {
    let top = path.iter().next().unwrap_or_default().to_string_lossy();
    match top.strip_suffix(".rs") {
        Some(name) if !is_root(&top) => name.to_owned(),
        _ => top.into_owned(),
    }
}

/// The number of modules from the root to a file.
fn depth(path: &Path) -> usize {
    let names = path.iter().count();
    let is_own_module = path.file_name().is_some_and(|name| name != "mod.rs");
    let is_root = names == 1 && is_root(&path.to_string_lossy());
    names - 1 + usize::from(is_own_module && !is_root)
}

/// The imports that lead up, or to a room that no floor has.
fn upward(imports: &Imports, floors: &[&[&str]]) -> Vec<String> {
    let floor = |room: &str| floors.iter().position(|floor| floor.contains(&room));
    let mut found = Vec::new();
    for ((from, to), place) in imports {
        match (floor(from), floor(to)) {
            (Some(from_floor), Some(to_floor)) if from_floor <= to_floor => {}
            (Some(_), Some(_)) => {
                found.push(format!("{place}: {from} imports {to}, which is above it"));
            }
            _ => found.push(format!("{place}: {from} or {to} is on no floor")),
        }
    }
    found
}

/// A circle of imports, each with its place; nothing if there is none.
fn circle(imports: &Imports) -> Vec<String> {
    // Rooms that import from none of the others are in no circle, nor are those then that
    // import from these alone.
    let mut left: BTreeSet<&str> = imports.keys().map(|(from, _)| from.as_str()).collect();
    loop {
        let leads_on = |room: &&str| {
            let mut own = imports.keys().filter(|(from, _)| from == room);
            own.any(|(_, to)| left.contains(to.as_str()))
        };
        let next: BTreeSet<&str> = left.iter().copied().filter(|room| leads_on(room)).collect();
        if next.len() == left.len() {
            break;
        }
        left = next;
    }
    let Some(&first) = left.first() else {
        return Vec::new();
    };
    let mut way = vec![first];
    loop {
        let last = way[way.len() - 1];
        let mut own = imports.keys().filter(|(from, _)| from == last);
        let next = own.find(|(_, to)| left.contains(to.as_str()));
        let (_, next) = next.expect("each of these leads on");
        let begin = way.iter().position(|room| room == next);
        way.push(next);
        if let Some(begin) = begin {
            way.drain(..begin);
            break;
        }
    }
    way.windows(2)
        .map(|pair| {
            let place = &imports[&(pair[0].to_owned(), pair[1].to_owned())];
            format!("{place}: {} imports {}", pair[0], pair[1])
        })
        .collect()
}

/// The imports between the rooms of a crate of the workspace, without those of tests.
fn of_crate(src: &str) -> Imports {
    let is_test = |path: &Path| {
        path.iter()
            .any(|name| name == "tests" || name == "tests.rs")
    };
    let found = files(src);
    let texts: Vec<(&Path, String)> = found
        .iter()
        .map(|path| (path.strip_prefix(src).unwrap(), path))
        .filter(|(below, _)| below.extension().is_some_and(|ending| ending == "rs"))
        .filter(|(below, _)| !is_test(below))
        .map(|(below, path)| (below, read(path)))
        .collect();
    let texts = texts.iter().map(|(path, text)| (*path, text.as_str()));
    between_rooms(texts)
}

#[test]
fn nothing_in_the_crate_imports_upwards_or_in_a_circle() {
    let there: BTreeSet<String> = top("src").iter().map(|name| room(name.as_ref())).collect();
    let floors: BTreeSet<String> = FLOORS.concat().iter().map(ToString::to_string).collect();
    assert_eq!(floors, there, "each room of src/ is on one floor of FLOORS");
    let imports = of_crate("src");
    refuse(&upward(&imports, FLOORS));
    refuse(&circle(&imports));
}

#[test]
fn no_rooms_of_the_other_crates_import_in_a_circle() {
    let circles = WITHOUT_CIRCLES.map(|src| match circle(&of_crate(src))[..] {
        [] => Vec::new(),
        ref found => vec![format!("a circle in {src}:\n{}", found.join("\n"))],
    });
    refuse(&circles.concat());
}

/// Fails with a line for each import that was found.
fn refuse(found: &[String]) {
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_planted_import_from_above_is_found() {
    let lookup = "use crate::arena::Arena;\nuse crate::{Error, write::Writer};";
    let imports = between_rooms(
        [
            ("lib.rs", "mod arena;\npub use error::Error;"),
            ("arena/mod.rs", ""),
            ("error/mod.rs", ""),
            ("index/lookup.rs", lookup),
            (
                "write/mod.rs",
                "use crate::index::Index;\nuse super::arena::Chunk;",
            ),
        ]
        .iter()
        .map(|(path, text)| (Path::new(path), *text)),
    );
    let floors: &[&[&str]] = &[&["lib.rs"], &["write"], &["index"], &["arena", "error"]];
    assert_eq!(
        upward(&imports, floors),
        ["index/lookup.rs:2: index imports write, which is above it"]
    );
    assert_eq!(
        circle(&imports),
        [
            "index/lookup.rs:2: index imports write",
            "write/mod.rs:1: write imports index"
        ]
    );
}

#[test]
fn an_item_of_the_root_itself_makes_a_circle_with_the_root() {
    let files = [
        ("main.rs", "mod a;\nmod b;\ntype Result = ();"),
        ("a.rs", "use crate::{Result, b};"),
        ("b.rs", ""),
    ];
    let files = files.iter().map(|(path, text)| (Path::new(path), *text));
    assert_eq!(
        circle(&between_rooms(files)),
        ["a.rs:1: a imports main.rs", "main.rs: main.rs imports a"]
    );
}

#[test]
fn a_circle_of_three_is_found_beside_what_only_leads_to_it() {
    let files = [
        ("a.rs", "use crate::b;"),
        ("b/mod.rs", "use crate::c;"),
        ("b/deep/mod.rs", "use super::super::leaf;"),
        ("c.rs", "use super::{leaf, a};"),
        ("leaf.rs", "use std::fmt;"),
        ("before.rs", "use crate::a;"),
    ];
    let files = files.iter().map(|(path, text)| (Path::new(path), *text));
    let imports = between_rooms(files);
    assert_eq!(
        circle(&imports),
        [
            "a.rs:1: a imports b",
            "b/mod.rs:1: b imports c",
            "c.rs:1: c imports a"
        ]
    );
    let leaf = ("b".to_owned(), "leaf".to_owned());
    assert_eq!(imports[&leaf], "b/deep/mod.rs:1");
}
