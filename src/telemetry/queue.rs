//! The lines of the log that are not written yet: a queue of bounded size, and the thread that writes them.
//!
//! ```text
//! caller ──► queue ──► thread ──► standard error
//!                │          │
//!                └─ full ───┴─ failed ──► dropped: counted, and reported in one line when writing works again
//! ```
//!
//! Only the thread ever waits for standard error. If a disk is full, or a reader is gone or asleep, lines are dropped
//! and nothing else happens. The thread does not use the standard library's own handle, for a write that hangs would
//! hold its lock.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

use super::LogFormat;
use super::escape::escape;
use super::line::Line;

/// The most memory of the lines that are not written yet.
const MAX_BYTES: usize = 1 << 20;
/// A longer line is dropped: it holds a name that a user chose.
const MAX_LINE: usize = 64 << 10;
/// The memory of a line besides its bytes.
const OF_A_LINE: usize = 64;
/// How long until the report of dropped lines is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// How long until a write to a non-blocking sink is tried again.
const NOT_NOW: Duration = Duration::from_millis(20);

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    format: LogFormat,
    state: Mutex<State>,
    changed: Condvar,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    /// The memory of the lines that are not written yet, those of the running write included.
    bytes: usize,
    /// How many lines were dropped since the last report.
    unreported: u64,
    /// Whether the queue accepts no more lines.
    closed: bool,
    /// Whether the thread has ended.
    ended: bool,
}

impl Queue {
    pub(super) fn new(format: LogFormat) -> Self {
        Self { format, state: Mutex::default(), changed: Condvar::new(), dropped: Counter::default() }
    }

    /// The number of dropped lines.
    pub(super) fn dropped(&self) -> Counter {
        self.dropped.clone()
    }

