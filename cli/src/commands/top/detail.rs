//! The view of one table.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Sparkline, Table};
use shmtable::{Participant, StripeStats};

use super::model::{App, History};
use super::{Column, bar, frame_of, headings, keys, title};
use crate::out::printable;
use crate::sample::{Sample, process_state, user_name};
use crate::units::{age, count, percent, since, size};

/// The percentage of lock acquisitions that waited, and the look of a cell from there on.
const HEAT: [(f64, &str, Color); 4] = [
    (10.0, "█", Color::Red),
    (1.0, "▓", Color::LightRed),
    (0.1, "▒", Color::Yellow),
    (0.0, "░", Color::Green),
];

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &App, name: &str) {
    let [head, body, foot] = frame_of(area);
    let Some((history, sample)) = app
        .tables
        .get(name)
        .and_then(|history| Some((history, history.sample.as_ref()?)))
    else {
        let gone = app.tables.get(name).and_then(|table| table.gone.clone());
        frame.render_widget(title(app, &printable(name)), head);
        frame.render_widget(Paragraph::new(gone.unwrap_or_default()), body);
        return;
    };
    let state = history.gone.as_deref().unwrap_or(sample.state().name());
    let what = format!(
        "{}  {state}, of {}, {} old",
        printable(name),
        user_name(sample.owner),
        age(since(sample.stats.created))
    );
    frame.render_widget(title(app, &what), head);
    let [figures, rates, line, middle, people] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(1),
        Constraint::Length(3),
        Constraint::Length(8),
        Constraint::Min(2),
    ])
    .areas(body);
    frame.render_widget(space(sample, figures.width), figures);
    frame.render_widget(per_second(history), rates);
    let writes: Vec<u64> = history
        .writes
        .iter()
        .copied()
        .skip(history.writes.len().saturating_sub(line.width.into()))
        .collect();
    let style = Style::new().fg(Color::Cyan);
    frame.render_widget(Sparkline::default().data(writes).style(style), line);
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(55), Constraint::Percentage(45)]).areas(middle);
    heat(frame, left, history);
    happened(frame, right, history, sample);
    frame.render_widget(participants(app, sample), people);
    frame.render_widget(
        keys(&[
            ("q", "quit"),
            ("Esc", "back"),
            ("p", "pause"),
            ("s", "sort"),
            ("r", "reverse"),
            ("+-", "interval"),
        ]),
        foot,
    );
}

/// Entries, value space and memory, with a bar for each.
fn space(sample: &Sample, width: u16) -> Paragraph<'static> {
    let stats = &sample.stats;
    let bytes = |bytes: usize| size(bytes as u64);
    let width = width.saturating_sub(54).clamp(10, 60);
    let line = |name: &str, whole: usize, parts: &[(f64, &str, Color)], text: String| {
        let mut spans = vec![Span::raw(format!("{name:<9}")).bold()];
        spans.extend(bar(width, whole as f64, parts));
        spans.push(Span::raw(format!(" {text}")));
        Line::from(spans)
    };
    let (alive, dead) = (stats.value_bytes_live as f64, stats.value_bytes_dead as f64);
    let all = stats.value_bytes_live + stats.value_bytes_dead + stats.value_bytes_free;
    let index = stats.index_bytes as f64;
    let (entries, full) = if stats.grows {
        let slots = count(stats.slots as u64);
        (stats.slots, format!("; grows, {slots} slots now"))
    } else {
        let full = percent(stats.entries as u64, stats.capacity as u64);
        let capacity = count(stats.capacity as u64);
        (stats.capacity, format!(" of {capacity}, {full:.1} %"))
    };
    // Of the address space of a table that grows, nothing could be seen.
    let memory = if stats.grows {
        stats.memory_bytes
    } else {
        stats.segment_bytes
    };
    let records = stats.value_bytes_reserved as f64;
    Paragraph::new(vec![
        line(
            "entries",
            entries,
            &[(stats.entries as f64, "█", Color::Green)],
            format!("{}{full}", count(stats.entries as u64)),
        ),
        line(
            "values",
            all,
            &[(alive, "█", Color::Green), (dead, "▒", Color::Yellow)],
            format!(
                "{} live, {} dead, {} free",
                bytes(stats.value_bytes_live),
                bytes(stats.value_bytes_dead),
                bytes(stats.value_bytes_free)
            ),
        ),
        line(
            "memory",
            memory,
            &[(index, "█", Color::Blue), (records, "▒", Color::Cyan)],
            format!(
                "{} index, {} of {}",
                bytes(stats.index_bytes),
                bytes(stats.value_bytes_reserved),
                bytes(stats.segment_bytes)
            ),
        ),
    ])
}

fn per_second(history: &History) -> Paragraph<'static> {
    let Some(rates) = history.rates else {
        return Paragraph::new("per sec  ".bold());
    };
    let rounded = |rate: f64| count(rate.round() as u64);
    Paragraph::new(Line::from(vec![
        Span::raw("per sec  ").bold(),
        Span::raw(rounded(rates.writes)).fg(Color::Cyan),
        Span::raw(format!(
            " writes, {} waits, {} cleaned, {:+.0} entries",
            rounded(rates.contended),
            rounded(rates.cleanings),
            rates.entries
        )),
    ]))
}

