//! `add` adds to a number and prints the sum.

use crate::args;
use crate::arithmetic::{Operator, compute};
use crate::context::Context;
use crate::failure::Result;

pub(crate) fn add(context: Context, args: &args::Add) -> Result {
    let number = (&*args.name, &*args.key, args.typed);
    compute(context, Operator::Add, number, &args.amount)
}
