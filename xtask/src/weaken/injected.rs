
/// Put here by `cargo xtask weaken`: every ordering that is not relaxed goes through
/// here, so that one build has all the changes in it.
pub(crate) mod weaken {
    use std::io::Write as _;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// The number of a site, and its ordering; nothing for a fence that is left out.
    type Change = (usize, Option<Ordering>);

    static CHANGE: OnceLock<Option<Change>> = OnceLock::new();
    static REACHED: [AtomicBool; SITES] = [const { AtomicBool::new(false) }; SITES];

    pub(crate) fn ordering(site: usize, written: Ordering) -> Ordering {
        now(site, written).expect("only a fence can be left out")
    }

    pub(crate) fn fence(site: usize, written: Ordering) {
        if let Some(ordering) = now(site, written) {
            super::fence(ordering);
        }
    }

    fn now(site: usize, written: Ordering) -> Option<Ordering> {
        if !REACHED[site].swap(true, Ordering::Relaxed) {
            tell(site);
        }
        match *CHANGE.get_or_init(change) {
            Some((changed, ordering)) if changed == site => ordering,
            _ => Some(written),
        }
    }

    fn change() -> Option<Change> {
        let change = std::env::var("SHMTABLE_WEAKEN").ok()?;
        let (site, ordering) = change.split_once('=').expect("SITE=ORDERING");
        let ordering = match ordering {
            "none" => None,
            "Relaxed" => Some(Ordering::Relaxed),
            "Acquire" => Some(Ordering::Acquire),
            "Release" => Some(Ordering::Release),
            "AcqRel" => Some(Ordering::AcqRel),
            other => panic!("no ordering {other}"),
        };
        Some((site.parse().expect("a number"), ordering))
    }

    fn tell(site: usize) {
        if let Some(file) = std::env::var_os("SHMTABLE_WEAKEN_REACHED") {
            let file = std::fs::OpenOptions::new().append(true).create(true).open(file);
            writeln!(file.expect("a file that can be written"), "{site}").expect("room for a line");
        }
    }
}
