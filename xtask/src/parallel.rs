//! Work on one item beside work on others.

use std::io::Write;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::result::Result;

/// Works on the items in their order, on as many at a time as there are processors, and
/// returns what came of each, in the same order. After an error no other item is begun.
pub(crate) fn map<T: Send, R: Send>(
    items: Vec<T>,
    work: impl Fn(T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    map_by(processors(), items, work)
}

/// The number of processors.
pub(crate) fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// As [`map`], on so many items at a time.
fn map_by<T: Send, R: Send>(
    at_once: usize,
    items: Vec<T>,
    work: impl Fn(T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let waiting = Mutex::new(items.into_iter().enumerate());
    let done = Mutex::new(Vec::new());
    let next = || locked(&waiting).next();
    let worker = || -> Result<(), String> {
        while let Some((number, item)) = next() {
            match work(item) {
                Ok(result) => locked(&done).push((number, result)),
                Err(error) => {
                    locked(&waiting).by_ref().for_each(drop);
                    return Err(error.to_string());
                }
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(worker)).collect();
        let ends = workers.into_iter().map(|worker| {
            let end = worker.join();
            end.map_err(|_| "a thread panicked".to_owned())?
        });
        // All are waited for; the first error is returned.
        ends.collect::<Vec<_>>()
            .into_iter()
            .collect::<Result<(), _>>()
    })?;
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// Runs programs beside each other, twice as many as there are processors, because they often
/// wait. Each prints its output, under its name, when it ends. An error names those that failed.
pub(crate) fn run(what: &str, programs: Vec<(String, Command)>) -> Result {
    let ends = map_by(2 * processors(), programs, |(name, mut command)| {
        let ended = command.output();
        let ended = ended.map_err(|error| format!("cannot start {what} {name}: {error}"))?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{what} {name}:")?;
        out.write_all(&ended.stdout)?;
        out.write_all(&ended.stderr)?;
        Ok((name, ended.status))
    })?;
    let failed: Vec<String> = ends
        .into_iter()
        .filter(|(_, status)| !status.success())
        .map(|(name, status)| format!("{what} {name}: {status}"))
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(failed.join("; ").into())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        let squares = map((0..50_u32).collect(), |item| Ok(item * item)).unwrap();
        assert_eq!(squares, (0..50).map(|item| item * item).collect::<Vec<_>>());
        assert!(map(Vec::<u32>::new(), Ok).unwrap().is_empty());
    }

    #[test]
    fn all_programs_that_fail_are_named() {
        let program = |name: &str, script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            (name.to_owned(), command)
        };
        assert!(run("script", vec![program("true", "true")]).is_ok());
        let programs = vec![
            program("one", "exit 1"),
            program("none", "exit 0"),
            program("three", "exit 3"),
        ];
        let error = run("script", programs).unwrap_err().to_string();
        assert!(error.contains("script one: exit status: 1"), "{error}");
        assert!(error.contains("script three: exit status: 3"), "{error}");
        assert!(!error.contains("none"), "{error}");
    }

    #[test]
    fn an_error_is_returned_and_no_other_item_begun() {
        let begun = Mutex::new(0);
        let outcome = map((0..1_000_000).collect(), |item| {
            *locked(&begun) += 1;
            if item == 3 {
                return Err("the fourth".into());
            }
            Ok(item)
        });
        assert_eq!(outcome.unwrap_err().to_string(), "the fourth");
        assert!(*locked(&begun) < 1_000_000);
    }
}
