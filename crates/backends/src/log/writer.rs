//! Keeps a log within its bounds: segments of bounded size, of which the first and the newest stay.
//!
//! The beginning of a log tells what was started and how, its end why it ended; what is dropped is the middle.
//! What was dropped is written down before it is deleted, so that a reader can always say what it can't show.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::format::decode;

/// How large a log may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLimits {
    /// Bytes of one segment.
    pub segment_bytes: u64,
    /// Bytes of all segments together. Two segments at least are always kept, so they shrink to half of this.
    pub total_bytes: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { segment_bytes: 8 << 20, total_bytes: 64 << 20 }
    }
}

/// The end of a resumed log in which its last whole line is looked for.
const TORN_BYTES_MAX: u64 = 256 * 1024;

/// The name of a segment's file.
pub(super) fn segment_name(segment: u32) -> String {
    format!("{segment:08}.log")
}

/// The file that tells what was dropped.
pub(super) const DROPPED: &str = "dropped.json";

/// How much of a log was dropped between its first segment and the oldest one after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dropped {
    /// Bytes of stored lines.
    pub(super) bytes: u64,
    /// How many lines.
    pub(super) entries: u64,
}

/// Appends stored lines to a new log.
///
/// It never fails: when the disk is full the driver must go on and its exit must still be recorded. What could
/// not be written is counted and told in the log once writing works again.
pub(crate) struct LogWriter {
    dir: OwnedFd,
    limits: LogLimits,
    current: Option<File>,
    segments: Vec<Segment>,
    dropped: Dropped,
    /// Bytes that couldn't be written since the last success.
    unwritten_bytes: u64,
}

#[derive(Clone, Copy)]
struct Segment {
    number: u32,
    bytes: u64,
    /// Unknown for those of a log that was resumed.
    entries: Option<u64>,
}

