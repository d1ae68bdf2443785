//! The methods of `SharedDict`, by what they do.

mod atomic;
mod computing;
mod editing;
mod iterators;
mod maintenance;
mod many;
mod prefix;
mod reading;
mod removing;
mod saving;
mod steps;
mod waiting;
mod watching;
mod writing;

pub(crate) use saving::Dump;
