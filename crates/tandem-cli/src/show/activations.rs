//! `tandem show activations`: what a layer makes of a picture.

use anyhow::Result;
use candle_core::Tensor;
use serde_json::{Value, json};
use tandem_alexnet::network::Pass;
use tandem_alexnet::shapes::{LayerShape, Shapes};
use tandem_alexnet::spec::{Layer, Spec};
use tandem_data::{Picture, decode};

use super::{Subject, tell};
use crate::args::Activations;
use crate::failure::Failure;
use crate::pictures::centre;
use crate::report::activations::{Map, draw};
use crate::report::picture;

pub fn run(args: &Activations) -> Result<()> {
    let subject = Subject::read(&args.run, &args.shown)?;
    let spec = subject.trained.network.spec();
    let layer = match &args.layer {
        Some(name) => spec.layer_named(name)?,
        None => first_convolution(spec),
    };
    let shape = &Shapes::of(spec)?.layers[layer];
    let (picture, name) = look(&subject, args)?;
    let preprocess = subject.trained.preprocess;
    let pixels = preprocess.apply(&picture);
    let x = centre(&subject.trained, &pixels)?;
    let output = subject.trained.network.forward_to(&x, layer, Pass::Test)?;
    let towers = towers(&output, shape)?;

    tell(
        &numbers(&name, shape, &towers),
        args.shown.json,
        args.out.as_ref(),
        "activations.png",
        || {
            let seen = picture::of_bytes(&pixels, preprocess);
            draw(&title(spec, shape, &name), &seen, &towers)
        },
    )
}

fn first_convolution(spec: &Spec) -> usize {
    let is = |layer: &Layer| matches!(layer, Layer::Convolution(_));
    spec.layers.iter().position(is).unwrap_or(0)
}

/// The picture asked for, and where it is.
fn look(subject: &Subject, args: &Activations) -> Result<(Picture, String)> {
    if let Some(file) = &args.picture {
        return Ok((decode(file)?, file.display().to_string()));
    }
    let set = subject.open(subject.part)?;
    let index = args.index.unwrap_or(0);
    if index >= set.len() {
        let (part, data) = (subject.part.name(), subject.data()?);
        let what = format!("--index {index}: {data} has {} {part} pictures", set.len());
        let hint = format!("they are counted from 0 to {}", set.len().saturating_sub(1));
        return Err(Failure::usage(what, hint).into());
    }
    let class = subject.class(set.label(index));
    let class = class.map_or_else(String::new, |class| format!("{class}: "));
    Ok((set.picture(index)?, format!("{class}{}", set.name(index))))
}

/// The maps of each tower; the features of a fully connected layer as one map a tower.
fn towers(output: &Tensor, shape: &LayerShape) -> Result<Vec<Vec<Map>>> {
    let values: Vec<f32> = output.flatten_all()?.to_vec1()?;
    let of_tower = shape.tower_output();
    let (size, width) = match of_tower.height * of_tower.width {
        1 => (of_tower.channels, nearly_square(of_tower.channels)),
        size => (size, of_tower.width),
    };
    let towers = values.chunks(of_tower.values());
    let maps = |tower: &[f32]| {
        let maps = tower.chunks(size);
        maps.map(|map| Map::new(map.to_vec(), width)).collect()
    };
    Ok(towers.map(maps).collect())
}

/// The width of the rectangle of so many values that is least wider than high.
fn nearly_square(values: usize) -> usize {
    let heights = (1..=values).take_while(|height| height * height <= values);
    let height = heights
        .filter(|height| values.is_multiple_of(*height))
        .last();
    values / height.unwrap_or(1)
}

fn title(spec: &Spec, shape: &LayerShape, picture: &str) -> Vec<String> {
    let (name, network, output) = (&shape.name, &spec.name, shape.output);
    let what = match (output.height * output.width, shape.towers) {
        (1, 1) => format!("{name} of {network}: {} features", output.channels),
        (1, towers) => format!(
            "{name} of {network}: {} features, {} in each of {towers} towers",
            output.channels,
            output.channels / towers
        ),
        (_, 1) => format!(
            "{name} of {network}: {} maps of {}×{}",
            output.channels, output.height, output.width
        ),
        (_, towers) => format!(
            "{name} of {network}: {} maps of {}×{}, {} in each of {towers} towers",
            output.channels,
            output.height,
            output.width,
            output.channels / towers
        ),
    };
    vec![
        what,
        picture.to_owned(),
        "Black is the smallest value, white the largest; the range stands below.".to_owned(),
    ]
}

fn numbers(picture: &str, shape: &LayerShape, towers: &[Vec<Map>]) -> Value {
    let output = shape.output;
    let towers: Vec<Vec<Value>> = towers
        .iter()
        .map(|maps| {
            let range = |map: &Map| json!({ "smallest": map.smallest, "largest": map.largest });
            maps.iter().map(range).collect()
        })
        .collect();
    json!({
        "image": picture,
        "layer": shape.name,
        "shape": [output.channels, output.height, output.width],
        "towers": towers,
    })
}

#[cfg(test)]
mod tests {
    use super::nearly_square;

    #[test]
    fn features_make_a_rectangle_that_they_fill() {
        assert_eq!(
            [2048, 128, 10, 7, 9, 1].map(nearly_square),
            [64, 16, 5, 7, 3, 1]
        );
    }
}
