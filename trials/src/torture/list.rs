//! Entries that each worker adds one after the other and never changes, so that a table grows.
//!
//! How many a worker has listed is the measure of its cell [`LIST`](super::shape::LIST).

use xxhash_rust::xxh3::xxh3_64;

use super::finding::Finding;

/// The highest byte of each listed key. Other keys end in letters, digits and dots.
const MARK: u64 = 0xff;

/// An entry of a worker's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) worker: usize,
    pub(crate) number: u64,
}

impl Listed {
    pub(crate) fn key(self) -> [u8; 8] {
        (MARK << 56 | (self.worker as u64) << 40 | self.number).to_le_bytes()
    }

    /// `None`: it isn't a key of a list.
    pub(crate) fn of_key(key: &[u8]) -> Option<Self> {
        let word = u64::from_le_bytes(key.try_into().ok()?);
        (word >> 56 == MARK).then_some(Self {
            worker: (word >> 40) as u16 as usize,
            number: word & ((1 << 40) - 1),
        })
    }

    /// Small, or a record in every fourth entry.
    pub(crate) fn value(self) -> Vec<u8> {
        let mixed = xxh3_64(&self.key());
        let times = if mixed.is_multiple_of(4) { 6 } else { 1 };
        mixed.to_le_bytes()[..7].repeat(times)
    }

    /// It must be there, and whole.
    pub(crate) fn judge(self, found: Option<&[u8]>) -> Result<(), Finding> {
        match found {
            Some(found) if found == self.value() => Ok(()),
            Some(found) => Err(Finding::torn(format!("{self:?} holds {found:?}"))),
            None => Err(Finding::lost(format!("{self:?} is not there"))),
        }
    }
}

/// Which entries of one list an iteration has met.
pub(crate) struct Met {
    worker: usize,
    met: Vec<bool>,
}

impl Met {
    /// None of so many.
    pub(crate) fn new(worker: usize, listed: u64) -> Self {
        let met = vec![false; listed as usize];
        Self { worker, met }
    }

    pub(crate) fn note(&mut self, listed: Listed) -> Result<(), Finding> {
        match self.met.get_mut(listed.number as usize) {
            Some(met) if !*met => {
                *met = true;
                Ok(())
            }
            Some(_) => Err(Finding::wrong(format!("iteration met {listed:?} twice"))),
            None => Err(Finding::wrong(format!(
                "iteration met {listed:?}, and there are {} in this list",
                self.met.len()
            ))),
        }
    }

    /// How many it has met.
    pub(crate) fn count(&self) -> usize {
        self.met.iter().filter(|&&met| met).count()
    }

    /// All entries of the list.
    pub(crate) fn all(&self) -> impl Iterator<Item = Listed> {
        let worker = self.worker;
        (0..self.met.len() as u64).map(move |number| Listed { worker, number })
    }

    pub(crate) fn missing(&self) -> impl Iterator<Item = Finding> {
        self.all()
            .filter(|listed| !self.met[listed.number as usize])
            .map(|listed| Finding::lost(format!("iteration did not meet {listed:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::TrackedKey;
    use super::*;

    #[test]
    fn a_listed_key_is_told_from_others() {
        for (worker, number) in [(0, 0), (1, 77), (199, (1 << 40) - 1)] {
            let listed = Listed { worker, number };
            assert_eq!(Listed::of_key(&listed.key()), Some(listed));
        }
        for worker in 0..200 {
            for cell in 0..43 {
                let key = TrackedKey::new(worker, cell).key();
                assert_eq!(Listed::of_key(&key), None);
            }
        }
    }

    #[test]
    fn an_iteration_meets_each_entry_once() {
        let listed = |number| Listed { worker: 1, number };
        let mut met = Met::new(1, 3);
        met.note(listed(2)).unwrap();
        met.note(listed(0)).unwrap();
        assert!(met.note(listed(2)).is_err());
        assert!(met.note(listed(3)).is_err());
        assert_eq!((met.count(), met.missing().count()), (2, 1));
    }
}
