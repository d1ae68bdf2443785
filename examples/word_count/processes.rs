//! The worker processes, as their parent sees them.

use std::env;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use shmtable::Table;

use crate::{PATIENCE, Result};

/// The worker processes; killed if they are still running when this is dropped.
pub(crate) struct Workers(Vec<Child>);

impl Workers {
    pub(crate) fn start(number: usize, table: &str) -> Result<Self> {
        let mut workers = Self(Vec::new());
        for _ in 0..number {
            let mut worker = Command::new(env::current_exe()?);
            workers.0.push(worker.args(["--worker", table]).spawn()?);
        }
        Ok(workers)
    }

    /// Their process ids, which are their names in the table.
    pub(crate) fn ids(&self) -> Vec<u32> {
        self.0.iter().map(Child::id).collect()
    }

    /// Waits for a key that the workers will publish, and returns its value.
    pub(crate) fn wait(&mut self, table: &Table, key: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(value) = table.wait(key.as_bytes(), Duration::from_millis(100))? {
                return Ok(String::from_utf8(value)?);
            }
            for child in &mut self.0 {
                if let Some(status) = child.try_wait()?
                    && !status.success()
                {
                    return Err(format!("worker {}: {status}", child.id()).into());
                }
            }
        }
        Err(format!("the workers never wrote {key}").into())
    }

    /// Kills a worker, and returns when nothing more can come from it.
    pub(crate) fn kill(&mut self, worker: &str) -> Result {
        let of_this_name = |child: &Child| child.id().to_string() == worker;
        let index = self.0.iter().position(of_this_name);
        let mut child = self.0.remove(index.ok_or("no such worker")?);
        let sent = child.kill();
        child.wait()?;
        Ok(sent?)
    }

    /// Waits until all have ended.
    pub(crate) fn join(mut self) -> Result {
        for child in &mut self.0 {
            let status = child.wait()?;
            if !status.success() {
                return Err(format!("worker {}: {status}", child.id()).into());
            }
        }
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
