//! Finds what a file takes from other modules of its crate.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::tokens::{end_of_item, is_name, is_test_only, tokens};

/// A path that leads to an item of the crate's root, or through it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Import {
    /// The first name of the path below the root; `*` for all.
    pub(super) name: String,
    pub(super) line: usize,
}

/// The paths of a file that lead through the crate's root: those from `crate`, and those
/// with as many `super` as the file is deep; not those of items that only tests have.
///
/// `depth` is the number of modules from the root to the file: 1 for `a.rs` and `a/mod.rs`.
pub(super) fn of_file(text: &str, depth: usize) -> Vec<Import> {
    let source = Source::new(text);
    let mut imports = Vec::new();
    // For each open brace, whether it opened a module.
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < source.tokens.len() {
        match source.word(at) {
            "#" if is_test_only(at, |at| source.word(at)) => {
                at = end_of_item(at, source.tokens.len(), |at| source.word(at));
                continue;
            }
            "{" => blocks.push(at >= 2 && source.word(at - 2) == "mod"),
            "}" => drop(blocks.pop()),
            "crate" if source.is_path(at + 1) => {
                at = source.through_root(at + 3, 0, &mut imports);
                continue;
            }
            "super" if !(at >= 2 && source.is_path(at - 2)) => {
                let inline = blocks.iter().filter(|is_module| **is_module).count();
                at = source.through_root(at, depth + inline, &mut imports);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    imports
}

/// For each name that the crate's root takes from a module, the module.
pub(super) fn re_exports(root: &str) -> BTreeMap<String, String> {
    let source = Source::new(root);
    let mut names = BTreeMap::new();
    for at in 0..source.tokens.len() {
        if source.word(at) == "use" {
            let mut begin = at + 1;
            while ["self", "crate"].contains(&source.word(begin)) && source.is_path(begin + 1) {
                begin += 3;
            }
            let module = source.word(begin);
            if is_name(module) {
                let mut following = begin..source.tokens.len();
                let end = following.find(|&at| source.word(at) == ";");
                for at in begin..end.unwrap_or(begin) {
                    // The last name of each path, or its other name.
                    let is_last = [",", "}", ";"].contains(&source.word(at + 1));
                    if is_name(source.word(at)) && is_last {
                        names.insert(source.word(at).to_owned(), module.to_owned());
                    }
                }
            }
        }
    }
    names
}

struct Source<'a> {
    text: &'a str,
    tokens: Vec<Range<usize>>,
}

impl<'a> Source<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            tokens: tokens(text),
        }
    }

    /// A token, or nothing behind the last one.
    fn word(&self, at: usize) -> &'a str {
        self.tokens
            .get(at)
            .map_or("", |range| &self.text[range.clone()])
    }

    fn is_path(&self, at: usize) -> bool {
        self.word(at) == ":" && self.word(at + 1) == ":"
    }

    /// Reads the path or the group of paths at a token, which is so many modules below the
    /// root; returns the token behind what it has read.
    fn through_root(&self, mut at: usize, mut depth: usize, imports: &mut Vec<Import>) -> usize {
        loop {
            match self.word(at) {
                "super" if depth > 0 => depth -= 1,
                "self" => {}
                _ => break,
            }
            at += 1;
            if !self.is_path(at) {
                return at;
            }
            at += 2;
        }
        if self.word(at) == "{" {
            return self.group(at, depth, imports);
        }
        if depth == 0 && is_name_or_all(self.word(at)) {
            imports.push(Import {
                name: self.word(at).to_owned(),
                line: self.text[..self.tokens[at].start].matches('\n').count() + 1,
            });
        }
        at + 1
    }

    /// Each path of a group in braces.
    fn group(&self, open: usize, depth: usize, imports: &mut Vec<Import>) -> usize {
        let mut at = open + 1;
        while !["}", ""].contains(&self.word(at)) {
            at = self.through_root(at, depth, imports);
            // The rest of this path is below what was read.
            let mut braces = 0;
            loop {
                match self.word(at) {
                    "" => break,
                    "," | "}" if braces == 0 => break,
                    "{" => braces += 1,
                    "}" => braces -= 1,
                    _ => {}
                }
                at += 1;
            }
            at += usize::from(self.word(at) == ",");
        }
        at + 1
    }
}

fn is_name_or_all(word: &str) -> bool {
    word == "*" || is_name(word) && word != "super"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, depth: usize) -> Vec<(String, usize)> {
        of_file(text, depth)
            .into_iter()
            .map(|import| (import.name, import.line))
            .collect()
    }

    fn names(text: &str, depth: usize) -> Vec<String> {
        found(text, depth)
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    }

    #[test]
    fn paths_from_the_root_are_found_with_their_lines() {
        let text = "
            use crate::index::{self, lookup::{Hit, Miss}};
            use crate::{Error, arena::chunk::{self, Chunk}, sys::*};
            pub(in crate::table) fn f() -> crate::Result { $crate::sync::pause(); }
            pub(crate) use crate::*;
        ";
        let expected = [
            ("index", 2),
            ("Error", 3),
            ("arena", 3),
            ("sys", 3),
            ("table", 4),
            ("Result", 4),
            ("sync", 4),
            ("*", 5),
        ];
        assert_eq!(
            found(text, 1),
            expected.map(|(name, line)| (name.to_owned(), line))
        );
    }

    #[test]
    fn paths_from_above_are_followed_up_to_the_root() {
        let text = "
            use super::write;
            use super::super::locking::Lock;
            use super::{super::arena, neighbour::{A, B}};
            fn f() { super::g(); super::super::index::h(); }
        ";
        assert_eq!(names(text, 1), ["write", "neighbour", "g"]);
        assert_eq!(names(text, 2), ["locking", "arena", "index"]);
        assert_eq!(names(text, 3), Vec::<String>::new());
    }

    #[test]
    fn a_module_in_a_file_is_one_deeper() {
        let text = "
            mod inner { use super::own; use super::super::write; fn f() { g() } }
            use super::sys;
        ";
        assert_eq!(names(text, 1), ["write", "sys"]);
    }

    #[test]
    fn what_only_tests_have_and_what_is_no_code_is_left_out() {
        let text = r#"
            /// [`crate::table::Table`]
            // use crate::table;
            const TEXT: &str = "use crate::table;";
            #[cfg(test)]
            mod tests { use crate::table; }
            #[cfg(all(test, not(loom)))]
            use crate::table;
            pub(crate) use self::own::Own;
        "#;
        assert_eq!(names(text, 1), Vec::<String>::new());
    }

    #[test]
    fn re_exports_are_known_by_their_module() {
        let text = "
            pub use error::{Error, Result};
            pub use self::table::{Claim, claims::Claimed, Table as Main};
            pub use stats::Stats;
            use std::fmt;
        ";
        let expected = [
            ("Claim", "table"),
            ("Claimed", "table"),
            ("Error", "error"),
            ("Main", "table"),
            ("Result", "error"),
            ("Stats", "stats"),
            ("fmt", "std"),
        ];
        let expected = expected.map(|(name, module)| (name.to_owned(), module.to_owned()));
        assert_eq!(re_exports(text), BTreeMap::from(expected));
    }
}
