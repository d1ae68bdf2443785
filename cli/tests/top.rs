//! Does `top` show on a terminal what it should, and do what the keys say?

mod common;
#[path = "common/terminal.rs"]
mod terminal;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Name, ends, eventually, json, ok, open_table, user_of};
use rustix::process::{Pid, Signal, kill_process};
use shmtable::{Options, Table};
use terminal::Terminal;

fn top(arguments: &[&str]) -> Terminal {
    let arguments = [&["top", "--interval", "20ms"], arguments].concat();
    Terminal::run(&common::program(), &arguments, 24, 80)
}

#[test]
fn the_screen_of_a_table_is_as_it_was_drawn_once() {
    let name = Name::new();
    let shape = Options::new()
        .capacity(1000)
        .value_space(1 << 20)
        .max_participants(128)
        .stripes(16);
    let table = shape.create(&name).unwrap();
    for number in 0..250_u32 {
        table.insert(&number.to_le_bytes(), &[0; 1000]).unwrap();
    }
    let mut terminal = top(&[&name]);
    // After the first refresh there are rates. No process writes.
    terminal.wait("all is quiet", |text| text.contains("per sec  0 writes"));
    terminal.press("p");
    let text = terminal.wait("it pauses", |text| text.contains("PAUSED"));
    let pid = std::process::id().to_string();
    let seen: Vec<String> = text
        .lines()
        .map(|line| {
            let line = line.replace(&*name, "NAME");
            let line = line.replace(&format!("{pid} "), "ID ");
            let user = table.owner().unwrap().to_string();
            // What changes from run to run: users, ages, what the process is at.
            let line = line
                .replace(&format!("of {user},"), "of USER,")
                .replace("of root,", "of USER,");
            let words = ["running ", "sleeping"];
            let line = words
                .iter()
                .fold(line, |line, word| line.replace(word, "ALIVE   "));
            aged(&line)
        })
        .collect();
    let expected = include_str!("top.txt");
    assert_eq!(seen.join("\n").trim_end(), expected.trim_end(), "\n{text}");
    terminal.press("q");
    assert!(terminal.end().success());
}

/// A line with its ages in seconds, if it has any, as `AGE`, and without its alignment.
fn aged(line: &str) -> String {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let mut found = false;
    for at in 1..words.len() {
        if words[at] == "s" && words[at - 1].parse::<u32>().is_ok() {
            words[at - 1] = "AGE";
            found = true;
        }
    }
    if found {
        words.join(" ")
    } else {
        line.trim_end().to_owned()
    }
}

#[test]
fn the_screen_shows_how_a_table_grows() {
    let name = common::Name::new();
    let table = Options::new().create(&name).unwrap();
    let mut terminal = top(&[&name]);
    terminal.wait("it is drawn", |text| {
        text.contains("0; grows, 28,672 slots now")
    });
    for number in 0..50_000_u32 {
        table.insert(number.to_le_bytes(), b"value").unwrap();
    }
    terminal.wait("it has grown", |text| {
        text.contains("50,000; grows, ") && !text.contains(" 28,672 slots")
    });
    terminal.press("q");
    assert!(terminal.end().success());
}

#[test]
fn the_screen_shows_what_happens() {
    let (name, table) = open_table();
    let mut terminal = top(&[&name]);
    terminal.wait("it is drawn", |text| text.contains("0 of 1,000, 0.0 %"));
    for number in 0..500_u32 {
        table.insert(&number.to_le_bytes(), b"value").unwrap();
    }
    terminal.wait("entries", |text| text.contains("500 of 1,000, 50.0 %"));
    // A process attaches, is stopped, and dies as a lock owner. Another takes its lock over.
    let waiting = user_of(&name);
    let pid = waiting.pid();
    terminal.wait("it attaches", |text| {
        text.contains(&format!("{pid} attached")) && text.contains("2 of 1024 attached")
    });
    waiting.signal(Signal::STOP);
    terminal.wait("it is stopped", |text| text.contains("stopped"));
    waiting.kill();
    terminal.wait("it dies", |text| {
        text.contains(&format!("{pid} died")) && text.contains("1 of 1024 attached")
    });
    let again = user_of(&name);
    terminal.wait("another attaches", |text| {
        text.contains(&format!("{} attached", again.pid()))
    });
    // In another order.
    let first = |text: &str| {
        let mut lines = text.lines().skip_while(|line| !line.contains("PID"));
        lines.next();
        lines.next().unwrap_or_default().trim().to_owned()
    };
    let low = std::process::id().min(again.pid()).to_string();
    let high = std::process::id().max(again.pid()).to_string();
    terminal.wait("by id", |text| {
        text.contains("PID▾") && first(text).starts_with(&low)
    });
    terminal.press("r");
    terminal.wait("turned", |text| {
        text.contains("PID▴") && first(text).starts_with(&high)
    });
    terminal.press("s");
    terminal.wait("by state", |text| text.contains("STATE▴"));
    // Rates are seen while they are.
    let mut number = 0_u32;
    terminal.wait("writes", |text| {
        number += 1;
        table.insert(b"key", &number.to_le_bytes()).unwrap();
        !text.contains("per sec  0 writes")
    });
    terminal.press("+");
    terminal.wait("slower", |text| text.contains("every 40ms"));
    terminal.press("-");
    // No shorter than it is drawn.
    terminal.wait("faster", |text| text.contains("every 100ms"));
    // The name goes; the figures stay.
    Table::unlink(&name).unwrap();
    terminal.wait("it is gone", |text| text.contains("the table is gone"));
    terminal.press("\x03");
    assert!(terminal.end().success());
    terminal.wait("the screen is given back", |_| {
        !terminal.with(vt100::Screen::alternate_screen)
    });
}

