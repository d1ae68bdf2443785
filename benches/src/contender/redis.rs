//! A Valkey or Redis server on a socket of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use redis::{Client, Connection, pipe};
use tempfile::TempDir;

use super::{About, Contender, Room, Session, Sharing, copy};
use crate::Result;
use crate::work::Key;

/// Commands that are sent at once while a table is filled.
const PIPELINE: usize = 1000;

/// The server's program, if one is installed.
pub fn server() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let programs = ["valkey-server", "redis-server"];
    let mut places = std::env::split_paths(&path)
        .flat_map(|folder| programs.map(|program| folder.join(program)));
    places.find(|program| program.is_file())
}

/// A server, or a connection to that of another process.
#[derive(Debug)]
pub struct Redis {
    client: Client,
    socket: String,
    /// The process that started the server ends it, and removes its folder.
    server: Option<(Child, TempDir)>,
}

impl Contender for Redis {
    const ABOUT: About = About {
        name: "Redis",
        setup: "`valkey-server` or `redis-server` on a unix socket, nothing saved; `GET`, `SET`, \
                `DEL`, `INCRBY`, one connection for each process, `MGET` for many keys",
        hasher: "SipHash, the server's",
        sharing: Sharing::Processes,
        slow: true,
    };

    type Session<'a> = Connection;

    fn create(room: &Room) -> Result<Self> {
        let program = server().ok_or("neither valkey-server nor redis-server is installed")?;
        let folder = tempfile::Builder::new()
            .prefix("shmtable-bench-redis-")
            .tempdir()?;
        let socket = folder.path().join("socket");
        let process = Command::new(program)
            .args(["--port", "0", "--save", "", "--appendonly", "no"])
            .args(["--daemonize", "no", "--dir"])
            .arg(folder.path())
            .arg("--unixsocket")
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let socket = socket.to_str().ok_or("the folder's name is no text")?;
        let mut redis = Self::attach(socket, room)?;
        redis.server = Some((process, folder));
        let begin = Instant::now();
        while redis.client.get_connection().is_err() {
            if begin.elapsed() > Duration::from_secs(20) {
                return Err("the server does not answer".into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(redis)
    }

    fn address(&self) -> Option<String> {
        Some(self.socket.clone())
    }

    fn attach(address: &str, _: &Room) -> Result<Self> {
        Ok(Self {
            client: Client::open(format!("unix://{address}"))?,
            socket: address.to_owned(),
            server: None,
        })
    }

    fn session(&self, _: bool) -> Connection {
        self.client.get_connection().expect("a connection")
    }

    fn bytes(&self) -> Result<Option<u64>> {
        let mut connection = self.client.get_connection()?;
        let info: String = redis::cmd("INFO").arg("memory").query(&mut connection)?;
        let mut lines = info.lines();
        let used = lines.find_map(|line| line.strip_prefix("used_memory:"));
        Ok(used.map(str::parse).transpose()?)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some((server, _)) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Session for Connection {
    fn get(&mut self, key: &[u8], value: &mut Vec<u8>) -> bool {
        let found: Option<Vec<u8>> = redis::cmd("GET").arg(key).query(self).expect("GET");
        found.is_some_and(|found| {
            copy(&found, value);
            true
        })
    }

    fn get_many(&mut self, keys: &[Key], visit: &mut impl FnMut(Option<&[u8]>)) {
        let mut command = redis::cmd("MGET");
        for key in keys {
            command.arg(&**key);
        }
        let found: Vec<Option<Vec<u8>>> = command.query(self).expect("MGET");
        for value in &found {
            visit(value.as_deref());
        }
    }

    fn insert(&mut self, key: &[u8], value: &[u8]) {
        let set = redis::cmd("SET").arg(key).arg(value).exec(self);
        set.expect("SET");
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        redis::cmd("DEL").arg(key).query(self).expect("DEL")
    }

    fn add(&mut self, key: &[u8], add: i64) -> i64 {
        let after: i64 = redis::cmd("INCRBY")
            .arg(key)
            .arg(add)
            .query(self)
            .expect("INCRBY");
        after - add
    }

    fn fill<'k>(&mut self, keys: impl Iterator<Item = &'k Key>, value: &[u8]) {
        // Few enough that their answers don't fill the socket.
        let at_once = (0x40_0000 / (value.len() + 64)).clamp(1, PIPELINE);
        let mut pipeline = pipe();
        let mut pending = 0;
        for key in keys {
            pipeline.cmd("SET").arg(&**key).arg(value).ignore();
            pending += 1;
            if pending == at_once {
                pipeline.exec(self).expect("SET");
                pipeline.clear();
                pending = 0;
            }
        }
        if pending > 0 {
            pipeline.exec(self).expect("SET");
        }
    }
}
