//! What a training run may be told, and what it hears when it may not.

use tandem_alexnet::config::{Colour, SgdRule, TrainConfig};
use tandem_alexnet::precision::Precision;
use tandem_alexnet::schedule::Kind;
use tandem_alexnet::spec::Spec;

fn mini() -> TrainConfig {
    TrainConfig::for_model(Spec::preset("mini").unwrap()).unwrap()
}

fn refused(setting: &str) -> String {
    let mut config = mini();
    let error = config.set(setting).unwrap_err().to_string();
    assert_eq!(config, mini(), "a refused setting changes nothing");
    error
}

#[test]
fn alexnet_is_trained_as_in_the_paper() {
    let config = TrainConfig::for_model(Spec::preset("alexnet").unwrap()).unwrap();
    assert_eq!(
        (config.epochs, config.batch, config.accumulate),
        (90, 128, 1)
    );
    assert_eq!(
        (
            config.sgd.rule,
            config.sgd.momentum,
            config.sgd.weight_decay
        ),
        (SgdRule::Paper, 0.9, 0.0005)
    );
    assert_eq!(
        (config.rate.schedule, config.rate.initial),
        (Kind::Plateau, 0.01)
    );
    assert_eq!(config.augment.colour, Colour::Convnet);
}

#[test]
fn every_preset_has_a_configuration_that_reads_back() {
    for preset in tandem_alexnet::presets::ALL {
        let mut config = TrainConfig::for_model(Spec::preset(preset.name).unwrap()).unwrap();
        config.checkpoint_every_steps = Some(7);
        config.early_stop_epochs = Some(3);
        config.rate.initial = 0.1 + 0.2;
        let text = config.to_toml();
        assert_eq!(
            TrainConfig::parse(&text, "config.toml").unwrap(),
            config,
            "{text}"
        );
    }
}

#[test]
fn a_setting_reaches_its_value_by_dotted_path() {
    let mut config = mini();
    for setting in [
        "sgd.momentum=0.8",
        "sgd.rule = pytorch",
        "rate.schedule=step",
        "rate.step.epochs=2",
        "early_stop_epochs=5",
        "devices=cpu,cpu",
        "data=/pictures/with = sign",
        "epochs=3",
    ] {
        config.set(setting).unwrap();
    }
    assert_eq!(
        (config.sgd.momentum, config.sgd.rule),
        (0.8, SgdRule::Pytorch)
    );
    assert_eq!(
        (config.rate.schedule, config.rate.step.epochs),
        (Kind::Step, 2)
    );
    assert_eq!((config.early_stop_epochs, config.epochs), (Some(5), 3));
    assert_eq!(
        (config.devices.places(), config.data.as_str()),
        (2, "/pictures/with = sign")
    );
    config.set("model=torchvision").unwrap_err();
    config.set("devices=cpu").unwrap();
    config.set("model=torchvision").unwrap();
    assert_eq!(config.model.name, "torchvision");
}

#[test]
fn an_unknown_key_is_answered_with_the_nearest() {
    assert_eq!(
        refused("sgd.momentun=0.8"),
        "--set sgd.momentun=0.8: unknown key `sgd.momentun`; did you mean `sgd.momentum`?"
    );
    assert!(refused("momentum=0.8").contains("did you mean `sgd.momentum`?"));
    assert!(refused("rate.cosin.last=0").contains("did you mean `rate.cosine`?"));
    assert!(refused("early_stop_epoch=0").contains("did you mean `early_stop_epochs`?"));
    let error = TrainConfig::parse("[sgd]\nwieght_decay = 0.1\n", "mine.toml")
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "mine.toml: unknown key `sgd.wieght_decay`; did you mean `sgd.weight_decay`?"
    );
}

