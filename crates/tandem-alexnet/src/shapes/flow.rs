//! One picture's values on their way through the layers.

use super::{LayerShape, Shape, crossings, crossings_beside};
use crate::error::SpecError;
use crate::spec::{Layer, MAX_PARAMETERS, MAX_VALUES, Pool, Rounding, Sees, Spec};

/// What the last layer gave.
pub(super) struct Flow {
    shape: Shape,
    towers: usize,
    form: Form,
    /// Before the first layer: the picture lies ready on every device.
    from_picture: bool,
}

/// Maps keep height and width; a linear layer leaves features.
#[derive(PartialEq, Eq)]
enum Form {
    Maps,
    Features,
}

/// The windows of a convolution or pool, square.
struct Window {
    kernel: usize,
    stride: usize,
    padding: usize,
    rounding: Rounding,
}

impl Flow {
    pub(super) fn of_input(shape: Shape) -> Result<Self, SpecError> {
        // Three factors of at most MAX_SIZE do not overflow u64.
        let values = shape.channels as u64 * shape.height as u64 * shape.width as u64;
        if values > MAX_VALUES {
            return Err(SpecError::TooManyValues {
                layer: "[input]".to_owned(),
            });
        }
        Ok(Self {
            shape,
            towers: 1,
            form: Form::Maps,
            from_picture: true,
        })
    }

    /// Sends the values through layer `index`.
    pub(super) fn through(&mut self, spec: &Spec, index: usize) -> Result<LayerShape, SpecError> {
        let label = spec.label(index);
        let kind = spec.layers[index].kind();
        let before = LayerShape {
            name: spec.layer_name(index),
            kind,
            input: self.shape,
            input_towers: self.towers,
            output: self.shape,
            towers: self.towers,
            weight: None,
            parameters: 0,
            multiply_adds: 0,
            crossings: Vec::new(),
        };
        let after = match &spec.layers[index] {
            Layer::Convolution(layer) => {
                self.needs_maps(&label, kind)?;
                let read = self.read(&label, spec, index, layer.sees, layer.towers)?;
                divides(
                    &label,
                    "the channels",
                    layer.channels,
                    layer.towers,
                    layer.groups,
                )?;
                divides(&label, "the channels it reads,", read, 1, layer.groups)?;
                let window = Window {
                    kernel: layer.kernel,
                    stride: layer.stride,
                    padding: layer.padding,
                    rounding: Rounding::Down,
                };
                let output = self.windows(&label, layer.channels, &window)?;
                let weight = vec![
                    layer.channels,
                    read / layer.groups,
                    layer.kernel,
                    layer.kernel,
                ];
                self.weighted(before, label, weight, output, layer.sees, layer.towers)?
            }
            Layer::Linear(layer) => {
                let last = index + 1 == spec.layers.len();
                let channels = match layer.channels {
                    Some(channels) => channels,
                    None if last => spec.classes,
                    None => return Err(SpecError::NoChannels { layer: label }),
                };
                let maps = self.shape.height * self.shape.width;
                let read = self.read(&label, spec, index, layer.sees, layer.towers)? * maps;
                divides(&label, "the channels", channels, layer.towers, 1)?;
                let output = Shape {
                    channels,
                    height: 1,
                    width: 1,
                };
                self.form = Form::Features;
                self.weighted(
                    before,
                    label,
                    vec![channels, read],
                    output,
                    layer.sees,
                    layer.towers,
                )?
            }
            Layer::Lrn(layer) => {
                self.needs_maps(&label, kind)?;
                LayerShape {
                    crossings: crossings_beside(layer, self.shape, self.towers),
                    ..before
                }
            }
            Layer::MaxPool(Pool {
                kernel,
                stride,
                padding,
                rounding,
            })
            | Layer::AveragePool(Pool {
                kernel,
                stride,
                padding,
                rounding,
            }) => {
                self.needs_maps(&label, kind)?;
                let window = Window {
                    kernel: *kernel,
                    stride: *stride,
                    padding: *padding,
                    rounding: *rounding,
                };
                let output = self.windows(&label, self.shape.channels, &window)?;
                LayerShape { output, ..before }
            }
            Layer::AdaptiveAveragePool(layer) => {
                self.needs_maps(&label, kind)?;
                let Shape { height, width, .. } = self.shape;
                // PyTorch lets windows vary in size and overlap where this fails; no network here
                // needs that.
                if !height.is_multiple_of(layer.output) || !width.is_multiple_of(layer.output) {
                    return Err(SpecError::NotAMultiple {
                        layer: label,
                        came: self.shape,
                        output: layer.output,
                    });
                }
                let output = Shape {
                    height: layer.output,
                    width: layer.output,
                    ..self.shape
                };
                LayerShape { output, ..before }
            }
            Layer::Dropout(_) => before,
        };
        self.shape = after.output;
        self.towers = after.towers;
        self.from_picture = false;
        Ok(after)
    }

