//! The orderings that no model notices when they are weakened, and why they stay: the
//! only list of them. `loom-tests/orderings.md` quotes it.

use super::sites::{Site, SiteId};

/// Changes that no model notices, for one reason.
pub(crate) struct Exception {
    /// File, function, number in the function; to what it was weakened.
    pub(crate) changes: &'static [(&'static str, &'static str, usize, &'static str)],
    pub(crate) reason: &'static str,
}

pub(crate) const EXCEPTIONS: &[Exception] = &[
    Exception {
        changes: &[("src/locking/lock.rs", "acquire_contended", 3, "Release")],
        reason: "A lock taken over, without acquire: that its owner is dead was learned from \
                 the kernel, or from its slot's next generation with an acquire, and either \
                 orders all that it did before. Kept because it costs nothing, and because \
                 the first is the kernel's promise, not the language's.",
    },
    Exception {
        changes: &[("src/locking/key_wait.rs", "listen", 1, "Acquire")],
        reason: "SLEEPERS set, without release: it keeps the load of the event before the \
                 flag. A load that is done after the flag was set might return the event \
                 that the flag's own unlock raised, and the waiter would sleep on it. loom \
                 never lets a load see what comes later.",
    },
    Exception {
        changes: &[("src/locking/lock.rs", "confirm", 1, "Relaxed")],
        reason: "A lock given back by an owner whose descriptor was closed, in no model: models \
                 have no descriptors to close. It is an unlock as that of `drop`, whose row \
                 shows what the release is for: the owner may have taken the lock over and \
                 repaired the stripe.",
    },
    Exception {
        changes: &[
            ("src/segment/reading.rs", "is_ready", 1, "Relaxed"),
            ("src/segment/reading.rs", "use_words", 1, "Relaxed"),
            ("src/write/shrink.rs", "take_steps", 1, "Relaxed"),
            ("src/write/shrink.rs", "take_steps", 2, "Relaxed"),
        ],
        reason: "Words of this process's own memory, in the standard library's atomics, which \
                 loom does not see: where its threads announce themselves, which is stored \
                 before it is said for which process; and whether one of them cleans, of \
                 which only one may.",
    },
    Exception {
        changes: &[
            ("src/arena/memory.rs", "has_ended", 1, "Relaxed"),
            ("src/arena/memory.rs", "has_ended", 2, "Relaxed"),
            ("src/arena/memory.rs", "has_ended", 3, "Relaxed"),
            ("src/segment/reading.rs", "drop", 1, "Relaxed"),
            ("src/segment/reading.rs", "drop", 2, "Relaxed"),
        ],
        reason: "A read has ended before memory is given back. What a model sees of memory that \
                 goes is the order of steps alone, and by that a read that was announced as \
                 ended has ended. The release and the acquires say so in the language's terms, \
                 too.",
    },
];

/// Sources whose orderings are in no model, and why.
pub(crate) const OUTSIDE: &[(&str, &str)] = &[
    (
        "src/sys/doorbell.rs",
        "a word of this process's own memory; a ring that is lost costs a wake-up, and each \
         sleep is bounded by 50 ms",
    ),
    (
        "src/sys/fork/mod.rs",
        "the handlers of a fork, and what they keep in this process's own memory, in the \
         standard library's atomics; `tests/forks/` tries them, also under \
         ThreadSanitizer",
    ),
    (
        "src/sys/fork/descriptors.rs",
        "this process's list of open files, in the standard library's atomics, as above",
    ),
    (
        "src/sys/linux/fences.rs",
        "a reader's part of a fence of which the kernel brings the other one; in models both parts \
         are fences, of `src/sys/heap/mod.rs`",
    ),
    (
        "src/sys/portable/mod.rs",
        "that part where the other one is missing, and no memory is given back",
    ),
    (
        "src/sys/portable/windows/bells.rs",
        "events of Windows, with fences between a look at the word and the kernel's state; \
         what is lost there costs a wake-up, and each sleep is bounded by 10 ms",
    ),
];

/// The number, from 1, of the exception that covers a change.
pub(crate) fn of(id: &SiteId, to: &str) -> Option<usize> {
    let is = |&(file, function, number, weaker): &(&str, &str, usize, &str)| {
        (file, function, number, weaker) == (id.file.as_str(), id.function.as_str(), id.number, to)
    };
    EXCEPTIONS
        .iter()
        .position(|exception| exception.changes.iter().any(is))
        .map(|at| at + 1)
}

/// Exceptions whose ordering no longer exists.
pub(crate) fn without_a_site(sites: &[Site]) -> Vec<String> {
    let there = |change: &&(&str, &str, usize, &str)| {
        let &&(file, function, number, to) = change;
        sites.iter().any(|site| {
            (
                site.id.file.as_str(),
                site.id.function.as_str(),
                site.id.number,
            ) == (file, function, number)
                && site.weaker().contains(&to)
        })
    };
    EXCEPTIONS
        .iter()
        .flat_map(|exception| exception.changes)
        .filter(|change| !there(change))
        .map(|(file, function, number, to)| format!("{file} {function} {number} -> {to}"))
        .collect()
}
