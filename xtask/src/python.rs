//! The Python package: an interpreter with it, its tests, its benchmark.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::process::{output, root, run, target_dir};

/// The oldest version of Python that the package is for.
const OLDEST: u32 = 10;
/// The newest that is looked for beside the default interpreter.
const NEWEST: u32 = 15;

/// What the tests of the package need.
const TESTS: &str = "python/tests/requirements.txt";
/// The frameworks that `clients` runs it in.
const CLIENTS: &str = "python/tests/clients/requirements.txt";

/// An interpreter that is installed on this machine.
struct Interpreter {
    program: PathBuf,
    /// As in `3.12`, with a `t` behind it where there is no global lock.
    version: String,
}

impl Interpreter {
    /// Asks a program whether it is one that the package is for.
    fn at(program: PathBuf) -> Option<Self> {
        let ask = "import sys, sysconfig; \
                   t = 't' if sysconfig.get_config_var('Py_GIL_DISABLED') else ''; \
                   print(sys.version_info[0], sys.version_info[1], sep='.', end=t)";
        let version = output(Command::new(&program).args(["-c", ask])).ok()?;
        let minor = version.trim_end_matches('t').strip_prefix("3.")?;
        (minor.parse::<u32>().ok()? >= OLDEST).then_some(Self { program, version })
    }

    /// The one that `PYTHON` names, or `python3`.
    fn default() -> Result<Self> {
        let program = env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
        Self::at(program.clone().into()).ok_or_else(|| {
            let program = program.to_string_lossy();
            format!("`{program}` is no Python 3.{OLDEST} or later; name one in PYTHON").into()
        })
    }

    /// The others, of versions for which there is one.
    fn others(&self) -> Vec<Self> {
        (OLDEST..=NEWEST)
            .flat_map(|minor| [format!("3.{minor}"), format!("3.{minor}t")])
            .filter(|version| *version != self.version)
            .filter_map(|version| {
                programs(&version)
                    .into_iter()
                    .filter_map(Self::at)
                    .find(|found| found.version == version)
            })
            .collect()
    }

    /// Whether it takes the wheel for all versions, or needs one of its own.
    fn takes_stable_wheel(&self) -> bool {
        !self.version.ends_with('t')
    }

    /// The interpreter of a virtual environment in `target`, which is made if it is
    /// not there.
    fn environment(&self, name: &str) -> Result<Environment> {
        let folder = target_dir(name);
        let python = folder.join("bin/python");
        let made = Self::at(python.clone()).is_some_and(|made| made.version == self.version);
        if !made {
            let venv = run(self.python(&["-m", "venv", "--clear"]).arg(&folder));
            // Some systems part it from the interpreter, but not pip.
            venv.or_else(|_| self.virtualenv(&folder))?;
        }
        Ok(Environment { python })
    }

    /// A virtual environment made by a package that serves for the module `venv`.
    fn virtualenv(&self, folder: &Path) -> Result {
        let package = target_dir("virtualenv");
        run(self
            .python(&["-m", "pip", "install", "--quiet", "--upgrade", "--target"])
            .arg(&package)
            .arg("virtualenv"))?;
        run(self
            .python(&["-m", "virtualenv", "--quiet", "--clear"])
            .arg(folder)
            .env("PYTHONPATH", &package))
    }

    fn python(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        command
    }
}

/// Where an interpreter of a version may be: on the path, or with pyenv.
fn programs(version: &str) -> Vec<PathBuf> {
    let name = format!("python{version}");
    let mut programs = vec![PathBuf::from(&name)];
    let home = env::var_os("HOME").unwrap_or_default();
    let pyenv = env::var_os("PYENV_ROOT").map_or(Path::new(&home).join(".pyenv"), PathBuf::from);
    if let Ok(versions) = fs::read_dir(pyenv.join("versions")) {
        programs.extend(
            versions
                .flatten()
                .map(|found| found.path().join("bin").join(&name))
                .filter(|program| program.exists()),
        );
    }
    programs
}

