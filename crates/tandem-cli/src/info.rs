//! `tandem info`: what a network is and costs, and which device holds what.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::{Value, json};
use tandem_alexnet::placement::{DeviceName, Placement};
use tandem_alexnet::precision::Precision;
use tandem_alexnet::shapes::{Holding, LayerShape, Shape, Shapes};
use tandem_alexnet::spec::Spec;

use crate::args::Info;
use crate::output::print;
use crate::report::table::{Align, bytes, count, grouped, table};

pub fn run(args: &Info) -> Result<()> {
    let network = Network::of(args)?;
    let text = if args.json {
        format!("{}\n", network.json())
    } else {
        network.text()
    };
    print(&text)
}

/// A network on its devices, for batches of a size.
struct Network<'a> {
    spec: Spec,
    shapes: Shapes,
    placement: &'a Placement,
    precision: Precision,
    batch: u64,
}

impl<'a> Network<'a> {
    fn of(args: &'a Info) -> Result<Self> {
        let spec = Spec::named(&args.model)?;
        let shapes = Shapes::of(&spec)?;
        args.devices.check(shapes.towers())?;
        let precision = Precision::from(args.precision);
        precision.check(&args.devices)?;
        Ok(Self {
            spec,
            shapes,
            placement: &args.devices,
            precision,
            batch: args.batch.get() as u64,
        })
    }

    fn text(&self) -> String {
        let Self { spec, shapes, .. } = self;
        let mut text = format!(
            "{}: {} classes, pictures scaled to {}, {} seen\n\n",
            spec.name, spec.classes, spec.input.side, shapes.input
        );
        text.push_str(&self.layers());
        text.push('\n');
        text.push_str(&self.exchanges());
        text.push('\n');
        text.push_str(&self.devices());
        text
    }

    fn layers(&self) -> String {
        let head = [
            ("layer", Align::Left),
            ("output", Align::Left),
            ("towers", Align::Right),
            ("weight", Align::Left),
            ("parameters", Align::Right),
            ("multiply-adds", Align::Right),
            ("activations", Align::Right),
        ];
        let mut rows: Vec<Vec<String>> = {
            let layers = self.shapes.layers.iter();
            layers.map(|layer| self.layer_row(layer)).collect()
        };
        rows.push(vec![
            "total".to_owned(),
            String::new(),
            String::new(),
            String::new(),
            grouped(self.shapes.parameters()),
            count(self.shapes.multiply_adds()),
            self.bytes(self.shapes.activations()),
        ]);
        let table = table(&head, &rows);
        format!(
            "{table}Multiply-adds and activations ({}) are those of one picture, forward.\n",
            self.precision
        )
    }

    /// The layers at which towers read each other, whether or not they share a device.
    fn exchanges(&self) -> String {
        let mut text = String::new();
        for layer in self
            .shapes
            .layers
            .iter()
            .filter(|layer| !layer.crossings.is_empty())
        {
            let handed: Vec<String> = layer
                .crossings
                .iter()
                .map(|c| {
                    format!(
                        "tower {} to {}: {}",
                        c.from_tower,
                        c.to_tower,
                        self.bytes(c.values)
                    )
                })
                .collect();
            let _ = writeln!(
                text,
                "{} reads both towers: {} a picture",
                layer.name,
                handed.join(", ")
            );
        }
        if text.is_empty() {
            text.push_str("No layer reads another tower.\n");
        }
        text
    }

    fn devices(&self) -> String {
        let head = [
            ("device", Align::Left),
            ("towers", Align::Left),
            ("parameters", Align::Right),
            ("multiply-adds", Align::Right),
            ("activations", Align::Right),
            ("received", Align::Right),
            ("training", Align::Right),
        ];
        let rows: Vec<Vec<String>> = self
            .shapes
            .holdings(self.placement)
            .into_iter()
            .map(|held| {
                let towers: Vec<String> = held.towers.iter().map(usize::to_string).collect();
                vec![
                    held.device.clone(),
                    towers.join(", "),
                    grouped(held.parameters),
                    count(held.multiply_adds.saturating_mul(self.batch)),
                    self.bytes(held.activations.saturating_mul(self.batch)),
                    self.bytes(held.received.saturating_mul(self.batch)),
                    self.training(&held).map_or_else(String::new, bytes),
                ]
            })
            .collect();
        let training = match self.on_gpus() {
            true => "Training is the memory of a step, without what the driver and cuBLAS hold.\n",
            false => "",
        };
        let last = match self.crossing_bytes() {
            0 => "Nothing crosses between devices.".to_owned(),
            crossing => format!(
                "{} cross between devices forward, and as much back.",
                bytes(crossing)
            ),
        };
        format!(
            "A batch of {}, forward:\n{}{training}{last}\n",
            self.batch,
            table(&head, &rows)
        )
    }

    /// Memory of a training step, where it is known beforehand: on a GPU.
    fn training(&self, held: &Holding) -> Option<u64> {
        self.on_gpus()
            .then(|| held.training_bytes(self.batch, self.precision))
    }

    fn on_gpus(&self) -> bool {
        let devices = self.placement.devices();
        devices.iter().all(|device| *device != DeviceName::Cpu)
    }

    fn crossing_bytes(&self) -> u64 {
        let values = self.shapes.crossing(self.placement);
        self.precision.bytes(values.saturating_mul(self.batch))
    }

