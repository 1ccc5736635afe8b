//! Reads a stored log: pages from any place, and the last lines from the end without reading the rest.
//!
//! The files may be written meanwhile, and the driver may have tampered with them: links aren't followed, only
//! ordinary files are read, and what isn't a stored line is skipped.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};

use super::format::{LINE_BYTES_MAX, decode};
use super::writer::{DROPPED, Dropped, segment_name, segment_numbers};
use super::{LogCursor, LogEntry, LogFrom, LogGap, LogItem, LogPage, LogQuery, Stream};

/// Bytes read at once; more than one stored line has.
const BLOCK_BYTES: usize = 64 * 1024;
const _: () = assert!(BLOCK_BYTES > LINE_BYTES_MAX);

/// The folder of a log.
pub(crate) struct LogDir {
    dir: OwnedFd,
}

impl LogDir {
    /// Opens a log's folder; `None` when there is none, or something else in its place.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(dir) => Ok(Some(Self { dir })),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Where the log ends now: behind its last byte, for a new segment has nothing to read yet.
    pub(crate) fn end(&self) -> io::Result<LogCursor> {
        for segment in self.segments()?.into_iter().rev() {
            let Some(file) = self.open_segment(segment)? else { continue };
            let offset = file.metadata()?.len();
            if offset > 0 {
                return Ok(LogCursor { segment, offset });
            }
        }
        Ok(LogCursor::default())
    }

    /// Reads a page; `complete` stays `false` unless `over` says that the log ended before this call.
    pub(crate) fn read(&self, query: &LogQuery, over: bool) -> io::Result<LogPage> {
        let segments = self.segments()?;
        let start = match query.from {
            LogFrom::Start => LogCursor::default(),
            LogFrom::After(cursor) => cursor,
            LogFrom::Tail(lines) => self.tail(&segments, lines, query)?,
        };
        // The search for a tail was bounded already, in whole blocks; the same bound again would cut off its end.
        let slack = if matches!(query.from, LogFrom::Tail(_)) { 2 * BLOCK_BYTES } else { 0 };
        let scan_bytes_max = query.scan_bytes_max.saturating_add(slack);
        let mut page =
            PageReader { log: self, query, page: LogPage::default(), text_bytes: 0, scanned_bytes: 0, scan_bytes_max };
        page.page.next = start;
        let at_end = page.read_segments(&segments)?;
        page.page.at_end = at_end;
        page.page.complete = over && at_end;
        Ok(page.page)
    }

    fn segments(&self) -> io::Result<Vec<u32>> {
        segment_numbers(&self.dir)
    }

    /// Opens a segment; `None` when it was dropped meanwhile, or is no ordinary file.
    fn open_segment(&self, segment: u32) -> io::Result<Option<File>> {
        self.open_file(&segment_name(segment))
    }

    fn is_gone(&self, segment: u32) -> bool {
        let found = rustix::fs::statat(&self.dir, segment_name(segment), AtFlags::SYMLINK_NOFOLLOW);
        matches!(found, Err(rustix::io::Errno::NOENT))
    }

    fn open_file(&self, name: &str) -> io::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.dir, name, flags, Mode::empty()) {
            Ok(file) => only_ordinary(File::from(file)),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn gap(&self, segment: u32) -> io::Result<LogGap> {
        let mut text = vec![0; 256];
        let length = self.open_file(DROPPED)?.map_or(Ok(0), |file| file.read_at(&mut text, 0))?;
        let dropped: Dropped = serde_json::from_slice(&text[..length]).unwrap_or_default();
        Ok(LogGap { cursor: LogCursor { segment, offset: 0 }, bytes: dropped.bytes, entries: dropped.entries })
    }

    /// Where the last `lines` lines begin.
    fn tail(&self, segments: &[u32], lines: usize, query: &LogQuery) -> io::Result<LogCursor> {
        let mut search = TailSearch { lines_left: lines, stream: query.stream, scan_bytes_left: query.scan_bytes_max };
        for &segment in segments.iter().rev() {
            let Some(file) = self.open_segment(segment)? else { continue };
            if let Some(offset) = search.within(&file)? {
                return Ok(LogCursor { segment, offset });
            }
        }
        Ok(LogCursor::default())
    }
}

fn only_ordinary(file: File) -> io::Result<Option<File>> {
    Ok(file.metadata()?.is_file().then_some(file))
}

/// Looks for the beginning of the last lines, from the end backwards.
struct TailSearch {
    lines_left: usize,
    stream: Option<Stream>,
    scan_bytes_left: usize,
}

