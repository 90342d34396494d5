//! What the globals on the list make of their arguments. Nothing is called: a description is kept.

use super::globals::Global;
use super::machine::Machine;
use super::{Array, ArrayState, Dtype, Id, Storage, TensorView, Value};
use crate::error::Problem;

/// Dimensions a tensor may have; a convolution's weights have four.
const MAX_DIMENSIONS: usize = 8;

/// REDUCE: `callee(*arguments)`.
pub(super) fn reduce(machine: &mut Machine, callee: Id, arguments: Id) -> Result<Id, Problem> {
    let Value::Global(global) = *machine.heap.get(callee) else {
        return Err(machine.not(callee, "a function"));
    };
    let Value::Tuple(arguments) = machine.heap.get(arguments) else {
        return Err(machine.not(arguments, "a tuple of arguments"));
    };
    // Of a tuple with a million arguments none are looked at.
    let arguments: Vec<Id> = arguments.iter().copied().take(8).collect();
    let value = match (global, arguments.as_slice()) {
        (Global::OrderedDict, []) => Value::Dict(Vec::new()),
        (Global::OrderedDict, &[items]) => Value::Dict(ordered(machine, items)?),
        (Global::RebuildTensor, &[storage, offset, shape, strides, ref rest @ ..]) => {
            // After requires_grad and hooks: whether values are to be negated or conjugated.
            if let Some(&metadata) = rest.get(2)
                && !is_empty(machine.heap.get(metadata))
            {
                return Err(
                    machine.broken("a tensor is to be negated or conjugated when it is read")
                );
            }
            if !matches!(machine.heap.get(storage), Value::Storage(_)) {
                return Err(machine.not(storage, "a storage"));
            }
            Value::Tensor(TensorView {
                storage,
                offset: count(machine, offset)?,
                shape: counts(machine, shape)?,
                strides: counts(machine, strides)?,
            })
        }
        (Global::RebuildParameter, &[tensor, ..]) => {
            return match machine.heap.get(tensor) {
                Value::Tensor(_) => Ok(tensor),
                _ => Err(machine.not(tensor, "a tensor")),
            };
        }
        (Global::Reconstruct, &[class, ..]) => match machine.heap.get(class) {
            Value::Global(Global::NdArray) => Value::Array(Array::default()),
            _ => return Err(machine.not(class, "numpy.ndarray")),
        },
        (Global::Dtype, &[code, ..]) => match machine.heap.text(code) {
            Some(code) => Value::Dtype(Dtype { code, order: None }),
            None => return Err(machine.not(code, "a text")),
        },
        (Global::Encode, &[text, encoding]) => {
            match (machine.heap.text(text), machine.heap.text(encoding)) {
                (Some(text), Some("latin1" | "latin-1")) => Value::Latin1(text),
                _ => return Err(machine.broken("bytes are in no encoding that NumPy writes")),
            }
        }
        _ => {
            let what = format!("{global:?} has other arguments than it takes");
            return Err(machine.broken(what));
        }
    };
    Ok(machine.heap.add(value))
}

/// BUILD: sets the state of `object`.
pub(super) fn build(machine: &mut Machine, object: Id, state: Id) -> Result<(), Problem> {
    match machine.heap.get(object) {
        // A state dict carries `_metadata`, versions of layers: nothing that changes a weight.
        Value::Dict(_) => match machine.heap.get(state) {
            Value::Dict(_) => Ok(()),
            _ => Err(machine.not(state, "a dictionary")),
        },
        &Value::Dtype(dtype) => {
            let order = match machine.heap.get(state) {
                Value::Tuple(fields) => fields.get(1).copied(),
                _ => None,
            };
            let order = order.and_then(|order| machine.heap.text(order));
            let order = order.ok_or_else(|| machine.broken("a dtype has no byte order"))?;
            let order = Some(order);
            *machine.heap.get_mut(object) = Value::Dtype(Dtype { order, ..dtype });
            Ok(())
        }
        Value::Array(_) => {
            let state = array_state(machine, state)?;
            *machine.heap.get_mut(object) = Value::Array(Array { state: Some(state) });
            Ok(())
        }
        _ => Err(machine.broken(format!(
            "{} is given a state, which it has none of",
            machine.heap.kind(object)
        ))),
    }
}

