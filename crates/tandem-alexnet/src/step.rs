//! One layer's work on one share of the towers, as operations that remember what their backward
//! needs.

use candle_core::{CustomOp1, CustomOp3, Result, Tensor};
use tandem_ops::Activation as Fused;
use tandem_ops::avg_pool::AvgPool2d;
use tandem_ops::channels;
use tandem_ops::conv::Conv2d;
use tandem_ops::dropout::{Dropout, DropoutRule};
use tandem_ops::linear::Linear;
use tandem_ops::lrn::{AlphaConvention, Lrn};
use tandem_ops::lrn_max_pool::{LrnMaxPool2d, LrnMaxPool2dOp};
use tandem_ops::max_pool::{MaxPool2d, MaxPool2dOp};
use tandem_ops::window::Rounding;

use crate::network::Pass;
use crate::shapes::LayerShape;
use crate::spec::{self, Activation, Layer, Sees};

/// An operation of `tandem-ops`, or of candle, with what this application of it remembers.
pub(crate) enum Operation {
    Convolution(Conv2d),
    Linear(Linear),
    Lrn(Lrn),
    /// Over a tower's channels and those beside it, giving the tower's: so many from the first.
    LrnBeside {
        lrn: Lrn,
        first: usize,
        channels: usize,
    },
    MaxPool(MaxPool2dOp),
    /// The two in one, so that what lies between them is not kept.
    LrnMaxPool(LrnMaxPool2dOp),
    AveragePool(AvgPool2d),
    /// Of so many towers side by side along the features, the first's.
    Dropout(Dropout, usize),
    Tanh,
    Sigmoid,
    /// At test under the paper's rule: outputs times 1 - p.
    Scale(f64),
}

/// An operation, its input and its output.
pub(crate) struct Applied {
    operation: Operation,
    x: Tensor,
    weight: Option<(Tensor, Tensor)>,
    pub(crate) y: Tensor,
}

/// Which gradients of an operation are wanted.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) input: bool,
    /// Not of a frozen layer.
    pub(crate) parameters: bool,
}

/// Gradients of one operation.
pub(crate) struct Back {
    pub(crate) input: Option<Tensor>,
    /// For weight and bias.
    pub(crate) parameters: Option<(Tensor, Tensor)>,
}

impl Operation {
    /// What `layer` does on share `share` of `shares`: all towers together where there is one.
    pub(crate) fn of_layer(
        layer: &Layer,
        shape: &LayerShape,
        index: usize,
        shares: usize,
        share: usize,
        pass: Pass,
    ) -> Result<Vec<Self>> {
        let together = shape.towers / shares;
        let fused = |activation: Activation| match activation {
            Activation::Relu => Fused::Relu,
            Activation::None | Activation::Tanh | Activation::Sigmoid => Fused::None,
        };
        let then = |first: Self, activation: Activation| match activation {
            Activation::Tanh => vec![first, Self::Tanh],
            Activation::Sigmoid => vec![first, Self::Sigmoid],
            Activation::None | Activation::Relu => vec![first],
        };
        Ok(match layer {
            Layer::Convolution(layer) => {
                let apart = match layer.sees {
                    Sees::Own if shape.input_towers > 1 => together,
                    Sees::Own | Sees::Both => 1,
                };
                let (stride, padding) = (layer.stride, layer.padding);
                let op = Conv2d::new(
                    (stride, stride),
                    (padding, padding),
                    layer.groups * apart,
                    fused(layer.activation),
                )?;
                then(Self::Convolution(op), layer.activation)
            }
            Layer::Linear(layer) => then(
                Self::Linear(Linear::new(fused(layer.activation))),
                layer.activation,
            ),
            Layer::Lrn(layer) => {
                let lrn = lrn(layer)?;
                vec![match layer.sees {
                    Sees::Own => Self::Lrn(lrn.with_groups(together)?),
                    Sees::Both if shares == 1 => Self::Lrn(lrn),
                    Sees::Both => {
                        let channels = shape.input.channels / shares;
                        let reach = layer.reach(share, shares, shape.input.channels);
                        let first = share * channels - reach.start;
                        Self::LrnBeside {
                            lrn,
                            first,
                            channels,
                        }
                    }
                }]
            }
            Layer::MaxPool(pool) => vec![Self::MaxPool(max_pool(pool)?.op())],
            Layer::AveragePool(pool) => {
                let (kernel, stride, padding) = sizes(pool);
                let pool = AvgPool2d::new(kernel, stride, padding, rounding(pool.rounding))?;
                vec![Self::AveragePool(pool)]
            }
            Layer::AdaptiveAveragePool(pool) => {
                // The spec's check made the input a multiple of the output.
                let (height, width) = (shape.input.height, shape.input.width);
                let kernel = (height / pool.output, width / pool.output);
                vec![Self::AveragePool(AvgPool2d::new(
                    kernel,
                    kernel,
                    (0, 0),
                    Rounding::Down,
                )?)]
            }
            Layer::Dropout(dropout) => match (pass, dropout.rule) {
                (Pass::Train { seed, step, part }, rule) => {
                    let rule = match rule {
                        spec::DropoutRule::Inverted => DropoutRule::Inverted,
                        spec::DropoutRule::Paper => DropoutRule::Paper,
                    };
                    let stream = stream(step, part, index, share);
                    let first = Dropout::new(dropout.p, rule, seed, stream)?;
                    vec![Self::Dropout(first, together)]
                }
                (Pass::Test, spec::DropoutRule::Paper) => vec![Self::Scale(1.0 - dropout.p)],
                (Pass::Test, spec::DropoutRule::Inverted) => vec![],
            },
        })
    }

