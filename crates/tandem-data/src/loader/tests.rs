use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::{Loader, LoaderOptions, Views};
use crate::{
    Augment, Colour, CropPlace, DataError, Dataset, Form, Images, Mirror, Normalise, Picture,
    Pictures, Preprocess, Share,
};

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
        share: Share::WHOLE,
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

/// Pictures in shards of eight. It writes down of which shard one was read, and which was given back.
struct Packed {
    shards: Vec<Range<usize>>,
    told: Mutex<Vec<Told>>,
}

#[derive(Debug, Clone, Copy)]
enum Told {
    Expected(usize),
    Read(usize),
    Released(usize),
}

impl Dataset for Packed {
    fn len(&self) -> usize {
        8 * self.shards.len()
    }
    fn classes(&self) -> &[String] {
        &[]
    }
    fn label(&self, _: usize) -> Option<u32> {
        None
    }
    fn picture(&self, i: usize) -> Result<Picture, DataError> {
        self.told.lock().unwrap().push(Told::Read(i / 8));
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
    fn shards(&self) -> &[Range<usize>] {
        &self.shards
    }
    fn expect(&self, shard: usize) {
        self.told.lock().unwrap().push(Told::Expected(shard));
    }
    fn release(&self, shard: usize) {
        self.told.lock().unwrap().push(Told::Released(shard));
    }
}

/// What a packed set of 160 shards is told in an epoch: of the shards that were read, the most at once
/// that were not yet given back, and how many were given back in all, none of them before its time and
/// each once it was expected.
fn held(threads: usize, load: fn(Arc<Pictures>, LoaderOptions) -> Loader) -> (usize, usize) {
    let packed = Arc::new(Packed {
        shards: (0..160).map(|shard| 8 * shard..8 * shard + 8).collect(),
        told: Mutex::default(),
    });
    let pictures = Pictures::prepare_keeping(packed.clone(), ONE, 0.0, 0).unwrap();
    packed.told.lock().unwrap().clear();
    let options = LoaderOptions {
        batch: 10,
        threads,
        prefetch: 2,
        seed: 0,
        form: Form::Bytes,
        share: Share::WHOLE,
    };
    load(pictures.into(), options).for_each(|batch| assert!(batch.is_ok()));

    let (mut expected, mut live, mut gone) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut most = 0;
    for &told in packed.told.lock().unwrap().iter() {
        match told {
            Told::Expected(shard) => {
                assert!(expected.insert(shard), "shard {shard} is expected twice");
            }
            Told::Read(shard) => {
                // Of several threads one may read a shard just before another says that it will.
                let told = threads > 1 || expected.contains(&shard);
                assert!(told, "shard {shard} comes as a surprise");
                assert!(
                    !gone.contains(&shard),
                    "shard {shard} is read once given back"
                );
                live.insert(shard);
                most = most.max(live.len());
            }
            Told::Released(shard) => {
                live.remove(&shard);
                assert!(gone.insert(shard), "shard {shard} is given back twice");
            }
        }
    }
    (most, gone.len())
}

fn epoch(pictures: Arc<Pictures>, options: LoaderOptions) -> Loader {
    let augment = Augment {
        crop: 1,
        place: CropPlace::Random,
        mirror: Mirror::On,
        colour: Colour::Off,
        normalise: Normalise::Torchvision,
    };
    Loader::train(pictures, augment, options, 0, 0)
}

#[test]
fn an_epoch_holds_two_windows_of_shards_and_gives_each_back_once() {
    let (most, released) = held(1, epoch);
    assert!((17..=32).contains(&most), "{most} at once");
    assert_eq!(released, 160);
    assert_eq!(held(3, epoch).1, 160);
}

#[test]
fn a_test_holds_the_shards_of_the_batches_that_wait() {
    let test = |pictures, options| {
        Loader::test(pictures, 1, Normalise::Torchvision, Views::Centre, options)
    };
    // Batches of ten from shards of eight: three in hand lie in five shards.
    let (most, released) = held(1, test);
    assert!(most <= 6, "{most} at once");
    assert_eq!(released, 160);
}
