//! Lines of the log on their way out: a queue of bounded size, and the thread that writes them.
//!
//! ```text
//! who logs ──► queue ──► thread ──► standard error
//!                │          │
//!                └─ full ───┴─ failed ──► dropped: counted, and told in one line as soon as writing works
//! ```
//!
//! Only the thread ever waits for standard error. A disk may be full, a reader gone or asleep: then lines are dropped,
//! and nothing else happens. The thread writes past the standard library's own handle, whose lock would be held by a
//! write that hangs.

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

/// What the lines that are not written yet may take.
const MAX_BYTES: usize = 1 << 20;
/// A longer line is dropped: a name in it is a stranger's.
const MAX_LINE: usize = 64 << 10;
/// What a line takes besides its bytes.
const OF_A_LINE: usize = 64;
/// After this time it is tried again to tell of dropped lines.
const RETRY: Duration = Duration::from_secs(2);
/// A sink that does not block is tried again after this time.
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
    /// What the lines that are not written yet take, those in the thread's hands included.
    bytes: usize,
    /// How many were dropped since that was told.
    untold: u64,
    /// No line comes any more.
    closed: bool,
    /// The thread has ended.
    ended: bool,
}

impl Queue {
    pub(super) fn new(format: LogFormat) -> Self {
        Self { format, state: Mutex::default(), changed: Condvar::new(), dropped: Counter::default() }
    }

    /// Lines that were dropped.
    pub(super) fn dropped(&self) -> Counter {
        self.dropped.clone()
    }

    /// Takes a line in, or drops it. Never waits for a write.
    pub(super) fn push(&self, line: Vec<u8>) {
        let takes = line.len() + OF_A_LINE;
        let mut state = self.lock();
        if state.closed || line.len() > MAX_LINE || state.bytes + takes > MAX_BYTES {
            state.untold += 1;
            self.dropped.inc();
        } else {
            state.bytes += takes;
            state.lines.push_back(line);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Takes no more lines, and waits until those that are here are written or dropped: so long and no longer.
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
                    state.untold += 1;
                    self.dropped.inc();
                }
            }
            self.tell(&mut sink);
            let mut state = self.lock();
            if closed && state.lines.is_empty() {
                state.ended = true;
                drop(state);
                self.changed.notify_all();
                return;
            }
        }
    }

    /// The lines that are there, as soon as there are any or something else is to be done.
    fn next(&self) -> (VecDeque<Vec<u8>>, bool) {
        let state = self.lock();
        let told = state.untold;
        let idle = |state: &mut State| state.lines.is_empty() && state.untold == told && !state.closed;
        let mut state = if told == 0 {
            self.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner)
        } else {
            // They could not be told of.
            self.changed.wait_timeout_while(state, RETRY, idle).unwrap_or_else(PoisonError::into_inner).0
        };
        (std::mem::take(&mut state.lines), state.closed)
    }

    /// Tells how many lines were dropped, if any were and it can be written.
    fn tell(&self, sink: &mut Sink<impl Write>) {
        let untold = self.lock().untold;
        if untold == 0 {
            return;
        }
        let line = Line::new(Level::WARN, "lines of the log were dropped, because they could not be written");
        if sink.write(&line.with("lines", untold).written(self.format)) {
            self.lock().untold -= untold;
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

/// Where lines go, whole or not at all.
struct Sink<W> {
    sink: W,
    /// The last line was written in part.
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
                // Another process that shares the pipe has made it so.
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(NOT_NOW),
                Err(_) => break,
            }
        }
        written
    }
}

/// Puts what tracing writes into the queue: each write is one line.
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

    /// A sink whose every write asks the test what becomes of it.
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

        /// What is written next, which ends so.
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
    fn a_failed_write_drops_the_line_and_one_line_tells_of_it_when_writing_works() {
        let test = start();
        test.push("one\n");
        assert_eq!(test.writes(full()), "one\n");
        assert!(test.writes(full()).contains("were dropped"));
        test.push("two\n");
        assert_eq!(test.writes(Err(ErrorKind::BrokenPipe.into())), "two\n");
        assert!(test.writes(full()).contains("lines=2"));
        // Nothing else is logged: it is told all the same.
        let told = test.asks.recv_timeout(LONG).unwrap();
        test.answers.send(Ok(told.len())).unwrap();
        assert!(String::from_utf8(told).unwrap().contains("lines=2"));
        test.push("three\n");
        assert_eq!(test.writes(Ok(6)), "three\n");
        assert_eq!(test.queue.dropped().get(), 2);
    }

    #[test]
    fn while_a_write_hangs_the_queue_stays_within_its_bound() {
        let test = start();
        test.push("hangs\n");
        assert_eq!(test.asks.recv_timeout(LONG).unwrap(), b"hangs\n");
        for _ in 0..40 {
            test.push(&"x".repeat(MAX_LINE));
        }
        let dropped = test.queue.dropped().get();
        assert!((20..40).contains(&dropped), "{dropped}");
        assert!(test.queue.lock().bytes <= MAX_BYTES);
        // The end waits no longer than it was told to.
        test.queue.finish(Duration::from_millis(10));
        assert!(!test.queue.lock().ended);

        drop(test.answers);
        let told = test.asks.iter().filter_map(|line| String::from_utf8(line).ok());
        let told: Vec<_> = told.filter(|line| line.contains("were dropped")).collect();
        assert!(told.len() == 1 && told[0].contains(&format!("lines={dropped}")), "{told:?}");
    }

    #[test]
    fn a_longer_line_than_any_that_is_ours_is_dropped() {
        let test = start();
        test.push(&"x".repeat(MAX_LINE + 1));
        assert_eq!(test.queue.dropped().get(), 1);
    }

    #[test]
    fn what_follows_a_torn_line_begins_anew() {
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
