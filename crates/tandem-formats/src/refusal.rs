//! Why a layer of another framework's file is refused.

use crate::error::Problem;

/// In words that follow the layer's name, or by what has its own.
pub(crate) enum Refusal {
    Words(String),
    Problem(Problem),
}

impl Refusal {
    /// The problem of the layer called `layer`.
    pub(crate) fn of(self, layer: &str) -> Problem {
        match self {
            Self::Words(what) => Problem::Layer {
                layer: layer.to_owned(),
                what,
            },
            Self::Problem(problem) => problem,
        }
    }
}

impl From<String> for Refusal {
    fn from(what: String) -> Self {
        Self::Words(what)
    }
}

impl From<&str> for Refusal {
    fn from(what: &str) -> Self {
        Self::Words(what.to_owned())
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}
