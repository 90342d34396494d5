//! What a repository of the hub holds, which says where it lies there and in the cache.

use std::fmt;

/// A data set or a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Pictures and their classes.
    DataSet,
    /// A network's weights.
    Model,
}

impl Kind {
    /// As the interface's addresses (`/api/datasets/…`) and the cache's folders (`datasets--…`) name it.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::DataSet => "datasets",
            Self::Model => "models",
        }
    }

    /// The address of the page of `repository`; a model's has no word for its kind in it.
    pub(crate) fn page(self, endpoint: &str, repository: &str) -> String {
        match self {
            Self::DataSet => format!("{endpoint}/datasets/{repository}"),
            Self::Model => format!("{endpoint}/{repository}"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::DataSet => "data set",
            Self::Model => "model",
        })
    }
}
