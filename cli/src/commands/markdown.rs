//! `markdown` prints docs/cli.md.

use clap::CommandFactory;

use crate::args::Cli;
use crate::context::Context;
use crate::failure::Result;

const INSTALLATION: &str = "\
The Python package brings the command: `pip install` puts `shmtable` beside the interpreter, and
`python -m shmtable` is the same. `cargo install --path cli` installs it for machines without Python.
Both are one program: the output, the exit statuses and what signals do are the same. That of the
package takes 20 ms to start, which Python takes, and the other one 2 ms.

If both are installed, the shell runs the one whose folder comes first in `PATH`; an active virtual
environment comes before all others, and `type -a shmtable` lists them. `python -m shmtable` is always
the one of that interpreter's package. Use the one of the programs' version: tables of another format
version are refused.";

pub(crate) fn markdown(context: Context) -> Result {
    // The width of a page of the site, whatever terminal this is run in.
    let mut command = Cli::command().term_width(86);
    command.build();
    let mut parts = vec![
        "# The `shmtable` command".to_owned(),
        "`cargo xtask docs-cli` writes this page, and a page for each command, from the help of\n\
         `shmtable`."
            .to_owned(),
        INSTALLATION.to_owned(),
        block(&mut command),
    ];
    for command in command.get_subcommands_mut() {
        if !command.is_hide_set() && command.get_name() != "help" {
            parts.push(format!("## shmtable {}", command.get_name()));
            // The overview has them.
            let mut command = command.clone().mut_args(|option| {
                let is_repeated = option.is_global_set() || option.get_id() == "help";
                option.hide(is_repeated)
            });
            parts.push(block(&mut command));
            parts.push(
                "It also takes `--json` and the other [options of every command](../cli.md)."
                    .to_owned(),
            );
        }
    }
    let text = parts.join("\n\n");
    context.print_page(text.as_bytes())
}

/// The help of a command, as a block of code.
fn block(command: &mut clap::Command) -> String {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    format!("```text\n{}\n```", lines.join("\n"))
}