impl LogWriter {
    /// A log in the folder `dir`, which exists and is empty.
    ///
    /// # Errors
    /// When the folder can't be opened, or is a link.
    pub(crate) fn create(dir: &Path, limits: LogLimits) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::open(dir, flags, Mode::empty())?;
        let limits = LogLimits { segment_bytes: limits.segment_bytes.min(limits.total_bytes / 2), ..limits };
        let (segments, dropped) = (Vec::new(), Dropped::default());
        Ok(Self { dir, limits, current: None, segments, dropped, unwritten_bytes: 0 })
    }

    /// Goes on with the log in the folder `dir`, which may be empty. What a crash left of a line is removed.
    ///
    /// # Errors
    /// When the folder or its newest segment can't be used.
    pub(crate) fn resume(dir: &Path, limits: LogLimits) -> io::Result<Self> {
        let mut writer = Self::create(dir, limits)?;
        for number in segment_numbers(&writer.dir)? {
            let bytes = rustix::fs::statat(&writer.dir, segment_name(number), AtFlags::SYMLINK_NOFOLLOW)?.st_size;
            let bytes = u64::try_from(bytes).unwrap_or_default();
            writer.segments.push(Segment { number, bytes, entries: None });
        }
        if let Ok(text) = std::fs::read(dir.join(DROPPED)) {
            writer.dropped = serde_json::from_slice(&text).unwrap_or_default();
        }
        if let Some(newest) = writer.segments.last_mut() {
            let flags = OFlags::RDWR | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = File::from(rustix::fs::openat(&writer.dir, segment_name(newest.number), flags, Mode::empty())?);
            newest.bytes = cut_torn_line(&file, newest.bytes)?;
            writer.current = Some(file);
        }
        Ok(writer)
    }

    /// Appends whole stored lines, each ending with a line feed.
    pub(crate) fn append(&mut self, mut lines: &[u8]) {
        while !lines.is_empty() {
            let used = self.segments.last().map_or(self.limits.segment_bytes, |segment| segment.bytes);
            let room = usize::try_from(self.limits.segment_bytes.saturating_sub(used)).unwrap_or(usize::MAX);
            let (fits, rest) = lines.split_at(end_of_last_line_within(lines, room));
            if fits.is_empty() && used > 0 {
                self.rotate();
                continue;
            }
            // A line longer than a segment gets one of its own.
            let (fits, rest) = if fits.is_empty() { lines.split_at(first_line_bytes(lines)) } else { (fits, rest) };
            self.write(fits);
            lines = rest;
        }
    }

    /// Makes what was appended survive a crash of the machine, as far as it can.
    pub(crate) fn sync(&mut self) {
        if let Some(file) = &self.current {
            let _ = file.sync_data();
        }
    }

    fn write(&mut self, lines: &[u8]) {
        let Some(segment) = self.segments.last_mut() else { return };
        let Some(file) = &mut self.current else {
            self.unwritten_bytes += lines.len() as u64;
            // Counted as used, so that a new file is tried after another segment's worth.
            segment.bytes += lines.len() as u64;
            return;
        };
        let notice = unwritten_notice(self.unwritten_bytes);
        match file.write_all(&notice).and_then(|()| file.write_all(lines)) {
            Ok(()) => {
                segment.bytes += (notice.len() + lines.len()) as u64;
                segment.entries = segment.entries.map(|entries| entries + count_lines(lines));
                self.unwritten_bytes = 0;
            }
            Err(_) => self.unwritten_bytes += lines.len() as u64,
        }
    }

    fn rotate(&mut self) {
        let number = self.segments.last().map_or(1, |segment| segment.number + 1);
        self.segments.push(Segment { number, bytes: 0, entries: Some(0) });
        self.make_room();
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.dir, segment_name(number), flags, Mode::RUSR | Mode::WUSR);
        self.current = file.ok().map(File::from);
    }

    /// Drops the oldest segments but the first until another full one fits.
    fn make_room(&mut self) {
        let kept_max =
            usize::try_from(self.limits.total_bytes / self.limits.segment_bytes.max(1)).unwrap_or(usize::MAX);
        while self.segments.len() > kept_max.max(2) {
            let oldest = self.segments.remove(1);
            self.dropped.bytes += oldest.bytes;
            self.dropped.entries += oldest.entries.unwrap_or_else(|| self.count_entries(oldest.number));
            let _ = self.record_dropped();
            let _ = rustix::fs::unlinkat(&self.dir, segment_name(oldest.number), AtFlags::empty());
        }
    }

    fn count_entries(&self, segment: u32) -> u64 {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut text = Vec::new();
        let opened = rustix::fs::openat(&self.dir, segment_name(segment), flags, Mode::empty());
        let read = opened.map(|file| File::from(file).take(self.limits.segment_bytes * 2).read_to_end(&mut text));
        if read.is_ok() { count_lines(&text) } else { 0 }
    }

    fn record_dropped(&self) -> io::Result<()> {
        let temporary = "dropped.new";
        // A new file: what the driver put there could be a pipe that keeps us waiting.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(&self.dir, temporary, flags | OFlags::NONBLOCK, Mode::RUSR | Mode::WUSR);
        let file = match open() {
            Err(Errno::EXIST) => {
                rustix::fs::unlinkat(&self.dir, temporary, AtFlags::empty())?;
                open()?
            }
            other => other?,
        };
        File::from(file).write_all(&serde_json::to_vec(&self.dropped)?)?;
        Ok(rustix::fs::renameat(&self.dir, temporary, &self.dir, DROPPED)?)
    }
}

/// The numbers of the segments in a log's folder, ascending.
pub(super) fn segment_numbers(dir: &OwnedFd) -> io::Result<Vec<u32>> {
    let mut segments = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_str().unwrap_or_default().to_owned();
        let number = name.strip_suffix(".log").and_then(|number| number.parse().ok());
        segments.extend(number.filter(|&number| segment_name(number) == name));
    }
    segments.sort_unstable();
    Ok(segments)
}

/// Cuts off what follows the last whole line of a segment, pieces of a line that goes on included; what is left.
fn cut_torn_line(file: &File, bytes: u64) -> io::Result<u64> {
    let start = bytes.saturating_sub(TORN_BYTES_MAX);
    let mut end = vec![0; usize::try_from(bytes - start).unwrap_or_default()];
    file.read_exact_at(&mut end, start)?;
    let mut left = end.len();
    for line in end.split_inclusive(|&b| b == b'\n').rev() {
        let whole = line.strip_suffix(b"\n").and_then(decode).is_some_and(|line| !line.partial);
        if whole {
            break;
        }
        left -= line.len();
    }
    // Nothing whole in so much text means that it isn't torn but strange.
    let left = if left == 0 && start > 0 { bytes } else { start + left as u64 };
    file.set_len(left)?;
    Ok(left)
}

/// A stored line that tells what is missing; it begins with a line feed, because the line before may be torn.
fn unwritten_notice(bytes: u64) -> Vec<u8> {
    if bytes == 0 {
        return Vec::new();
    }
    format!("\n{} stderr F [… {bytes} bytes of the log could not be written …]\n", super::now()).into_bytes()
}

