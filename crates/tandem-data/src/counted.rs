//! How much memory something takes, for tests of hostile input.

use crate::fuzzing::Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

/// What `work` gives, and the most bytes that this thread held meanwhile beyond what it held before.
pub(crate) fn most<T>(work: impl FnOnce() -> T) -> (T, usize) {
    COUNTING.most(work)
}
