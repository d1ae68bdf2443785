//! Patterns of keys: `--match`.

/// A pattern of `--match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob(Vec<Part>);

impl Glob {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        parse(text).map(Self)
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        matches(&self.0, text)
    }
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Any text.
    Star,
    /// One character, which is in one of the ranges, or in none if `negated`.
    One {
        of: Vec<(char, char)>,
        negated: bool,
    },
}

/// Parses a pattern, in which a backslash makes the next character stand for itself.
fn parse(glob: &str) -> Result<Vec<Part>, String> {
    let chars: Vec<char> = glob.chars().collect();
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        at += 1;
        let one = |of: Vec<(char, char)>, negated| Part::One { of, negated };
        parts.push(match c {
            '*' => Part::Star,
            '?' => one(Vec::new(), true),
            '\\' if at < chars.len() => {
                at += 1;
                one(vec![(chars[at - 1], chars[at - 1])], false)
            }
            '[' => {
                let negated = matches!(chars.get(at), Some('!' | '^'));
                let first = at + usize::from(negated);
                // A closing bracket in the first place is one of the characters.
                let rest = chars.get(first + 1..).unwrap_or_default();
                let length = rest
                    .iter()
                    .position(|c| *c == ']')
                    .ok_or("a `[` is not closed; write `\\[` for the character itself")?;
                at = first + length + 2;
                one(ranges(&chars[first..=first + length]), negated)
            }
            c => one(vec![(c, c)], false),
        });
    }
    Ok(parts)
}

/// The ranges between brackets: `a-z` is one; a hyphen at either end stands for itself.
fn ranges(chars: &[char]) -> Vec<(char, char)> {
    let mut ranges = Vec::new();
    let mut left = chars;
    while let [first, rest @ ..] = left {
        if let ['-', last, rest @ ..] = rest {
            ranges.push((*first, *last));
            left = rest;
        } else {
            ranges.push((*first, *first));
            left = rest;
        }
    }
    ranges
}

/// Whether a pattern matches a whole text, in time proportional to the product of both lengths.
fn matches(glob: &[Part], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut part, mut at) = (0, 0);
    // The place after the last star, and where the text that it must match begins.
    let mut again = None;
    loop {
        match glob.get(part) {
            Some(Part::Star) => {
                part += 1;
                again = Some((part, at));
                continue;
            }
            Some(Part::One { of, negated }) => {
                if let Some(c) = text.get(at)
                    && of.iter().any(|(first, last)| (first..=last).contains(&c)) != *negated
                {
                    part += 1;
                    at += 1;
                    continue;
                }
            }
            None if at == text.len() => return true,
            None => {}
        }
        // Let the last star take one more character.
        match again {
            Some((star, from)) if from < text.len() => {
                again = Some((star, from + 1));
                (part, at) = (star, from + 1);
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_what_they_say() {
        for (glob, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbbcd", false),
            ("a*b*c", "aXbXbXc", true),
            ("*:5", "user:5:5", true),
            ("?", "ä", true),
            ("?", "", false),
            ("user:[0-9]", "user:7", true),
            ("user:[!0-9]", "user:7", false),
            ("user:[^0-9]", "user:x", true),
            ("[]]", "]", true),
            ("[a-]", "-", true),
            ("\\[a", "[a", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("a\\", "a\\", true),
        ] {
            assert_eq!(
                Glob::parse(glob).unwrap().matches(text),
                expected,
                "{glob:?} {text:?}"
            );
        }
        for glob in ["[", "[a", "a[]", "[!"] {
            assert!(Glob::parse(glob).is_err(), "{glob:?}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let text = "a".repeat(10_000);
        let matches = |glob: &str, text: &str| Glob::parse(glob).unwrap().matches(text);
        assert!(!matches(&"a*".repeat(50), &format!("b{text}")));
        assert!(!matches(&format!("{}b", "a*".repeat(50)), &text));
    }
}