fn end_of_last_line_within(lines: &[u8], room: usize) -> usize {
    let within = &lines[..room.min(lines.len())];
    within.iter().rposition(|&b| b == b'\n').map_or(0, |index| index + 1)
}

fn first_line_bytes(lines: &[u8]) -> usize {
    lines.iter().position(|&b| b == b'\n').map_or(lines.len(), |index| index + 1)
}

fn count_lines(lines: &[u8]) -> u64 {
    lines.iter().map(|&b| u64::from(b == b'\n')).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::log::{LogDir, LogQuery};

    #[test]
    fn a_small_log_has_small_segments() {
        let dir = tempfile::tempdir().unwrap();
        let limits = LogLimits { total_bytes: 1_000, ..LogLimits::default() };
        let mut writer = LogWriter::create(dir.path(), limits).unwrap();
        let line = format!("{} stdout F line\n", super::super::now());
        for _ in 0..1_000 {
            writer.append(line.as_bytes());
        }
        let segments = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap());
        let segments = segments.filter(|entry| entry.file_name().to_string_lossy().ends_with(".log"));
        let stored: u64 = segments.map(|segment| segment.metadata().unwrap().len()).sum();
        assert!(stored <= limits.total_bytes, "{stored}");
    }

    #[test]
    fn a_log_goes_on_where_a_crash_left_it() {
        let dir = tempfile::tempdir().unwrap();
        let limits = LogLimits { segment_bytes: 200, total_bytes: 600 };
        let line = |stream: &str, text: &str| format!("{} {stream} {text}\n", super::super::now());
        let mut number = 0;
        for torn in
            ["", "2026-11-21T12:00:00.12", &line("stdout", "P a long li"), "2026-11-21T12:00:00.123456789Z stdout F to"]
        {
            let mut writer = LogWriter::resume(dir.path(), limits).unwrap();
            for _ in 0..5 {
                writer.append(line("stdout", &format!("F {number}")).as_bytes());
                number += 1;
            }
            let newest = segment_name(writer.segments.last().unwrap().number);
            drop(writer);
            let mut file = File::options().append(true).open(dir.path().join(newest)).unwrap();
            file.write_all(torn.as_bytes()).unwrap();
        }
        LogWriter::resume(dir.path(), limits).unwrap();
        let page = LogDir::open(dir.path()).unwrap().unwrap().read(&LogQuery::default(), true).unwrap();
        let lines = page.lines();
        let gap = lines.iter().position(|line| line.contains("lines (")).unwrap();
        let (kept, after): (Vec<&String>, Vec<&String>) =
            (lines[..gap].iter().collect(), lines[gap + 1..].iter().collect());
        assert_eq!(lines.last().unwrap(), "19");
        let dropped: usize = lines[gap].trim_start_matches("[… ").split(' ').next().unwrap().parse().unwrap();
        assert_eq!(kept.len() + after.len() + dropped, 20, "{lines:?}");
    }

    #[test]
    fn a_pipe_where_drops_are_noted_stops_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = LogWriter::create(dir.path(), LogLimits { segment_bytes: 100, total_bytes: 200 }).unwrap();
        rustix::fs::mkfifoat(&writer.dir, "dropped.new", Mode::RWXU).unwrap();
        for _ in 0..10 {
            writer.append(format!("{} stdout F line\n", super::super::now()).as_bytes());
        }
        let noted: Dropped = serde_json::from_slice(&std::fs::read(dir.path().join(DROPPED)).unwrap()).unwrap();
        assert_eq!(noted, writer.dropped);
    }

    #[test]
    fn what_could_not_be_written_is_told_once_writing_works_again() {
        let dir = tempfile::tempdir().unwrap();
        // The first segment can't be made, because something is there already.
        std::fs::create_dir(dir.path().join(segment_name(1))).unwrap();
        let mut writer = LogWriter::create(dir.path(), LogLimits { segment_bytes: 100, total_bytes: 1_000 }).unwrap();
        let line = format!("{} stdout F lost or kept\n", super::super::now());
        for _ in 0..3 {
            writer.append(line.as_bytes());
        }
        let lines = LogDir::open(dir.path()).unwrap().unwrap().read(&LogQuery::default(), true).unwrap().lines();
        let notice = format!("[… {} bytes of the log could not be written …]", line.len());
        assert_eq!(lines, [notice.as_str(), "lost or kept", "lost or kept"]);
    }
}
