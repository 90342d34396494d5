//! The shipped networks: their tables, exactly, and the figures they are known by.

use std::fmt::Write;

use tandem_alexnet::presets;
use tandem_alexnet::shapes::Shapes;
use tandem_alexnet::spec::Spec;

fn shapes(preset: &str) -> Shapes {
    Shapes::of(&Spec::preset(preset).unwrap()).unwrap()
}

fn table(shapes: &Shapes) -> String {
    let mut text = format!("input {}\n", shapes.input);
    for layer in &shapes.layers {
        let crossing: u64 = layer.crossings.iter().map(|crossing| crossing.values).sum();
        writeln!(
            text,
            "{:<18} {:>10} towers {} weight {:?} parameters {} multiply-adds {} crossing {}",
            layer.name,
            layer.output.to_string(),
            layer.towers,
            layer.weight.as_deref().unwrap_or_default(),
            layer.parameters,
            layer.multiply_adds,
            4 * crossing,
        )
        .unwrap();
    }
    writeln!(
        text,
        "parameters {} multiply-adds {} activation bytes {}",
        shapes.parameters(),
        shapes.multiply_adds(),
        4 * shapes.activations()
    )
    .unwrap();
    text
}

#[test]
fn the_table_of_alexnet_is_the_papers() {
    insta::assert_snapshot!(table(&shapes("alexnet")));
}

#[test]
fn the_table_of_mini_has_two_towers_for_small_pictures() {
    insta::assert_snapshot!(table(&shapes("mini")));
}

#[test]
fn the_table_of_bvlc_alexnet_has_towers_for_caffes_groups() {
    insta::assert_snapshot!(table(&shapes("bvlc-alexnet")));
}

#[test]
fn every_preset_has_the_parameters_it_is_known_by() {
    for (name, parameters) in [
        ("alexnet", 60_965_224),
        ("caffenet", 60_965_224),
        ("bvlc-alexnet", 60_965_224),
        ("torchvision", 61_100_840),
        // "approximately the same number of parameters" (Section 3.2, footnote).
        ("alexnet-one-gpu", 59_798_312),
        // conv6: 256 x 128 x 3 x 3 + 256.
        ("alexnet-star", 60_965_224 + 295_168),
    ] {
        assert_eq!(shapes(name).parameters(), parameters, "{name}");
    }
}

#[test]
fn every_preset_reads_back_from_its_own_toml() {
    for preset in presets::ALL {
        let spec = Spec::preset(preset.name).unwrap();
        assert_eq!(spec.name, preset.name);
        assert_eq!(
            Spec::parse(&spec.to_toml()).unwrap(),
            spec,
            "{}",
            preset.name
        );
    }
}

#[test]
fn caffe_rounding_up_gives_the_papers_sizes() {
    let maps = |name| -> Vec<String> {
        let mut sides: Vec<_> = shapes(name)
            .layers
            .iter()
            .map(|layer| layer.output.height)
            .collect();
        sides.dedup();
        sides.iter().map(usize::to_string).collect()
    };
    assert_eq!(maps("bvlc-alexnet"), maps("alexnet"));
    assert_eq!(maps("alexnet"), ["55", "27", "13", "6", "1"]);
}

#[test]
fn towers_of_alexnet_exchange_at_conv3_and_in_the_fully_connected_layers_only() {
    let shapes = shapes("alexnet");
    let meeting: Vec<&str> = shapes
        .layers
        .iter()
        .filter(|layer| !layer.crossings.is_empty())
        .map(|layer| layer.name.as_str())
        .collect();
    assert_eq!(meeting, ["conv3", "fc6", "fc7", "fc8"]);
    // Half of pool2, pool5 and fc6 to each tower, half of fc7 to the one that has fc8.
    let halves = 2 * 128 * 13 * 13 + 2 * 128 * 6 * 6 + 2 * 2048 + 2048;
    assert_eq!(shapes.crossing(&"cuda:0,cuda:1".parse().unwrap()), halves);
    assert_eq!(shapes.crossing(&"cuda:0".parse().unwrap()), 0);
}

#[test]
fn towers_of_caffes_networks_hand_each_other_two_channels_for_lrn() {
    for (name, conv1, conv2) in [("bvlc-alexnet", 55, 27), ("caffenet", 27, 13)] {
        let shapes = shapes(name);
        let handed = |layer: &str| -> Vec<u64> {
            let layer = shapes.layers.iter().find(|l| l.name == layer).unwrap();
            layer.crossings.iter().map(|c| c.values).collect()
        };
        assert_eq!(handed("conv1/lrn"), [2 * conv1 * conv1; 2], "{name}");
        assert_eq!(handed("conv2/lrn"), [2 * conv2 * conv2; 2], "{name}");
        assert_eq!(handed("conv2"), [0; 0], "{name}");
        assert_eq!(handed("conv3"), [128 * 13 * 13; 2], "{name}");
        assert_eq!(shapes.crossing(&"cuda:0".parse().unwrap()), 0);
    }
}

#[test]
fn two_places_hold_what_one_holds() {
    let shapes = shapes("alexnet");
    let both = shapes.holdings(&"cpu,cpu".parse().unwrap());
    assert_eq!(
        both.iter().map(|place| place.parameters).sum::<u64>(),
        60_965_224
    );
    assert_eq!(
        (both[0].towers.as_slice(), both[1].towers.as_slice()),
        (&[0][..], &[1][..])
    );
    let one = &shapes.holdings(&"cpu".parse().unwrap())[0];
    assert_eq!(one.towers, [0, 1]);
    assert_eq!(one.multiply_adds, shapes.multiply_adds());
    assert_eq!(one.activations, shapes.activations());
}
