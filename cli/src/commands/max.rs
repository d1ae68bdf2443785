//! `max` raises a number if it is less.

use crate::args;
use crate::arithmetic::{Operator, compute};
use crate::context::Context;
use crate::failure::Result;

pub(crate) fn max(context: Context, args: &args::Extreme) -> Result {
    let number = (&*args.name, &*args.key, args.typed);
    compute(context, Operator::Max, number, &args.number)
}
