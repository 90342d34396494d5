//! What a spec may say, and what it hears when it may not.

use proptest::prelude::*;
use tandem_alexnet::error::SpecError;
use tandem_alexnet::spec::{Layer, Spec};

/// A small spec with two towers; each test spoils one thing.
const SMALL: &str = r#"
name = "small"
classes = 10

[input]
side = 32
crop = 28

[[layer]]
kind = "convolution"
name = "conv1"
channels = 8
kernel = 5
padding = 2
towers = 2
sees = "both"
activation = "relu"

[[layer]]
kind = "max-pool"
kernel = 3
stride = 2

[[layer]]
kind = "convolution"
name = "conv2"
channels = 12
kernel = 3
towers = 2

[[layer]]
kind = "linear"
name = "fc3"
sees = "both"
"#;

fn refused(from: &str, to: &str) -> String {
    assert!(
        SMALL.contains(from),
        "the test spoils {from:?}, which must be there"
    );
    Spec::parse(&SMALL.replacen(from, to, 1))
        .unwrap_err()
        .to_string()
}

#[test]
fn the_small_spec_is_accepted_with_the_defaults_filled_in() {
    let spec = Spec::parse(SMALL).unwrap();
    let Layer::Convolution(conv1) = &spec.layers[0] else {
        panic!("conv1 comes first")
    };
    assert_eq!((conv1.stride, conv1.weight_std, conv1.bias), (1, 0.01, 0.0));
    assert_eq!(spec.layer_name(1), "conv1/max-pool");
    assert_eq!(Spec::parse(&spec.to_toml()).unwrap(), spec);
}

#[test]
fn an_unknown_preset_is_answered_with_the_nearest() {
    let error = Spec::preset("alexent").unwrap_err().to_string();
    assert_eq!(
        error,
        "unknown preset `alexent`; did you mean `alexnet`?; the presets are mini, alexnet, alexnet-one-gpu, alexnet-star, \
         caffenet, bvlc-alexnet, torchvision, and a file's name ends in .toml"
    );
}

#[test]
fn an_unknown_key_is_answered_with_its_place_and_the_nearest() {
    let error = refused("kernel = 5", "kernal = 5");
    assert!(
        error.contains("unknown field `kernal`") && error.contains("did you mean `kernel`?"),
        "{error}"
    );
    assert!(error.contains("line 9"), "{error}");
    let error = refused("kind = \"max-pool\"", "kind = \"maxpool\"");
    assert!(error.contains("did you mean `max-pool`?"), "{error}");
    let error = refused("side = 32", "size = 32");
    assert!(error.contains("did you mean `side`?"), "{error}");
    let error = refused("sees = \"both\"", "sees = \"bth\"");
    assert!(error.contains("did you mean `both`?"), "{error}");
}

#[test]
fn a_missing_key_and_a_wrong_type_are_named() {
    assert!(refused("kernel = 5\n", "").contains("missing field `kernel`"));
    assert!(refused("channels = 8", "channels = \"8\"").contains("invalid type: string \"8\""));
    assert!(refused("channels = 8", "channels = -8").contains("-8"));
}

#[test]
fn a_window_that_does_not_fit_names_the_layer_what_came_and_what_it_needed() {
    assert_eq!(
        refused(
            "name = \"conv2\"\nchannels = 12\nkernel = 3",
            "name = \"conv2\"\nchannels = 12\nkernel = 15"
        ),
        "layer 3 `conv2`: 8x13x13 came in, and with padding 0 on each side the 15x15 window needs at least 15x15"
    );
}

#[test]
fn channels_that_towers_do_not_divide_are_named() {
    assert_eq!(
        refused("channels = 8", "channels = 9"),
        "layer 1 `conv1`: the channels 9 do not divide into 2 towers of 1 groups"
    );
}

#[test]
fn towers_cannot_see_their_own_where_the_picture_has_one() {
    assert_eq!(
        refused("sees = \"both\"\nactivation", "activation"),
        "layer 1 `conv1`: its 2 towers cannot each see their own, since the picture has 1; say sees = \"both\""
    );
    assert_eq!(
        refused("name = \"fc3\"\nsees = \"both\"", "name = \"fc3\""),
        "layer 4 `fc3`: its 1 towers cannot each see their own, since layer 3 `conv2` has 2; say sees = \"both\""
    );
}

#[test]
fn the_last_layer_must_be_linear_in_one_tower_without_activation() {
    let pool = format!("{SMALL}\n[[layer]]\nkind = \"dropout\"\np = 0.5\nrule = \"paper\"\n");
    let error = Spec::parse(&pool).unwrap_err().to_string();
    assert!(
        error.starts_with("layer 4 `fc3`: channels is missing"),
        "{error}"
    );
    let tail = "[[layer]]\nkind = \"linear\"\nname = \"fc3\"\nsees = \"both\"\n";
    assert_eq!(
        refused(tail, ""),
        "layer 3 `conv2` is convolution, and the last layer must be linear: it gives the scores of the classes"
    );
    assert!(refused("name = \"fc3\"", "name = \"fc3\"\ntowers = 2").contains("has 2 towers"));
    assert!(
        refused("name = \"fc3\"", "name = \"fc3\"\nactivation = \"relu\"").contains("activation")
    );
    assert!(
        refused("name = \"fc3\"", "name = \"fc3\"\nchannels = 11")
            .contains("channels is 11 but there are 10 classes")
    );
}

