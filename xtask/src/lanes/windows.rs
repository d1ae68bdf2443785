//! `cargo xtask windows`: the crate's tests and crash points, built for Windows and run under
//! wine, and type checks for systems whose programs can't run here.
//!
//! rustup's toolchains have the standard library for Windows only where it was
//! downloaded. Debian's compiler comes with the library's source, so that
//! cargo builds it for any target; hence the packages below.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::{cargo, run as run_command, target_dir};
use crate::result::Result;

/// What is needed, and the Debian packages that have it.
const TOOLS: &[(&str, &str)] = &[
    (RUSTC, "rustc-web"),
    (
        "/usr/lib/rustlib/src/rust/library/std/Cargo.toml",
        "rust-web-src",
    ),
    (LINKER, "gcc-mingw-w64-x86-64-posix"),
    (WINE, "wine64"),
    (WINE_SERVER, "wine64"),
];

const RUSTC: &str = "/usr/bin/rustc";
const LINKER: &str = "/usr/bin/x86_64-w64-mingw32-gcc";
const WINE: &str = "/usr/lib/wine/wine64";
const WINE_SERVER: &str = "/usr/lib/wine/wineserver64";

const TARGET: &str = "x86_64-pc-windows-gnu";

/// What of the crate is checked for which targets, because nothing here could run the programs.
/// No test depends on the processor or the compiler: they are checked once for each system.
const CHECKED: &[(&str, &[&str])] = &[
    ("--lib --tests", &["aarch64-apple-darwin"]),
    ("--lib", &["x86_64-apple-darwin", "x86_64-pc-windows-msvc"]),
];

/// Only the crate gets crash points, so that the standard library isn't built again.
const CRASH_POINTS: &str = "-Z profile-rustflags \
    --config profile.dev.package.shmtable.rustflags=[\"--cfg\",\"shmtable_crash_points\"]";

/// wine 8 lacks `bcryptprimitives.dll`, of which the standard library needs only this
/// function.
const SHIM: &str = "\
unsigned char __stdcall SystemFunction036(void *, unsigned long);\n\
__declspec(dllexport) int ProcessPrng(void *data, unsigned long long length) {\n\
    return SystemFunction036(data, (unsigned long)length);\n\
}\n";

const ARCHIVER: &str = r#"#!/bin/sh
for argument; do
    case $argument in
        -out:*) : > "${argument#-out:}" ;;
        *.a | *.lib) : > "$argument" ;;
    esac
done
"#;

/// An error that names the packages that are missing.
pub(crate) fn require_packages() -> Result {
    let mut missing: Vec<&str> = TOOLS
        .iter()
        .filter(|(file, _)| !Path::new(file).exists())
        .map(|(_, package)| *package)
        .collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "windows needs Debian's packages {}; as root: \
         apt-get install --no-install-recommends {0}",
        missing.join(" ")
    )
    .into())
}

/// Runs the tests under wine, prints how many passed, and checks the types for the
/// other systems.
pub(crate) fn run() -> Result {
    require_packages()?;
    let tests = "--package shmtable --all-features --lib --tests";
    run_command(&mut build(&format!(
        "test {tests} --target {TARGET} --no-run"
    )))?;
    let wine = Wine::start()?;
    let mut run = build(&format!(
        "test {tests} --no-fail-fast --target {TARGET} -- --test-threads=2"
    ));
    // A process takes wine a tenth of a second to start.
    run.env("SHMTABLE_TEST_SCALE", "0.12");
    let mut passed = count_passed(wine.configure(&mut run))?;
    let mut run = build(&format!(
        "test {CRASH_POINTS} --package shmtable --test crash_points --target {TARGET} \
         -- --nocapture"
    ));
    run.env("SHMTABLE_CRASH_POINTS", "brief");
    passed += count_passed(wine.configure(&mut run))?;
    drop(wine);
    println!("{passed} tests passed under wine");
    let archiver = archiver()?;
    for (what, targets) in CHECKED {
        let command = format!(
            "check --package shmtable --all-features {what} --target {}",
            targets.join(" --target ")
        );
        run_command(
            build(&command)
                // Type checks link nothing: what C code a crate for tests brings along need
                // not be compiled, but its library must be there.
                .env("CC", "true")
                .env("AR", &archiver)
                .env("SDKROOT", "/"),
        )?;
        println!("types checked for {}: {what}", targets.join(", "));
    }
    Ok(())
}

/// A program that makes empty archives, whatever it is asked for.
fn archiver() -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let path = target_dir("windows").join("ar");
    fs::write(&path, ARCHIVER)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// `cargo ARGUMENTS` with Debian's compiler, and the standard library from source.
fn build(arguments: &str) -> Command {
    let (verb, rest) = arguments.split_once(' ').unwrap_or((arguments, ""));
    let mut command = cargo(&format!("{verb} -Z build-std=std,panic_unwind,test {rest}"));
    command
        .env("RUSTC", RUSTC)
        .env("RUSTDOC", "/usr/bin/rustdoc")
        // Allows -Z in a compiler that isn't a nightly one.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", target_dir("windows"))
        // Debug information would be most of the work.
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    command
}

/// Runs tests, shows what they print, and adds up how many passed.
fn count_passed(command: &mut Command) -> Result<usize> {
    let mut process = command.stdout(Stdio::piped()).spawn()?;
    let output = process.stdout.take().ok_or("the output is piped")?;
    let mut passed = 0;
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        if let Some(rest) = line.strip_prefix("test result: ok. ") {
            let count = rest.split(' ').next().ok_or("a count of tests")?;
            passed += count.parse::<usize>()?;
        }
    }
    let status = process.wait()?;
    if status.success() {
        Ok(passed)
    } else {
        Err(format!("the tests under wine: {status}").into())
    }
}

/// A Windows installation in the target folder; dropping it ends its server.
struct Wine {
    prefix: PathBuf,
}

impl Wine {
    fn start() -> Result<Self> {
        let wine = Self {
            prefix: target_dir("windows").join("wine"),
        };
        let system = wine.prefix.join("drive_c/windows/system32");
        if !system.join("ntdll.dll").exists() {
            fs::create_dir_all(&wine.prefix)?;
            let mut boot = Command::new(WINE);
            wine.configure(&mut boot).args(["wineboot", "-i"]);
            // Its services would keep our streams open.
            boot.stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            run_command(&mut boot)?;
        }
        let library = system.join("bcryptprimitives.dll");
        if !library.exists() {
            let source = wine.prefix.join("shim.c");
            fs::write(&source, SHIM)?;
            run_command(
                Command::new(LINKER)
                    .args(["-shared", "-o"])
                    .args([&library, &source])
                    .arg("-ladvapi32"),
            )?;
        }
        Ok(wine)
    }

    fn configure<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("WINEPREFIX", &self.prefix)
            .env("WINEDEBUG", "-all")
            .env("WINEDLLOVERRIDES", "mscoree=;mshtml=;winemenubuilder.exe=d")
            .env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", WINE)
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        let _ = self
            .configure(&mut Command::new(WINE_SERVER))
            .arg("-k")
            .status();
    }
}
