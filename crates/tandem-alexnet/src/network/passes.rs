//! The way through the layers and back.

use std::ops::Range;

use candle_core::{DType, Result, Tensor};

use super::{Direction, Gradients, LayerDone, Network, Pass};
use crate::input::Input;
use crate::shapes::LayerShape;
use crate::spec::{Layer, Sees};
use crate::step::{Applied, Operation, Wanted};

/// What one share of one layer did, for the way back.
pub(super) struct Trace {
    applied: Vec<Applied>,
    /// Its index in the spec; of two layers in one that of the first.
    layer: usize,
    /// How many layers it is: LRN and the pooling behind it are worked as one.
    layers: usize,
    /// Index of its weight; the bias follows.
    parameter: Option<usize>,
    share: usize,
    /// Shares it read.
    sources: usize,
    reads: Reads,
}

/// What a share of a layer reads of the layer before.
#[derive(Clone, Copy)]
enum Reads {
    /// The share at its own place.
    Own,
    /// All shares, joined.
    All,
    /// Its own and the channels beside it that LRN's windows reach.
    Beside,
}

impl Network {
    /// What layer `last` gives for `x`, f32 and whole on the first device; each layer's work up to there
    /// is handed to `record`.
    pub(super) fn run(
        &self,
        x: &Input,
        last: usize,
        pass: Pass,
        mut record: impl FnMut(Trace),
        done: LayerDone<'_>,
    ) -> Result<Tensor> {
        let shares = |shape: &LayerShape| match self.splits(shape.towers) {
            true => shape.towers,
            false => 1,
        };
        let from = x.layers();
        let mut values = match from.checked_sub(1) {
            None => self.show(x, self.shapes.layers.first().map_or(1, shares))?,
            Some(before) => self.resume(x, shares(&self.shapes.layers[before]))?,
        };
        let done_before = self.parameters.iter().filter(|p| p.layer < from);
        let mut parameter = done_before.count();
        let mut index = from;
        while index <= last {
            let layer = &self.spec.layers[index];
            // The trunk is a fixed function.
            let learns = index >= self.tuning.trunk();
            let pass = if learns { pass } else { Pass::Test };
            let joins = index < last && index + 1 != self.tuning.trunk();
            let next = self.spec.layers.get(index + 1).filter(|_| joins);
            let mut layers = 1;
            let shape = &self.shapes.layers[index];
            let shares = shares(shape);
            let weighted = layer.name().is_some();
            let sees = match layer {
                Layer::Convolution(layer) => layer.sees,
                Layer::Linear(layer) => layer.sees,
                _ => Sees::Own,
            };
            let reads = match layer {
                Layer::Lrn(layer) if layer.sees == Sees::Both && shares > 1 => Reads::Beside,
                _ if index > 0 && weighted && (sees == Sees::Both || values.len() != shares) => {
                    Reads::All
                }
                _ => Reads::Own,
            };
            let sources = values.len();
            // What crosses does so before any tower computes: a tower waits for the others' input,
            // never for their output.
            let inputs = match reads {
                Reads::Own => values,
                Reads::All => self.gather_all(&values, shares)?,
                Reads::Beside => self.gather_reaches(&values, &self.reaches(index))?,
            };
            let mut outputs = Vec::with_capacity(shares);
            for (share, x) in inputs.into_iter().enumerate() {
                let pair = next.map(|next| Operation::of_pair([layer, next], shape, shares));
                let operations = match pair.transpose()?.flatten() {
                    Some(pair) => {
                        layers = 2;
                        vec![pair]
                    }
                    None => Operation::of_layer(layer, shape, index, shares, share, pass)?,
                };
                let mut applied = Vec::with_capacity(operations.len());
                let mut value = x;
                for operation in operations {
                    let (weight, bias) = match weighted {
                        true => (
                            Some(self.shares[parameter][share].weight.clone()),
                            Some(self.shares[parameter + 1][share].weight.clone()),
                        ),
                        false => (None, None),
                    };
                    let step = operation.apply(value, weight, bias)?;
                    value = step.y.clone();
                    applied.push(step);
                }
                outputs.push(value);
                if learns {
                    record(Trace {
                        applied,
                        layer: index,
                        layers,
                        parameter: weighted.then_some(parameter),
                        share,
                        sources,
                        reads,
                    });
                }
            }
            values = outputs;
            if weighted {
                parameter += 2;
            }
            done(&self.name(index, layers), Direction::Forward);
            index += layers;
        }
        self.gather(&values, 0)?.to_dtype(DType::F32)
    }

