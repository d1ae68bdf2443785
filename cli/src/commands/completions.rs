//! `completions` prints completion scripts.

use clap::CommandFactory;

use crate::args::Cli;
use crate::context::Context;
use crate::failure::Result;

pub(crate) fn completions(context: Context, shell: clap_complete::Shell) -> Result {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "shmtable", &mut text);
    context.print_page(&text)
}