#[test]
fn waits_for_locks_are_seen_where_they_are() {
    let name = Name::new();
    let shape = Options::new().capacity(1000).stripes(16);
    let table = shape.create(&name).unwrap();
    let cells = |text: &str| {
        let mut lines = text
            .lines()
            .skip_while(|line| !line.contains("waits for the 16 locks"));
        lines.next();
        let row: Vec<char> = lines.next().unwrap_or_default().chars().take(16).collect();
        row
    };
    let terminal = top(&[&name]);
    terminal.wait("no process writes", |text| cells(text) == ['·'; 16]);
    // One handle has the lock while another one asks for it.
    let asked = Arc::new(AtomicBool::new(false));
    let asking = Arc::clone(&asked);
    let options = Options::new().around_sleep(move |sleep| {
        asking.store(true, Ordering::Relaxed);
        sleep();
        ControlFlow::Continue(())
    });
    let other = options.open(&name).unwrap();
    let contend = || {
        asked.store(false, Ordering::Relaxed);
        std::thread::scope(|scope| {
            let mut waiting = None;
            let held = table.update(b"key", |_| {
                waiting = Some(scope.spawn(|| other.insert(b"key", b"other")));
                eventually("it waits", || asked.load(Ordering::Relaxed));
                None
            });
            held.unwrap();
            waiting.unwrap().join().unwrap().unwrap();
        });
    };
    // Until it happens between two looks of `top`.
    terminal.wait("a hot stripe", |text| {
        contend();
        let cells = cells(text);
        let count = |symbol| cells.iter().filter(|cell| **cell == symbol).count();
        count('█') == 1 && count('·') == 15
    });
}

#[test]
fn all_tables_are_listed_and_one_is_looked_into() {
    let (name, table) = open_table();
    table.insert(b"key", b"value").unwrap();
    let mut terminal = top(&[]);
    terminal.resize(60, 120);
    terminal.wait("it is listed", |text| text.contains(&*name));
    let text = terminal.wait("names come first", |text| text.contains("NAME▾"));
    assert!(text.lines().last().unwrap().contains("quit"), "{text}");
    // Other tests' tables come and go: until it is the chosen one, and was still when the
    // key was pressed.
    let begin = std::time::Instant::now();
    loop {
        assert!(begin.elapsed() < common::LIMIT, "{}", terminal.text());
        let text = terminal.text();
        if text.contains("attached for writing") {
            if text.contains(&*name) {
                break;
            }
            terminal.press("\x1b");
            terminal.wait("the list", |text| text.contains("NAME"));
        }
        let chosen = terminal.with(|screen| {
            let inverse = |row: &u16| screen.cell(*row, 0).is_some_and(vt100::Cell::inverse);
            (1..59).find(inverse).unwrap_or(0)
        });
        let line = text.lines().position(|line| line.starts_with(&*name));
        let key = match line.map(|line| usize::from(chosen).cmp(&line)) {
            Some(std::cmp::Ordering::Equal) => "\r",
            Some(std::cmp::Ordering::Greater) => "k",
            _ => "j",
        };
        terminal.press(key);
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
    terminal.wait("its figures", |text| text.contains("1 of 1,000, 0.1 %"));
    terminal.press("\x1b");
    terminal.wait("the list again", |text| text.contains("NAME▾"));
    terminal.press("s");
    terminal.wait("by entries", |text| text.contains("ENTRIES▾"));
    terminal.press("q");
    assert!(terminal.end().success());
}

#[test]
fn it_fits_in_any_size() {
    let (name, _table) = open_table();
    let mut terminal = top(&[&name]);
    terminal.wait("it is drawn", |text| text.contains("PID"));
    let last = |text: &str| text.lines().last().unwrap_or_default().to_owned();
    for (rows, columns) in [
        (50, 200),
        (24, 80),
        (12, 40),
        (30, 41),
        (5, 100),
        (1, 1),
        (24, 80),
    ] {
        terminal.resize(rows, columns);
        terminal.press("x");
        if rows < 12 {
            if columns > 20 {
                terminal.wait("too small", |text| text.contains("at least 40 x 12"));
            }
        } else {
            terminal.wait("it fits", |text| {
                last(text).contains("quit") && text.lines().count() == usize::from(rows)
            });
        }
    }
    terminal.press("q");
    assert!(terminal.end().success());
}

#[test]
fn a_signal_ends_it_and_gives_the_terminal_back() {
    let (name, _table) = open_table();
    for signal in [Signal::TERM, Signal::INT] {
        let mut terminal = top(&[&name]);
        terminal.wait("it is drawn", |text| text.contains("PID"));
        let pid = terminal.child.process_id().unwrap() as i32;
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
        let status = terminal.end();
        assert!(status.signal().is_some(), "{status:?}");
        terminal.wait("the screen is given back", |_| {
            !terminal.with(vt100::Screen::alternate_screen)
        });
    }
}

#[test]
fn without_a_terminal_it_refuses_or_prints_json() {
    let (name, _table) = open_table();
    assert!(ends(2, &["top", &name]).contains("terminal"));
    assert!(ends(2, &["top", "cli-test-no-such-table"]).contains("no table"));
    let mut command = common::shmtable(&["--json", "top", &name, "--interval", "5ms"]);
    let mut running = common::Running::start(&mut command);
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(running.0.stdout.take().unwrap()));
    for _ in 0..3 {
        let line = lines.next().unwrap().unwrap();
        let figures: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(figures["tables"][0]["name"], &*name);
    }
    drop(lines);
    assert!(running.end().success(), "a closed pipe is not an error");
    assert_eq!(json(0, &["stat", &name])["attached"], 1);
    ok(&["ls"]);
}