    fn needs_maps(&self, label: &str, kind: &'static str) -> Result<(), SpecError> {
        if self.form == Form::Maps {
            return Ok(());
        }
        Err(SpecError::NeedsMap {
            layer: label.to_owned(),
            kind,
            features: self.shape.channels,
        })
    }

    /// Channels that one tower reads.
    fn read(
        &self,
        label: &str,
        spec: &Spec,
        index: usize,
        sees: Sees,
        towers: usize,
    ) -> Result<usize, SpecError> {
        match sees {
            Sees::Both => Ok(self.shape.channels),
            Sees::Own if towers == self.towers => Ok(self.shape.channels / towers),
            Sees::Own => Err(SpecError::SeesOwn {
                layer: label.to_owned(),
                towers,
                came_from: match index {
                    0 => "the picture".to_owned(),
                    _ => spec.label(index - 1),
                },
                input_towers: self.towers,
            }),
        }
    }

    /// (channels, H', W') after windows over H and W.
    fn windows(&self, label: &str, channels: usize, window: &Window) -> Result<Shape, SpecError> {
        let side = |length: usize| {
            window.count(length).ok_or_else(|| SpecError::DoesNotFit {
                layer: label.to_owned(),
                came: self.shape,
                kernel: window.kernel,
                padding: window.padding,
                needed: window.kernel.saturating_sub(2 * window.padding),
            })
        };
        let output = Shape {
            channels,
            height: side(self.shape.height)?,
            width: side(self.shape.width)?,
        };
        // Factors are at most MAX_SIZE + 2 MAX_SIZE < 2^18, so three of them do not overflow u64.
        let values = output.channels as u64 * output.height as u64 * output.width as u64;
        if values > MAX_VALUES {
            return Err(SpecError::TooManyValues {
                layer: label.to_owned(),
            });
        }
        Ok(output)
    }

    /// Adds what a layer with weights holds, costs and moves.
    fn weighted(
        &self,
        before: LayerShape,
        label: String,
        weight: Vec<usize>,
        output: Shape,
        sees: Sees,
        towers: usize,
    ) -> Result<LayerShape, SpecError> {
        let too_many = || SpecError::TooManyParameters {
            layer: label.clone(),
        };
        let weights = weight
            .iter()
            .try_fold(1u64, |product, &size| product.checked_mul(size as u64))
            .filter(|&weights| weights <= MAX_PARAMETERS)
            .ok_or_else(too_many)?;
        Ok(LayerShape {
            output,
            towers,
            parameters: weights + weight[0] as u64,
            // At most MAX_PARAMETERS * MAX_VALUES = 2^62.
            multiply_adds: weights * output.height as u64 * output.width as u64,
            weight: Some(weight),
            crossings: crossings(
                sees,
                before.input,
                before.input_towers,
                towers,
                self.from_picture,
            ),
            ..before
        })
    }
}

impl Window {
    /// Windows along a side, by PyTorch's rule: rounded up, the last must start inside the picture
    /// or its left padding.
    fn count(&self, length: usize) -> Option<usize> {
        let room = (length + 2 * self.padding).checked_sub(self.kernel)?;
        let down = room / self.stride + 1;
        let hangs_over =
            !room.is_multiple_of(self.stride) && down * self.stride < length + self.padding;
        Some(match self.rounding {
            Rounding::Up if hangs_over => down + 1,
            Rounding::Up | Rounding::Down => down,
        })
    }
}

fn divides(
    label: &str,
    what: &'static str,
    channels: usize,
    towers: usize,
    groups: usize,
) -> Result<(), SpecError> {
    // At most MAX_TOWERS * MAX_SIZE: no overflow.
    if channels.is_multiple_of(towers * groups) {
        return Ok(());
    }
    Err(SpecError::Indivisible {
        layer: label.to_owned(),
        what,
        channels,
        towers,
        groups,
    })
}
