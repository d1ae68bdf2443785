//! The options of `cargo xtask test`.

use super::plan::{Form, LANES, Lane};
use crate::result::Result;

/// Which lanes are run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options<'a> {
    /// The longest form whose lanes are run.
    form: Form,
    /// Only the lanes that `--all` adds.
    rest: bool,
    except: Vec<&'a str>,
    pub(super) strict: bool,
    pub(super) list: bool,
}

impl<'a> Options<'a> {
    pub(super) fn parse(arguments: &[&'a str]) -> Result<Self> {
        let mut options = Self {
            form: Form::Short,
            rest: false,
            except: Vec::new(),
            strict: false,
            list: false,
        };
        let mut forms = 0;
        let mut arguments = arguments.iter();
        while let Some(&argument) = arguments.next() {
            match argument {
                "--quick" => options.form = Form::Quick,
                "--all" => options.form = Form::All,
                "--rest" => (options.form, options.rest) = (Form::All, true),
                "--strict" => options.strict = true,
                "--list" => options.list = true,
                "--except" => {
                    let name = arguments
                        .next()
                        .ok_or("--except takes the name of a lane")?;
                    if !LANES.iter().any(|lane| lane.name == *name) {
                        return Err(format!("no lane is called {name}").into());
                    }
                    options.except.push(name);
                }
                other => return Err(format!("test does not know {other}").into()),
            }
            forms += usize::from(["--quick", "--all", "--rest"].contains(&argument));
        }
        if forms > 1 {
            return Err("--quick, --all and --rest exclude each other".into());
        }
        Ok(options)
    }

    pub(super) fn asks_for(&self, lane: &Lane) -> bool {
        lane.form <= self.form
            && !(self.rest && lane.form <= Form::Short)
            && !self.except.contains(&lane.name)
    }

    /// What a run with these options has not asked for.
    pub(super) fn more(&self) -> Option<String> {
        let hint = match self.form {
            Form::Quick => "`cargo xtask test` runs more lanes",
            Form::Short => "`cargo xtask test --all` runs every lane that this machine can run",
            Form::All => return None,
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(arguments: &[&str]) -> Vec<&'static str> {
        let options = Options::parse(arguments).unwrap();
        let lanes = LANES.iter().filter(|lane| options.asks_for(lane));
        lanes.map(|lane| lane.name).collect()
    }

    #[test]
    fn the_short_form_and_the_rest_are_all_lanes_once() {
        let mut together = asked(&[]);
        together.extend(asked(&["--rest"]));
        assert_eq!(together, asked(&["--all"]));
        assert_eq!(together.len(), LANES.len());
        let quick = asked(&["--quick"]);
        assert_eq!(quick, asked(&[])[..quick.len()]);
    }

    #[test]
    fn the_short_form_needs_nothing_that_may_be_missing() {
        for lane in LANES.iter().filter(|lane| lane.form < Form::All) {
            assert!(lane.needs.is_none(), "{}", lane.name);
        }
    }

    #[test]
    fn a_lane_is_excepted_by_its_name() {
        let without = asked(&["--rest", "--except", "windows", "--except", "fuzz"]);
        assert!(!without.contains(&"windows") && !without.contains(&"fuzz"));
        assert_eq!(without.len() + 2, asked(&["--rest"]).len());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for arguments in [
            &["--all", "--quick"][..],
            &["--rest", "--all"],
            &["--except"],
            &["--except", "nothing"],
            &["fuzz"],
        ] {
            assert!(Options::parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
