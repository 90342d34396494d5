//! The stream form (PyTorch 0.1.10 to 1.5): a magic number, a protocol number, notes on the system,
//! the object and the list of its storages, each a pickle; then the storages in the list's order, a
//! number of values in eight bytes before each.

use std::collections::BTreeMap;

use super::{state_dict, storage_of, tensor};
use crate::error::Problem;
use crate::naming::Named;
use crate::pickle::{self, Dialect, Value};
use crate::stored::Element;

/// 0x1950a86a20f9469cfc6c, little endian, as a pickled integer ends.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const PROTOCOL: i64 = 1001;

pub(crate) fn is_stream(bytes: &[u8]) -> bool {
    // A pickle of version 4 has a frame of 9 bytes around it.
    let head = &bytes[..bytes.len().min(32)];
    bytes.first() == Some(&0x80) && head.windows(MAGIC.len()).any(|window| window == MAGIC)
}

pub(crate) fn read(bytes: &[u8]) -> Result<Named<'_>, Problem> {
    let magic = pickle::run(bytes, 0, Dialect::Torch)?;
    if !matches!(magic.heap.get(magic.root), Value::Long(number) if *number == MAGIC) {
        return Err(wrong("does not begin with PyTorch's magic number"));
    }
    let protocol = pickle::run(bytes, magic.end, Dialect::Torch)?;
    if !matches!(protocol.heap.get(protocol.root), Value::Int(PROTOCOL)) {
        return Err(wrong(
            "is not of PyTorch's protocol 1001, the only one there was",
        ));
    }
    let system = pickle::run(bytes, protocol.end, Dialect::Torch)?;
    let object = pickle::run(bytes, system.end, Dialect::Torch)?;
    let keys = pickle::run(bytes, object.end, Dialect::Torch)?;

    let mut elements: BTreeMap<&str, Element> = BTreeMap::new();
    for storage in object.heap.storages() {
        elements.insert(storage.key, storage.element);
    }
    let Value::List(list) = keys.heap.get(keys.root) else {
        return Err(wrong("has no list of storages after its object"));
    };
    let mut storages: BTreeMap<&str, &[u8]> = BTreeMap::new();
    let mut rest = &bytes[keys.end..];
    for &key in list {
        let key = keys.heap.text(key);
        let found = key.and_then(|key| Some((key, elements.get(key)?)));
        let (key, element) =
            found.ok_or_else(|| wrong("lists a storage that its object does not name"))?;
        let storage = split(&mut rest, *element);
        let storage = storage
            .ok_or_else(|| wrong(format!("is cut short: of storage `{key}` not all is there")))?;
        if storages.insert(key, storage).is_some() {
            return Err(wrong(format!("lists storage `{key}` twice")));
        }
    }
    state_dict::named(&object, bytes.len(), |name, view| {
        let storage = storage_of(&object.heap, view);
        let bytes = storages.get(storage.key).ok_or_else(|| Problem::Tensor {
            name: name.to_owned(),
            what: format!("its storage `{}` is not in the file", storage.key),
        })?;
        tensor(name, view, storage, bytes)
    })
}

/// Takes a storage from the front: the number of its values, and those.
pub(super) fn split<'a>(rest: &mut &'a [u8], element: Element) -> Option<&'a [u8]> {
    let (length, values) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(i64::from_le_bytes(*length)).ok()?;
    let (storage, after) = values.split_at_checked(length.checked_mul(element.size())?)?;
    *rest = after;
    Some(storage)
}

fn wrong(what: impl Into<String>) -> Problem {
    Problem::Archive { what: what.into() }
}