/// A map of the stripes by how often their locks were waited for since the last refresh.
fn heat(frame: &mut Frame<'_>, area: Rect, history: &History) {
    let block = Block::new()
        .borders(Borders::TOP)
        .title(format!(" waits for the {} locks ", history.heat.len()));
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let [map, legend] = Layout::vertical([Constraint::Min(1), Constraint::Length(1)]).areas(inside);
    let width = usize::from(map.width.saturating_sub(1)).max(1);
    let cells = width * usize::from(map.height);
    let each = history.heat.len().div_ceil(cells.max(1)).max(1);
    let spans: Vec<Span<'_>> = history.heat.chunks(each).map(cell).collect();
    let lines: Vec<Line<'_>> = spans
        .chunks(width)
        .map(|row| Line::from(row.to_vec()))
        .collect();
    frame.render_widget(Paragraph::new(lines), map);
    let mut spans = vec![
        Span::styled("·", Style::new().fg(Color::DarkGray)),
        Span::raw(" no writes "),
    ];
    for (from, symbol, color) in HEAT.iter().rev() {
        spans.push(Span::styled(*symbol, Style::new().fg(*color)));
        let text = if *from > 0.0 {
            format!(" {from} % ")
        } else {
            " none ".to_owned()
        };
        spans.push(Span::raw(text));
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), legend);
}

/// The cell of some stripes, which shows the worst of them.
fn cell(stripes: &[StripeStats]) -> Span<'static> {
    let written = stripes.iter().filter(|stripe| stripe.acquired > 0);
    let worst = written
        .map(|stripe| percent(stripe.contended, stripe.acquired))
        .max_by(f64::total_cmp);
    let look = worst.and_then(|part| {
        HEAT.iter()
            .find(|(from, ..)| part >= *from && (part > 0.0 || *from == 0.0))
    });
    match look {
        Some((_, symbol, color)) => Span::styled(*symbol, Style::new().fg(*color)),
        None => Span::styled("·", Style::new().fg(Color::DarkGray)),
    }
}

/// The latest events, and totals in the title.
fn happened(frame: &mut Frame<'_>, area: Rect, history: &History, sample: &Sample) {
    let stats = &sample.stats;
    let title = format!(
        " {} recovered, {} cleaned ",
        count(stats.take_overs),
        count(stats.cleanings)
    );
    let block = Block::new().borders(Borders::TOP).title(title);
    let rows = usize::from(block.inner(area).height);
    let lines: Vec<Line<'_>> = history
        .events
        .iter()
        .rev()
        .take(rows)
        .map(|(when, event)| {
            let when = humantime::format_rfc3339_seconds(*when).to_string();
            let bad = event.ends_with("died") || event.contains("recovered");
            let style = if bad {
                Style::new().fg(Color::Red)
            } else {
                Style::new()
            };
            Line::from(vec![
                Span::raw(when.get(11..19).unwrap_or_default().to_owned()).fg(Color::DarkGray),
                Span::styled(format!(" {event}"), style),
            ])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

const COLUMNS: [Column; 6] = [
    ("PID", Alignment::Right, Constraint::Length(9)),
    ("STATE", Alignment::Left, Constraint::Length(10)),
    ("ATTACHED", Alignment::Right, Constraint::Length(10)),
    ("LOCKS", Alignment::Right, Constraint::Length(7)),
    ("CHUNKS", Alignment::Right, Constraint::Length(8)),
    ("SLOT", Alignment::Right, Constraint::Length(6)),
];

fn participants(app: &App, sample: &Sample) -> Table<'static> {
    let column = app.sort.of(COLUMNS.len());
    let mut people: Vec<(&Participant, &str)> = sample
        .participants
        .iter()
        .map(|one| (one, process_state(one, &sample.name)))
        .collect();
    people.sort_by(|(a, state), (b, other)| {
        let order = match column {
            0 => a.pid.cmp(&b.pid),
            1 => state.cmp(other),
            2 => b.since.cmp(&a.since),
            3 => b.locks.cmp(&a.locks),
            4 => b.chunks.cmp(&a.chunks),
            _ => a.slot.cmp(&b.slot),
        };
        let order = order.then(a.slot.cmp(&b.slot));
        if app.sort.reversed {
            order.reverse()
        } else {
            order
        }
    });
    let rows = people.into_iter().map(|(one, state)| {
        let style = match state {
            "died" => Style::new().fg(Color::Red),
            "stopped" => Style::new().fg(Color::Yellow),
            _ => Style::new(),
        };
        let cells = [
            one.pid.to_string(),
            state.to_owned(),
            age(since(one.since)),
            one.locks.to_string(),
            one.chunks.to_string(),
            one.slot.to_string(),
        ];
        let cells = cells
            .into_iter()
            .zip(COLUMNS)
            .map(|(cell, (_, alignment, _))| Cell::from(Line::from(cell).alignment(alignment)));
        Row::new(cells).style(style)
    });
    let readers = if sample.readers { ", and readers" } else { "" };
    let title = format!(
        " {} of {} attached for writing{readers} ",
        sample.living(),
        sample.stats.max_participants
    );
    Table::new(rows, COLUMNS.map(|(_, _, width)| width))
        .header(headings(&COLUMNS, app.sort))
        .block(Block::new().borders(Borders::TOP).title(title))
}