    /// So many values, for people.
    fn bytes(&self, values: u64) -> String {
        bytes(self.precision.bytes(values))
    }

    /// Figures of layers are for one picture, those of devices for the batch.
    fn json(&self) -> Value {
        let shapes = &self.shapes;
        let devices: Vec<Value> = shapes
            .holdings(self.placement)
            .into_iter()
            .map(|held| {
                json!({
                    "training_bytes": self.training(&held),
                    "device": held.device,
                    "towers": held.towers,
                    "parameters": held.parameters,
                    "multiply_adds": held.multiply_adds.saturating_mul(self.batch),
                    "activation_bytes": self.precision.bytes(held.activations.saturating_mul(self.batch)),
                    "received_bytes": self.precision.bytes(held.received.saturating_mul(self.batch)),
                })
            })
            .collect();
        let layers: Vec<Value> = shapes.layers.iter().map(|l| self.layer_json(l)).collect();
        json!({
            "model": self.spec.name,
            "classes": self.spec.classes,
            "side": self.spec.input.side,
            "input": dimensions(shapes.input),
            "towers": shapes.towers(),
            "parameters": shapes.parameters(),
            "multiply_adds": shapes.multiply_adds(),
            "precision": self.precision,
            "activation_bytes": self.precision.bytes(shapes.activations()),
            "layers": layers,
            "batch": self.batch,
            "devices": devices,
            "crossing_bytes": self.crossing_bytes(),
        })
    }

    fn layer_row(&self, layer: &LayerShape) -> Vec<String> {
        let weight = layer
            .weight
            .as_ref()
            .map_or_else(String::new, |dimensions| {
                dimensions
                    .iter()
                    .map(usize::to_string)
                    .collect::<Vec<_>>()
                    .join("x")
            });
        let number = |n: u64, words: String| if n == 0 { String::new() } else { words };
        vec![
            layer.name.clone(),
            layer.output.to_string(),
            layer.towers.to_string(),
            weight,
            number(layer.parameters, grouped(layer.parameters)),
            number(layer.multiply_adds, count(layer.multiply_adds)),
            self.bytes(layer.activations()),
        ]
    }

    fn layer_json(&self, layer: &LayerShape) -> Value {
        let crossings: Vec<Value> = layer
        .crossings
        .iter()
        .map(|c| json!({ "from_tower": c.from_tower, "to_tower": c.to_tower, "bytes": self.precision.bytes(c.values) }))
        .collect();
        json!({
            "name": layer.name,
            "kind": layer.kind,
            "input": dimensions(layer.input),
            "output": dimensions(layer.output),
            "towers": layer.towers,
            "weight": layer.weight,
            "parameters": layer.parameters,
            "multiply_adds": layer.multiply_adds,
            "activation_bytes": self.precision.bytes(layer.activations()),
            "crossings": crossings,
        })
    }
}

fn dimensions(shape: Shape) -> [usize; 3] {
    [shape.channels, shape.height, shape.width]
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    fn info(devices: &str) -> Info {
        Info {
            model: "alexnet".to_owned(),
            batch: NonZeroUsize::new(128).unwrap(),
            devices: devices.parse().unwrap(),
            precision: crate::args::Precision::F32,
            json: false,
        }
    }

    #[test]
    fn the_table_of_the_paper_s_network_on_two_devices() {
        insta::assert_snapshot!(Network::of(&info("cuda:0,cuda:1")).unwrap().text());
    }

    #[test]
    fn on_one_device_nothing_crosses() {
        let args = info("cpu");
        let network = Network::of(&args).unwrap();
        assert!(
            network
                .text()
                .ends_with("Nothing crosses between devices.\n")
        );
        assert_eq!(network.json()["crossing_bytes"], 0);
    }

    #[test]
    fn the_json_adds_up() {
        let args = info("cpu,cpu");
        let json = Network::of(&args).unwrap().json();
        assert_eq!(json["parameters"], 60_965_224);
        let sum = |of: &str| -> u64 {
            json[of]
                .as_array()
                .unwrap()
                .iter()
                .map(|each| each["parameters"].as_u64().unwrap())
                .sum()
        };
        assert_eq!((sum("layers"), sum("devices")), (60_965_224, 60_965_224));
        assert_eq!(json["layers"][0]["output"], json!([96, 55, 55]));
        assert!(json["crossing_bytes"].as_u64().unwrap() > 0);
    }

    #[test]
    fn in_bf16_half_the_bytes_are_held_and_cross_and_the_cpu_has_none() {
        let crossing = |precision| {
            let args = Info {
                precision,
                ..info("cuda:0,cuda:1")
            };
            let json = Network::of(&args).unwrap().json();
            let held = json["devices"][1]["activation_bytes"].as_u64().unwrap();
            (held, json["crossing_bytes"].as_u64().unwrap())
        };
        use crate::args::Precision::{Bf16, F32};
        let (f32, bf16) = (crossing(F32), crossing(Bf16));
        assert_eq!(f32, (2 * bf16.0, 2 * bf16.1));
        let args = Info {
            precision: Bf16,
            ..info("cpu")
        };
        assert!(Network::of(&args).is_err());
    }

    #[test]
    fn three_devices_are_refused_for_two_towers() {
        let args = info("cpu,cpu,cpu");
        assert!(Network::of(&args).is_err());
    }
}
