//! What a layer makes of pictures: their features, such as the 4096 values of fc7 (the paper's Section
//! 6.1) that other tasks are learned from.

pub mod file;

use std::sync::Arc;

use tandem_data::{LoaderOptions, Normalise, Pictures, Views};

use crate::error::NetworkError;
use crate::evaluation::each_batch;
use crate::network::{Network, Pass};

/// Gives `each` picture's place and what layer `layer` of `network` (see
/// [`Spec::layer_named`](crate::spec::Spec::layer_named)) gives for its centre: all channels, of maps
/// row by row. Picture after picture, so that no more than a batch is held.
///
/// # Errors
///
/// Those of the network and of the data, and what `each` returns.
pub fn features<E: From<NetworkError>>(
    network: &Network,
    layer: usize,
    pictures: &Arc<Pictures>,
    normalise: &Normalise,
    options: LoaderOptions,
    mut each: impl FnMut(usize, Vec<f32>) -> Result<(), E>,
) -> Result<(), E> {
    let views = Views::Centre;
    each_batch(
        network,
        pictures,
        normalise,
        views,
        options,
        |places, input| {
            let output = network.forward_to(input, layer, Pass::Test);
            let rows = output.and_then(|output| output.flatten_from(1)?.to_vec2::<f32>());
            let mut both = places.into_iter().zip(rows.map_err(NetworkError::from)?);
            both.try_for_each(|(place, row)| each(place, row))
        },
    )
}
