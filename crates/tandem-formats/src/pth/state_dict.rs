//! The state dict in a pickled object: tensors by name, at its top or one level down.

use std::collections::BTreeMap;

use crate::error::Problem;
use crate::fit::bounded;
use crate::naming::Named;
use crate::pickle::{Heap, Id, Pickled, TensorView, Value};
use crate::stored::Stored;

/// What scripts call the state dict when they save more beside it.
const WRAPPERS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// Where `nn.DataParallel` was put, in front of a name or, as PyTorch's own ImageNet example does for
/// AlexNet, around the convolutions alone.
const PARALLEL: [(&str, &str); 2] = [("module.", ""), ("features.module.", "features.")];

/// The tensors of the state dict in `pickled`, by `read` from the views that are their descriptions.
pub(super) fn named<'a>(
    pickled: &Pickled<'a>,
    length: usize,
    mut read: impl FnMut(&str, &TensorView) -> Result<Stored<'a>, Problem>,
) -> Result<Named<'a>, Problem> {
    collect(pickled, length, |heap, name, id| match heap.get(id) {
        Value::Tensor(view) => Some(read(name, view)),
        _ => None,
    })
}

/// The tensors of the state dict in `pickled`, by `read` from the names that stand for them.
pub(super) fn referenced<'a>(
    pickled: &Pickled<'_>,
    length: usize,
    mut read: impl FnMut(&str, &str) -> Result<Stored<'a>, Problem>,
) -> Result<Named<'a>, Problem> {
    collect(pickled, length, |heap, name, id| match heap.get(id) {
        Value::Reference(reference) => Some(read(name, reference)),
        _ => None,
    })
}

fn collect<'a, 'p>(
    pickled: &Pickled<'p>,
    length: usize,
    mut read: impl FnMut(&Heap<'p>, &str, Id) -> Option<Result<Stored<'a>, Problem>>,
) -> Result<Named<'a>, Problem> {
    let heap = &pickled.heap;
    let mut notes = Vec::new();
    let entries = find(heap, pickled.root, &mut notes)?;
    let mut tensors = BTreeMap::new();
    let mut parallel = false;
    for &(key, value) in entries {
        let name = heap.text(key).ok_or_else(|| Problem::StateDict {
            what: format!("one of its keys is {}", heap.kind(key)),
        })?;
        let stored = read(heap, name, value).ok_or_else(|| Problem::Tensor {
            name: name.to_owned(),
            what: format!("{} stands where a tensor should", heap.kind(value)),
        })??;
        let bare = PARALLEL.iter().find_map(|(before, after)| {
            let rest = name.strip_prefix(before)?;
            Some(format!("{after}{rest}"))
        });
        parallel |= bare.is_some();
        let name = bare.unwrap_or_else(|| name.to_owned());
        if tensors.insert(name.clone(), stored).is_some() {
            return Err(Problem::Tensor {
                name,
                what: "is there twice".to_owned(),
            });
        }
    }
    if parallel {
        notes.push("names had nn.DataParallel's `module.` in them: left out".to_owned());
    }
    bounded(&tensors, length)?;
    Ok(Named {
        tensors,
        notes,
        ..Named::default()
    })
}

/// The entries of the state dict: those of the object, or of the one that it wraps.
fn find<'h>(heap: &'h Heap, root: Id, notes: &mut Vec<String>) -> Result<&'h [(Id, Id)], Problem> {
    let Value::Dict(entries) = heap.get(root) else {
        let what = format!("it holds {}", heap.kind(root));
        return Err(Problem::StateDict { what });
    };
    let wrapped = WRAPPERS.iter().find_map(|wrapper| {
        let mut found = entries.iter().rev();
        let (_, value) = found.find(|(key, _)| heap.text(*key) == Some(wrapper))?;
        match heap.get(*value) {
            Value::Dict(inner) => Some((*wrapper, inner)),
            _ => None,
        }
    });
    let Some((wrapper, inner)) = wrapped else {
        return Ok(entries);
    };
    const SHOWN: usize = 8;
    let mut beside: Vec<&str> = entries
        .iter()
        .filter_map(|(key, _)| heap.text(*key))
        .collect();
    beside.retain(|key| *key != wrapper);
    if !beside.is_empty() {
        let more = beside.len().saturating_sub(SHOWN);
        let mut list = beside[..beside.len() - more].join(", ");
        if more > 0 {
            list.push_str(&format!(" and {more} more"));
        }
        notes.push(format!(
            "the weights were in `{wrapper}`; what was beside it is left out: {list}"
        ));
    }
    Ok(inner)
}
