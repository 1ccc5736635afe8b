//! Moves the driver's output from its pipes into the log.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::log::{Framer, LogWriter, Stream, now};

/// Bytes read from a pipe at once. Empty lines become forty times as large in the log, and that is held in memory.
const READ_BYTES: usize = 64 * 1024;
/// Bytes that a pipe holds: a larger one lets a chatty driver go on between two rounds.
const PIPE_BYTES: usize = 256 * 1024;
/// What is read in all from pipes that nobody should hold any more; a pipe never holds as much.
const DRAIN_BYTES_MAX: usize = 8 << 20;
/// The end of each stream that is kept to find out why the driver failed.
const TAIL_BYTES: usize = 64 * 1024;

/// Both outputs of a driver on their way into the log.
pub(super) struct Capture {
    pipes: [Pipe; 2],
    log: LogWriter,
    input: Vec<u8>,
    lines: Vec<u8>,
}

struct Pipe {
    /// Absent once the last writer closed it.
    fd: Option<OwnedFd>,
    framer: Framer,
    tail: VecDeque<u8>,
}

impl Capture {
    /// Reads from the two pipes, which must not block.
    pub(super) fn new(log: LogWriter) -> Self {
        let pipe = |stream| Pipe { fd: None, framer: Framer::new(stream), tail: VecDeque::new() };
        let pipes = [pipe(Stream::Stdout), pipe(Stream::Stderr)];
        Self { pipes, log, input: vec![0; READ_BYTES], lines: Vec::new() }
    }

    /// Takes the driver's ends.
    pub(super) fn attach(&mut self, stdout: OwnedFd, stderr: OwnedFd) -> io::Result<()> {
        for (pipe, fd) in self.pipes.iter_mut().zip([stdout, stderr]) {
            rustix::io::ioctl_fionbio(&fd, true)?;
            // It works without, when the user's share of pipes is used up.
            let _ = rustix::pipe::fcntl_setpipe_size(&fd, PIPE_BYTES);
            pipe.fd = Some(fd);
        }
        Ok(())
    }

    /// The pipes that are still open, to wait for.
    pub(super) fn open_pipes(&self) -> impl Iterator<Item = &OwnedFd> {
        self.pipes.iter().filter_map(|pipe| pipe.fd.as_ref())
    }

    /// Moves what is there, at most a buffer of each stream, and returns how many bytes that were.
    pub(super) fn pump(&mut self) -> usize {
        let time = now();
        self.lines.clear();
        let mut moved = 0;
        for pipe in &mut self.pipes {
            moved += pipe.read(&mut self.input, |framer, bytes| framer.push(bytes, time, &mut self.lines));
        }
        self.log.append(&self.lines);
        moved
    }

    /// Moves what is left, now that nobody is there to write more, and makes it durable. Somebody beyond reach
    /// may have been handed the pipe; that can't keep us.
    pub(super) fn finish(&mut self) {
        let mut moved = 0;
        loop {
            let round = self.pump();
            moved += round;
            if round == 0 || moved > DRAIN_BYTES_MAX {
                break;
            }
        }
        self.lines.clear();
        for pipe in &mut self.pipes {
            pipe.fd = None;
            pipe.framer.finish(now(), &mut self.lines);
        }
        self.log.append(&self.lines);
        self.log.sync();
    }

    /// The last lines of both streams, standard error first.
    pub(super) fn tails(&self) -> [String; 2] {
        let text = |pipe: &Pipe| {
            let (head, rest) = pipe.tail.as_slices();
            String::from_utf8_lossy(&[head, rest].concat()).into_owned()
        };
        let [stdout, stderr] = &self.pipes;
        [text(stderr), text(stdout)]
    }
}

impl Pipe {
    fn read(&mut self, buffer: &mut [u8], mut take: impl FnMut(&mut Framer, &[u8])) -> usize {
        let Some(fd) = &self.fd else { return 0 };
        let length = match rustix::io::read(fd, &mut *buffer) {
            Ok(length) if length > 0 => length,
            Err(Errno::AGAIN | Errno::INTR) => return 0,
            Ok(_) | Err(_) => {
                self.fd = None;
                return 0;
            }
        };
        let bytes = &buffer[..length];
        take(&mut self.framer, bytes);
        self.remember(&bytes[length.saturating_sub(TAIL_BYTES)..]);
        length
    }

    fn remember(&mut self, bytes: &[u8]) {
        let surplus = (self.tail.len() + bytes.len()).saturating_sub(TAIL_BYTES);
        self.tail.drain(..surplus.min(self.tail.len()));
        self.tail.extend(bytes);
    }
}
