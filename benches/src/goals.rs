//! The goals: ratios to reach.

use std::fmt;

use shmtable_bench::contender::DEFAULT_HASHER;
use shmtable_bench::figure::Figures;
use shmtable_bench::work::Kind;

use crate::section::fullness::UNCLEANED;
use crate::section::growth;
use crate::section::sizes::ABOVE;

/// The number of entries of goals about one size.
pub(crate) const MILLION: &str = "1000000";

const US: &str = "shmtable";

/// Value sizes at which a get must be nearly as fast as the limit's copy.
const COPIES: [&str; 3] = ["4096", "65536", "1048576"];

/// A goal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Goal {
    pub(crate) what: String,
    /// `None` if it was not measured.
    pub(crate) found: Option<f64>,
    pub(crate) limit: Limit,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    /// Whether it is reached; a goal that was not measured counts as reached.
    pub(crate) fn reached(&self) -> bool {
        let Some(found) = self.found else { return true };
        match self.limit {
            Limit::AtLeast(limit) => found >= limit,
            Limit::AtMost(limit) => found <= limit,
        }
    }

    pub(crate) fn verdict(&self) -> &'static str {
        match self.found {
            None => "not measured",
            Some(_) if self.reached() => "reached",
            Some(_) => "MISSED",
        }
    }

    /// The ratio and its limit, as text.
    pub(crate) fn numbers(&self) -> (String, String) {
        let found = self
            .found
            .map_or("-".to_owned(), |found| format!("{found:.2}"));
        let limit = match self.limit {
            Limit::AtLeast(limit) => format!("at least {limit}"),
            Limit::AtMost(limit) => format!("at most {limit}"),
        };
        (found, limit)
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (found, limit) = self.numbers();
        write!(
            f,
            "{}: {found}, to reach {limit}: {}",
            self.what,
            self.verdict()
        )
    }
}

/// All goals, with what was found.
pub(crate) fn judge(figures: &Figures) -> Vec<Goal> {
    let mut goals = Goals {
        figures,
        goals: Vec::new(),
    };
    goals.reads();
    goals.copies();
    goals.writes();
    goals.shared(&Kind::Decimal.name());
    goals.shared(&Kind::Random(100).name());
    goals.rest();
    goals.growth();
    goals.goals
}

struct Goals<'f> {
    figures: &'f Figures,
    goals: Vec<Goal>,
}

