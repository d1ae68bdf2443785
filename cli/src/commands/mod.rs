//! The commands, one file for each.

mod add;
mod bench;
mod cas;
mod check;
mod clear;
mod completions;
mod copy;
mod count;
mod create;
mod del;
mod diff;
mod dump;
#[cfg(test)]
mod every_figure;
mod gc;
mod get;
mod load;
mod ls;
mod man;
mod markdown;
mod max;
mod min;
mod put;
mod rename;
mod repair;
mod rm;
mod scan;
mod serve_metrics;
mod shrink;
mod sizes;
mod stat;
mod take;
mod top;
mod wait;
mod watch;

use crate::args::{Cli, Command};
use crate::context::Context;
use crate::failure::Result;

pub(crate) fn run(cli: Cli) -> Result {
    let context = Context::new(&cli.global);
    match cli.command {
        Command::Ls => ls::ls(context),
        Command::Stat(args) => stat::stat(context, &args),
        Command::Top(args) => top::top(context, args),
        Command::Gc(args) => gc::gc(context, &args),
        Command::Rm(args) => rm::rm(context, &args),
        Command::Create(args) => create::create(context, &args),
        Command::Get(args) => get::get(context, &args),
        Command::Put(args) => put::put(context, &args),
        Command::Add(args) => add::add(context, &args),
        Command::Max(args) => max::max(context, &args),
        Command::Min(args) => min::min(context, &args),
        Command::Del(args) => del::del(context, &args),
        Command::Take(args) => take::take(context, &args),
        Command::Cas(args) => cas::cas(context, &args),
        Command::Clear(args) => clear::clear(context, &args),
        Command::Shrink(args) => shrink::shrink(context, &args),
        Command::Wait(args) => wait::wait(context, &args),
        Command::Scan(args) => scan::scan(context, &args),
        Command::Count(args) => count::count(context, &args),
        Command::Sizes(args) => sizes::sizes(context, &args),
        Command::Watch(args) => watch::watch(context, &args),
        Command::Dump(args) => dump::dump(context, &args),
        Command::Load(args) => load::load(context, &args),
        Command::Copy(args) => copy::copy(context, &args),
        Command::Rename(args) => rename::rename(context, &args),
        Command::Diff(args) => diff::diff(context, &args),
        Command::Check(args) => check::check(context, &args),
        Command::Repair(args) => repair::repair(context, &args),
        Command::Bench(args) => bench::bench(context, &args),
        Command::ServeMetrics(args) => serve_metrics::serve(context, args),
        Command::Completions { shell } => completions::completions(context, shell),
        Command::Man { command } => man::man(context, command.as_deref()),
        Command::Markdown => markdown::markdown(context),
    }
}
