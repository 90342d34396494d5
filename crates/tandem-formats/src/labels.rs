//! The names of the classes of a network that comes without any.

use tandem_alexnet::spec::Spec;

use crate::Options;
use crate::error::Problem;

/// Names of the classes of `spec`: those that were given, else those that the file `said`, else
/// ILSVRC 2012's for a network of 1,000, else numbers.
pub(crate) fn of(
    spec: &Spec,
    options: &Options,
    said: Option<Vec<String>>,
    notes: &mut Vec<String>,
) -> Result<Vec<String>, Problem> {
    let classes = spec.classes;
    if let Some(labels) = &options.labels {
        if labels.len() != classes {
            return Err(Problem::Labels {
                labels: labels.len(),
                classes,
            });
        }
        return Ok(labels.clone());
    }
    if let Some(said) = said {
        if said.len() != classes {
            return Err(Problem::Classes {
                names: said.len(),
                classes,
            });
        }
        return Ok(said);
    }
    let ilsvrc = tandem_data::ilsvrc_classes();
    if classes == ilsvrc.len() {
        notes.push(
            "the file does not name its 1000 classes: taken for those of ILSVRC 2012, sorted by WNID"
                .to_owned(),
        );
        return Ok(ilsvrc);
    }
    notes.push(format!(
        "the file does not name its {classes} classes: they are called by their numbers, from 0; --labels FILE names them"
    ));
    Ok((0..classes).map(|class| class.to_string()).collect())
}
