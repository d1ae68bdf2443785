//! A pseudo-terminal that a program runs in, and the screen that a person would see.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "tests and an example use a part of this"
)]

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use test_support::LIMIT;
use vt100::Parser;

pub struct Terminal {
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    screen: Arc<Mutex<Parser>>,
    pub child: Box<dyn Child + Send + Sync>,
}

fn size(rows: u16, columns: u16) -> (PtySize, NonZeroU16, NonZeroU16) {
    let size = PtySize {
        rows,
        cols: columns,
        pixel_width: 0,
        pixel_height: 0,
    };
    let positive = |number| NonZeroU16::new(number).expect("a terminal has some size");
    (size, positive(rows), positive(columns))
}

impl Terminal {
    /// Runs a program in a terminal of this size.
    pub fn run(program: &str, arguments: &[&str], rows: u16, columns: u16) -> Self {
        let (size, rows, columns) = size(rows, columns);
        let pair = native_pty_system()
            .openpty(size)
            .expect("there is a pseudo-terminal");
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.env("TERM", "xterm-256color");
        command.env("COLORTERM", "truecolor");
        command.env_remove("NO_COLOR");
        let child = pair.slave.spawn_command(command).expect("it is started");
        drop(pair.slave);
        let mut output = pair.master.try_clone_reader().expect("it can be read");
        let screen = Arc::new(Mutex::new(Parser::new(rows, columns, 0)));
        let drawn = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut bytes) {
                let mut screen = drawn.lock().expect("no thread panics with it");
                screen.process(&bytes[..length]);
            }
        });
        Self {
            keys: pair.master.take_writer().expect("it takes keys"),
            master: pair.master,
            screen,
            child,
        }
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("it takes keys");
        self.keys.flush().expect("it takes keys");
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        let (size, rows, columns) = size(rows, columns);
        let mut screen = self.screen.lock().expect("no thread panics with it");
        screen.set_size(rows, columns);
        self.master.resize(size).expect("it can be resized");
    }

    /// What is on the screen.
    pub fn text(&self) -> String {
        self.with(vt100::Screen::contents)
    }

    pub fn with<R>(&self, look: impl FnOnce(&vt100::Screen) -> R) -> R {
        look(
            self.screen
                .lock()
                .expect("no thread panics with it")
                .screen(),
        )
    }

    /// Waits until the screen is as it should be; what it is then.
    #[track_caller]
    pub fn wait(&self, what: &str, mut holds: impl FnMut(&str) -> bool) -> String {
        let begin = Instant::now();
        loop {
            let text = self.text();
            if holds(&text) {
                return text;
            }
            assert!(
                begin.elapsed() < LIMIT,
                "this never happened: {what}\n{text}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the program's end.
    #[track_caller]
    pub fn end(&mut self) -> portable_pty::ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status;
            }
            assert!(begin.elapsed() < LIMIT, "it does not end\n{}", self.text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