    /// Of one layer, or of LRN and pooling in one.
    fn name(&self, index: usize, layers: usize) -> String {
        let first = &self.shapes.layers[index].name;
        match layers {
            1 => first.clone(),
            _ => format!("{first} and pooling"),
        }
    }

    /// The channels that each tower of LRN layer `index` reads, counted over all towers; of another
    /// layer none.
    fn reaches(&self, index: usize) -> Vec<Range<usize>> {
        let LayerShape { input, towers, .. } = self.shapes.layers[index];
        match &self.spec.layers[index] {
            Layer::Lrn(layer) => (0..towers)
                .map(|tower| layer.reach(tower, towers, input.channels))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// From the gradient of the logits those of the parameters that learn. Goes back as far as the
    /// first of them.
    pub(super) fn backward(
        &self,
        mut tape: Vec<Trace>,
        dlogits: Tensor,
        done: LayerDone<'_>,
    ) -> Result<Gradients> {
        let mut gradients: Vec<Vec<Option<Tensor>>> = self
            .shares
            .iter()
            .map(|shares| vec![None; shares.len()])
            .collect();
        let shares = tape.last().map_or(1, |trace| trace.share + 1);
        let mut incoming = self.scatter(&dlogits, shares)?;
        while let Some(shares) = tape.last().map(|trace| trace.share + 1) {
            let layer: Vec<Trace> = tape.drain(tape.len() - shares..).collect();
            let index = layer[0].layer;
            let first = index == self.tuning.first();
            let parameters = self.tuning.factor(index).is_some();
            let (reads, sources) = (layer[0].reads, layer[0].sources);
            let name = self.name(index, layer[0].layers);
            let mut outgoing = Vec::with_capacity(shares);
            for (trace, mut gradient) in layer.into_iter().zip(incoming) {
                let Trace {
                    mut applied,
                    parameter,
                    share,
                    ..
                } = trace;
                let mut outgoing_here = None;
                while let Some(step) = applied.pop() {
                    let input = !(first && applied.is_empty());
                    let back = step.backward(&gradient, Wanted { input, parameters })?;
                    if let (Some(parameter), Some((dw, db))) = (parameter, back.parameters) {
                        gradients[parameter][share] = Some(dw);
                        gradients[parameter + 1][share] = Some(db);
                    }
                    if let Some(dx) = &back.input {
                        gradient = dx.clone();
                    }
                    outgoing_here = back.input;
                }
                outgoing.extend(outgoing_here);
            }
            if first {
                done(&name, Direction::Backward);
                break;
            }
            incoming = match reads {
                Reads::Own => outgoing,
                Reads::All => self.scatter_all(&outgoing, sources)?,
                Reads::Beside => self.scatter_reaches(&outgoing, &self.reaches(index))?,
            };
            done(&name, Direction::Backward);
        }
        let complete = gradients
            .into_iter()
            .zip(&self.parameters)
            .map(|(shares, parameter)| {
                if self.tuning.factor(parameter.layer).is_none() {
                    return Ok(Vec::new());
                }
                let shares: Option<Vec<Tensor>> = shares.into_iter().collect();
                shares.ok_or_else(|| {
                    candle_core::Error::msg(format!("no gradient reached {}", parameter.name))
                })
            });
        Ok(Gradients(complete.collect::<Result<_>>()?))
    }
}
