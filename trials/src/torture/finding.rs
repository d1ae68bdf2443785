//! What is found to be not as it must be.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An acknowledged write is not there, or an older one came back.
    Lost,
    /// Bytes that no worker wrote in this order.
    Torn,
    /// Anything else that must not be: a value of elsewhere, a step that happened
    /// twice, an answer that does not fit, an error, a process that fell.
    Wrong,
    /// An operation that did not return, or that timed out on a process that goes on.
    Hung,
}

pub(crate) const KINDS: [Kind; 4] = [Kind::Lost, Kind::Torn, Kind::Wrong, Kind::Hung];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Torn => "torn",
            Self::Wrong => "wrong",
            Self::Hung => "hung",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

impl Finding {
    pub(crate) fn lost(text: String) -> Self {
        let kind = Kind::Lost;
        Self { kind, text }
    }

    pub(crate) fn torn(text: String) -> Self {
        let kind = Kind::Torn;
        Self { kind, text }
    }

    pub(crate) fn wrong(text: String) -> Self {
        let kind = Kind::Wrong;
        Self { kind, text }
    }

    pub(crate) fn hung(text: String) -> Self {
        let kind = Kind::Hung;
        Self { kind, text }
    }

    /// What another process wrote as [`Display`](fmt::Display) shows it.
    pub(crate) fn parse(line: &str) -> Self {
        let found = KINDS.iter().find_map(|&kind| {
            let text = line.strip_prefix(&format!("{kind}: "))?.to_owned();
            Some(Self { kind, text })
        });
        found.unwrap_or_else(|| Self::wrong(line.to_owned()))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.text)
    }
}

impl From<shmtable::Error> for Finding {
    fn from(error: shmtable::Error) -> Self {
        match error {
            shmtable::Error::LockTimeout { .. } => Self::hung(error.to_string()),
            error => Self::wrong(format!("an operation failed: {error}: {error:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_survives_being_written() {
        for kind in KINDS {
            let text = "a: b".to_owned();
            let finding = Finding { kind, text };
            assert_eq!(Finding::parse(&finding.to_string()), finding);
        }
        assert_eq!(Finding::parse("half a li").kind, Kind::Wrong);
    }
}