impl TailSearch {
    /// Where to begin within this segment; `None` when the lines begin in an earlier one.
    fn within(&mut self, file: &File) -> io::Result<Option<u64>> {
        let mut end = file.metadata()?.len();
        let mut block = vec![0; BLOCK_BYTES];
        while end > 0 {
            let start = end.saturating_sub(BLOCK_BYTES as u64);
            let length = read_block(file, &mut block, start, end)?;
            if length == 0 {
                break;
            }
            self.scan_bytes_left = self.scan_bytes_left.saturating_sub(length);
            // Unless it starts the file, a block begins within a line, which belongs to the block before.
            let first =
                if start == 0 { 0 } else { block[..length].iter().position(|&b| b == b'\n').map_or(length, |i| i + 1) };
            if let Some(offset) = self.within_lines(&block[first..length]) {
                return Ok(Some(start + (first + offset) as u64));
            }
            if self.scan_bytes_left == 0 {
                return Ok(Some(start + first as u64));
            }
            // A block without any line feed isn't ours; it is passed over.
            end = if first == length || first == 0 { start } else { start + first as u64 };
        }
        Ok(None)
    }

    /// The offset behind the last line that doesn't belong to the wanted ones any more.
    fn within_lines(&mut self, lines: &[u8]) -> Option<usize> {
        let mut end = lines.len();
        for line in lines.split_inclusive(|&b| b == b'\n').rev() {
            let ends_one = decode(line.strip_suffix(b"\n").unwrap_or(line))
                .is_some_and(|line| !line.partial && self.stream.is_none_or(|wanted| wanted == line.stream));
            if ends_one {
                if self.lines_left == 0 {
                    return Some(end);
                }
                self.lines_left -= 1;
            }
            end -= line.len();
        }
        None
    }
}

/// Fills a page from its `next` on.
struct PageReader<'a> {
    log: &'a LogDir,
    query: &'a LogQuery,
    page: LogPage,
    text_bytes: usize,
    scanned_bytes: usize,
    scan_bytes_max: usize,
}

