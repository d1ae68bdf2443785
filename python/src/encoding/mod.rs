//! Python objects to the bytes of a table, and back.

pub(crate) mod key;
pub(crate) mod messagepack;
pub(crate) mod number;
pub(crate) mod value;
