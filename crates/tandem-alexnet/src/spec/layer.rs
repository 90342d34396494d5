//! The layers a [`Spec`](super::Spec) can list, with the words of the paper and of its TOML.
//!
//! Channels are counted over all towers; tower `t` of `T` holds the `t`-th share of them.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// One `[[layer]]` of a spec. `kind` tells which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Layer {
    Convolution(Convolution),
    Linear(Linear),
    Lrn(Lrn),
    MaxPool(Pool),
    AveragePool(Pool),
    AdaptiveAveragePool(AdaptiveAveragePool),
    Dropout(Dropout),
}

/// Which towers' output a tower of this layer reads (the paper's Section 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sees {
    /// Its own tower's alone: nothing moves between devices.
    #[default]
    Own,
    /// Every tower's: the other towers' share crosses over.
    Both,
}

/// What follows a convolution or linear layer, element by element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    #[default]
    None,
    /// max(x, 0), the paper's Section 3.1.
    Relu,
    Tanh,
    Sigmoid,
}

/// A 2-D convolution with bias and activation. Weight: (channels, channels read / groups, kernel,
/// kernel).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convolution {
    pub name: String,
    /// Kernels over all towers.
    pub channels: usize,
    pub kernel: usize,
    #[serde(default = "one")]
    pub stride: usize,
    #[serde(default)]
    pub padding: usize,
    #[serde(default = "one")]
    pub towers: usize,
    /// Groups within a tower, for groups that are not towers: each reads its own share of what the
    /// tower reads.
    #[serde(default = "one")]
    pub groups: usize,
    #[serde(default)]
    pub sees: Sees,
    #[serde(default)]
    pub activation: Activation,
    #[serde(default = "paper_weight_std")]
    pub weight_std: f64,
    #[serde(default)]
    pub bias: f64,
}

/// A fully connected layer with bias and activation. Weight: (channels, features read).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    pub name: String,
    /// Neurons over all towers. Left out on the last layer, which has one a class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    #[serde(default = "one")]
    pub towers: usize,
    #[serde(default)]
    pub sees: Sees,
    #[serde(default)]
    pub activation: Activation,
    #[serde(default = "paper_weight_std")]
    pub weight_std: f64,
    #[serde(default)]
    pub bias: f64,
}

/// Local response normalisation across channels (Section 3.3): b = a / (k + alpha Σ a²)^beta.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lrn {
    /// Channels in the window, centred: odd. The paper's n.
    pub size: usize,
    pub k: f64,
    pub alpha: f64,
    pub beta: f64,
    /// Never a silent choice: it must be written.
    pub convention: AlphaConvention,
    /// Whether a window ends at the edge of its tower, as in the paper, or goes on into the next, as
    /// in Caffe's networks, which ran on one device.
    #[serde(default)]
    pub sees: Sees,
}

impl Lrn {
    /// Channels, of `channels` over all towers, that tower `tower` of `towers` reads: its own and,
    /// where it sees both, those beside them that its windows reach.
    pub fn reach(&self, tower: usize, towers: usize, channels: usize) -> Range<usize> {
        let width = channels / towers;
        let own = tower * width..(tower + 1) * width;
        let beside = self.size / 2;
        match self.sees {
            Sees::Own => own,
            Sees::Both => own.start.saturating_sub(beside)..channels.min(own.end + beside),
        }
    }
}

/// Whether alpha multiplies the sum of squares as it stands or their mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlphaConvention {
    /// As printed in Section 3.3.
    Paper,
    /// alpha / size, as in Caffe, PyTorch and cuda-convnet.
    DividedBySize,
}

/// Max or average pooling over square windows, each channel on its own. Overlapping where stride <
/// kernel (Section 3.4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    pub kernel: usize,
    pub stride: usize,
    #[serde(default)]
    pub padding: usize,
    #[serde(default)]
    pub rounding: Rounding,
}

/// What happens to a last window that would hang over the edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// Left out.
    #[default]
    Down,
    /// Kept, as Caffe does, if it starts inside the picture or its left padding.
    Up,
}

/// Average pooling to a given output size, whatever comes in (torchvision).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaptiveAveragePool {
    /// Height and width of the output. Those of the input must be multiples of it.
    pub output: usize,
}

/// Dropout (Section 4.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// The probability that a neuron is dropped.
    pub p: f64,
    pub rule: DropoutRule,
}

/// Where the factor 1 - p goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DropoutRule {
    /// Outputs times 1 / (1 - p) at training, nothing at test: PyTorch, Caffe.
    Inverted,
    /// Outputs times 1 - p at test, as printed in Section 4.2.
    Paper,
}

impl Layer {
    /// The word of `kind` in the TOML.
    pub fn kind(&self) -> &'static str {
        match self {
            Layer::Convolution(_) => "convolution",
            Layer::Linear(_) => "linear",
            Layer::Lrn(_) => "lrn",
            Layer::MaxPool(_) => "max-pool",
            Layer::AveragePool(_) => "average-pool",
            Layer::AdaptiveAveragePool(_) => "adaptive-average-pool",
            Layer::Dropout(_) => "dropout",
        }
    }

    /// The name of a layer with parameters; the others have none.
    pub fn name(&self) -> Option<&str> {
        match self {
            Layer::Convolution(layer) => Some(&layer.name),
            Layer::Linear(layer) => Some(&layer.name),
            Layer::Lrn(_)
            | Layer::MaxPool(_)
            | Layer::AveragePool(_)
            | Layer::AdaptiveAveragePool(_)
            | Layer::Dropout(_) => None,
        }
    }
}

fn one() -> usize {
    1
}

/// "a zero-mean Gaussian distribution with standard deviation 0.01" (Section 5).
fn paper_weight_std() -> f64 {
    0.01
}