impl PageReader<'_> {
    /// Whether the end of the last segment was reached.
    fn read_segments(&mut self, segments: &[u32]) -> io::Result<bool> {
        let begin = self.page.next.segment;
        // Whoever read a part of a segment may miss the rest of it.
        let mut dropped = begin != 0 && segments.binary_search(&begin).is_err();
        for (index, &segment) in segments.iter().enumerate() {
            let next = self.page.next;
            if segment < next.segment {
                continue;
            }
            if segment > next.segment {
                // Segments are numbered without holes, so a hole was dropped.
                if dropped || (segment != next.segment + 1 && segment != 1) {
                    let gap = self.log.gap(segment)?;
                    self.page.items.push(LogItem::Gap(gap));
                }
                dropped = false;
                self.page.next = LogCursor { segment, offset: 0 };
            }
            let Some(file) = self.log.open_segment(segment)? else {
                dropped = self.log.is_gone(segment);
                continue;
            };
            let is_last = index + 1 == segments.len();
            if !self.read_segment(&file, is_last)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the end of the segment was reached, rather than a bound of the page.
    fn read_segment(&mut self, file: &File, is_last: bool) -> io::Result<bool> {
        let mut block = vec![0; BLOCK_BYTES];
        self.align(file)?;
        loop {
            if self.is_full() {
                return Ok(false);
            }
            let start = self.page.next.offset;
            let length = read_block(file, &mut block, start, start.saturating_add(BLOCK_BYTES as u64))?;
            let lines = block[..length].iter().rposition(|&b| b == b'\n').map_or(0, |index| index + 1);
            if lines == 0 {
                // A rest without line feed is being written, unless it was torn or isn't ours.
                if length == BLOCK_BYTES || (length > 0 && !is_last) {
                    self.page.next.offset += length as u64;
                    self.scanned_bytes += length;
                    continue;
                }
                return Ok(true);
            }
            self.take_lines(&block[..lines]);
        }
    }

    /// Moves a place that isn't the beginning of a line, which only a client can have made up, to the next one.
    fn align(&mut self, file: &File) -> io::Result<()> {
        let offset = self.page.next.offset;
        if offset == 0 {
            return Ok(());
        }
        let length = file.metadata()?.len();
        if offset >= length {
            self.page.next.offset = length;
            return Ok(());
        }
        let mut block = vec![0; LINE_BYTES_MAX + 1];
        let read = read_block(file, &mut block, offset - 1, length)?;
        let skipped = block[..read].iter().position(|&b| b == b'\n').unwrap_or(read.saturating_sub(1));
        self.page.next.offset = offset + skipped as u64;
        Ok(())
    }

    fn take_lines(&mut self, lines: &[u8]) {
        for line in lines.split_inclusive(|&b| b == b'\n') {
            if self.is_full() {
                return;
            }
            self.page.next.offset += line.len() as u64;
            self.scanned_bytes += line.len();
            let Some(decoded) = decode(line.strip_suffix(b"\n").unwrap_or(line)) else { continue };
            if self.query.stream.is_some_and(|wanted| wanted != decoded.stream) {
                continue;
            }
            self.text_bytes += decoded.content.len();
            self.page.items.push(LogItem::Entry(LogEntry {
                cursor: self.page.next,
                time: decoded.time,
                stream: decoded.stream,
                partial: decoded.partial,
                text: String::from_utf8_lossy(decoded.content).into_owned(),
            }));
        }
    }

    fn is_full(&self) -> bool {
        self.page.items.len() >= self.query.entries_max
            || self.text_bytes >= self.query.bytes_max
            || self.scanned_bytes >= self.scan_bytes_max
    }
}

/// Reads from `start` to `end`, or as much of it as the block holds and the file has.
fn read_block(file: &File, block: &mut [u8], start: u64, end: u64) -> io::Result<usize> {
    let wanted = usize::try_from(end - start).unwrap_or(usize::MAX).min(block.len());
    let mut filled = 0;
    while filled < wanted {
        match file.read_at(&mut block[filled..wanted], start + filled as u64) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::log::{Framer, LogLimits, LogWriter, now};
    use proptest::prelude::*;

    const SMALL: LogLimits = LogLimits { segment_bytes: 1_000, total_bytes: 4_000 };

    /// A log of numbered lines; those divisible by three went to stderr.
    fn written(lines: usize, limits: LogLimits) -> (tempfile::TempDir, LogDir) {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = LogWriter::create(dir.path(), limits).unwrap();
        let (mut stdout, mut stderr) = (Framer::new(Stream::Stdout), Framer::new(Stream::Stderr));
        for number in 0..lines {
            let mut out = Vec::new();
            let framer = if number % 3 == 0 { &mut stderr } else { &mut stdout };
            framer.push(format!("line {number}\n").as_bytes(), now(), &mut out);
            writer.append(&out);
        }
        let log = LogDir::open(dir.path()).unwrap().unwrap();
        (dir, log)
    }

    fn lines(log: &LogDir, query: &LogQuery) -> Vec<String> {
        log.read(query, true).unwrap().lines()
    }

    #[test]
    fn the_first_segment_and_the_newest_stay_with_a_gap_between() {
        let (_dir, log) = written(1_000, SMALL);
        let lines = lines(&log, &LogQuery::default());
        assert_eq!(lines.first().unwrap(), "line 0");
        assert_eq!(lines.last().unwrap(), "line 999");
        let gap = lines.iter().position(|line| line.starts_with("[…")).unwrap();
        let number = |line: &str| line.strip_prefix("line ").unwrap().parse::<usize>().unwrap();
        let missing = number(&lines[gap + 1]) - number(&lines[gap - 1]) - 1;
        assert!(lines[gap].contains(&format!("{missing} lines (")), "{}", lines[gap]);
        assert_eq!(lines.len() - 1 + missing, 1_000);
    }

    #[test]
    fn pages_follow_each_other_without_loss() {
        let (_dir, log) = written(200, LogLimits { segment_bytes: 1_000, total_bytes: 1_000_000 });
        let mut query = LogQuery { entries_max: 7, ..LogQuery::default() };
        let mut all = Vec::new();
        loop {
            let page = log.read(&query, true).unwrap();
            all.extend(page.lines());
            if page.complete {
                break;
            }
            query.from = LogFrom::After(page.next);
        }
        assert_eq!(all, (0..200).map(|number| format!("line {number}")).collect::<Vec<_>>());
    }

    #[test]
    fn a_tail_is_the_end_of_what_a_stream_has() {
        let (_dir, log) = written(300, LogLimits { segment_bytes: 1_000, total_bytes: 1_000_000 });
        for wanted in [0, 1, 5, 60, 299, 300, 1_000] {
            for stream in [None, Some(Stream::Stdout), Some(Stream::Stderr)] {
                let all = lines(&log, &LogQuery { stream, ..LogQuery::default() });
                let tail = lines(&log, &LogQuery { stream, from: LogFrom::Tail(wanted), ..LogQuery::default() });
                assert_eq!(tail, all[all.len() - wanted.min(all.len())..], "{wanted} of {stream:?}");
            }
        }
    }

    #[test]
    fn the_tail_of_a_long_log_reads_its_end_only() {
        let (_dir, log) = written(100_000, LogLimits::default());
        let query = LogQuery { from: LogFrom::Tail(200), scan_bytes_max: 2 * BLOCK_BYTES, ..LogQuery::default() };
        let tail = lines(&log, &query);
        assert_eq!((tail.len(), tail[0].as_str()), (200, "line 99800"));
    }

    #[test]
    fn a_page_is_complete_only_when_nothing_more_can_come() {
        let (_dir, log) = written(3, SMALL);
        assert!(!log.read(&LogQuery::default(), false).unwrap().complete);
        assert!(log.read(&LogQuery::default(), true).unwrap().complete);
        assert!(!log.read(&LogQuery { entries_max: 2, ..LogQuery::default() }, true).unwrap().complete);
        assert_eq!(log.read(&LogQuery::default(), true).unwrap().next, log.end().unwrap());
    }

    #[test]
    fn a_reader_whose_segment_was_dropped_is_told() {
        let (_dir, log) = written(1_000, SMALL);
        let oldest_kept = log.segments().unwrap()[1];
        let dropped = LogCursor { segment: oldest_kept - 1, offset: 40 };
        let page = log.read(&LogQuery { from: LogFrom::After(dropped), ..LogQuery::default() }, true).unwrap();
        assert!(matches!(page.items[0], LogItem::Gap(gap) if gap.cursor.segment == oldest_kept), "{:?}", page.items[0]);
        let kept = LogCursor { segment: oldest_kept, offset: 0 };
        let page = log.read(&LogQuery { from: LogFrom::After(kept), ..LogQuery::default() }, true).unwrap();
        assert!(matches!(page.items[0], LogItem::Entry(_)));
    }

    #[test]
    fn a_segment_of_nothing_costs_no_more_than_the_bound() {
        let (dir, log) = written(3, SMALL);
        File::create(dir.path().join(segment_name(2))).unwrap().set_len(1 << 40).unwrap();
        let query = LogQuery { scan_bytes_max: 1 << 20, ..LogQuery::default() };
        let page = log.read(&query, true).unwrap();
        assert!(!page.complete && page.next.offset <= (1 << 20) + BLOCK_BYTES as u64, "{page:?}");
        let tail = log.read(&LogQuery { from: LogFrom::Tail(5), ..query }, true).unwrap();
        assert_eq!(tail.items, []);
    }

    #[test]
    fn what_a_driver_put_into_the_folder_is_not_followed() {
        let (dir, log) = written(3, SMALL);
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "2026-11-21T12:00:00.123456789Z stdout F secret\n").unwrap();
        std::os::unix::fs::symlink(secret.path(), dir.path().join(segment_name(2))).unwrap();
        rustix::fs::mkfifoat(&log.dir, segment_name(3), Mode::RWXU).unwrap();
        std::fs::create_dir(dir.path().join(segment_name(4))).unwrap();
        assert_eq!(lines(&log, &LogQuery::default()), ["line 0", "line 1", "line 2"]);
        assert_eq!(lines(&log, &LogQuery { from: LogFrom::Tail(1), ..LogQuery::default() }), ["line 2"]);
    }

    #[test]
    fn a_log_that_is_a_link_counts_as_none() {
        let (dir, _log) = written(1, SMALL);
        let link = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(dir.path(), link.path().join("log")).unwrap();
        assert!(LogDir::open(&link.path().join("log")).unwrap().is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_cursor_and_any_bytes_read_without_panic(
            garbage in prop::collection::vec(any::<u8>(), 0..100_000),
            segment in 0u32..4, offset in any::<u64>(), tail in 0usize..10, holes in any::<u32>(),
        ) {
            let (dir, log) = written(60, SMALL);
            std::fs::write(dir.path().join(segment_name(2)), &garbage).unwrap();
            let sparse = File::create(dir.path().join(segment_name(3))).unwrap();
            sparse.set_len(u64::from(holes) % (1 << 19)).unwrap();
            sparse.write_all_at(&garbage, u64::from(holes) % (1 << 18)).unwrap();
            for from in [LogFrom::After(LogCursor { segment, offset }), LogFrom::After(LogCursor { segment, offset: offset % 1_200 }), LogFrom::Tail(tail)] {
                let page = log.read(&LogQuery { from, ..LogQuery::default() }, true).unwrap();
                prop_assert!(page.complete || !page.items.is_empty());
            }
        }
    }
}
