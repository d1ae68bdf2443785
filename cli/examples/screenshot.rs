//! Draws a picture of `shmtable top` as an SVG: a real run among real processes.
//!
//! `cargo xtask picture` runs it. Six writers share a table. Some of them write the same few keys,
//! so that they wait for locks; one is stopped, and one is killed while it holds a lock.

#[path = "../tests/common/terminal.rs"]
mod terminal;

use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use shmtable::{Options, Table};
use terminal::Terminal;
use vt100::Color;

const ROWS: u16 = 26;
const COLUMNS: u16 = 96;
/// The size of a character in pixels.
const CELL: (f64, f64) = (8.4, 17.0);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [worker, name, number] if worker == "--worker" => work(name, number.parse()?),
        [file] => draw(Path::new(file)),
        _ => Err("give the file to write".into()),
    }
}

/// Writes until it is killed; at the latest, when its parent ends.
fn work(name: &str, number: u64) -> Result<(), Box<dyn Error>> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let table = Table::open(name)?;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number + 1);
    loop {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        match number {
            // These writers compete for the same locks.
            0..=2 => drop(table.fetch_add(format!("hits/{}", random % 3).as_bytes(), 1)?),
            3 => {
                table.update(b"report", |_| {
                    std::thread::sleep(Duration::from_millis(30));
                    Some(b"slow".to_vec())
                })?;
            }
            _ => {
                let key = format!("user/{}", random % 60_000);
                table.insert(key.as_bytes(), &vec![b'x'; (random % 300) as usize])?;
            }
        }
        if number > 2 {
            std::thread::sleep(Duration::from_micros(20 + random % 40));
        }
    }
}

struct Worker(Child);

impl Worker {
    fn start(name: &str, number: usize) -> Result<Self, Box<dyn Error>> {
        let program = std::env::current_exe()?;
        let arguments = ["--worker", name, &number.to_string()];
        Ok(Self(Command::new(program).args(arguments).spawn()?))
    }

    fn signal(&self, signal: Signal) -> Result<(), Box<dyn Error>> {
        Ok(kill_process(Pid::from_child(&self.0), signal)?)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Name(&'static str);

impl Drop for Name {
    fn drop(&mut self) {
        let _ = Table::unlink(self.0);
    }
}

fn draw(file: &Path) -> Result<(), Box<dyn Error>> {
    let name = Name("sessions");
    let options = Options::new()
        .capacity(80_000)
        .value_space(16 << 20)
        .stripes(128);
    let table = options.create(name.0)?;
    let mut workers = (0..6)
        .map(|number| Worker::start(name.0, number))
        .collect::<Result<Vec<_>, _>>()?;
    // The command is beside the folder of examples.
    let program = std::env::current_exe()?;
    let program = program
        .ancestors()
        .nth(2)
        .ok_or("no folder")?
        .join("shmtable");
    let program = program.to_str().ok_or("a path that is not text")?;
    let top = Terminal::run(
        program,
        &["top", name.0, "--interval", "250ms"],
        ROWS,
        COLUMNS,
    );
    std::thread::sleep(Duration::from_secs(8));
    // It almost always holds the lock.
    let before = table.stats()?.take_overs;
    workers[3].signal(Signal::KILL)?;
    top.wait("its death is seen", |text| text.contains("died"));
    workers.push(Worker::start(name.0, 3)?);
    let begin = Instant::now();
    while table.stats()?.take_overs == before && begin.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(10));
    }
    workers[5].signal(Signal::STOP)?;
    std::thread::sleep(Duration::from_secs(4));
    let picture = top.with(svg);
    workers[5].signal(Signal::CONT)?;
    std::fs::write(file, picture)?;
    Ok(())
}

fn color(color: Color, default: &str) -> String {
    const NAMED: [&str; 16] = [
        "#15181c", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#abb2bf",
        "#5c6370", "#ff8f88", "#b5e890", "#ffd68a", "#8cc8ff", "#e09cf5", "#7fdbe6", "#ffffff",
    ];
    match color {
        Color::Default => default.to_owned(),
        Color::Idx(index) => NAMED
            .get(usize::from(index))
            .unwrap_or(&default)
            .to_string(),
        Color::Rgb(red, green, blue) => format!("#{red:02x}{green:02x}{blue:02x}"),
    }
}

/// The screen, with a text for each run of characters with the same colors.
fn svg(screen: &vt100::Screen) -> String {
    const PAPER: &str = "#15181c";
    const INK: &str = "#d7dae0";
    let (width, height) = (
        f64::from(COLUMNS) * CELL.0 + 24.0,
        f64::from(ROWS) * CELL.1 + 24.0,
    );
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"14\">\n\
         <title>shmtable top</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{PAPER}\"/>\n"
    );
    for row in 0..ROWS {
        let cells: Vec<_> = (0..COLUMNS)
            .filter_map(|column| screen.cell(row, column))
            .collect();
        let look = |cell: &vt100::Cell| {
            let (ink, paper) = (color(cell.fgcolor(), INK), color(cell.bgcolor(), PAPER));
            if cell.inverse() {
                (paper, ink, cell.bold())
            } else {
                (ink, paper, cell.bold())
            }
        };
        let mut column = 0;
        for run in cells.chunk_by(|a, b| look(a) == look(b)) {
            let (ink, paper, bold) = look(run[0]);
            let x = 12.0 + f64::from(column) * CELL.0;
            let y = 12.0 + f64::from(row) * CELL.1;
            let wide = run.len() as f64 * CELL.0;
            column += run.len() as u16;
            if paper != PAPER {
                let _ = writeln!(
                    text,
                    "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{}\" fill=\"{paper}\"/>",
                    CELL.1
                );
            }
            let content: String = run
                .iter()
                .map(|cell| {
                    if cell.has_contents() {
                        cell.contents()
                    } else {
                        " "
                    }
                })
                .collect();
            if content.trim().is_empty() {
                continue;
            }
            let content = content.replace('&', "&amp;").replace('<', "&lt;");
            let weight = if bold { " font-weight=\"bold\"" } else { "" };
            let _ = writeln!(
                text,
                "<text x=\"{x:.1}\" y=\"{:.1}\" fill=\"{ink}\"{weight} textLength=\"{wide:.1}\" \
                 xml:space=\"preserve\">{content}</text>",
                y + 13.0
            );
        }
    }
    text + "</svg>\n"
}
