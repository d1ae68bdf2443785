//! Interpreters of Python, and virtual environments of them in the target folder.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{output, root, run as run_command, target_dir};
use crate::result::Result;

/// The oldest version of Python that the package is for.
const OLDEST: u32 = 10;
/// The newest that is looked for beside the default interpreter.
const NEWEST: u32 = 15;

/// An interpreter that is installed on this machine.
pub(super) struct Interpreter {
    program: PathBuf,
    /// As in `3.12`, with a `t` behind it where there is no global lock.
    pub(super) version: String,
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
    pub(super) fn default() -> Result<Self> {
        let program = env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
        Self::at(program.clone().into()).ok_or_else(|| {
            let program = program.to_string_lossy();
            format!("`{program}` is not Python 3.{OLDEST} or later; name an interpreter in PYTHON")
                .into()
        })
    }

    /// The other interpreters that are installed, one for each version.
    pub(super) fn others(&self) -> Vec<Self> {
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

    /// The 12 of `3.12`.
    pub(super) fn minor(&self) -> u32 {
        let version = self.version.trim_end_matches('t');
        let (_, minor) = version.split_once('.').unwrap_or_default();
        minor.parse().unwrap_or_default()
    }

    /// Whether it takes the wheel for all versions; if not, it needs a wheel of its own.
    pub(super) fn takes_stable_wheel(&self) -> bool {
        !self.version.ends_with('t')
    }

    /// A virtual environment in the target folder, created if it is missing.
    pub(super) fn environment(&self, name: &str) -> Result<Environment> {
        let folder = target_dir(name);
        let python = folder.join("bin/python");
        let made = Self::at(python.clone()).is_some_and(|made| made.version == self.version);
        if !made {
            let venv = run_command(self.python(&["-m", "venv", "--clear"]).arg(&folder));
            // Some systems package `venv` apart from the interpreter, but not pip.
            venv.or_else(|_| self.virtualenv(&folder))?;
        }
        Ok(Environment { python })
    }

    /// Creates a virtual environment with the package virtualenv, where `venv` is missing.
    fn virtualenv(&self, folder: &Path) -> Result {
        let package = target_dir("virtualenv");
        run_command(
            self.python(&["-m", "pip", "install", "--quiet", "--upgrade", "--target"])
                .arg(&package)
                .arg("virtualenv"),
        )?;
        run_command(
            self.python(&["-m", "virtualenv", "--quiet", "--clear"])
                .arg(folder)
                .env("PYTHONPATH", &package),
        )
    }

    pub(super) fn can_import(&self, module: &str) -> bool {
        output(&mut self.python(&["-c", &format!("import {module}")])).is_ok()
    }

    fn python(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        command
    }
}

/// The places where an interpreter of a version may be: on the path, or in pyenv's folder.
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
pub(crate) struct Environment {
    pub(super) python: PathBuf,
}

impl Environment {
    pub(crate) fn python(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.current_dir(root());
        command
    }

    pub(super) fn pip_install(&self, arguments: &[&str]) -> Result {
        run_command(
            self.python()
                .args([
                    "-m",
                    "pip",
                    "--disable-pip-version-check",
                    "install",
                    "--quiet",
                ])
                .args(arguments),
        )
    }

    /// Builds the wheel with this environment's maturin and returns its path.
    pub(super) fn build_wheel(&self) -> Result<PathBuf> {
        self.pip_install(&["maturin>=1.9,<2"])?;
        let folder = target_dir("wheels");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        run_command(
            self.python()
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
                .arg(&folder),
        )?;
        let wheel = fs::read_dir(&folder)?
            .next()
            .ok_or("maturin built no wheel")?;
        Ok(wheel?.path())
    }

    pub(super) fn install(&self, wheel: &Path) -> Result {
        let wheel = wheel.to_string_lossy();
        self.pip_install(&["--force-reinstall", "--no-deps", &wheel])
    }
}
