//! The names of anonymous tables.

/// What the name of an anonymous table begins with; 16 hexadecimal digits follow.
pub(crate) const PREFIX: &str = "anon-";

/// The name of the anonymous table with this number.
pub(crate) fn of_number(number: u64) -> String {
    format!("{PREFIX}{number:016x}")
}

/// Whether a name is one that [`of_number`] makes.
pub(crate) fn is_generated(name: &str) -> bool {
    number_of(name).is_some_and(|number| name == of_number(number))
}

/// The number in such a name.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_prefix(PREFIX)?, 16).ok()
}