impl Goals<'_> {
    fn at_least(&mut self, limit: f64, what: impl Into<String>, found: Option<f64>) {
        self.push(Limit::AtLeast(limit), what.into(), found);
    }

    fn at_most(&mut self, limit: f64, what: impl Into<String>, found: Option<f64>) {
        self.push(Limit::AtMost(limit), what.into(), found);
    }

    fn push(&mut self, limit: Limit, what: String, found: Option<f64>) {
        self.goals.push(Goal { what, found, limit });
    }

    /// How many times as fast shmtable is: the ratio of times.
    fn faster(&self, section: &str, row: &str, operation: &str, rival: &str) -> Option<f64> {
        let ours = self.figures.median([section, row, operation, US])?;
        Some(self.rival([section, row, operation, rival], f64::min)? / ours)
    }

    /// How many times as fast shmtable is: the ratio of rates.
    fn rate(&self, row: &str, operation: &str, rival: &str) -> Option<f64> {
        let ours = self.figures.median(["shared", row, operation, US])?;
        Some(ours / self.rival(["shared", row, operation, rival], f64::max)?)
    }

    /// A rival's median with the hasher that is better for it.
    fn rival(&self, at: [&str; 4], better: fn(f64, f64) -> f64) -> Option<f64> {
        let [section, row, operation, rival] = at;
        let with_default = format!("{rival}{DEFAULT_HASHER}");
        let median = |name| self.figures.median([section, row, operation, name]);
        let medians = [rival, &with_default].into_iter().filter_map(median);
        medians.reduce(better)
    }

    fn reads(&mut self) {
        for (rival, limit) in [
            ("dashmap", 2.5),
            ("locked hashbrown", 2.5),
            ("papaya", 2.0),
            ("LMDB", 4.0),
        ] {
            let found = self.faster("sizes", MILLION, "get", rival);
            self.at_least(
                limit,
                format!("get, 1M decimal keys, rate to {rival}'s"),
                found,
            );
        }
        let at = |operation, name| ["sizes", MILLION, operation, name];
        let ratio = self.figures.ratio(at("get", US), at("chained", "limit"));
        self.at_most(0.5, "the same, time to the chained limit's", ratio);
        let ratio = self.figures.ratio(at("get", US), at("half misses", US));
        self.at_least(1.3, "half misses, rate to that of hits", ratio);
        let ratio = self
            .figures
            .ratio(at("get_many", US), at("independent", "limit"));
        self.at_most(1.6, "get_many, time to the independent limit's", ratio);
    }

    fn copies(&mut self) {
        let found = self.faster("values", "100", "get", "dashmap");
        self.at_least(0.9, "get, 16 B -> 100 B, rate to dashmap's", found);
        for value in COPIES {
            let at = |operation, name| ["values", value, operation, name];
            let found = self.figures.ratio(at("memcpy", "limit"), at("get", US));
            self.at_least(0.7, format!("get, {value} B, rate to memcpy's"), found);
        }
    }

    fn writes(&mut self) {
        let found = self.faster("sizes", MILLION, "insert", "dashmap");
        self.at_least(2.5, "insert, 1M decimal keys, rate to dashmap's", found);
        let found = self.faster("values", "100", "replace", "dashmap");
        self.at_least(1.0, "replace, 16 B -> 100 B, rate to dashmap's", found);
        let rows = self.figures.names("counters", |figure| &figure.row);
        let row = rows.first().map_or("", String::as_str);
        for operation in ["add to one", "add to many"] {
            let found = self.faster("counters", row, operation, "dashmap");
            let what = format!("fetch_add, {operation} counter, rate to dashmap's");
            self.at_least(2.0, what.replace("many counter", "many counters"), found);
        }
        let row = format!("{}, 2", Kind::Random(100).name());
        let found = self.rate(&row, "all replace", "LMDB");
        self.at_least(8.0, "single writes of two processes, rate to LMDB's", found);
    }

    fn shared(&mut self, work: &str) {
        let row = |parties| format!("{work}, {parties}");
        let two = row(2);
        for (operation, limit) in [("all gets", 1.3), ("95/5", 1.15), ("50/50", 1.0)] {
            let found = self.rate(&two, operation, "dashmap");
            let what = format!("two processes, {work}, {operation}, rate to dashmap's");
            self.at_least(limit, what, found);
        }
        for (operation, limit) in [("all gets", 1.9), ("50/50", 1.6)] {
            let at = |row| ["shared", row, operation, US];
            let found = self.figures.ratio_by_turns(at(&two), at(&row(1)));
            let what = format!("{work}, {operation}, two processes to one");
            self.at_least(limit, what, found);
        }
        let at = |operation| ["latency", &two, operation, US];
        let found = self
            .figures
            .ratio(at("95/5, read p99.9"), at("95/5, read p50"));
        let what = format!("two processes, {work}, 95/5, a get's p99.9 to its median");
        self.at_most(20.0, what, found);
    }

    /// A table that no size was given to.
    fn growth(&mut self) {
        let figures = self.figures;
        let sizes = figures.names("growth", |figure| &figure.row);
        // Up to ten million.
        let most = sizes.iter().rfind(|size| size.len() <= 8);
        let most = most.map_or("", String::as_str);
        let at = |row, operation, name| figures.median(["growth", row, operation, name]);
        let grown = "growing from empty";
        let found = at(most, "insert, slowest", US).map(|nanoseconds| nanoseconds / 1e6);
        self.at_most(2.0, format!("{grown}, the slowest insert, in ms"), found);
        let found = at(most, "insert, p99.9", US).map(|nanoseconds| nanoseconds / 1e3);
        self.at_most(50.0, format!("{grown}, an insert's p99.9, in µs"), found);
        let to_size = "to that of a table made to size";
        let time = |name| ["growth", most, "insert", name];
        let found = figures.ratio_by_turns(time(US), time(growth::TO_SIZE));
        self.at_most(1.3, format!("{grown}, time {to_size}"), found);
        for (row, called) in [("1000000", "1M"), ("10000000", "10M")] {
            for (operation, _, _) in growth::GETS {
                let time = |name| ["growth", row, operation, name];
                let found = figures.ratio_by_turns(time(US), time(growth::TO_SIZE));
                let what = format!("grown to {called}, {operation}, time {to_size}");
                self.at_most(1.05, what, found);
            }
        }
        let found = figures.median(["growth-memory", growth::EMPTY, "bytes", US]);
        let found = found.map(|bytes| bytes / f64::from(1 << 20));
        self.at_most(1.5, "an empty table of no given size, in MiB", found);
        for kind in [Kind::Decimal, Kind::Random(100)] {
            let operation = growth::above(kind);
            let found = figures.median(["growth-memory", growth::MEAN, &operation, US]);
            let what = format!(
                "bytes of an entry above key and value, mean of a doubling, {}",
                kind.name()
            );
            self.at_most(40.0, what, found);
        }
        let rows = figures.names("growth-opening", |figure| &figure.row);
        let times = ["attach", "attach, in a new process"]
            .into_iter()
            .flat_map(|operation| {
                let median =
                    move |row: &String| figures.median(["growth-opening", row, operation, US]);
                rows.iter().filter_map(median)
            });
        let found = times.reduce(f64::max).map(|nanoseconds| nanoseconds / 1e3);
        self.at_most(100.0, "the slowest attachment of any maximum, in µs", found);
    }

    fn rest(&mut self) {
        let at = |percent| ["fullness", percent, "replace", US];
        let found = self.figures.ratio(at(UNCLEANED), at("80"));
        self.at_least(
            0.5,
            "replace, 80 % full, rate to that before any cleaning",
            found,
        );

        let sizes = self.figures.names("sizes", |figure| &figure.row);
        // Up to ten million.
        let most = sizes.iter().rfind(|size| size.len() <= 8);
        let growth = |operation, name| {
            let (least, most) = (sizes.first()?, most?);
            let at = |row| ["sizes", row, operation, name];
            self.figures.ratio(at(most), at(least))
        };
        let found = growth("get", US).zip(growth("chained", "limit"));
        let found = found.map(|(ours, limit)| ours / limit);
        let what = "growth of a get's time from the smallest size to the largest, to the limit's";
        self.at_most(1.0, what, found);

        let rows = self.figures.names("attach", |figure| &figure.row);
        let figures = self.figures;
        let times = ["attach", "attach, full"]
            .into_iter()
            .flat_map(|operation| {
                let median = move |row: &String| figures.median(["attach", row, operation, US]);
                rows.iter().filter_map(median)
            });
        let found = times.reduce(f64::max).map(|nanoseconds| nanoseconds / 1e3);
        self.at_most(100.0, "the slowest attachment of any size, in µs", found);
        let at = ["memory", MILLION, ABOVE, US];
        let found = self.figures.median(at);
        self.at_most(
            30.0,
            "bytes of an entry above key and value, 1M decimal keys",
            found,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_judged_by_medians() {
        let mut figures = Figures::default();
        figures.add(["sizes", MILLION, "get", US], 100.0);
        figures.add(["sizes", MILLION, "get", "dashmap"], 240.0);
        figures.add(["sizes", MILLION, "get", "papaya"], 200.0);
        figures.add(["sizes", MILLION, "insert", "dashmap"], 240.0);
        figures.add(["sizes", MILLION, "insert", US], 90.0);
        figures.add(["sizes", MILLION, "insert", "dashmap, SipHash"], 200.0);
        figures.add(["shared", "decimal -> 1 B, 2", "all gets", US], 13.0);
        figures.add(["shared", "decimal -> 1 B, 2", "all gets", "dashmap"], 5.0);
        let slower = [
            "shared",
            "decimal -> 1 B, 2",
            "all gets",
            "dashmap, SipHash",
        ];
        figures.add(slower, 2.0);
        figures.add(["sizes", MILLION, "chained", "limit"], 200.0);
        let goals = judge(&figures);
        let verdict = |part: &str| {
            let goal = goals.iter().find(|goal| goal.what.contains(part));
            goal.expect("such a goal").verdict()
        };
        assert_eq!(verdict("get, 1M decimal keys, rate to dashmap's"), "MISSED");
        // Of two hashers the faster one counts.
        assert_eq!(
            verdict("insert, 1M decimal keys, rate to dashmap's"),
            "MISSED"
        );
        let shared = "two processes, decimal -> 1 B, all gets, rate to dashmap's";
        let goal = goals.iter().find(|goal| goal.what == shared);
        assert_eq!(goal.and_then(|goal| goal.found), Some(2.6));
        assert_eq!(verdict("rate to papaya's"), "reached");
        assert_eq!(verdict("chained limit"), "reached");
        assert_eq!(verdict("rate to LMDB's"), "not measured");
    }
}
