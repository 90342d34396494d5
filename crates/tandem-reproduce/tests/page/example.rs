//! A page with some of everything. Its figures are made up, and measured nowhere.

use tandem_reproduce::page::{
    Axis, Bars, Block, Chart, Column, Effect, Estimate, ForestRow, Judgement, Page, Picture, Plot,
    Published, Scale, Section, Series, Table, Unit, Verdict,
};

/// A PNG of one black pixel.
const PIXEL: &[u8] =
    b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\x00\x00\
\x00\x01\x08\x00\x00\x00\x00\x3a\x7e\x9b\x55\x00\x00\x00\x0a\x49\x44\x41\x54\x78\xda\x63\
\x60\x00\x00\x00\x02\x00\x01\xe5\x27\xde\xfc\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\
\x82";

pub fn page() -> Page {
    Page {
        title: "The paper's results, measured again".to_owned(),
        lead: vec![
            "This page is an example: its figures are made up to try the layout, and nothing was measured."
                .to_owned(),
            "Krizhevsky, Sutskever and Hinton said in 2012 what each idea of their network is worth. \
             Here each experiment is repeated on other data, with several seeds, and their figure is \
             set beside ours."
                .to_owned(),
        ],
        facts: [
            ("Hardware", "an imagined processor, 2 cores at 2.5 GHz, 8 GB"),
            ("Commit", "0123456789abcdef0123456789abcdef01234567"),
            ("Date", "2000-01-01"),
            ("Took", "12 hours 34 minutes"),
            ("Data", "none: the figures are made up"),
            ("Command", "tandem reproduce all --data fake --seeds 3 --out docs/nowhere"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        interval: "95 % interval".to_owned(),
        sections: vec![activations(), lrn(), dropout(), star()],
    }
}

fn estimate(value: f64, margin: f64) -> Estimate {
    Estimate {
        value,
        interval: Some((value - margin, value + margin)),
    }
}

fn effect(name: &str, published: f64, measured: Option<Estimate>) -> Effect {
    Effect {
        name: name.to_owned(),
        unit: Unit::Points,
        published: Some(Published {
            words: format!("−{:.1}", published.abs()),
            value: published,
        }),
        measured,
    }
}

fn axis(label: &str, scale: Scale) -> Axis {
    Axis {
        label: label.to_owned(),
        scale,
    }
}

pub fn lines(series: Vec<Series>) -> Plot {
    Plot::Lines {
        x: axis("epoch", Scale::Linear),
        y: axis("training error", Scale::Percent),
        series,
    }
}

pub fn section(id: &str, title: &str) -> Section {
    Section {
        id: id.to_owned(),
        title: title.to_owned(),
        paper: None,
        question: "What is it worth?".to_owned(),
        verdict: None,
        effects: Vec::new(),
        blocks: Vec::new(),
    }
}

fn activations() -> Section {
    let names = [
        "ReLU",
        "tanh",
        "sigmoid",
        "a fourth",
        "a fifth one",
        "sixth",
    ];
    let curves = names.iter().enumerate().map(|(index, name)| Series {
        name: (*name).to_owned(),
        points: (1..=20_u8)
            .map(|epoch| {
                let pace = 2.0 + 2.5 * index as f64;
                let error = 0.02 + 0.88 * pace / (pace + f64::from(epoch));
                (
                    f64::from(epoch),
                    estimate(error, 0.02 + 0.005 * index as f64),
                )
            })
            .collect(),
    });
    let layers = [
        "conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8",
    ];
    let gradients = names[..3]
        .iter()
        .zip([0.9, 0.6, 0.15])
        .map(|(name, ratio)| Series {
            name: (*name).to_owned(),
            points: (0..8_i32)
                .map(|layer| {
                    (
                        f64::from(layer),
                        Estimate::from(0.01 * f64::powi(ratio, 7 - layer)),
                    )
                })
                .collect(),
        });
    let rows = [
        ["ReLU", "4.0", "3 to 5", "8.91 %"],
        ["tanh", "13.3", "11 to 16", "10.34 %"],
        ["sigmoid", "not within 20", "", "24.10 %"],
    ];
    Section {
        paper: Some("Section 3.1 and Figure 1".to_owned()),
        question: "How many epochs does each activation need to reach a training error of 25 %?".to_owned(),
        verdict: Some(Verdict {
            judgement: Judgement::Confirmed,
            words: "ReLU needs 0.30 times the epochs of tanh (0.24 to 0.36)."
                .to_owned(),
        }),
        effects: vec![Effect {
            name: "epochs to 25 % error, ReLU to tanh".to_owned(),
            unit: Unit::Times,
            published: Some(Published {
                words: "about 1/6".to_owned(),
                value: 1.0 / 6.0,
            }),
            measured: Some(estimate(0.30, 0.06)),
        }],
        blocks: vec![
            Block::Chart(Chart {
                caption: "Training error by epoch, mean of three seeds with its interval".to_owned(),
                plot: lines(curves.collect()),
            }),
            Block::Table(Table {
                caption: "Epochs to a training error of 25 %".to_owned(),
                columns: [("Activation", false), ("Epochs", true), ("95 % interval", true), ("Test error", true)]
                    .map(|(name, numeric)| Column {
                        name: name.to_owned(),
                        numeric,
                    })
                    .to_vec(),
                rows: rows.map(|row| row.map(str::to_owned).to_vec()).to_vec(),
                emphasis: Some(0),
                note: Some("A network that does not get there within 20 epochs is counted as slower.".to_owned()),
            }),
            Block::Chart(Chart {
                caption: "Size of the gradient by layer after the first epoch".to_owned(),
                plot: Plot::Lines {
                    x: axis("layer", Scale::Named(layers.map(str::to_owned).to_vec())),
                    y: axis("root mean square of the weights' gradient", Scale::Logarithmic),
                    series: gradients.collect(),
                },
            }),
            Block::Details {
                summary: "Configuration of the ReLU network".to_owned(),
                text: "model = \"mini\"\nepochs = 20\n\n[optimiser]\nlearning_rate = 0.01\nmomentum = 0.9\n\
                       # a line that is long enough not to fit into the width of a telephone held upright, at any rate\n"
                    .to_owned(),
            },
        ],
        ..section("activations", "Activations: ReLU, tanh and sigmoid")
    }
}

fn lrn() -> Section {
    Section {
        paper: Some("Section 3.3".to_owned()),
        question: "Does local response normalisation lower the error?".to_owned(),
        verdict: Some(Verdict {
            judgement: Judgement::NotOnThisData,
            words: "The top-1 error changes by +0.35 points (+0.11 to +0.59).".to_owned(),
        }),
        effects: vec![
            effect("top-1 error", -1.4, Some(estimate(0.35, 0.24))),
            effect("top-5 error", -1.2, Some(estimate(0.02, 0.08))),
        ],
        blocks: vec![
            Block::Chart(Chart {
                caption: "Test error with and without".to_owned(),
                plot: Plot::Bars {
                    x: axis("test error", Scale::Percent),
                    categories: ["with normalisation", "without"]
                        .map(str::to_owned)
                        .to_vec(),
                    series: vec![
                        Bars {
                            name: "top-1".to_owned(),
                            values: vec![
                                Some(estimate(0.0935, 0.002)),
                                Some(estimate(0.09, 0.0022)),
                            ],
                        },
                        Bars {
                            name: "top-5".to_owned(),
                            values: vec![Some(estimate(0.0042, 0.0006)), None],
                        },
                    ],
                },
            }),
            Block::Text(
                "The interval leaves zero out, on the other side than the paper's figure."
                    .to_owned(),
            ),
        ],
        ..section("lrn", "Local response normalisation")
    }
}

fn dropout() -> Section {
    let row = |label: &str, measured, published| ForestRow {
        label: label.to_owned(),
        measured,
        published,
    };
    Section {
        paper: Some("Section 4.2".to_owned()),
        question: "What does dropout in the first two fully connected layers change?".to_owned(),
        verdict: Some(Verdict {
            judgement: Judgement::Undecided,
            words: "The top-1 error changes by −0.10 points (−0.42 to +0.22).".to_owned(),
        }),
        effects: vec![effect("top-1 error", -2.0, Some(estimate(-0.1, 0.32)))],
        blocks: vec![
            Block::Chart(Chart {
                caption: "By seed".to_owned(),
                plot: Plot::Forest {
                    x: axis("points of top-1 error", Scale::Linear),
                    reference: 0.0,
                    rows: vec![
                        row("first seed", Some(estimate(-0.2, 0.4)), None),
                        row("second seed", Some(estimate(f64::NAN, 0.4)), Some(-2.0)),
                        row("third seed", None, None),
                    ],
                },
            }),
            Block::Picture(Picture {
                png: PIXEL.to_vec(),
                alt: "One black pixel".to_owned(),
                caption: "Filters of the first layer".to_owned(),
            }),
        ],
        ..section("dropout", "Dropout")
    }
}

fn star() -> Section {
    Section {
        paper: Some("Section 6.1".to_owned()),
        question: "Does pretraining on a larger set help?".to_owned(),
        verdict: Some(Verdict {
            judgement: Judgement::Partly,
            words: "Only the top-5 error falls.".to_owned(),
        }),
        effects: vec![effect("top-1 error", -1.7, None)],
        ..section("star", "CNN*: a sixth convolution, pretrained")
    }
}
