//! LMDB, through heed.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions, RoTxn, RwTxn, WithoutTls};
use tempfile::TempDir;

use super::{About, Contender, Room, Session, Sharing, copy};
use crate::Result;

/// An environment in memory, with one database.
#[derive(Debug)]
pub struct Lmdb {
    env: Env<WithoutTls>,
    database: Database<Bytes, Bytes>,
    path: PathBuf,
    /// Removed with the table, by the process that created it.
    _folder: Option<TempDir>,
}

impl Contender for Lmdb {
    const ABOUT: About = About {
        name: "LMDB",
        setup: "heed; on tmpfs, with `NO_SYNC`, `NO_META_SYNC`, `WRITE_MAP`, `NO_READ_AHEAD`, \
                `NO_MEM_INIT`, `NO_TLS`. One transaction for a whole pass of one process, which is \
                its best; one for each operation where several processes share it, because they must \
                see each other's writes",
        hasher: "",
        sharing: Sharing::Processes,
        slow: false,
    };

    type Session<'a> = Transactions<'a>;

    fn create(room: &Room) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("shmtable-bench-lmdb-")
            .tempdir_in("/dev/shm")?;
        open(folder.path().to_owned(), Some(folder), room)
    }

    fn address(&self) -> Option<String> {
        self.path.to_str().map(str::to_owned)
    }

    fn attach(address: &str, room: &Room) -> Result<Self> {
        open(address.into(), None, room)
    }

    fn session(&self, alone: bool) -> Transactions<'_> {
        Transactions {
            lmdb: self,
            alone,
            open: Open::None,
        }
    }

    fn bytes(&self) -> Result<Option<u64>> {
        let file = std::fs::metadata(self.path.join("data.mdb"))?;
        Ok(Some(file.blocks() * 512))
    }
}

fn open(path: PathBuf, folder: Option<TempDir>, room: &Room) -> Result<Lmdb> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    // Address space alone; a page may be half full, and hold one entry.
    let size = (1 << 30) + 4 * room.value_space + 200 * room.entries;
    options.map_size(size.next_multiple_of(1 << 20));
    let env = with_best_settings(&mut options, &path)?;
    let mut transaction = env.write_txn()?;
    let database = env.create_database(&mut transaction, None)?;
    transaction.commit()?;
    Ok(Lmdb {
        env,
        database,
        path,
        _folder: folder,
    })
}

#[allow(
    unsafe_code,
    reason = "heed offers no other way to open an environment"
)]
fn with_best_settings(
    options: &mut EnvOpenOptions<WithoutTls>,
    path: &Path,
) -> Result<Env<WithoutTls>> {
    let flags = EnvFlags::NO_SYNC
        | EnvFlags::NO_META_SYNC
        | EnvFlags::WRITE_MAP
        | EnvFlags::NO_READ_AHEAD
        | EnvFlags::NO_MEM_INIT;
    // SAFETY: none of these flags turns LMDB's locks off, so it still orders all accesses.
    // `NO_SYNC` and `NO_META_SYNC` may damage the file in a crash of the machine, which a
    // file in tmpfs doesn't outlive. `WRITE_MAP` exposes the map to stray writes; the rest
    // of this crate is safe Rust and makes none. `NO_MEM_INIT` leaves old bytes in unused
    // parts of pages, and this crate reads only the values that LMDB returns.
    // `NO_READ_AHEAD` is a hint to the system.
    let options = unsafe { options.flags(flags) };
    // SAFETY: the file must change only through LMDB, with its locks in force. It is in a
    // fresh folder that only its owner may enter (mode 0700), and only the processes of this
    // benchmark open it, each once and through this function. The folder is in tmpfs, not on
    // a remote file system, and stays until the process that created it drops the table.
    Ok(unsafe { options.open(path) }?)
}

enum Open<'a> {
    None,
    Read(RoTxn<'a, WithoutTls>),
    Write(RwTxn<'a>),
}

/// Access by transactions: one for a whole pass if no other process has the table, else one
/// for each operation.
pub struct Transactions<'a> {
    lmdb: &'a Lmdb,
    alone: bool,
    open: Open<'a>,
}

impl std::fmt::Debug for Transactions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transactions").finish_non_exhaustive()
    }
}

impl Transactions<'_> {
    #[inline(always)]
    fn read<R>(
        &mut self,
        read: impl FnOnce(&RoTxn<'_, WithoutTls>, &Database<Bytes, Bytes>) -> R,
    ) -> R {
        if !matches!(self.open, Open::Read(_)) {
            self.finish();
            self.open = Open::Read(self.lmdb.env.read_txn().expect("a reader's slot"));
        }
        let Open::Read(transaction) = &self.open else {
            unreachable!("it was just begun")
        };
        let result = read(transaction, &self.lmdb.database);
        if !self.alone {
            self.finish();
        }
        result
    }

    #[inline(always)]
    fn write<R>(
        &mut self,
        write: impl FnOnce(&mut RwTxn<'_>, &Database<Bytes, Bytes>) -> heed::Result<R>,
    ) -> R {
        if !matches!(self.open, Open::Write(_)) {
            self.finish();
            self.open = Open::Write(self.lmdb.env.write_txn().expect("the writer's lock"));
        }
        let Open::Write(transaction) = &mut self.open else {
            unreachable!("it was just begun")
        };
        let result = write(transaction, &self.lmdb.database).expect("a write");
        if !self.alone {
            self.finish();
        }
        result
    }
}

impl Session for Transactions<'_> {
    #[inline(always)]
    fn get(&mut self, key: &[u8], value: &mut Vec<u8>) -> bool {
        self.read(|transaction, database| {
            let found = database.get(transaction, key).expect("a get");
            found.is_some_and(|found| {
                copy(found, value);
                true
            })
        })
    }

    #[inline(always)]
    fn insert(&mut self, key: &[u8], value: &[u8]) {
        self.write(|transaction, database| database.put(transaction, key, value));
    }

    #[inline(always)]
    fn remove(&mut self, key: &[u8]) -> bool {
        self.write(|transaction, database| database.delete(transaction, key))
    }

    #[inline(always)]
    fn add(&mut self, key: &[u8], add: i64) -> i64 {
        self.write(|transaction, database| {
            let found = database.get(transaction, key)?;
            let before = found.map_or(0, |found| {
                i64::from_le_bytes(found.try_into().expect("a counter has eight bytes"))
            });
            database.put(transaction, key, &(before + add).to_le_bytes())?;
            Ok(before)
        })
    }

    fn finish(&mut self) {
        if let Open::Write(transaction) = std::mem::replace(&mut self.open, Open::None) {
            transaction.commit().expect("a commit");
        }
    }
}
