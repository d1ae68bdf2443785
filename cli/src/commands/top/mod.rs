//! `top` shows tables in a live full-screen view.

mod detail;
mod model;
mod overview;

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row};
use serde_json::json;

use crate::args::Top;
use crate::context::Context;
use crate::failure::{Failure, Outcome, Result};
use crate::interrupt::{self, pause};
use crate::sample::{Sample, open_observer};
use model::{App, Sort, View};

/// The longest wait for a key press, so that signals are noticed.
const POLL: Duration = Duration::from_millis(100);
/// The smallest terminal, in columns and rows.
const SMALLEST: (u16, u16) = (40, 12);

pub(crate) fn top(context: Context, args: Top) -> Result {
    // As for other commands, it is an error if the table doesn't exist.
    if let Some(name) = &args.name {
        open_observer(&context.options, name)?;
    }
    if context.out.json {
        return stream(context, &args);
    }
    if !std::io::stdout().is_terminal() {
        return Err(Failure::NoTerminal);
    }
    interrupt::catch()?;
    let mut app = App::new(context.options, args);
    let mut terminal = ratatui::try_init()?;
    let result = run(&mut terminal, &mut app);
    ratatui::try_restore()?;
    result
}

/// Prints the figures at each interval.
fn stream(mut context: Context, args: &Top) -> Result {
    interrupt::catch()?;
    loop {
        let names = match &args.name {
            Some(name) => vec![name.clone()],
            None => shmtable::Table::list()?,
        };
        let tables: Vec<_> = names
            .iter()
            .filter_map(|name| {
                let sample =
                    open_observer(&context.options, name).and_then(|table| Sample::take(&table));
                Some(sample.ok()?.to_json())
            })
            .collect();
        context.out.object(json!({ "tables": tables }))?;
        context.out.flush()?;
        pause(args.interval)?;
    }
}

fn run(terminal: &mut DefaultTerminal, app: &mut App) -> Result {
    loop {
        app.refresh()?;
        let next = Instant::now() + app.interval;
        loop {
            terminal.draw(|frame| draw(frame, app))?;
            if !wait(next, app.paused)? {
                break;
            }
            // If the terminal was resized, the next drawing has the new size.
            if let Event::Key(key) = event::read()?
                && key.kind == KeyEventKind::Press
                && press(app, key) == Next::End
            {
                return Ok(Outcome::Found);
            }
            if app.stale {
                break;
            }
        }
    }
}

/// Waits for an event; `false` when it is time to refresh.
fn wait(next: Instant, paused: bool) -> Result<bool> {
    loop {
        interrupt::check()?;
        let left = next.saturating_duration_since(Instant::now());
        let left = if paused { POLL } else { left };
        if event::poll(left.min(POLL))? {
            return Ok(true);
        }
        if !paused && Instant::now() >= next {
            return Ok(false);
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    On,
    End,
}

fn press(app: &mut App, key: KeyEvent) -> Next {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('q') => return Next::End,
        KeyCode::Char('c') if control => return Next::End,
        KeyCode::Char('p' | ' ') => {
            app.paused = !app.paused;
            app.stale = !app.paused;
        }
        KeyCode::Char('s') => app.sort.next(),
        KeyCode::Char('r') => app.sort.reversed = !app.sort.reversed,
        KeyCode::Char('+') => app.interval = (app.interval * 2).min(Duration::from_mins(1)),
        KeyCode::Char('-') => app.interval = (app.interval / 2).max(POLL),
        KeyCode::Up | KeyCode::Char('k') => app.select(-1),
        KeyCode::Down | KeyCode::Char('j') => app.select(1),
        KeyCode::Enter => app.enter(),
        KeyCode::Esc | KeyCode::Backspace => app.leave(),
        _ => {}
    }
    Next::On
}

fn draw(frame: &mut ratatui::Frame<'_>, app: &mut App) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!("make it at least {} x {}", SMALLEST.0, SMALLEST.1);
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    match app.view.clone() {
        View::All => overview::draw(frame, area, app),
        View::One(name) => detail::draw(frame, area, app, &name),
    }
}

/// The first line: what is shown, and how.
fn title(app: &App, what: &str) -> Paragraph<'static> {
    let mut spans = vec![
        Span::raw(" shmtable top ").bold().reversed(),
        Span::raw(format!(" {what}")).bold(),
        Span::raw(format!(
            "  every {}",
            humantime::format_duration(app.interval)
        )),
    ];
    if app.paused {
        spans.push(Span::raw("  "));
        spans.push(Span::styled(
            " PAUSED ",
            Style::new().fg(Color::Black).bg(Color::Yellow),
        ));
    }
    Paragraph::new(Line::from(spans))
}

/// The last line: the keys.
fn keys(keys: &[(&str, &str)]) -> Paragraph<'static> {
    let spans = keys.iter().flat_map(|(key, what)| {
        [
            Span::raw(format!(" {key} ")).reversed(),
            Span::raw(format!(" {what}  ")),
        ]
    });
    Paragraph::new(spans.collect::<Line<'_>>())
}

/// A column: its heading, alignment and width.
type Column = (&'static str, Alignment, Constraint);

/// The headings of columns, with a mark at the one that the rows are sorted by.
fn headings(columns: &[Column], sort: Sort) -> Row<'static> {
    let sorted_by = sort.of(columns.len());
    let cells = columns
        .iter()
        .enumerate()
        .map(|(at, (name, alignment, _))| {
            let mark = match (at == sorted_by, sort.reversed) {
                (false, _) => "",
                (true, false) => "▾",
                (true, true) => "▴",
            };
            Cell::from(Line::from(format!("{name}{mark}")).alignment(*alignment))
        });
    Row::new(cells).bold()
}

/// A bar of a whole, whose parts have sizes, symbols and colors.
fn bar(width: u16, whole: f64, parts: &[(f64, &str, Color)]) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    let mut end = 0.0;
    let mut drawn = 0;
    for (part, symbol, color) in parts {
        end += part;
        let until = (end / whole.max(1.0) * f64::from(width)).round() as usize;
        let until = until.clamp(drawn, width.into());
        spans.push(Span::styled(
            symbol.repeat(until - drawn),
            Style::new().fg(*color),
        ));
        drawn = until;
    }
    spans.push(Span::styled(
        "·".repeat(usize::from(width) - drawn),
        Style::new().fg(Color::DarkGray),
    ));
    spans
}

/// Splits an area into its first line, the middle and its last line.
fn frame_of(area: Rect) -> [Rect; 3] {
    use ratatui::layout::{Constraint, Layout};
    Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area)
}
