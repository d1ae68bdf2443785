//! Finds the uses of orderings in sources, and what each could be weakened to.
//!
//! It reads tokens and knows brackets and `fn`. What it takes for a site by mistake does not
//! compile in the scratch copy; what it cannot name, it refuses.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use crate::result::Result;
use crate::tokens::{end_of_item, is_name, is_test_only, tokens};

/// One use of an ordering stronger than relaxed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) id: SiteId,
    pub(crate) line: usize,
    /// What is called with it: `load`, `fence` and so on.
    pub(crate) callee: String,
    pub(crate) ordering: String,
    /// Where the ordering's path is in the file.
    pub(crate) path: Range<usize>,
    /// Where the callee's name is.
    pub(crate) name: Range<usize>,
    /// Whether it is the ordering of the load of an exchange that failed.
    of_failure: bool,
}

/// Identifies a site, whatever lines are added above it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SiteId {
    pub(crate) file: String,
    pub(crate) function: String,
    /// From 1, among those in functions of this name in this file.
    pub(crate) number: usize,
}

impl SiteId {
    pub(crate) fn new(file: &str, function: &str, number: usize) -> Self {
        Self {
            file: file.to_owned(),
            function: function.to_owned(),
            number,
        }
    }
}

impl fmt::Display for SiteId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.file, self.function, self.number)
    }
}

/// The weaker form of a fence: none at all.
pub(crate) const NO_FENCE: &str = "none";

const STRONG: [&str; 4] = ["Acquire", "Release", "AcqRel", "SeqCst"];

impl Site {
    pub(crate) fn is_fence(&self) -> bool {
        self.callee == "fence"
    }

    /// Every weaker ordering for this kind of access.
    pub(crate) fn weaker(&self) -> &'static [&'static str] {
        match (self.is_fence(), self.ordering.as_str()) {
            (true, "SeqCst") => &["AcqRel", "Acquire", "Release", NO_FENCE],
            (true, "AcqRel") => &["Acquire", "Release", NO_FENCE],
            (true, _) => &[NO_FENCE],
            (false, "SeqCst") if self.callee == "load" || self.of_failure => {
                &["Acquire", "Relaxed"]
            }
            (false, "SeqCst") if self.callee == "store" => &["Release", "Relaxed"],
            (false, "SeqCst") => &["AcqRel", "Acquire", "Release", "Relaxed"],
            (false, "AcqRel") => &["Acquire", "Release", "Relaxed"],
            (false, _) => &["Relaxed"],
        }
    }
}

