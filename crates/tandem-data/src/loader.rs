//! Threads that make batches ahead of the training step.
//!
//! A worker takes the next batch number, makes the whole batch and puts it on a shelf; the loader
//! hands batches out in order. At most `prefetch` batches are made or wait beyond the one that comes
//! next, so memory is bounded. What a batch holds does not depend on which worker makes it, or when.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::augment::check_crop;
use crate::order::shuffled;
use crate::recipe::{Look, Recipe};
use crate::{Augment, Batch, DataError, Form, Normalise, Pictures, Views};

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
}

/// The batches of one epoch, in order, made ahead by threads. Dropping it stops them.
///
/// After an error there are no more batches.
#[derive(Debug)]
pub struct Loader {
    shelf: Arc<Shelf>,
    workers: Vec<JoinHandle<()>>,
    batches: usize,
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
        let order = shuffled(pictures.len(), options.seed, epoch);
        let look = Look::Train {
            augment,
            seed: options.seed,
            epoch,
        };
        Self::start(
            Recipe {
                pictures,
                order,
                look,
                batch: options.batch.max(1),
                form: options.form,
            },
            checked,
            options,
            first_batch,
        )
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
        let checked = check_crop(crop, pictures.preprocess())
            .and_then(|()| normalise.check(pictures.preprocess()));
        let order = (0..pictures.len()).collect();
        let look = Look::Test {
            crop,
            normalise,
            views,
        };
        Self::start(
            Recipe {
                pictures,
                order,
                look,
                batch: options.batch.max(1),
                form: options.form,
            },
            checked,
            options,
            0,
        )
    }

    fn start(
        recipe: Recipe,
        checked: Result<(), DataError>,
        options: LoaderOptions,
        first_batch: usize,
    ) -> Self {
        let batches = recipe.order.len().div_ceil(recipe.batch);
        let shelf = Arc::new(Shelf {
            state: Mutex::new(State {
                next_to_make: first_batch,
                next_to_take: first_batch,
                ready: BTreeMap::new(),
                end: if checked.is_ok() { batches } else { 0 },
            }),
            changed: Condvar::new(),
            prefetch: options.prefetch.max(1),
        });
        let mut loader = Self {
            shelf,
            workers: Vec::new(),
            batches,
            waited: Duration::ZERO,
            refused: checked.err(),
        };
        if loader.refused.is_none() && first_batch < batches {
            let recipe = Arc::new(recipe);
            let threads = options.threads.clamp(1, batches - first_batch);
            loader.workers = (0..threads)
                .map(|_| {
                    let (shelf, recipe) = (loader.shelf.clone(), recipe.clone());
                    std::thread::spawn(move || work(&shelf, &recipe))
                })
                .collect();
        }
        loader
    }

    /// Batches in the whole epoch, also those before `first_batch`.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.batches
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
    }
}

/// Where finished batches wait for their turn.
#[derive(Debug)]
struct Shelf {
    state: Mutex<State>,
    changed: Condvar,
    prefetch: usize,
}

#[derive(Debug)]
struct State {
    next_to_make: usize,
    next_to_take: usize,
    ready: BTreeMap<usize, Result<Batch, DataError>>,
    /// No batch from this number on; 0 stops the workers.
    end: usize,
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn work(shelf: &Shelf, recipe: &Recipe) {
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
        drop(state);

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{Loader, LoaderOptions, Views};
    use crate::{DataError, Dataset, Form, Images, Normalise, Picture, Pictures, Preprocess};

    const ONE: Preprocess = Preprocess {
        side: 1,
        channels: 1,
    };

    /// A hundred pictures, of which picture 50 fails once all have been read.
    struct Worn {
        reads: AtomicUsize,
        fails: fn() -> Result<Picture, DataError>,
    }

    impl Dataset for Worn {
        fn len(&self) -> usize {
            100
        }
        fn classes(&self) -> &[String] {
            &[]
        }
        fn label(&self, i: usize) -> Option<u32> {
            Some(i as u32)
        }
        fn picture(&self, i: usize) -> Result<Picture, DataError> {
            if self.reads.fetch_add(1, Ordering::SeqCst) >= 100 && i == 50 {
                return (self.fails)();
            }
            Ok(Picture {
                width: 1,
                height: 1,
                channels: 1,
                pixels: vec![i as u8],
            })
        }
        fn name(&self, i: usize) -> String {
            i.to_string()
        }
        fn key(&self, i: usize) -> String {
            i.to_string()
        }
        fn channels(&self) -> usize {
            1
        }
        fn fingerprint(&self) -> u64 {
            0
        }
    }

    /// A loader of ten batches of ten over pictures that are read again each time.
    fn loader(fails: fn() -> Result<Picture, DataError>) -> (Arc<Worn>, Loader) {
        let worn = Arc::new(Worn {
            reads: AtomicUsize::new(0),
            fails,
        });
        let pictures = Pictures::prepare_keeping(worn.clone(), ONE, 0.0, 100).unwrap();
        let options = LoaderOptions {
            batch: 10,
            threads: 3,
            prefetch: 2,
            seed: 0,
            form: Form::Values,
        };
        let normalise = Normalise::Mean([0.0].into());
        (
            worn,
            Loader::test(pictures.into(), 1, normalise, Views::Centre, options),
        )
    }

    fn unreadable() -> Result<Picture, DataError> {
        let source = std::io::Error::other("the disk went away");
        Err(DataError::Read {
            path: "fifty".into(),
            source,
        })
    }

    #[test]
    fn a_picture_that_can_no_longer_be_read_arrives_as_an_error_in_its_place() {
        let (_, mut loader) = loader(unreadable);
        for batch in 0..5 {
            let images = loader.next().unwrap().unwrap().images;
            let first = (batch * 10) as f32;
            assert!(matches!(&images, Images::Values { values, .. } if values[0] == first));
        }
        let error = loader.next().unwrap().unwrap_err();
        assert!(matches!(error, DataError::Read { .. }), "{error}");
        assert!(loader.next().is_none());
    }

    #[test]
    fn a_panic_of_a_worker_arrives_as_an_error_that_says_what_it_said() {
        let (_, mut loader) = loader(|| panic!("the decoder fell over"));
        let error = loader.nth(5).unwrap().unwrap_err();
        assert!(
            error.to_string().contains("batch 5: the decoder fell over"),
            "{error}"
        );
    }

    #[test]
    fn no_more_batches_are_made_than_may_wait_and_dropping_stops_the_threads() {
        let (worn, mut loader) = loader(unreadable);
        loader.next().unwrap().unwrap();
        drop(loader);
        // 100 while preparing, then the batch taken and two more at most.
        assert!(worn.reads.load(Ordering::SeqCst) <= 130);
        assert_eq!(Arc::strong_count(&worn), 1);
    }
}
