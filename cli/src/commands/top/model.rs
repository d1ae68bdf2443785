//! The state of `top`: the tables, their history, and what the view shows.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use shmtable::{Error, Options, StripeStats, Table};

use crate::args::Top;
use crate::failure::{Failure, Result};
use crate::sample::{Rates, Sample, open_observer};

/// How many rates of writes are kept.
const RATES: usize = 500;
/// How many events are kept.
const EVENTS: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    All,
    One(String),
}

/// How rows are sorted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sort {
    pub(super) column: usize,
    pub(super) reversed: bool,
}

impl Sort {
    pub(super) fn next(&mut self) {
        self.column += 1;
    }

    /// The index of the column among a number of columns.
    pub(super) fn of(self, columns: usize) -> usize {
        self.column % columns
    }
}

/// One table over time.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) sample: Option<Sample>,
    pub(super) rates: Option<Rates>,
    /// Writes per second at each refresh, the latest last.
    pub(super) writes: VecDeque<u64>,
    pub(super) stripes: Vec<StripeStats>,
    /// What the stripes did since the last refresh.
    pub(super) heat: Vec<StripeStats>,
    pub(super) events: VecDeque<(SystemTime, String)>,
    /// Why there is no new sample.
    pub(super) gone: Option<String>,
    at: Option<Instant>,
}

pub(super) struct App {
    options: Options,
    pub(super) interval: Duration,
    pub(super) paused: bool,
    pub(super) view: View,
    pub(super) sort: Sort,
    /// The tables in the order in which they are drawn.
    pub(super) shown: Vec<String>,
    pub(super) selected: usize,
    pub(super) tables: BTreeMap<String, History>,
    /// Whether the view has changed, so that it must be refreshed at once.
    pub(super) stale: bool,
    /// Whether a table was named, so that there is no list to go back to.
    only: bool,
}

impl App {
    pub(super) fn new(options: Options, args: Top) -> Self {
        Self {
            options,
            interval: args.interval.max(Duration::from_millis(20)),
            paused: false,
            only: args.name.is_some(),
            view: args.name.map_or(View::All, View::One),
            sort: Sort::default(),
            shown: Vec::new(),
            selected: 0,
            tables: BTreeMap::new(),
            stale: false,
        }
    }

    /// Takes new samples of everything that is shown.
    pub(super) fn refresh(&mut self) -> Result<()> {
        self.stale = false;
        let names = match &self.view {
            View::All => Table::list()?,
            View::One(name) => vec![name.clone()],
        };
        if self.view == View::All {
            self.tables.retain(|name, _| names.contains(name));
        }
        for name in names {
            let inspected = open_observer(&self.options, &name)
                .and_then(|table| Ok((Sample::take(&table)?, table.stripe_stats())));
            let history = self.tables.entry(name).or_default();
            match inspected {
                Ok((sample, stripes)) => history.add(sample, stripes),
                Err(failure) => history.gone = Some(reason(&failure)),
            }
        }
        Ok(())
    }

    pub(super) fn select(&mut self, by: isize) {
        let last = self.shown.len().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(by).min(last);
    }

    pub(super) fn enter(&mut self) {
        if self.view == View::All
            && let Some(name) = self.shown.get(self.selected)
        {
            self.view = View::One(name.clone());
            self.stale = true;
        }
    }

    pub(super) fn leave(&mut self) {
        if !self.only && self.view != View::All {
            self.view = View::All;
            self.stale = true;
        }
    }
}

fn reason(failure: &Failure) -> String {
    match failure {
        Failure::Table(Error::NotFound { .. }) => "the table is gone".to_owned(),
        Failure::Table(Error::WrongOwner { .. }) => "not trusted".to_owned(),
        Failure::Table(Error::PermissionDenied { .. }) => "no permission".to_owned(),
        Failure::Table(Error::IncompatibleFormat { .. }) => "other version".to_owned(),
        Failure::Table(Error::Corrupted { .. }) => "damaged".to_owned(),
        other => other.to_string(),
    }
}

impl History {
    fn add(&mut self, sample: Sample, stripes: Vec<StripeStats>) {
        let now = Instant::now();
        self.gone = None;
        // Another table under the same name has a history of its own.
        let before = self
            .sample
            .take()
            .filter(|before| before.stats.created == sample.stats.created);
        if let (Some(before), Some(at)) = (&before, self.at) {
            let rates = Rates::between(before, &sample, now.duration_since(at));
            self.writes.push_back(rates.writes.round() as u64);
            self.rates = Some(rates);
            for event in events(before, &sample) {
                self.events.push_back((SystemTime::now(), event));
            }
        } else {
            self.rates = None;
            self.stripes.clear();
            self.writes.clear();
        }
        self.heat = stripes
            .iter()
            .enumerate()
            .map(|(at, stripe)| {
                let before = self.stripes.get(at).copied().unwrap_or_default();
                let mut change = *stripe;
                change.acquired = stripe.acquired.saturating_sub(before.acquired);
                change.contended = stripe.contended.saturating_sub(before.contended);
                change
            })
            .collect();
        while self.writes.len() > RATES {
            self.writes.pop_front();
        }
        while self.events.len() > EVENTS {
            self.events.pop_front();
        }
        self.stripes = stripes;
        self.sample = Some(sample);
        self.at = Some(now);
    }
}

/// What happened to participants between two samples.
fn events(before: &Sample, after: &Sample) -> Vec<String> {
    let mut events = Vec::new();
    let then = |slot| before.participants.iter().find(|one| one.slot == slot);
    for one in &after.participants {
        match then(one.slot) {
            Some(then) if then.since == one.since && then.pid == one.pid => {
                if then.alive && !one.alive {
                    events.push(format!("{} died", one.pid));
                }
            }
            then => {
                // Its successor in the slot has overwritten how it ended.
                if let Some(then) = then.filter(|then| then.alive) {
                    events.push(format!("{} ended", then.pid));
                }
                events.push(format!("{} attached", one.pid));
                if !one.alive {
                    events.push(format!("{} died", one.pid));
                }
            }
        }
    }
    for one in &before.participants {
        let still = after.participants.iter().any(|now| now.slot == one.slot);
        if !still && one.alive {
            events.push(format!("{} detached", one.pid));
        }
    }
    let taken = after
        .stats
        .take_overs
        .saturating_sub(before.stats.take_overs);
    if taken > 0 {
        events.push(format!("{taken} recovered from dead processes"));
    }
    events
}
