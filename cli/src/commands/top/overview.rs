//! The view of all tables, with a line for each.

use std::cmp::Ordering;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Row, Table, TableState};
use shmtable::Stats;

use super::model::{App, History};
use super::{Column, frame_of, headings, keys, title};
use crate::out::printable;
use crate::sample::State;
use crate::units::{age, count, percent, since, size};

const COLUMNS: [Column; 8] = [
    ("NAME", Alignment::Left, Constraint::Min(12)),
    ("ENTRIES", Alignment::Right, Constraint::Length(10)),
    ("FULL", Alignment::Right, Constraint::Length(5)),
    ("MEMORY", Alignment::Right, Constraint::Length(9)),
    ("WRITES/s", Alignment::Right, Constraint::Length(9)),
    ("USERS", Alignment::Right, Constraint::Length(5)),
    ("AGE", Alignment::Right, Constraint::Length(7)),
    ("STATE", Alignment::Left, Constraint::Length(7)),
];

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &mut App) {
    let [head, body, foot] = frame_of(area);
    let column = app.sort.of(COLUMNS.len());
    let mut tables: Vec<(&String, &History)> = app.tables.iter().collect();
    tables.sort_by(|(a, one), (b, other)| {
        let order = compare(column, one, other).then_with(|| a.cmp(b));
        // Numbers are sorted from large to small, names from A to Z.
        let down = (1..=5).contains(&column);
        if down == app.sort.reversed {
            order
        } else {
            order.reverse()
        }
    });
    let rows: Vec<Row<'_>> = tables
        .iter()
        .map(|(name, table)| row(name, table))
        .collect();
    let shown: Vec<String> = tables.iter().map(|(name, _)| (*name).clone()).collect();
    app.shown = shown;
    app.selected = app.selected.min(app.shown.len().saturating_sub(1));
    let table = Table::new(rows, COLUMNS.map(|(_, _, width)| width))
        .header(headings(&COLUMNS, app.sort))
        .row_highlight_style(Style::new().reversed());
    let mut state =
        TableState::new().with_selected((!app.shown.is_empty()).then_some(app.selected));
    let what = match app.shown.len() {
        1 => "1 table".to_owned(),
        tables => format!("{tables} tables"),
    };
    frame.render_widget(title(app, &what), head);
    frame.render_stateful_widget(table, body, &mut state);
    frame.render_widget(
        keys(&[
            ("q", "quit"),
            ("p", "pause"),
            ("s", "sort"),
            ("r", "reverse"),
            ("↑↓", "choose"),
            ("Enter", "open"),
        ]),
        foot,
    );
}

fn compare(column: usize, one: &History, other: &History) -> Ordering {
    let key = |history: &History| {
        let sample = history.sample.as_ref()?;
        let stats = &sample.stats;
        Some(match column {
            1 => stats.entries as f64,
            2 => full(stats),
            3 => sample.memory() as f64,
            4 => history.rates.as_ref().map_or(0.0, |rates| rates.writes),
            5 => sample.living() as f64,
            6 => -(stats.created as f64),
            7 => f64::from(sample.state() as u8),
            _ => 0.0,
        })
    };
    key(one).partial_cmp(&key(other)).unwrap_or(Ordering::Equal)
}

/// How full a table of fixed capacity is, in hundredths; others come before those that are empty.
fn full(stats: &Stats) -> f64 {
    if stats.grows {
        -1.0
    } else {
        percent(stats.entries as u64, stats.capacity as u64)
    }
}

fn row(name: &str, history: &History) -> Row<'static> {
    let name = printable(name);
    let Some(sample) = &history.sample else {
        let mut cells = vec![name];
        cells.extend((0..6).map(|_| "?".to_owned()));
        cells.push(history.gone.clone().unwrap_or_default());
        return Row::new(aligned(cells)).style(Style::new().fg(Color::DarkGray));
    };
    let stats = &sample.stats;
    let full = if stats.grows {
        "grows".to_owned()
    } else {
        format!("{:.0} %", full(stats))
    };
    let readers = if sample.readers { "+" } else { "" };
    let writes = history
        .rates
        .as_ref()
        .map(|rates| rates.writes.round() as u64);
    let cells = vec![
        name,
        count(stats.entries as u64),
        full,
        size(sample.memory()),
        writes.map_or_else(String::new, count),
        format!("{}{readers}", sample.living()),
        age(since(stats.created)),
        sample.state().name().to_owned(),
    ];
    let style = match sample.state() {
        State::Used => Style::new(),
        State::Unused => Style::new().fg(Color::DarkGray),
        State::Orphan => Style::new().fg(Color::Red),
    };
    Row::new(aligned(cells)).style(style)
}

fn aligned(cells: Vec<String>) -> Vec<Cell<'static>> {
    let columns = COLUMNS.iter().map(|(_, alignment, _)| *alignment);
    cells
        .into_iter()
        .zip(columns)
        .map(|(cell, alignment)| Cell::from(Line::from(cell).alignment(alignment)))
        .collect()
}
