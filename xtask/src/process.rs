//! Running cargo and other programs.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::parallel::processors;
use crate::result::Result;

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    // `cargo run` says where xtask is now, even if the folder was moved.
    let xtask = env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&xtask).parent();
    root.expect("xtask is in the workspace's folder").into()
}

/// A folder in the target folder, for builds whose compiler flags differ from the ordinary
/// one's, so that neither evicts the other, and for files that commands make.
pub(crate) fn target_dir(name: &str) -> PathBuf {
    let base = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| OsString::from("target"));
    root().join(base).join(name)
}

/// `cargo ARGUMENTS`, split at spaces, in the workspace's folder.
pub(crate) fn cargo(arguments: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(root())
        .args(arguments.split_ascii_whitespace());
    command
}

/// `cargo test ARGUMENTS`, with twice as many tests at once as there are processors: many wait, for
/// a lock, a death or room, or sleep in between.
pub(crate) fn cargo_test(arguments: &str) -> Command {
    let mut command = cargo(&format!("test {arguments}"));
    let (name, number) = test_threads();
    command.env(name, number);
    command
}

/// The variable that says how many tests of a program run at once, and its value.
pub(crate) fn test_threads() -> (&'static str, OsString) {
    let name = "RUST_TEST_THREADS";
    let number = env::var_os(name).unwrap_or_else(|| (2 * processors()).to_string().into());
    (name, number)
}

/// `cargo ARGUMENTS` with `--cfg CFG` for every crate, in a target folder of its own.
pub(crate) fn cargo_with_cfg(cfg: &str, target: &str, arguments: &str) -> Command {
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    let mut command = cargo(arguments);
    command
        .env("RUSTFLAGS", format!("{flags} --cfg {cfg}").trim_start())
        .env("CARGO_TARGET_DIR", target_dir(target));
    command
}

/// `cargo test ARGUMENTS` with `--cfg CFG` for each of these, for the workspace's own crates. The
/// crates that they use are those of builds without them; cargo keeps the workspace's own apart.
pub(crate) fn cargo_test_with_cfgs(cfgs: &[&str], arguments: &str) -> Result<Command> {
    use std::os::unix::fs::PermissionsExt;
    let folder = target_dir("with-cfg");
    fs::create_dir_all(&folder)?;
    let wrapper = folder.join(cfgs.join("-"));
    let script = format!("#!/bin/sh\nexec \"$@\" --cfg {}\n", cfgs.join(" --cfg "));
    // A new one would be another compiler to cargo.
    if fs::read_to_string(&wrapper).ok().as_ref() != Some(&script) {
        fs::write(&wrapper, script)?;
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    }
    let mut command = cargo_test(arguments);
    command.env("RUSTC_WORKSPACE_WRAPPER", wrapper);
    Ok(command)
}

/// Runs a program with this one's input and output; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result {
    println!("$ {}", shown(command));
    let status = command
        .status()
        .map_err(|error| format!("cannot start `{}`: {error}", shown(command)))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{}`: {status}", shown(command)).into())
    }
}

/// Runs a program and returns its standard output; anything but success is an error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .map_err(|error| format!("cannot start `{}`: {error}", shown(command)))?;
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?)
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("`{}`: {}\n{said}", shown(command), output.status).into())
    }
}

/// The command roughly as you would type it: changed variables, program, arguments.
fn shown(command: &Command) -> String {
    let quoted = |part: &OsStr| match part.to_string_lossy() {
        part if part.contains(' ') => format!("'{part}'"),
        part => part.into_owned(),
    };
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", quoted(name), quoted(value?))));
    let program = Path::new(command.get_program()).file_name();
    let program = program.unwrap_or(command.get_program());
    variables
        .chain([quoted(program)])
        .chain(command.get_args().map(quoted))
        .collect::<Vec<_>>()
        .join(" ")
}