/// The sites of one file, in their order; not those of `#[cfg(test)]` items.
///
/// # Errors
/// An ordering without `Ordering::` before it, or outside a call.
pub(crate) fn of_file(file: &str, text: &str) -> Result<Vec<Site>> {
    let tokens = tokens(text);
    let word = |at: usize| {
        let range: Range<usize> = tokens.get(at).cloned().unwrap_or(0..0);
        &text[range]
    };
    let is_path = |at: usize| word(at) == ":" && word(at + 1) == ":";

    let mut sites = Vec::new();
    let mut numbers = BTreeMap::new();
    // A function's name for its block, nothing for other blocks.
    let mut blocks: Vec<Option<&str>> = Vec::new();
    let mut announced = None;
    // For each open parenthesis: the token before it, and how many orderings it has.
    let mut calls: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match word(at) {
            "#" if is_test_only(at, word) => {
                at = end_of_item(at, tokens.len(), word);
                continue;
            }
            "fn" if is_name(word(at + 1)) => announced = Some((word(at + 1), calls.len())),
            "{" => blocks.push(announced.take().map(|(name, _)| name)),
            "}" => drop(blocks.pop()),
            // A method that a trait only declares; not the length of an array.
            ";" if announced.is_some_and(|(_, depth)| depth == calls.len()) => announced = None,
            "(" | "[" => calls.push((at.saturating_sub(1), 0)),
            ")" | "]" => drop(calls.pop()),
            "Relaxed" => calls.iter_mut().rev().take(1).for_each(|call| call.1 += 1),
            ordering if STRONG.contains(&ordering) => {
                let line = text[..tokens[at].start].matches('\n').count() + 1;
                let refuse = |what| Err(format!("{file}:{line}: {ordering} {what}").into());
                let mut begin = at;
                while begin >= 3 && is_path(begin - 2) {
                    begin -= 3;
                }
                if begin == at {
                    return refuse("without `Ordering::` before it");
                }
                let function = blocks.iter().rev().flatten().next().copied();
                let (Some(function), Some((callee, orderings))) = (function, calls.last_mut())
                else {
                    return refuse("outside a call in a function");
                };
                *orderings += 1;
                let number = numbers.entry(function).or_insert(0);
                *number += 1;
                sites.push(Site {
                    id: SiteId::new(file, function, *number),
                    line,
                    callee: word(*callee).to_owned(),
                    ordering: ordering.to_owned(),
                    path: tokens[begin].start..tokens[at].end,
                    name: tokens[*callee].clone(),
                    of_failure: *orderings > 1,
                });
            }
            _ => {}
        }
        at += 1;
    }
    Ok(sites)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        of_file("f.rs", text)
            .unwrap()
            .iter()
            .map(|site| {
                format!(
                    "{} {} {} {} {} {:?}",
                    site.id.function,
                    site.id.number,
                    site.line,
                    site.callee,
                    &text[site.path.clone()],
                    site.weaker()
                )
            })
            .collect()
    }

    #[test]
    fn what_is_no_code_is_no_site() {
        let text = r##"
            // a.load(Ordering::Acquire)
            /* /* a.load(Ordering::Acquire) */ Ordering::Acquire */
            /// fence(Ordering::Release)
            fn f<'a>(x: &'a str) {
                g("fence(Ordering::Release) \" Ordering::SeqCst", '"', '\'', '\u{22}');
                g(r#"Ordering::AcqRel " Ordering::AcqRel"#, br"\", b'"');
                a.load(Ordering::Relaxed);
                number.release(Acquired);
            }
            #[cfg(test)]
            mod tests { fn g() { a.load(Ordering::Acquire) } }
            #[cfg(test)]
            use x::{y, z};
        "##;
        assert_eq!(found(text), Vec::<String>::new());
    }

    #[test]
    fn a_site_is_known_by_its_function_and_its_number_there() {
        let text = "
            trait T { fn declared(x: [u8; 4]); }
            impl A {
                fn f(&self) -> [u8; 4] {
                    if a { self.0.load(atomic::Ordering::Acquire) }
                    list(|| { self.0[g(1)].store(1, Ordering::Release) });
                    fence(Ordering::SeqCst);
                }
            }
            fn g() { x.compare_exchange(f(0), 1, Ordering::SeqCst, Ordering::SeqCst) }
            mod m { impl B { fn f() { sync::fence(Ordering::AcqRel) } } }
        ";
        assert_eq!(
            found(text),
            [
                r#"f 1 5 load atomic::Ordering::Acquire ["Relaxed"]"#,
                r#"f 2 6 store Ordering::Release ["Relaxed"]"#,
                r#"f 3 7 fence Ordering::SeqCst ["AcqRel", "Acquire", "Release", "none"]"#,
                r#"g 1 10 compare_exchange Ordering::SeqCst ["AcqRel", "Acquire", "Release", "Relaxed"]"#,
                r#"g 2 10 compare_exchange Ordering::SeqCst ["Acquire", "Relaxed"]"#,
                r#"f 4 11 fence Ordering::AcqRel ["Acquire", "Release", "none"]"#,
            ]
        );
    }

    #[test]
    fn what_cannot_be_named_is_refused() {
        for text in [
            "use x::Ordering::{Acquire, Relaxed};",
            "fn f() { a.load(Acquire) }",
            "fn f() { let ordering = Ordering::Acquire; }",
            "const O: Ordering = Ordering::Acquire;",
        ] {
            assert!(of_file("f.rs", text).is_err(), "{text}");
        }
    }
}
