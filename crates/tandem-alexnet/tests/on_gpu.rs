//! Training and evaluation on GPUs (or the emulator's), which make their own pictures of bytes,
//! against the CPU, where the loader makes them.
#![cfg(feature = "cuda")]

use std::sync::Arc;

use tandem_alexnet::checkpoint::RunDirectory;
use tandem_alexnet::config::{Colour, TrainConfig};
use tandem_alexnet::evaluation::evaluate;
use tandem_alexnet::input::Feed;
use tandem_alexnet::network::Network;
use tandem_alexnet::spec::Spec;
use tandem_alexnet::trainer::{Beginning, Ending, Event, Flow, Trainer};
use tandem_alexnet::training_data::TrainingData;
use tandem_data::{
    DataError, Dataset, Form, LoaderOptions, Normalise, Part, Picture, Pictures, Preprocess, Share,
    Views,
};

/// The first pictures of the shipped ones.
struct First(usize, Arc<dyn Dataset>);

impl Dataset for First {
    fn len(&self) -> usize {
        self.0
    }
    fn classes(&self) -> &[String] {
        self.1.classes()
    }
    fn label(&self, i: usize) -> Option<u32> {
        self.1.label(i)
    }
    fn picture(&self, i: usize) -> Result<Picture, DataError> {
        self.1.picture(i)
    }
    fn name(&self, i: usize) -> String {
        self.1.name(i)
    }
    fn key(&self, i: usize) -> String {
        self.1.key(i)
    }
    fn channels(&self) -> usize {
        self.1.channels()
    }
    fn fingerprint(&self) -> u64 {
        self.1.fingerprint()
    }
}

/// `mini` for grey pictures that are larger than what it sees of them.
fn spec() -> Spec {
    let mut spec = Spec::preset("mini").unwrap().for_data(10, 1).unwrap();
    spec.input.side = 32;
    spec
}

fn pictures(part: Part, count: usize) -> Arc<Pictures> {
    let first = First(count, tandem_data::open("builtin", part).unwrap());
    let preprocess = Preprocess {
        side: spec().input.side,
        channels: 1,
    };
    Arc::new(Pictures::prepare(Arc::new(first), preprocess, 0.0).unwrap())
}

/// The losses of an epoch of two steps of four pictures, and the validation's.
fn train(devices: &str) -> Vec<f64> {
    let mut config = TrainConfig::for_model(spec()).unwrap();
    config.batch = 4;
    config.epochs = 1;
    config.augment.colour = Colour::Convnet;
    config.devices = devices.parse().unwrap();
    let data = TrainingData {
        train: pictures(Part::Train, 8),
        validation: pictures(Part::Validation, 4),
        measured: None,
        name: "builtin".to_owned(),
    };
    let folder = tempfile::tempdir().unwrap();
    let run = RunDirectory::create(&folder.path().join("run"), &config).unwrap();
    let mut losses = Vec::new();
    let mut watch = |event: Event<'_>| {
        match event {
            Event::Step(report) => losses.push(report.loss),
            Event::Epoch(report, _) => losses.push(report.loss),
            _ => {}
        }
        Flow::Continue
    };
    let mut trainer = Trainer::new(config, data, run, Beginning::New(None)).unwrap();
    assert_eq!(trainer.train(&mut watch).unwrap(), Ending::Done);
    assert_eq!(losses.len(), 3);
    losses
}

/// Two steps and a validation.
fn has_the_losses_of_the_cpu(devices: &str) {
    for (got, want) in train(devices).iter().zip(train("cpu")) {
        assert!((got - want).abs() < 1e-5 * want, "{devices}: {got} {want}");
    }
}

#[test]
fn a_gpu_has_the_losses_of_the_cpu() {
    has_the_losses_of_the_cpu("cuda:0");
    has_the_losses_of_the_cpu("cuda:0,cpu");
}

#[test]
fn two_gpus_have_the_losses_of_the_cpu() {
    has_the_losses_of_the_cpu("cuda:0,cuda:1");
}

#[test]
fn ten_views_have_the_loss_of_the_cpu() {
    let pictures = pictures(Part::Validation, 3);
    let normalise = Normalise::Mean(pictures.mean().into());
    let options = LoaderOptions {
        batch: 2,
        threads: 1,
        prefetch: 1,
        seed: 0,
        form: Form::Values,
        share: Share::WHOLE,
    };
    let measure = |devices: &str| {
        let network = Network::initial(&spec(), &devices.parse().unwrap(), 0).unwrap();
        evaluate(&network, &pictures, &normalise, Views::Ten, options).unwrap()
    };
    let (want, got) = (measure("cpu"), measure("cuda:0"));
    assert_eq!((got.images, got.top1_error), (3, want.top1_error));
    assert!(
        (got.loss - want.loss).abs() < 1e-5 * want.loss,
        "{got:?} {want:?}"
    );
}

/// Bytes only where every tower is on a GPU.
#[test]
fn the_loader_is_asked_for_what_all_devices_take() {
    let preprocess = Preprocess {
        side: 32,
        channels: 1,
    };
    for (devices, form) in [
        ("cpu", Form::Values),
        ("cuda:0", Form::Bytes),
        ("cuda:0,cuda:0", Form::Bytes),
        ("cuda:0,cpu", Form::Values),
    ] {
        let network = Network::initial(&spec(), &devices.parse().unwrap(), 0).unwrap();
        let feed = Feed::new(&network, preprocess, &Normalise::Torchvision).unwrap();
        assert_eq!(feed.form(), form);
    }
}
