//! `min` lowers a number if it is greater.

use crate::args;
use crate::arithmetic::{Operator, compute};
use crate::context::Context;
use crate::failure::Result;

pub(crate) fn min(context: Context, args: &args::Extreme) -> Result {
    let number = (&*args.name, &*args.key, args.typed);
    compute(context, Operator::Min, number, &args.number)
}