#[test]
fn zeros_and_numbers_beyond_the_limits_are_refused_by_name() {
    assert_eq!(
        refused("channels = 8", "channels = 0"),
        "layer 1 `conv1`: channels is 0, and must be 1 to 65536"
    );
    assert_eq!(
        refused("stride = 2", "stride = 0"),
        "layer 2 `conv1/max-pool`: stride is 0, and must be 1 to 65536"
    );
    assert_eq!(
        refused("crop = 28", "crop = 33"),
        "[input]: crop is 33, and must be 1 to 32"
    );
    assert_eq!(
        refused("classes = 10", "classes = 0"),
        "the spec: classes is 0, and must be 1 to 1000000"
    );
    assert_eq!(
        refused("towers = 2", "towers = 9"),
        "layer 1 `conv1`: towers is 9, and must be 1 to 8"
    );
    assert!(
        refused("stride = 2", "stride = 2\npadding = 2")
            .contains("padding is 2, and must be 0 to 1")
    );
    assert!(refused("activation = \"relu\"", "weight_std = nan").contains("weight_std is NaN"));
    assert!(refused("activation = \"relu\"", "bias = inf").contains("bias is inf"));
    assert!(
        refused("channels = 8", "channels = 18446744073709551615").contains("18446744073709551615")
    );
}

#[test]
fn sizes_whose_product_overflows_are_refused() {
    let error = refused("side = 32\ncrop = 28", "side = 65536\ncrop = 65536");
    assert!(
        error.starts_with("[input]: one picture's output has more than"),
        "{error}"
    );
    let error = refused(
        "channels = 8\nkernel = 5\npadding = 2",
        "channels = 65536\nkernel = 65536\npadding = 65536",
    );
    assert!(
        error.contains("layer 1 `conv1`: one picture's output"),
        "{error}"
    );
    let error = refused(
        "channels = 12\nkernel = 3",
        "channels = 65536\nkernel = 65535\npadding = 32767",
    );
    assert!(
        error.contains("layer 3 `conv2`: with it the network has more than"),
        "{error}"
    );
}

#[test]
fn a_name_used_twice_or_unfit_for_a_tensor_is_refused() {
    assert_eq!(
        refused("name = \"conv2\"", "name = \"conv1\""),
        "layers 1 and 3 are both called `conv1`; names tell their weights apart"
    );
    assert!(refused("name = \"conv2\"", "name = \"conv.2\"").contains("`conv.2` must be letters"));
    assert!(refused("name = \"conv2\"", "name = \"\"").contains("layer 3"));
}

#[test]
fn maps_cannot_be_made_of_features() {
    let after = "[[layer]]\nkind = \"linear\"\nname = \"fc0\"\nchannels = 4\nsees = \"both\"\n\n[[layer]]\nkind = \"max-pool\"\n";
    let error = refused("[[layer]]\nkind = \"max-pool\"\n", after);
    assert!(
        error.contains("layer 3 `fc0/max-pool`: max-pool works on maps")
            && error.contains("4 features"),
        "{error}"
    );
}

#[test]
fn an_adaptive_pool_takes_multiples_of_its_output() {
    let error = refused(
        "kind = \"max-pool\"\nkernel = 3\nstride = 2",
        "kind = \"adaptive-average-pool\"\noutput = 6",
    );
    assert!(
        error.contains(
            "8x28x28 came in, and its height and width must be multiples of the output's 6"
        ),
        "{error}"
    );
}

#[test]
fn data_gives_the_classes_and_the_channels() {
    let spec = Spec::preset("mini").unwrap().for_data(7, 1).unwrap();
    assert_eq!((spec.classes, spec.input_channels()), (7, 1));
    let colour = Spec::parse(&SMALL.replace("side = 32", "side = 32\nchannels = 3")).unwrap();
    let error = colour.for_data(10, 1).unwrap_err().to_string();
    assert!(
        error.contains("takes pictures of 3 channels and the data has 1"),
        "{error}"
    );
}

#[test]
fn a_spec_file_that_is_not_there_is_named() {
    let error = Spec::named("no/such/spec.toml").unwrap_err();
    assert!(matches!(&error, SpecError::Read { .. }));
    assert!(error.to_string().contains("no/such/spec.toml"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever numbers a spec holds, it is accepted or refused: no panic, no overflow.
    #[test]
    fn no_numbers_make_shape_inference_panic(
        numbers in proptest::collection::vec(prop_oneof![0usize..40, Just(65_535), Just(65_536), any::<u32>().prop_map(|n| n as usize)], 12)
    ) {
        let [side, crop, channels, kernel, stride, padding, towers, groups, pool, pool_stride, classes, hidden] = numbers[..] else {
            unreachable!("twelve numbers were drawn")
        };
        let text = format!(
            "name = \"x\"\nclasses = {classes}\n[input]\nside = {side}\ncrop = {crop}\n\
             [[layer]]\nkind = \"convolution\"\nname = \"a\"\nchannels = {channels}\nkernel = {kernel}\nstride = {stride}\n\
             padding = {padding}\ntowers = {towers}\ngroups = {groups}\nsees = \"both\"\n\
             [[layer]]\nkind = \"max-pool\"\nkernel = {pool}\nstride = {pool_stride}\nrounding = \"up\"\n\
             [[layer]]\nkind = \"linear\"\nname = \"b\"\nchannels = {hidden}\nsees = \"both\"\n\
             [[layer]]\nkind = \"linear\"\nname = \"c\"\n"
        );
        if let Ok(spec) = Spec::parse(&text) {
            prop_assert_eq!(Spec::parse(&spec.to_toml()).unwrap(), spec);
        }
    }
}
