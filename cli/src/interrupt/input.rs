//! Input that Ctrl-C stops waiting for.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Reads on a thread of its own, so that Ctrl-C ends a wait for input.
pub(crate) struct Input {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
}

impl Input {
    pub(crate) fn new(mut input: Box<dyn Read + Send>) -> Self {
        let (sender, pieces) = sync_channel(4);
        std::thread::spawn(move || {
            loop {
                let mut piece = vec![0; 1 << 16];
                let read = input.read(&mut piece);
                let last = !matches!(read, Ok(1..));
                let sent = sender.send(read.map(|length| {
                    piece.truncate(length);
                    piece
                }));
                if last || sent.is_err() {
                    break;
                }
            }
        });
        Self {
            pieces,
            piece: Vec::new(),
            at: 0,
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            if super::stopped() {
                return Err(io::Error::other("interrupted"));
            }
            match self.pieces.recv_timeout(Duration::from_millis(50)) {
                Ok(piece) => {
                    self.piece = piece?;
                    self.at = 0;
                    if self.piece.is_empty() {
                        return Ok(0);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len() - self.at);
        buffer[..length].copy_from_slice(&self.piece[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}
