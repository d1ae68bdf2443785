//! The methods of `SharedDict`, by what they do.

mod atomic;
mod claims;
mod computing;
mod editing;
pub(crate) mod held_claims;
mod iterators;
mod maintenance;
mod many;
mod of_loops;
mod prefix;
mod reading;
mod removing;
mod saving;
mod steps;
mod waiting;
mod watching;
mod writing;

pub(crate) use claims::{Claim, Lock};
pub(crate) use saving::Dump;
