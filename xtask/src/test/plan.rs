//! The lanes of `cargo xtask test`, in their order.

use crate::lanes::{
    bench, crash_points, damage, demo, docs_site, full_tmpfs, fuzz, instructions, loom, neighbours,
    portable, refused_calls, sanitize, trials, windows, workspace,
};
use crate::process::root;
use crate::python;
use crate::result::Result;

/// The shortest form of `cargo xtask test` that a lane is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// `--quick`: what you want to know every few minutes.
    Quick,
    /// What `cargo xtask test` runs: with the stable toolchain, Python and a C linker, it
    /// takes at most ten minutes on two processors.
    Short,
    /// `--all` adds the lanes that take longer, or that need more than that.
    All,
}

/// One check.
pub(super) struct Lane {
    pub(super) name: &'static str,
    pub(super) form: Form,
    /// What the lane needs beyond the toolchain, Python and a linker: an error says what of
    /// that this machine lacks.
    pub(super) needs: Option<fn() -> Result>,
    /// What a part of the lane needs: an error says what is left out, and why.
    pub(super) needs_of_a_part: Option<fn() -> Result>,
    /// Whether `--strict` accepts that the lane is left out.
    pub(super) may_be_left_out: bool,
    pub(super) run: fn() -> Result,
}

impl Lane {
    const fn new(form: Form, name: &'static str, run: fn() -> Result) -> Self {
        Self {
            name,
            form,
            needs: None,
            needs_of_a_part: None,
            may_be_left_out: false,
            run,
        }
    }

    const fn needing(mut self, needs: fn() -> Result) -> Self {
        self.needs = Some(needs);
        self
    }

    const fn partly_needing(mut self, needs: fn() -> Result) -> Self {
        self.needs_of_a_part = Some(needs);
        self
    }

    const fn or_left_out(mut self) -> Self {
        self.may_be_left_out = true;
        self
    }

    /// What this machine lacks for the lane.
    pub(super) fn lacking(&self) -> Option<String> {
        lacking(self.needs)
    }

    /// What this machine lacks for a part of the lane.
    pub(super) fn lacking_of_a_part(&self) -> Option<String> {
        lacking(self.needs_of_a_part)
    }
}

fn lacking(needs: Option<fn() -> Result>) -> Option<String> {
    needs?().err().map(|lacking| lacking.to_string())
}

/// The first failure ends a run, so the fast lanes come first. `windows` is last: Debian's
/// compiler, which it needs, must not be taken for that of rustup by another lane.
pub(super) const LANES: &[Lane] = &[
    Lane::new(Form::Quick, "format", workspace::format),
    Lane::new(Form::Quick, "clippy", workspace::clippy),
    Lane::new(Form::Quick, "no features", workspace::no_features),
    Lane::new(Form::Quick, "tests", workspace::tests),
    Lane::new(Form::Quick, "command", workspace::command),
    Lane::new(Form::Short, "documents", workspace::documents),
    Lane::new(Form::Short, "demo", || {
        demo::run(&root(), demo::Profile::Dev)
    }),
    Lane::new(Form::Short, "crash points", || {
        crash_points::run(crash_points::Deaths::Some)
    }),
    Lane::new(Form::Short, "python", || {
        python::test_default(python::Kills::Short)
    })
    .partly_needing(python::require_mapping_tests),
    Lane::new(Form::All, "other pythons", || {
        python::test_others(python::Kills::Short)
    })
    .needing(python::require_others)
    .or_left_out(),
    Lane::new(Form::All, "clients", python::clients),
    Lane::new(Form::All, "docs site", docs_site::run).needing(docs_site::require_python),
    Lane::new(Form::All, "loom", || loom::run(loom::Selection::All)),
    Lane::new(Form::All, "portable", portable::run),
    Lane::new(Form::All, "torture", || {
        trials::run("torture", &["--seconds", "25"])
    }),
    Lane::new(Form::All, "linearizability", || {
        trials::run("linearizability", &["--operations", "3000000"])
    }),
    Lane::new(Form::All, "damage", || damage::run(damage::Cases::Third)),
    Lane::new(Form::All, "benches", bench::check),
    Lane::new(Form::All, "fuzz", || fuzz::run("20")).needing(sanitize::require_nightly),
    Lane::new(Form::All, "sanitize address", || {
        sanitize::run(sanitize::Sanitizer::Address)
    })
    .needing(sanitize::require_nightly),
    Lane::new(Form::All, "sanitize thread", || {
        sanitize::run(sanitize::Sanitizer::Thread)
    })
    .needing(sanitize::require_nightly),
    Lane::new(Form::All, "instructions", || instructions::run(true))
        .needing(instructions::require_valgrind),
    Lane::new(Form::All, "full-tmpfs", || {
        full_tmpfs::run(full_tmpfs::Tests::OfFixedCapacity)
    })
    .needing(full_tmpfs::require_namespace),
    Lane::new(Form::All, "neighbours", neighbours::run).needing(neighbours::require_root),
    Lane::new(Form::All, "refused-calls", refused_calls::run)
        .needing(refused_calls::require_strace),
    Lane::new(Form::All, "windows", windows::run).needing(windows::require_packages),
];
