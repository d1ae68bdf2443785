//! What each table of the machine holds, for `shmtable.table_infos`.

use pyo3::prelude::*;
use shmtable::{Error, Options, Result, Table};

use crate::errors::{OrRaise, raised};
use crate::handle::settings::trusted;

/// The name; entries, bytes of memory, owner, nanoseconds since 1970 at creation, and whether it is
/// an orphan; why it can't be inspected.
type Info = (
    String,
    Option<usize>,
    Option<usize>,
    Option<u32>,
    Option<u64>,
    bool,
    Option<PyErr>,
);

/// Inspects every table, by a handle that doesn't count as a user of it.
#[pyfunction]
pub(crate) fn list_infos(py: Python<'_>, trust: &Bound<'_, PyAny>) -> PyResult<Vec<Info>> {
    let options = Options::new().trust(trusted(trust)?);
    let found = py.detach(|| {
        let names = Table::list()?.into_iter();
        Ok(names
            .map(|name| (inspect(&options, &name), name))
            .collect::<Vec<_>>())
    });
    let infos = found.or_raise(py)?.into_iter();
    Ok(infos
        .filter_map(|(figures, name)| match figures {
            Ok((entries, bytes, owner, created, orphan)) => Some((
                name,
                Some(entries),
                Some(bytes),
                Some(owner),
                Some(created),
                orphan,
                None,
            )),
            // It was removed after it was listed.
            Err(Error::NotFound { .. }) => None,
            Err(error) => {
                let owner = match error {
                    Error::WrongOwner { owner, .. } => Some(owner),
                    _ => None,
                };
                Some((
                    name,
                    None,
                    None,
                    owner,
                    None,
                    false,
                    Some(raised(py, error)),
                ))
            }
        })
        .collect())
}

fn inspect(options: &Options, name: &str) -> Result<(usize, usize, u32, u64, bool)> {
    let table = options.open_observer(name)?;
    let stats = table.quick_stats()?;
    Ok((
        stats.entries,
        stats.memory_bytes,
        table.owner()?,
        stats.created,
        table.is_orphan()?,
    ))
}
