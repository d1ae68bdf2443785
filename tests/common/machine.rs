//! Limits of a process, and what takes privileges: other users, namespaces, mounts.

use std::process::{Command, Stdio};

use rustix::process::{Resource, getrlimit, setrlimit};

use super::Child;

/// Limits this process to `more` bytes of address space beyond what it has; returns the
/// limit.
pub fn limit_address_space(more: u64) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc tells");
    let size = status
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:")?.strip_suffix("kB"))
        .and_then(|size| size.trim().parse::<u64>().ok());
    let most = (size.expect("it has a size") << 10) + more;
    limit(Resource::As, most);
    most
}

/// Sets a limit of this process, which may be raised again.
pub fn limit(resource: Resource, limit: u64) {
    let mut limits = getrlimit(resource);
    limits.current = Some(limit);
    setrlimit(resource, limits).expect("a limit is set");
}

/// As high as it goes.
pub fn unlimit(resource: Resource) {
    let mut limits = getrlimit(resource);
    limits.current = limits.maximum;
    setrlimit(resource, limits).expect("a limit is raised");
}

/// Whether a test may do what takes a privilege. Where it may not the test leaves
/// something out, which fails if `SHMTABLE_TEST_PRIVILEGED` says that nothing may be
/// left out (`cargo xtask neighbours` does).
#[track_caller]
fn privileged(what: &str, allowed: bool) -> bool {
    if !allowed {
        assert!(
            std::env::var_os("SHMTABLE_TEST_PRIVILEGED").is_none(),
            "{what} is not allowed here"
        );
        println!("LEFT OUT: {what} is not allowed here");
    }
    allowed
}

/// Whether a child can act as another user, and files be given away.
#[track_caller]
pub fn may_act_as_others() -> bool {
    let root = rustix::process::geteuid().is_root();
    privileged("to act as another user (it takes root)", root)
}

/// Whether [`mounted`], [`small_shm`] and [`first_of_a_namespace`] can work here.
#[track_caller]
pub fn may_make_namespaces() -> bool {
    let mut command = unshare();
    command.args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/dev/shm"]);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let allowed = status.is_ok_and(|status| status.success());
    privileged("to make namespaces", allowed)
}

/// The program that gives a child namespaces of its own. It needs root, or a system
/// where users may make namespaces.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command
}

/// A child for which the shell `script` was run in a mount namespace of its own.
#[track_caller]
pub fn mounted(test: &str, role: &str, arguments: &[&str], script: &str) -> Child {
    let mut command = unshare();
    command
        .args(["--mount", "sh", "-c"])
        .arg(format!("{script} && exec \"$@\""))
        .arg("sh")
        .arg(std::env::current_exe().expect("the test program has a path"));
    Child::run(command, test, role, arguments)
}

/// A child that sees a /dev/shm of its own, of this size (as `mount` takes it).
#[track_caller]
pub fn small_shm(test: &str, role: &str, arguments: &[&str], size: &str) -> Child {
    let script = format!("mount -t tmpfs -o size={size} tmpfs /dev/shm");
    mounted(test, role, arguments, &script)
}

/// A child that is the first process of a PID namespace of its own.
#[track_caller]
pub fn first_of_a_namespace(test: &str, role: &str, arguments: &[&str]) -> Child {
    let mut command = unshare();
    command
        .args(["--pid", "--fork", "--kill-child"])
        .arg(std::env::current_exe().expect("the test program has a path"));
    Child::run(command, test, role, arguments)
}
