//! `man` prints man pages.

use clap::CommandFactory;

use crate::args::Cli;
use crate::context::Context;
use crate::failure::{Failure, Result};

pub(crate) fn man(context: Context, name: Option<&str>) -> Result {
    let mut command = Cli::command();
    command.build();
    let page = match name {
        None => command,
        Some(name) => command
            .find_subcommand(name)
            .cloned()
            .map(|command| command.display_name(format!("shmtable-{name}")))
            .ok_or_else(|| Failure::NoCommand(name.to_owned()))?,
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text)?;
    context.print_page(&text)
}
