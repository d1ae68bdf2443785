//! Programs that have `/dev/shm` to themselves.
//!
//! It is mounted in a mount namespace that ends with the program; the machine's own stays as
//! it is.

use std::process::Command;

use crate::process::{output, root};
use crate::result::Result;

/// How a user may get a namespace to mount in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Namespace {
    /// As root.
    OfRoot,
    /// As a user who is root only inside it.
    OfUser,
}

impl Namespace {
    /// What this user may have; an error says why it may have none.
    pub(crate) fn find() -> Result<Self> {
        if !cfg!(target_os = "linux") {
            return Err("it needs Linux: /dev/shm and mount namespaces".into());
        }
        let mut refusals = Vec::new();
        for namespace in [Self::OfRoot, Self::OfUser] {
            let mut trial = Command::new("unshare");
            trial
                .args(namespace.options())
                .args(["mount", "-t", "tmpfs", "tmpfs", "/dev/shm"]);
            match output(&mut trial) {
                Ok(_) => return Ok(namespace),
                Err(refusal) => refusals.push(refusal.to_string()),
            }
        }
        Err(format!(
            "it mounts a tmpfs over /dev/shm in a mount namespace; that takes root \
             (CAP_SYS_ADMIN), or a system where users may make namespaces, and the programs \
             `unshare` and `mount` of util-linux; it was refused:\n{}",
            refusals.join("\n").trim_end()
        )
        .into())
    }

    fn options(self) -> &'static [&'static str] {
        match self {
            Self::OfRoot => &["--mount"],
            Self::OfUser => &["--map-root-user", "--mount"],
        }
    }

    /// The command, in a namespace with a `/dev/shm` of this size, in the workspace's folder.
    pub(crate) fn inside(self, command: &Command, size: &str) -> Command {
        let mut inside = Command::new("unshare");
        inside
            .args(self.options())
            .args(["sh", "-c"])
            .arg(format!(
                "mount -t tmpfs -o size={size} tmpfs /dev/shm && exec \"$@\""
            ))
            .arg("sh")
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(root());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }
}
