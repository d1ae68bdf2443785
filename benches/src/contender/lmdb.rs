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
    /// Removed with the table, by who made it.
    _folder: Option<TempDir>,
}

impl Contender for Lmdb {
    const ABOUT: About = About {
        name: "LMDB",
        setup: "heed; on tmpfs, with `NO_SYNC`, `NO_META_SYNC`, `WRITE_MAP`, `NO_READ_AHEAD`, \
                `NO_MEM_INIT`, `NO_TLS`. One transaction for a whole pass of one process, which is \
                its best; one for each operation where several share it, for they must see each \
                other's",
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
    // SAFETY: what these flags give up is durability, and protection from wild writes
    // through the map and from uninitialized bytes in the file. Nobody needs the file
    // after a crash, this crate is otherwise safe Rust, and nobody reads the file's bytes
    // but as LMDB gives them. None of them turns locks off.
    let options = unsafe { options.flags(flags) };
    // SAFETY: the file lies in a fresh folder that its owner alone may enter (mode 0700).
    // Only the processes of this benchmark open it, each once, and nobody changes it but
    // through LMDB, whose locks are in force.
    Ok(unsafe { options.open(path) }?)
}

enum Open<'a> {
    None,
    Read(RoTxn<'a, WithoutTls>),
    Write(RwTxn<'a>),
}

/// Access by transactions: one as long as nobody else is there, else one for each
/// operation.
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