/// `(version, shape, dtype, is_fortran, data)`
fn array_state(machine: &Machine, state: Id) -> Result<ArrayState, Problem> {
    let fields = match machine.heap.get(state) {
        Value::Tuple(fields) => fields.as_slice(),
        _ => &[],
    };
    let &[_, shape, dtype, fortran, data] = fields else {
        return Err(machine.broken("an array has another state than NumPy's"));
    };
    let fortran = match machine.heap.get(fortran) {
        Value::Bool(fortran) => *fortran,
        Value::Int(fortran) => *fortran != 0,
        _ => return Err(machine.not(fortran, "a truth value")),
    };
    Ok(ArrayState {
        shape: counts(machine, shape)?,
        dtype,
        fortran,
        data,
    })
}

/// What a persistent id means: `("storage", type, key, location, length[, view])`, or a name alone in
/// the oldest form.
pub(super) fn persistent<'a>(machine: &Machine<'a>, id: Id) -> Result<Value<'a>, Problem> {
    if let Some(name) = machine.heap.text(id) {
        return Ok(Value::Reference(name));
    }
    let fields = match machine.heap.get(id) {
        Value::Tuple(fields) => fields.as_slice(),
        _ => return Err(machine.not(id, "a persistent id")),
    };
    let kind = fields.first().and_then(|&kind| machine.heap.text(kind));
    let (element, key, length, view) = match *fields {
        [_, element, key, _, length] if kind == Some("storage") => (element, key, length, None),
        [_, element, key, _, length, view] if kind == Some("storage") => {
            (element, key, length, Some(view))
        }
        _ => return Err(machine.broken("a persistent id is not of a storage")),
    };
    let Value::Global(Global::Storage(element)) = *machine.heap.get(element) else {
        return Err(machine.not(element, "the type of a storage"));
    };
    let key = machine.heap.text(key);
    let view = match view.map(|view| machine.heap.get(view)) {
        None | Some(Value::None) => None,
        Some(Value::Tuple(view)) if view.len() == 3 => {
            Some((count(machine, view[1])?, count(machine, view[2])?))
        }
        Some(_) => return Err(machine.broken("the view of a storage makes no sense")),
    };
    Ok(Value::Storage(Storage {
        key: key.ok_or_else(|| machine.broken("a storage has no name"))?,
        element,
        length: count(machine, length)?,
        view,
    }))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::None => true,
        Value::Dict(entries) => entries.is_empty(),
        _ => false,
    }
}

/// The items that Python 2's `OrderedDict` is made of: a list of pairs.
fn ordered(machine: &mut Machine, items: Id) -> Result<Vec<(Id, Id)>, Problem> {
    let Value::List(items) = machine.heap.get(items) else {
        return Err(machine.not(items, "a list"));
    };
    let pairs: Option<Vec<(Id, Id)>> = items
        .iter()
        .map(|&item| match machine.heap.get(item) {
            Value::List(pair) | Value::Tuple(pair) if pair.len() == 2 => Some((pair[0], pair[1])),
            _ => None,
        })
        .collect();
    let pairs = pairs.ok_or_else(|| machine.broken("an item of a dictionary is no pair"))?;
    // The list may be given again and again.
    machine.spend(pairs.len())?;
    Ok(pairs)
}

fn count(machine: &Machine, id: Id) -> Result<usize, Problem> {
    let value = machine.heap.count(id);
    value.ok_or_else(|| machine.not(id, "a number of values"))
}

fn counts(machine: &Machine, id: Id) -> Result<Vec<usize>, Problem> {
    let items = match machine.heap.get(id) {
        Value::Tuple(items) | Value::List(items) => items,
        _ => return Err(machine.not(id, "a shape")),
    };
    if items.len() > MAX_DIMENSIONS {
        let what = format!("a shape has {} dimensions", items.len());
        return Err(machine.broken(what));
    }
    items.iter().map(|&item| count(machine, item)).collect()
}
