//! The form of what flows from node to node, and the nodes that do no more than change it.

use super::{Step, Walk};
use crate::onnx::attributes::Attributes;
use crate::onnx::message;

/// What flows from one node to the next, for one picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Flow {
    Maps {
        channels: usize,
        side: usize,
    },
    /// The same with each of so many groups of channels as a picture of its own: what LRN in each of
    /// two towers looks like.
    Apart {
        channels: usize,
        side: usize,
        groups: usize,
    },
    Features(usize),
    /// Softmax has been.
    Probabilities,
}

impl Walk<'_> {
    pub(super) fn maps(&self) -> Step<(usize, usize)> {
        match self.flow {
            Flow::Maps { channels, side } => Ok((channels, side)),
            _ => Err("comes where there are no maps".into()),
        }
    }

    pub(super) fn features(&self) -> Step<usize> {
        match self.flow {
            Flow::Features(features) => Ok(features),
            Flow::Maps { channels, side: 1 } => Ok(channels),
            Flow::Maps { .. } | Flow::Apart { .. } => {
                Err("comes where there are still maps".into())
            }
            Flow::Probabilities => Err("comes after the softmax".into()),
        }
    }

    pub(super) fn flatten(&mut self) -> Step<()> {
        self.flow = match self.flow {
            Flow::Maps { channels, side } => Flow::Features(values(channels, side)),
            flow @ Flow::Features(_) => flow,
            _ => return Err("flattens what is neither maps nor features".into()),
        };
        Ok(())
    }

    /// To features; or each group of channels made a picture of its own for LRN, and back.
    pub(super) fn reshape(&mut self, node: &message::Node, attributes: &Attributes) -> Step<()> {
        let said = match self.integers(node, 1)? {
            Some(shape) => shape,
            None => attributes.ints("shape")?.ok_or("has no shape")?.to_vec(),
        };
        let is = |said: i64, size: usize| usize::try_from(said) == Ok(size);
        let square = |h: i64, w: i64, side: usize| is(h, side) && is(w, side);
        self.flow = match (self.flow, said.as_slice()) {
            (flow @ Flow::Features(n), &[_, m]) if m == -1 || is(m, n) => flow,
            (Flow::Maps { channels, side }, &[batch, m])
                if m == -1 && batch != -1 || is(m, values(channels, side)) =>
            {
                Flow::Features(values(channels, side))
            }
            (Flow::Maps { channels, side }, &[-1, c, h, w]) if square(h, w, side) => {
                let share = usize::try_from(c).ok().filter(|&c| c > 0);
                let share = share.filter(|&share| channels.is_multiple_of(share));
                let groups = channels / share.ok_or("parts channels unevenly")?;
                Flow::Apart {
                    channels,
                    side,
                    groups,
                }
            }
            (Flow::Apart { channels, side, .. }, &[-1, c, h, w])
                if is(c, channels) && square(h, w, side) =>
            {
                Flow::Maps { channels, side }
            }
            _ => return Err(format!("makes {said:?} of what has another form").into()),
        };
        Ok(())
    }
}

fn values(channels: usize, side: usize) -> usize {
    side.saturating_mul(side).saturating_mul(channels)
}
