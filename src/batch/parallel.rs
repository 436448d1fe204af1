//! Work on many things, on all processors.
//!
//! Each thread takes the next few things that no thread has taken, since a hundred equal things may take longer than a
//! thousand others. The answers come in the order of the things.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A thread takes so many things at a time. Fewer are not worth a thread.
const AT_A_TIME: usize = 32;

/// How many threads run at once.
pub(crate) fn processors() -> NonZero<usize> {
    std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN)
}

/// The answer for each thing, in order, on several threads if there are many things.
pub(crate) fn answers<T: Sync, A: Send>(
    things: &[T],
    processors: NonZero<usize>,
    answer: impl Fn(&T) -> A + Sync,
) -> Vec<A> {
    let threads = processors.get().min(things.len() / AT_A_TIME);
    if threads < 2 {
        return things.iter().map(answer).collect();
    }
    let parts: Vec<&[T]> = things.chunks(AT_A_TIME).collect();
    let next = AtomicUsize::new(0);
    let take = || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        parts.get(number).map(|part| (number, part))
    };
    let work = || {
        let answered =
            |(number, part): (usize, &&[T])| (number, part.iter().map(&answer).collect::<Vec<_>>());
        std::iter::from_fn(take).map(answered).collect::<Vec<_>>()
    };
    let mut answered = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let ended =
            running.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ended.flatten().collect::<Vec<_>>()
    });
    answered.sort_unstable_by_key(|(number, _)| *number);
    answered.into_iter().flat_map(|(_, answers)| answers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_the_order_of_the_things() {
        let three = NonZero::new(3).unwrap();
        for count in [0, 1, AT_A_TIME, 2 * AT_A_TIME, 7 * AT_A_TIME + 5] {
            let things: Vec<usize> = (0..count).collect();
            assert_eq!(
                answers(&things, three, |thing| thing * 2),
                answers(&things, NonZero::<usize>::MIN, |thing| thing * 2)
            );
        }
    }

    #[test]
    #[should_panic(expected = "thing 70")]
    fn a_panic_of_a_thread_reaches_the_caller() {
        let things: Vec<usize> = (0..4 * AT_A_TIME).collect();
        answers(&things, NonZero::new(2).unwrap(), |thing| assert_ne!(*thing, 70, "thing 70"));
    }
}
