//! Where finished batches wait for their turn, and the threads that put them there.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::recipe::Recipe;
use crate::{Batch, DataError};

/// See the module.
#[derive(Debug)]
pub(super) struct Shelf {
    pub state: Mutex<State>,
    pub changed: Condvar,
    /// Batches that may be in the making or wait.
    pub prefetch: usize,
}

#[derive(Debug)]
pub(super) struct State {
    pub next_to_make: usize,
    pub next_to_take: usize,
    pub ready: BTreeMap<usize, Result<Batch, DataError>>,
    /// No batch from this number on; 0 stops the workers.
    pub end: usize,
    /// Windows of the order whose memory was given back.
    pub released: usize,
    /// Shards, counted in the order's turn, that were said to be wanted.
    pub expected: usize,
}

impl Shelf {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes batches until there are no more.
pub(super) fn work(shelf: &Shelf, recipe: &Recipe) {
    loop {
        let mut state = shelf.lock();
        let batch = loop {
            if state.next_to_make >= state.end {
                return;
            }
            if state.next_to_make < state.next_to_take + shelf.prefetch {
                break state.next_to_make;
            }
            state = shelf.wait(state);
        };
        state.next_to_make += 1;
        // What was taken is made: its pictures have been read.
        let passed = recipe.windows_before(state.next_to_take);
        let released = std::mem::replace(&mut state.released, passed);
        let wanted = recipe.shards_wanted(batch);
        let expected = std::mem::replace(&mut state.expected, wanted);
        drop(state);

        recipe.release(released..passed);
        recipe.expect(expected..wanted);
        let made = catch_unwind(AssertUnwindSafe(|| recipe.make(batch))).unwrap_or_else(|panic| {
            let message = panic
                .downcast_ref::<&str>()
                .map(ToString::to_string)
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "a panic without words".into());
            Err(DataError::Worker { batch, message })
        });
        shelf.lock().ready.insert(batch, made);
        shelf.changed.notify_all();
    }
}