/// A virtual environment.
struct Environment {
    python: PathBuf,
}

impl Environment {
    fn python(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.current_dir(root());
        command
    }

    fn pip_install(&self, arguments: &[&str]) -> Result {
        run(self
            .python()
            .args([
                "-m",
                "pip",
                "--disable-pip-version-check",
                "install",
                "--quiet",
            ])
            .args(arguments))
    }

    /// Builds the wheel with this environment's maturin; where it is.
    fn build_wheel(&self) -> Result<PathBuf> {
        self.pip_install(&["maturin>=1.9,<2"])?;
        let folder = target_dir("wheels");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        run(self
            .python()
            .args([
                "-m",
                "maturin",
                "build",
                "--release",
                "--quiet",
                "--interpreter",
            ])
            .arg(&self.python)
            .arg("--out")
            .arg(&folder))?;
        let wheel = fs::read_dir(&folder)?
            .next()
            .ok_or("maturin built no wheel")?;
        Ok(wheel?.path())
    }

    fn install(&self, wheel: &Path) -> Result {
        let wheel = wheel.to_string_lossy();
        self.pip_install(&["--force-reinstall", "--no-deps", &wheel])
    }

    fn pytest(&self, scale: &str, arguments: &[&str]) -> Result {
        self.pip_install(&["--requirement", TESTS])?;
        run(self
            .python()
            .args(["-m", "pytest", "--quiet"])
            .args(arguments)
            .env("SHMTABLE_TEST_SCALE", scale))
    }
}

/// The default interpreter's environment, with the package in it, and the wheel.
fn ready() -> Result<(Interpreter, Environment, PathBuf)> {
    let interpreter = Interpreter::default()?;
    let environment = interpreter.environment("venv")?;
    let wheel = environment.build_wheel()?;
    environment.install(&wheel)?;
    Ok((interpreter, environment, wheel))
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

/// How much is run of what kills processes, which takes the longest and depends on no
/// interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kills {
    /// A part, with the default interpreter alone. Of the others, the oldest and the
    /// newest are asked the rest.
    Short,
    /// Thousands, with each.
    Full,
}

/// The tests of the package, with the default interpreter and the others that are
/// installed.
pub(crate) fn test(kills: Kills) -> Result {
    let (scale, others): (_, &[&str]) = match kills {
        Kills::Short => ("0.3", &["--ignore", "python/tests/test_kills.py"]),
        Kills::Full => ("1", &[]),
    };
    let (default, environment, wheel) = ready()?;
    println!("Python {}", default.version);
    environment.pytest(scale, &[])?;
    let mut found = default.others();
    if kills == Kills::Short && found.len() > 2 {
        found.drain(1..found.len() - 1);
    }
    for other in found {
        println!("Python {}", other.version);
        let environment = other.environment(&format!("venv-{}", other.version))?;
        if other.takes_stable_wheel() {
            environment.install(&wheel)?;
        } else {
            environment.install(&environment.build_wheel()?)?;
        }
        environment.pytest(scale, others)?;
    }
    Ok(())
}

/// `cargo xtask clients`: the package inside the frameworks that people run it in, with the
/// default interpreter. In an environment of its own: they bring a hundred packages.
pub(crate) fn clients() -> Result {
    let (interpreter, _, wheel) = ready()?;
    let environment = interpreter.environment("venv-clients")?;
    environment.install(&wheel)?;
    environment.pip_install(&["--requirement", TESTS, "--requirement", CLIENTS])?;
    environment.pytest("1", &["python/tests/clients"])
}

/// `cargo xtask bench-python`: the benchmark, and the table of `docs/benchmarks-python.md`.
pub(crate) fn bench(arguments: &[&str]) -> Result {
    let (_, environment, _) = ready()?;
    environment.pip_install(&["--requirement", "python/benches/requirements.txt"])?;
    let arguments = arguments.iter().map(OsString::from);
    run(environment
        .python()
        .arg("python/benches/strings.py")
        .args(arguments))
}