#[test]
fn a_value_of_the_wrong_kind_names_its_key() {
    let error = refused("epochs=many");
    assert!(
        error.contains("--set epochs=many") && error.contains("invalid type: string \"many\""),
        "{error}"
    );
    assert!(refused("rate.schedule=cosin").contains("did you mean `cosine`?"));
    assert!(refused("sgd=0.9").contains("invalid type"));
    assert!(refused("epochs.x=1").contains("invalid type"));
    assert!(refused("devices=cpu,gpu").contains("device `gpu` is not known"));
    assert!(refused("model=alexnt").contains("did you mean `alexnet`?"));
}

#[test]
fn a_value_out_of_bounds_names_its_key_and_bounds() {
    assert_eq!(
        refused("epochs=0"),
        "--set epochs=0: epochs is 0, and must be 1 or more"
    );
    assert_eq!(
        refused("sgd.momentum=1"),
        "--set sgd.momentum=1: sgd.momentum is 1, and must be at least 0 and below 1"
    );
    assert!(refused("rate.initial=nan").contains("must be a positive number"));
    assert!(refused("rate.initial=inf").contains("rate.initial is inf"));
    assert!(refused("sgd.weight_decay=-1").contains("zero or a positive number"));
    assert!(refused("batch=0").contains("batch is 0"));
    assert!(refused("devices=cpu,cpu,cpu").contains("3 devices for 2 towers"));
    assert!(refused("rate.plateau.divide_by=0.5").contains("1 or more"));
}

#[test]
fn a_setting_without_a_key_or_a_value_is_refused() {
    for setting in ["epochs", "=3", ".=3", "sgd..momentum=1"] {
        assert!(refused(setting).contains("say key=value"), "{setting}");
    }
}

#[test]
fn a_file_names_its_model_and_a_model_given_beside_it_wins() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.toml");
    std::fs::write(&file, "model = \"alexnet\"\nepochs = 5\n").unwrap();
    let config = TrainConfig::resolve(None, Some(&file)).unwrap();
    assert_eq!(
        (config.model.name.as_str(), config.epochs, config.batch),
        ("alexnet", 5, 128)
    );
    let config = TrainConfig::resolve(Some("caffenet"), Some(&file)).unwrap();
    assert_eq!((config.model.name.as_str(), config.epochs), ("caffenet", 5));
    assert_eq!(TrainConfig::resolve(None, None).unwrap(), mini());
    let error = TrainConfig::resolve(None, Some(&folder.path().join("none.toml")))
        .unwrap_err()
        .to_string();
    assert!(error.contains("none.toml"), "{error}");
}

#[test]
fn a_broken_file_is_named_with_its_line() {
    let error = TrainConfig::parse("epochs = 5\nbatch = = 3\n", "mine.toml")
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("mine.toml:") && error.contains("line 2"),
        "{error}"
    );
    let error = TrainConfig::parse("[model]\nname = \"x\"\n", "mine.toml")
        .unwrap_err()
        .to_string();
    assert!(error.contains("missing field"), "{error}");
}

#[test]
fn an_error_of_the_model_can_be_told_by_its_source() {
    let error = TrainConfig::resolve(Some("alexnt"), None).unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert!(source.is::<tandem_alexnet::error::SpecError>());
    assert_eq!(source.to_string(), error.to_string());
}

#[test]
fn bf16_is_for_gpus_and_f16_is_not_offered() {
    let error = refused("precision=bf16");
    assert!(
        error.contains("cuda:0") && error.contains("precision=f32"),
        "{error}"
    );
    let error = refused("precision=f16");
    assert!(
        error.contains("`f32`") && error.contains("`bf16`"),
        "{error}"
    );
    let mut config = mini();
    config.set("devices=cuda:0,cuda:1").unwrap();
    config.set("precision=bf16").unwrap();
    assert_eq!(config.precision, Precision::Bf16);
    let again = TrainConfig::parse(&config.to_toml(), "config.toml").unwrap();
    assert_eq!(again, config);
    let error = config.set("devices=cuda:0,cpu").unwrap_err().to_string();
    assert!(error.contains("precision=f32"), "{error}");
}
