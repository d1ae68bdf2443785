//! The Python package: an interpreter with it, its tests, its benchmark.

mod environment;
mod runs;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

pub(crate) use self::environment::Environment;
use self::environment::Interpreter;
use self::runs::{REQUIREMENTS, Tests};
use crate::process::{root, run as run_command};
use crate::result::Result;

/// Where the tests of the package are.
const TESTS: &str = "python/tests";
/// The frameworks that `clients` runs it in.
const CLIENTS: &str = "python/tests/clients/requirements.txt";

/// The default interpreter's environment, with the package in it, and the wheel.
fn ready() -> Result<(Interpreter, Environment, PathBuf)> {
    let interpreter = Interpreter::default()?;
    let environment = interpreter.environment("venv")?;
    let wheel = environment.build_wheel()?;
    environment.install(&wheel)?;
    Ok((interpreter, environment, wheel))
}

/// A tool in Python that is no part of the package's tests.
pub(crate) struct Tool {
    /// The name of its environment in the target folder.
    pub(crate) environment: &'static str,
    /// The file that lists what it needs.
    pub(crate) requirements: &'static str,
    /// The oldest version of Python 3 that it runs with.
    pub(crate) oldest: u32,
}

impl Tool {
    /// The default interpreter if the tool runs with it, or else another one.
    fn interpreter(&self) -> Result<Interpreter> {
        let fits = |found: &Interpreter| found.takes_stable_wheel() && found.minor() >= self.oldest;
        let default = Interpreter::default()?;
        if fits(&default) {
            return Ok(default);
        }
        default.others().into_iter().find(fits).ok_or_else(|| {
            let oldest = self.oldest;
            format!("no Python 3.{oldest} or later is installed; name one in PYTHON").into()
        })
    }

    /// Whether this machine has an interpreter for it.
    pub(crate) fn require(&self) -> Result {
        self.interpreter().map(drop)
    }

    /// Installs the tool, unless it is there.
    pub(crate) fn install(&self) -> Result<Environment> {
        let environment = self.interpreter()?.environment(self.environment)?;
        environment.pip_install(&["--requirement", self.requirements])?;
        Ok(environment)
    }
}

/// `cargo xtask python`: leaves an interpreter with the package.
pub(crate) fn install() -> Result {
    let (interpreter, environment, _) = ready()?;
    println!(
        "Python {} with shmtable: {}",
        interpreter.version,
        environment.python.display()
    );
    Ok(())
}

/// How many processes the tests kill, which takes the longest and depends on no interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kills {
    /// Hundreds, with the default interpreter alone.
    Short,
    /// Thousands, with each interpreter.
    Full,
}

impl Kills {
    /// The variable that the tests read.
    fn scale(self) -> &'static str {
        match self {
            Self::Short => "0.3",
            Self::Full => "1",
        }
    }
}

/// The tests of the package, with the default interpreter. Those that use the interpreter's
/// own tests of mappings are left out, with a line that says so, where it comes without.
pub(crate) fn test_default(kills: Kills) -> Result {
    let (interpreter, environment, _) = ready()?;
    environment.pip_install(&["--requirement", REQUIREMENTS])?;
    let mut ignored = Vec::new();
    if let Err(lacking) = require_mapping_tests() {
        println!("left out: {lacking}");
        ignored = users_of_mapping_tests()?;
    }
    runs::run(&[Tests {
        name: format!("Python {}", interpreter.version),
        environment: &environment,
        folder: TESTS,
        ignored,
        scale: kills.scale(),
        parts: 4,
    }])
}

/// An error if the default interpreter comes without its own tests of mappings, which says
/// what can't run then.
pub(crate) fn require_mapping_tests() -> Result {
    let interpreter = Interpreter::default()?;
    if interpreter.can_import("test.mapping_tests") {
        return Ok(());
    }
    Err(format!(
        "{}: Python {} lacks its own tests of mappings (Debian: apt-get install \
         libpython{1}-testsuite)",
        users_of_mapping_tests()?.join(", "),
        interpreter.version
    )
    .into())
}

/// The tests of the package that use the interpreter's own tests of mappings.
fn users_of_mapping_tests() -> Result<Vec<String>> {
    let mut users = Vec::new();
    for file in runs::files(TESTS)? {
        if fs::read_to_string(root().join(&file))?.contains("from test import mapping_tests") {
            users.push(file);
        }
    }
    Ok(users)
}

/// The tests of the package, with other interpreters: the oldest and the newest, or, for
/// the full number of kills, with every one that is installed.
pub(crate) fn test_others(kills: Kills) -> Result {
    let (default, _, wheel) = ready()?;
    let mut others = default.others();
    if kills == Kills::Short && others.len() > 2 {
        others.drain(1..others.len() - 1);
    }
    let ignored = match kills {
        Kills::Short => vec![format!("{TESTS}/test_kills.py")],
        Kills::Full => Vec::new(),
    };
    let mut environments = Vec::new();
    for other in others {
        let environment = other.environment(&format!("venv-{}", other.version))?;
        if other.takes_stable_wheel() {
            environment.install(&wheel)?;
        } else {
            environment.install(&environment.build_wheel()?)?;
        }
        environment.pip_install(&["--requirement", REQUIREMENTS])?;
        environments.push((other.version, environment));
    }
    let tests = environments.iter().map(|(version, environment)| Tests {
        name: format!("Python {version}"),
        environment,
        folder: TESTS,
        ignored: ignored.clone(),
        scale: kills.scale(),
        parts: 2,
    });
    runs::run(&tests.collect::<Vec<_>>())
}

/// An error if no interpreter is installed beside the default one.
pub(crate) fn require_others() -> Result {
    let default = Interpreter::default()?;
    if default.others().is_empty() {
        return Err(format!(
            "no Python is installed for the tests beside {}",
            default.version
        )
        .into());
    }
    Ok(())
}

/// `cargo xtask clients`: the package inside the frameworks that people run it in, with the
/// default interpreter. In an environment of its own: they bring a hundred packages.
pub(crate) fn clients() -> Result {
    let (interpreter, _, wheel) = ready()?;
    let environment = interpreter.environment("venv-clients")?;
    environment.install(&wheel)?;
    environment.pip_install(&["--requirement", REQUIREMENTS, "--requirement", CLIENTS])?;
    runs::run(&[Tests {
        name: format!("Python {}", interpreter.version),
        environment: &environment,
        folder: "python/tests/clients",
        ignored: Vec::new(),
        scale: "1",
        parts: 4,
    }])
}

/// `cargo xtask bench-python`: the benchmarks, and the tables of `docs/benchmarks-python.md`.
pub(crate) fn bench(arguments: &[&str]) -> Result {
    let (_, environment, _) = ready()?;
    environment.pip_install(&["--requirement", "python/benches/requirements.txt"])?;
    let run = |program: &str| {
        let arguments = arguments.iter().map(OsString::from);
        run_command(environment.python().arg(program).args(arguments))
    };
    // Both are told, even if the first one misses a limit.
    let values = run("python/benches/values.py");
    run("python/benches/strings.py").and(values)
}