    /// What an LRN layer and the max pooling behind it do together; none of LRN that reads beside
    /// its own tower, and of other layers.
    pub(crate) fn of_pair(
        layers: [&Layer; 2],
        shape: &LayerShape,
        shares: usize,
    ) -> Result<Option<Self>> {
        let [Layer::Lrn(first), Layer::MaxPool(pool)] = layers else {
            return Ok(None);
        };
        let groups = match first.sees {
            Sees::Own => shape.towers / shares,
            Sees::Both if shares == 1 => 1,
            Sees::Both => return Ok(None),
        };
        let lrn = lrn(first)?.with_groups(groups)?;
        let pair = LrnMaxPool2d::new(lrn, max_pool(pool)?);
        Ok(Some(Self::LrnMaxPool(pair.op())))
    }

    pub(crate) fn apply(
        self,
        x: Tensor,
        weight: Option<Tensor>,
        bias: Option<Tensor>,
    ) -> Result<Applied> {
        let weight = weight.zip(bias);
        let x = match &self {
            Self::Linear(_) if x.rank() > 2 => x.flatten_from(1)?,
            _ => x,
        };
        let y = match (&self, &weight) {
            (Self::Convolution(op), Some((w, b))) => x.apply_op3_no_bwd(w, b, op)?,
            (Self::Linear(op), Some((w, b))) => x.apply_op3_no_bwd(w, b, op)?,
            (Self::Convolution(_) | Self::Linear(_), None) => {
                candle_core::bail!("a weighted layer came without its weight")
            }
            (Self::Lrn(op), _) => x.apply_op1_no_bwd(op)?,
            (
                Self::LrnBeside {
                    lrn,
                    first,
                    channels,
                },
                _,
            ) => channels::part(&x.apply_op1_no_bwd(lrn)?, *first, *channels)?,
            (Self::MaxPool(op), _) => x.apply_op1_no_bwd(op)?,
            (Self::LrnMaxPool(op), _) => x.apply_op1_no_bwd(op)?,
            (Self::AveragePool(op), _) => x.apply_op1_no_bwd(op)?,
            (Self::Dropout(first, towers), _) => first.over_towers(&x, *towers)?,
            (Self::Tanh, _) => x.tanh()?,
            (Self::Sigmoid, _) => candle_nn::ops::sigmoid(&x)?,
            (Self::Scale(factor), _) => (&x * *factor)?,
        };
        Ok(Applied {
            operation: self,
            x,
            weight,
            y,
        })
    }
}

