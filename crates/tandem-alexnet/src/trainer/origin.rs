//! What a weights file says of how it was trained.

use std::path::Path;

use crate::checkpoint::Position;
use crate::config::TrainConfig;

/// A sentence for whoever finds the weights: the model, the data and how far the run had come. Data is
/// named where its name means the same to everybody: where things lie on the machine that trained is
/// nobody's business, and pictures that were moved make no other weights.
pub(super) fn origin(config: &TrainConfig, pictures: usize, position: &Position) -> String {
    let start = match (&config.start.origin, &config.start_from) {
        (Some(origin), _) => {
            let source = origin.strip_prefix("imported from ").unwrap_or(origin);
            format!(", starting from {source}")
        }
        (None, Some(weights)) => {
            format!(", starting from {}", last_part(&weights.to_string_lossy()))
        }
        (None, None) => String::new(),
    };
    let of = match config.data.as_str() {
        data if data == "builtin" || data.starts_with("hf:") => format!(" of {data}"),
        _ => String::new(),
    };
    format!(
        "`{}` trained by Tandem {} on {pictures} pictures{of}{start}: {} of {} epochs, seed {}",
        config.model.name,
        env!("CARGO_PKG_VERSION"),
        position.epoch,
        config.epochs,
        config.seed,
    )
}

fn last_part(named: &str) -> &str {
    if named.starts_with("hf:") {
        return named;
    }
    let name = Path::new(named).file_name().and_then(|name| name.to_str());
    name.unwrap_or(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Spec;

    #[test]
    fn the_origin_names_model_data_and_epochs_and_no_folder() {
        let mut config = TrainConfig::for_model(Spec::preset("mini").unwrap()).unwrap();
        config.data = "/home/someone/pictures/".to_owned();
        config.epochs = 16;
        let position = Position {
            epoch: 3,
            ..Position::default()
        };
        let text = origin(&config, 6000, &position);
        assert!(text.starts_with("`mini` trained by Tandem "), "{text}");
        assert!(
            text.ends_with("on 6000 pictures: 3 of 16 epochs, seed 0"),
            "{text}"
        );
        config.data = "hf:someone/birds".to_owned();
        config.start_from = Some("runs/mini-1/best.safetensors".into());
        let text = origin(&config, 9, &position);
        assert!(
            text.contains("of hf:someone/birds, starting from best.safetensors:"),
            "{text}"
        );
        config.start.origin = Some("hf:someone/net@main (imported from a.pth)".to_owned());
        let text = origin(&config, 9, &position);
        assert!(
            text.contains(", starting from hf:someone/net@main (imported from a.pth): 3 of 16"),
            "{text}"
        );
    }
}
