//! `cargo xtask test`: the project's checks, one lane after the other.

mod options;
mod plan;

use std::time::Instant;

use self::options::Options;
use self::plan::{LANES, Lane};
use crate::result::Result;

/// Runs the lanes that the options ask for. The first failure ends the run. What this
/// machine can't run is left out, and the last lines say so.
pub(crate) fn run(arguments: &[&str]) -> Result {
    let options = Options::parse(arguments)?;
    let asked = || LANES.iter().filter(|lane| options.asks_for(lane));
    if options.list {
        list(asked());
        return Ok(());
    }
    let left_out: Vec<(&Lane, String)> = asked()
        .filter_map(|lane| Some((lane, lane.lacking()?)))
        .collect();
    let parts: Vec<(&Lane, String)> = asked()
        .filter_map(|lane| Some((lane, lane.lacking_of_a_part()?)))
        .collect();
    if options.strict {
        refuse_gaps(&[left_out.as_slice(), &parts].concat())?;
    }
    let begin = Instant::now();
    let mut passed = Vec::new();
    for lane in asked() {
        if left_out.iter().any(|(out, _)| out.name == lane.name) {
            println!("=== {}: left out\n", lane.name);
            continue;
        }
        println!("=== {} begins", lane.name);
        let lane_begin = Instant::now();
        let result = (lane.run)();
        let seconds = lane_begin.elapsed().as_secs_f64();
        result.map_err(|error| {
            format!("lane '{}' failed after {seconds:.1} s: {error}", lane.name)
        })?;
        println!("=== {} passed in {seconds:.1} s\n", lane.name);
        passed.push(format!("{} {seconds:.1} s", lane.name));
    }
    println!(
        "passed: {} (together {:.1} s)",
        passed.join(", "),
        begin.elapsed().as_secs_f64()
    );
    for (lane, lacking) in &left_out {
        println!("left out: {}: {lacking}", lane.name);
    }
    for (lane, lacking) in &parts {
        println!("left out of {}: {lacking}", lane.name);
    }
    if let Some(more) = options.more() {
        println!("{more}");
    }
    Ok(())
}

/// An error if a lane would be left out that must not be.
fn refuse_gaps(left_out: &[(&Lane, String)]) -> Result {
    let gaps: Vec<String> = left_out
        .iter()
        .filter(|(lane, _)| !lane.may_be_left_out)
        .map(|(lane, lacking)| format!("{}: {lacking}", lane.name))
        .collect();
    if gaps.is_empty() {
        return Ok(());
    }
    Err(format!(
        "--strict leaves no lane out, and this machine can't run {}:\n{}",
        gaps.len(),
        gaps.join("\n")
    )
    .into())
}

/// Prints the lanes, and what keeps this machine from running them.
fn list<'a>(lanes: impl Iterator<Item = &'a Lane>) {
    for lane in lanes {
        match lane.lacking() {
            None => println!("{}", lane.name),
            Some(lacking) => println!("{}: left out: {lacking}", lane.name),
        }
        if let Some(lacking) = lane.lacking_of_a_part() {
            println!("{}: left out of it: {lacking}", lane.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::root;

    #[test]
    fn contributing_names_every_lane_once_and_in_order() {
        let text = std::fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
        let told: Vec<&str> = text
            .lines()
            .skip_while(|line| !line.starts_with("| lane |"))
            .skip(2)
            .map_while(|line| line.strip_prefix("| ")?.split(" | ").next())
            .collect();
        let lanes: Vec<&str> = LANES.iter().map(|lane| lane.name).collect();
        assert_eq!(told, lanes);
    }

    #[test]
    fn a_lane_that_must_not_be_left_out_is_a_gap() {
        let lane = |name| LANES.iter().find(|lane| lane.name == name).unwrap();
        let without = |name| vec![(lane(name), "a reason".to_owned())];
        let refused = refuse_gaps(&without("fuzz")).unwrap_err().to_string();
        assert!(refused.contains("fuzz: a reason"), "{refused}");
        assert!(refuse_gaps(&without("other pythons")).is_ok());
        assert!(refuse_gaps(&[]).is_ok());
    }
}