impl Applied {
    /// From the gradient of the output those that are `wanted`.
    pub(crate) fn backward(&self, dy: &Tensor, wanted: Wanted) -> Result<Back> {
        let (x, y) = (&self.x, &self.y);
        let dy = &dy.reshape(y.shape())?;
        let only = |input: Option<Tensor>| Back {
            input,
            parameters: None,
        };
        Ok(match (&self.operation, &self.weight) {
            (Operation::Convolution(op), Some((w, _))) => match wanted {
                Wanted {
                    input: true,
                    parameters: true,
                } => {
                    let (dx, dw, db) = op.gradients(x, w, y, dy)?;
                    Back {
                        input: Some(dx),
                        parameters: Some((dw, db)),
                    }
                }
                Wanted {
                    input: true,
                    parameters: false,
                } => only(Some(op.input_gradient(x.shape(), w, y, dy)?)),
                Wanted { input: false, .. } => Back {
                    input: None,
                    parameters: Some(op.weight_gradient(x, w.shape(), y, dy)?),
                },
            },
            (Operation::Linear(op), Some((w, b))) => match wanted {
                Wanted {
                    input: true,
                    parameters: true,
                } => {
                    let (dx, dw, db) = op.bwd(x, w, b, y, dy)?;
                    Back {
                        input: dx,
                        parameters: dw.zip(db),
                    }
                }
                Wanted {
                    input: true,
                    parameters: false,
                } => only(Some(op.input_gradient(w, y, dy)?)),
                Wanted { input: false, .. } => Back {
                    input: None,
                    parameters: Some(op.weight_gradient(x, w.shape(), y, dy)?),
                },
            },
            (Operation::Convolution(_) | Operation::Linear(_), None) => {
                candle_core::bail!("a weighted layer came without its weight")
            }
            (Operation::Lrn(op), _) => only(op.bwd(x, y, dy)?),
            (
                Operation::LrnBeside {
                    lrn,
                    first,
                    channels,
                },
                _,
            ) => {
                // Of what was computed beside the tower nothing was used.
                let after = x.dim(1)? - first - channels;
                let dy = dy.pad_with_zeros(1, *first, after)?;
                only(lrn.bwd(x, &dy, &dy)?)
            }
            (Operation::MaxPool(op), _) => only(op.bwd(x, y, dy)?),
            (Operation::LrnMaxPool(op), _) => only(op.bwd(x, y, dy)?),
            (Operation::AveragePool(op), _) => only(op.bwd(x, y, dy)?),
            (Operation::Dropout(first, towers), _) => only(Some(first.over_towers(dy, *towers)?)),
            (Operation::Tanh, _) => only(Some((dy * y.sqr()?.affine(-1.0, 1.0)?)?)),
            (Operation::Sigmoid, _) => only(Some((dy * (y * y.affine(-1.0, 1.0)?)?)?)),
            (Operation::Scale(factor), _) => only(Some((dy * *factor)?)),
        })
    }
}

/// A number for each mask of a run, the same wherever its tower lives; the next tower has the next.
fn stream(step: u64, part: u64, layer: usize, tower: usize) -> u64 {
    (step << 24) | (part << 16) | ((layer as u64) << 8) | tower as u64
}

fn lrn(layer: &spec::Lrn) -> Result<Lrn> {
    let convention = match layer.convention {
        spec::AlphaConvention::Paper => AlphaConvention::Paper,
        spec::AlphaConvention::DividedBySize => AlphaConvention::DividedBySize,
    };
    let spec::Lrn {
        size,
        k,
        alpha,
        beta,
        ..
    } = *layer;
    Ok(Lrn::new(size, k, alpha, beta, convention)?)
}

fn max_pool(pool: &spec::Pool) -> Result<MaxPool2d> {
    let (kernel, stride, padding) = sizes(pool);
    Ok(MaxPool2d::new(
        kernel,
        stride,
        padding,
        rounding(pool.rounding),
    )?)
}

fn sizes(pool: &spec::Pool) -> ((usize, usize), (usize, usize), (usize, usize)) {
    let square = |side| (side, side);
    (
        square(pool.kernel),
        square(pool.stride),
        square(pool.padding),
    )
}

fn rounding(rounding: spec::Rounding) -> Rounding {
    match rounding {
        spec::Rounding::Down => Rounding::Down,
        spec::Rounding::Up => Rounding::Up,
    }
}
