//! The tokens of Rust sources.
//!
//! A scanner, not a parser: it knows comments, strings and characters, and saves xtask its
//! first dependency.

use std::ops::Range;

/// How the attribute of an item begins that only tests have.
const TEST_ONLY: [&[&str]; 2] = [
    &["#", "[", "cfg", "(", "test", ")"],
    &["#", "[", "cfg", "(", "all", "(", "test", ","],
];

/// Names, numbers and single signs, without comments, strings and characters.
pub(crate) fn tokens(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        at += match bytes[at] {
            b'/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => comment(rest),
            b'"' => string(rest),
            b'r' | b'b' | b'c' if raw_string(rest).is_some() => raw_string(rest).unwrap_or(1),
            b'\'' => character(rest),
            byte if byte.is_ascii_whitespace() => 1,
            byte if byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii() => {
                let is_part = |sign: char| sign.is_alphanumeric() || sign == '_';
                // Something at least, also of a sign that is no letter anywhere.
                let first = rest.chars().next().map_or(1, char::len_utf8);
                let length = rest.find(|sign| !is_part(sign)).unwrap_or(rest.len());
                let length = length.max(first);
                tokens.push(at..at + length);
                length
            }
            _ => {
                tokens.push(at..at + 1);
                1
            }
        };
    }
    tokens
}

/// Whether the attribute that begins at a token is `#[cfg(test)]`, or `#[cfg(all(test, ...))]`.
pub(crate) fn is_test_only<'a>(at: usize, word: impl Fn(usize) -> &'a str) -> bool {
    TEST_ONLY.iter().any(|attribute| {
        attribute
            .iter()
            .zip(at..)
            .all(|(part, at)| *part == word(at))
    })
}

/// Behind the item that begins at a token, which is behind its block or its semicolon.
pub(crate) fn end_of_item<'a>(at: usize, end: usize, word: impl Fn(usize) -> &'a str) -> usize {
    let mut depth = 0;
    for at in at..end {
        match word(at) {
            "{" | "(" | "[" => depth += 1,
            "}" if depth == 1 => return at + 1,
            "}" | ")" | "]" => depth -= 1,
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    end
}

pub(crate) fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The length of a comment, which may have others in it.
fn comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        match text.as_bytes().get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") if depth == 1 => return at + 2,
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

/// The length of a string in quotes.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, sign) in text.char_indices().skip(1) {
        match sign {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a raw string, if that is what begins here.
fn raw_string(text: &str) -> Option<usize> {
    let prefix = text.find('r').filter(|&at| at <= 1)? + 1;
    let fence = text[prefix..].find(|sign| sign != '#')?;
    let begin = prefix + fence;
    if !text[begin..].starts_with('"') {
        return None;
    }
    let end = format!("\"{}", &text[prefix..begin]);
    let length = text[begin + 1..].find(&end)?;
    Some(begin + 1 + length + end.len())
}

/// The length of a character, or of a lifetime's tick.
fn character(text: &str) -> usize {
    let mut signs = text.char_indices().skip(1);
    match signs.next() {
        Some((_, '\\')) => {
            // Past what is escaped, which may be a quote.
            signs.next();
            let end = signs.find(|(_, sign)| *sign == '\'');
            end.map_or(text.len(), |(at, _)| at + 1)
        }
        Some(_) => match signs.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
        None => 1,
    }
}
