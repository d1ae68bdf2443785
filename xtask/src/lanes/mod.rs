//! The checks of the project, one file each; `test` puts them in order.

pub(crate) mod bench;
pub(crate) mod crash_points;
pub(crate) mod damage;
pub(crate) mod demo;
pub(crate) mod docs_site;
pub(crate) mod full_tmpfs;
pub(crate) mod fuzz;
pub(crate) mod instructions;
pub(crate) mod loom;
pub(crate) mod neighbours;
pub(crate) mod portable;
pub(crate) mod refused_calls;
pub(crate) mod sanitize;
pub(crate) mod trials;
pub(crate) mod windows;
pub(crate) mod workspace;