    /// Accepts a line, or drops it. Never waits for a write.
    pub(super) fn push(&self, line: Vec<u8>) {
        let takes = line.len() + OF_A_LINE;
        let mut state = self.lock();
        if state.closed || line.len() > MAX_LINE || state.bytes + takes > MAX_BYTES {
            state.unreported += 1;
            self.dropped.inc();
        } else {
            state.bytes += takes;
            state.lines.push_back(line);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Accepts no more lines, and waits until the present ones are written or dropped, at most for this time.
    pub(super) fn finish(&self, patience: Duration) {
        self.lock().closed = true;
        self.changed.notify_all();
        let ended = self.changed.wait_timeout_while(self.lock(), patience, |state| !state.ended);
        drop(ended);
    }

    /// Writes until the queue is closed and empty.
    fn run(&self, mut sink: Sink<impl Write>) {
        loop {
            let (lines, closed) = self.next();
            for line in lines {
                let written = sink.write(&line);
                let mut state = self.lock();
                state.bytes = state.bytes.saturating_sub(line.len() + OF_A_LINE);
                if !written {
                    state.unreported += 1;
                    self.dropped.inc();
                }
            }
            self.report(&mut sink);
            let mut state = self.lock();
            if closed && state.lines.is_empty() {
                state.ended = true;
                drop(state);
                self.changed.notify_all();
                return;
            }
        }
    }

    /// The lines, as soon as there are any or there is other work.
    fn next(&self) -> (VecDeque<Vec<u8>>, bool) {
        let state = self.lock();
        let unreported = state.unreported;
        let idle =
            |state: &mut State| state.lines.is_empty() && state.unreported == unreported && !state.closed;
        let mut state = if unreported == 0 {
            self.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner)
        } else {
            // The last report of dropped lines failed.
            self.changed.wait_timeout_while(state, RETRY, idle).unwrap_or_else(PoisonError::into_inner).0
        };
        (std::mem::take(&mut state.lines), state.closed)
    }

    /// Writes a line with the number of dropped lines, if there are any.
    fn report(&self, sink: &mut Sink<impl Write>) {
        let unreported = self.lock().unreported;
        if unreported == 0 {
            return;
        }
        let line = Line::new(Level::WARN, "lines of the log were dropped, because they could not be written");
        if sink.write(&line.with("lines", unreported).written(self.format)) {
            self.lock().unreported -= unreported;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the thread that writes the queue's lines.
pub(super) fn write(queue: Arc<Queue>, sink: impl Write + Send + 'static) -> io::Result<()> {
    let sink = Sink { sink, torn: false };
    thread::Builder::new().name("logs".into()).spawn(move || queue.run(sink)).map(drop)
}

/// Standard error, by a handle without a lock. A process may be started without one; then no line is read.
pub(super) fn standard_error() -> Box<dyn Write + Send> {
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(handle) => Box::new(File::from(handle)),
        Err(_) => Box::new(io::sink()),
    }
}

/// The destination of lines. A line is written whole or counts as dropped.
struct Sink<W> {
    sink: W,
    /// Whether the last line was written only in part.
    torn: bool,
}

impl<W: Write> Sink<W> {
    /// Whether the whole line was written.
    fn write(&mut self, line: &[u8]) -> bool {
        if self.torn && self.written(b"\n") == 0 {
            return false;
        }
        let written = self.written(line);
        self.torn = (1..line.len()).contains(&written);
        written == line.len()
    }

    /// How many of the bytes were written.
    fn written(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.sink.write(rest) {
                Ok(0) => break,
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Another process that shares the pipe has made it non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(NOT_NOW),
                Err(_) => break,
            }
        }
        written
    }
}

/// Puts the output of tracing into the queue. Each write is one line.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    queue: Arc<Queue>,
    format: LogFormat,
}

impl Lines {
    pub(super) fn new(queue: Arc<Queue>, format: LogFormat) -> Self {
        Self { queue, format }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.queue.push(escape(&text, self.format).into_owned().into_bytes());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    /// A sink that asks the test about the result of each write.
    struct Asking {
        asks: Sender<Vec<u8>>,
        answers: Receiver<io::Result<usize>>,
    }

    impl Write for Asking {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.asks.send(bytes.to_vec()).unwrap();
            self.answers.recv().unwrap_or(Ok(bytes.len()))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Test {
        queue: Arc<Queue>,
        asks: Receiver<Vec<u8>>,
        answers: Sender<io::Result<usize>>,
    }

    fn start() -> Test {
        let queue = Arc::new(Queue::new(LogFormat::Plain));
        let ((asks, asked), (answer, answers)) = (mpsc::channel(), mpsc::channel());
        write(queue.clone(), Asking { asks, answers }).unwrap();
        Test { queue, asks: asked, answers: answer }
    }

    impl Test {
        fn push(&self, line: &str) {
            self.queue.push(line.as_bytes().to_vec());
        }

        /// The next line that is written, with this result.
        fn writes(&self, answer: io::Result<usize>) -> String {
            let bytes = self.asks.recv_timeout(LONG).unwrap();
            self.answers.send(answer).unwrap();
            String::from_utf8(bytes).unwrap()
        }
    }

    fn full() -> io::Result<usize> {
        Err(ErrorKind::StorageFull.into())
    }

    #[test]
    fn lines_are_written_in_their_order() {
        let test = start();
        test.push("one\n");
        test.push("two\n");
        assert_eq!((test.writes(Ok(4)), test.writes(Ok(4))), ("one\n".into(), "two\n".into()));
        assert_eq!(test.queue.dropped().get(), 0);
    }

    #[test]
    fn a_failed_write_drops_the_line_and_a_later_line_reports_it() {
        let test = start();
        test.push("one\n");
        assert_eq!(test.writes(full()), "one\n");
        assert!(test.writes(full()).contains("were dropped"));
        test.push("two\n");
        assert_eq!(test.writes(Err(ErrorKind::BrokenPipe.into())), "two\n");
        assert!(test.writes(full()).contains("lines=2"));
        // No other line is logged, and the report is still written.
        let report = test.asks.recv_timeout(LONG).unwrap();
        test.answers.send(Ok(report.len())).unwrap();
        assert!(String::from_utf8(report).unwrap().contains("lines=2"));
        test.push("three\n");
        assert_eq!(test.writes(Ok(6)), "three\n");
        assert_eq!(test.queue.dropped().get(), 2);
    }

    #[test]
    fn the_queue_stays_within_its_bound_while_a_write_hangs() {
        let test = start();
        test.push("hangs\n");
        assert_eq!(test.asks.recv_timeout(LONG).unwrap(), b"hangs\n");
        for _ in 0..40 {
            test.push(&"x".repeat(MAX_LINE));
        }
        let dropped = test.queue.dropped().get();
        assert!((20..40).contains(&dropped), "{dropped}");
        assert!(test.queue.lock().bytes <= MAX_BYTES);
        // The end waits no longer than it may.
        test.queue.finish(Duration::from_millis(10));
        assert!(!test.queue.lock().ended);

        drop(test.answers);
        let reports = test.asks.iter().filter_map(|line| String::from_utf8(line).ok());
        let reports: Vec<_> = reports.filter(|line| line.contains("were dropped")).collect();
        assert!(reports.len() == 1 && reports[0].contains(&format!("lines={dropped}")), "{reports:?}");
    }

    #[test]
    fn a_line_that_is_too_long_is_dropped() {
        let test = start();
        test.push(&"x".repeat(MAX_LINE + 1));
        assert_eq!(test.queue.dropped().get(), 1);
    }

    #[test]
    fn the_line_after_a_torn_one_begins_on_its_own() {
        let test = start();
        test.push("torn in two\n");
        assert_eq!(test.writes(Ok(4)), "torn in two\n");
        assert_eq!(test.writes(full()), " in two\n");
        assert_eq!(test.writes(Ok(1)), "\n");
        assert!(test.writes(full()).contains("lines=1"));
    }

    #[test]
    fn the_end_waits_for_every_line() {
        let test = start();
        drop(test.answers);
        test.queue.push(b"last\n".to_vec());
        test.queue.finish(LONG);
        assert!(test.queue.lock().ended);
        assert_eq!(test.asks.recv().unwrap(), b"last\n");
        test.queue.push(b"too late\n".to_vec());
        assert_eq!(test.queue.dropped().get(), 1);
    }
}
