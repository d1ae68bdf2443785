//! Is progress shown only on a terminal, and does Ctrl-C end the command in good order?

mod common;
#[path = "common/terminal.rs"]
mod terminal;

use common::{Name, eventually, open_table, run_with};
use shmtable::Options;
use terminal::Terminal;

#[test]
fn progress_is_shown_on_a_terminal_and_ends_with_ctrl_c() {
    let (name, table) = open_table();
    let program = common::program();
    let mut terminal = Terminal::run(&program, &["load", &name], 24, 80);
    let entry = |number| format!("{{\"key\": \"{number}\", \"value\": \"x\"}}\n");
    // From a header on it is known how many there will be.
    terminal.press(
        "{\"shmtable\":\"dump\",\"version\":1,\"codec_id\":\"0\",\
         \"capacity\":10,\"value_space\":10,\"entries\":4}\n",
    );
    for number in 0..3 {
        terminal.press(&entry(number));
    }
    eventually("they are loaded", || table.len() == 3);
    terminal.wait("the bar", |text| text.contains("3 of 4 entries"));
    terminal.press("\x03");
    let status = terminal.end();
    assert!(status.signal().is_some(), "{status:?}");
    terminal.wait("what was done", |text| {
        text.contains("interrupted; 3 entries loaded")
    });
    assert_eq!(table.participants().unwrap().len(), 1);

    // Without, only how many there are.
    let mut terminal = Terminal::run(&program, &["load", &name], 24, 80);
    terminal.press(&entry(3));
    terminal.wait("the count", |text| text.contains("1 entries"));
    terminal.press("\x04");
    terminal.wait("the end", |text| text.contains("1 entry loaded"));
    assert!(terminal.end().success());

    // In a pipe nothing is drawn.
    let output = run_with(&["load", &name], entry(4).as_bytes());
    assert!(output.status.success() && output.stderr.is_empty());
}

#[test]
fn how_long_writers_wait_is_told_on_a_terminal() {
    let name = Name::new();
    let options = Options::new().capacity(60_000).value_space(1 << 20);
    let table = options.create(&name).unwrap();
    table
        .insert_many((0..50_000_u32).map(|key| (key.to_le_bytes(), b"")))
        .unwrap();
    let program = common::program();
    let mut terminal = Terminal::run(&program, &["repair", &name], 24, 80);
    terminal.wait("the estimate", |text| {
        text.contains("writers wait for about 0.1 s")
    });
    assert!(terminal.end().success());
    // In a pipe nothing is told.
    let output = run_with(&["repair", &name], b"");
    assert!(output.status.success() && output.stderr.is_empty());
}
