//! Threads that make batches ahead of the training step.
//!
//! A worker takes the next batch number, makes the whole batch and puts it on a shelf; the loader
//! hands batches out in order. At most `prefetch` batches are made or wait beyond the one that comes
//! next, so memory is bounded. What a batch holds does not depend on which worker makes it, or when.

mod shelf;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use shelf::{Shelf, State, work};

use crate::augment::check_crop;
use crate::order::Order;
use crate::recipe::{Look, Memory, Recipe};
use crate::{Augment, Batch, DataError, Draw, Form, Normalise, Pictures, Share, Views};

/// How batches are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoaderOptions {
    /// Pictures a batch; the last of an epoch may hold fewer. At least 1 (0 counts as 1).
    pub batch: usize,
    /// Worker threads. At least 1 (0 counts as 1).
    pub threads: usize,
    /// Batches that may wait to be taken. At least 1 (0 counts as 1).
    pub prefetch: usize,
    /// What every random choice starts from.
    pub seed: u64,
    /// How pictures are handed out. The pictures are the same in either form.
    pub form: Form,
    /// What of an epoch is this process's.
    pub share: Share,
}

/// The batches of one epoch, in order, made ahead by threads. Dropping it stops them.
///
/// After an error there are no more batches.
#[derive(Debug)]
pub struct Loader {
    recipe: Arc<Recipe>,
    shelf: Arc<Shelf>,
    workers: Vec<JoinHandle<()>>,
    waited: Duration,
    /// What was wrong with the request itself; the first and only item.
    refused: Option<DataError>,
}

impl Loader {
    /// The batches of one training epoch from `first_batch` on, in the shuffled order of
    /// (`options.seed`, `epoch`), varied by `augment`.
    ///
    /// If the crop or the mean do not fit the pictures, the first item is the error.
    #[must_use]
    pub fn train(
        pictures: Arc<Pictures>,
        augment: Augment,
        options: LoaderOptions,
        epoch: u64,
        first_batch: usize,
    ) -> Self {
        let checked = augment.check(pictures.preprocess());
        let (shards, share) = (pictures.shards(), options.share);
        let order = Order::shuffled(pictures.len(), &shards, options.seed, epoch).even(share);
        let look = Look::Train {
            augment,
            seed: options.seed,
            epoch,
        };
        Self::start(pictures, order, look, checked, options, first_batch)
    }

    /// All pictures once, in their order, as a network is tested on them.
    ///
    /// If the crop or the mean do not fit the pictures, the first item is the error.
    #[must_use]
    pub fn test(
        pictures: Arc<Pictures>,
        crop: usize,
        normalise: Normalise,
        views: Views,
        options: LoaderOptions,
    ) -> Self {
        let side = pictures.preprocess().side;
        // What is refused is never looked at.
        let draws = match check_crop(crop, pictures.preprocess()) {
            Ok(()) => views.draws(side, crop),
            Err(_) => Vec::new(),
        };
        Self::fixed(pictures, crop, normalise, draws, options)
    }

    /// All pictures once, in their order, and of each the views `draws`, such as
    /// [`Augment::views`] gives for `crop`: those of a picture follow each other.
    ///
    /// If the crop or the mean do not fit the pictures, the first item is the error.
    #[must_use]
    pub fn fixed(
        pictures: Arc<Pictures>,
        crop: usize,
        normalise: Normalise,
        draws: Vec<Draw>,
        options: LoaderOptions,
    ) -> Self {
        let checked = check_crop(crop, pictures.preprocess())
            .and_then(|()| normalise.check(pictures.preprocess()));
        let order = Order::straight(pictures.len(), &pictures.shards());
        let look = Look::Fixed {
            crop,
            normalise,
            draws,
        };
        Self::start(pictures, order, look, checked, options, 0)
    }

    fn start(
        pictures: Arc<Pictures>,
        order: Order,
        look: Look,
        checked: Result<(), DataError>,
        options: LoaderOptions,
        first_batch: usize,
    ) -> Self {
        let prefetch = options.prefetch.max(1);
        let recipe = Arc::new(Recipe {
            pictures,
            order: order.share(options.share),
            look,
            batch: options.batch.max(1),
            // As many as wait, and the one that was taken.
            memory: Memory::of(options.form, prefetch + 1),
        });
        let batches = recipe.batches();
        let shelf = Arc::new(Shelf {
            state: Mutex::new(State {
                next_to_make: first_batch,
                next_to_take: first_batch,
                ready: BTreeMap::new(),
                end: if checked.is_ok() { batches } else { 0 },
                released: recipe.windows_before(first_batch),
                expected: recipe.shards_before(first_batch),
            }),
            changed: Condvar::new(),
            prefetch,
        });
        let mut workers = Vec::new();
        if checked.is_ok() && first_batch < batches {
            let threads = options.threads.clamp(1, batches - first_batch);
            let start = |_| {
                let (shelf, recipe) = (shelf.clone(), recipe.clone());
                std::thread::spawn(move || work(&shelf, &recipe))
            };
            workers = (0..threads).map(start).collect();
        }
        Self {
            recipe,
            shelf,
            workers,
            waited: Duration::ZERO,
            refused: checked.err(),
        }
    }

    /// Batches in the whole epoch, also those before `first_batch`.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.recipe.batches()
    }

    /// How long the taker of batches has waited for them.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl Iterator for Loader {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.refused.take() {
            return Some(Err(error));
        }
        let begun = Instant::now();
        let mut state = self.shelf.lock();
        let item = loop {
            if state.next_to_take >= state.end {
                return None;
            }
            let wanted = state.next_to_take;
            if let Some(item) = state.ready.remove(&wanted) {
                break item;
            }
            state = self.shelf.wait(state);
        };
        state.next_to_take += 1;
        if item.is_err() {
            state.end = 0;
        }
        drop(state);
        self.shelf.changed.notify_all();
        self.waited += begun.elapsed();
        Some(item)
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.shelf.lock().end = 0;
        self.shelf.changed.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches the panics of its work; there is nothing left to report here.
            let _ = worker.join();
        }
        let state = self.shelf.lock();
        let begun = self.recipe.windows_begun_before(state.next_to_make);
        self.recipe.release(state.released..begun);
    }
}
