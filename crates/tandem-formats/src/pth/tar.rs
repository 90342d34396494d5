//! The tar form (PyTorch before 0.1.10): `storages` and `tensors`, each a number of records of a
//! pickle and raw bytes, and `pickle`, whose persistent ids name one or the other by its address in
//! the process that wrote it.

use std::collections::BTreeMap;
use std::io::Cursor;

use super::{state_dict, stream};
use crate::error::Problem;
use crate::naming::Named;
use crate::pickle::{self, Dialect, Heap, Id, Value};
use crate::stored::{Element, Stored};

/// Members that are looked at; the form has three.
const MEMBERS: usize = 64;
const MAX_DIMENSIONS: usize = 8;

pub(crate) fn is_tar(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

pub(crate) fn read(bytes: &[u8]) -> Result<Named<'_>, Problem> {
    let [storages, tensors, object] = members(bytes)?;
    let storages = read_storages(storages)?;
    let tensors = read_tensors(tensors, &storages)?;
    let object = pickle::run(object, 0, Dialect::Torch)?;
    state_dict::referenced(&object, bytes.len(), |name, address| {
        let tensor = tensors.get(address).ok_or_else(|| Problem::Tensor {
            name: name.to_owned(),
            what: format!("its tensor {address} is not in the file"),
        })?;
        Ok(tensor.called(name))
    })
}

/// `storages`, `tensors` and `pickle`.
fn members(bytes: &[u8]) -> Result<[&[u8]; 3], Problem> {
    let mut archive = ::tar::Archive::new(Cursor::new(bytes));
    let damaged = |error: std::io::Error| wrong(format!("is a damaged tar archive: {error}"));
    let mut found = [None; 3];
    let names = ["storages", "tensors", "pickle"];
    for entry in archive.entries_with_seek().map_err(damaged)?.take(MEMBERS) {
        let entry = entry.map_err(damaged)?;
        let path = entry.path_bytes();
        let path = path.strip_prefix(b"./").unwrap_or(&path);
        let Some(place) = names.iter().position(|name| name.as_bytes() == path) else {
            continue;
        };
        let length = usize::try_from(entry.size()).ok();
        let start = usize::try_from(entry.raw_file_position()).ok();
        let inside = length.zip(start);
        let inside = inside.and_then(|(length, start)| bytes.get(start..)?.get(..length));
        found[place] = inside;
        if inside.is_none() {
            let what = format!(
                "is a tar archive cut short: of `{}` not all is there",
                names[place]
            );
            return Err(wrong(what));
        }
    }
    match found {
        [Some(storages), Some(tensors), Some(object)] => Ok([storages, tensors, object]),
        _ => Err(wrong(
            "is a tar archive without the members `storages`, `tensors` and `pickle` of PyTorch's first form",
        )),
    }
}

/// The bytes of a storage by its address.
type Storages<'a> = BTreeMap<i64, (Element, &'a [u8])>;

/// A number of records, each a pickled (address, location, type) and the values; then a list of
/// views, each (address, address of the whole, first value, number of values).
fn read_storages(bytes: &[u8]) -> Result<Storages<'_>, Problem> {
    let mut storages = Storages::new();
    let (number, mut at) = number(bytes)?;
    for _ in 0..number {
        let record = pickle::run(bytes, at, Dialect::Torch)?;
        let (heap, fields) = (&record.heap, tuple(&record.heap, record.root));
        let (address, element) = match *fields {
            [address, _, kind] => (int(heap, address), heap.storage_type(kind)),
            _ => (None, None),
        };
        let (Some(address), Some(element)) = (address, element) else {
            return Err(wrong("has a storage whose record makes no sense"));
        };
        let mut rest = &bytes[record.end..];
        let storage = stream::split(&mut rest, element);
        let storage = storage.ok_or_else(|| {
            wrong(format!(
                "is cut short: of storage {address} not all is there"
            ))
        })?;
        at = bytes.len() - rest.len();
        storages.insert(address, (element, storage));
    }
    let views = pickle::run(bytes, at, Dialect::Torch)?;
    let (heap, list) = (&views.heap, list(&views.heap, views.root));
    for &view in list {
        let found = match *tuple(heap, view) {
            [address, whole, first, length] => {
                view_of(heap, &storages, [address, whole, first, length])
            }
            _ => None,
        };
        let (address, view) = found
            .ok_or_else(|| wrong("has a view of a storage that is not there or not so long"))?;
        storages.insert(address, view);
    }
    Ok(storages)
}

fn view_of<'a>(
    heap: &Heap,
    storages: &Storages<'a>,
    [address, whole, first, length]: [Id; 4],
) -> Option<(i64, (Element, &'a [u8]))> {
    let (element, bytes) = *storages.get(&int(heap, whole)?)?;
    let start = heap.count(first)?.checked_mul(element.size())?;
    let length = heap.count(length)?.checked_mul(element.size())?;
    let view = bytes.get(start..)?.get(..length)?;
    Some((int(heap, address)?, (element, view)))
}

/// A number of records, each a pickled (address, address of the storage, type), the number of
/// dimensions in eight bytes, sizes, strides, and the place of the first value.
fn read_tensors<'a>(
    bytes: &[u8],
    storages: &Storages<'a>,
) -> Result<BTreeMap<String, Stored<'a>>, Problem> {
    let mut tensors = BTreeMap::new();
    let (number, mut at) = number(bytes)?;
    for _ in 0..number {
        let record = pickle::run(bytes, at, Dialect::Torch)?;
        let heap = &record.heap;
        let (address, storage) = match *tuple(heap, record.root) {
            [address, storage, _] => (int(heap, address), int(heap, storage)),
            _ => (None, None),
        };
        let storage = storage.and_then(|storage| storages.get(&storage));
        let (Some(address), Some((element, storage))) = (address, storage) else {
            return Err(wrong("has a tensor whose storage is not in the file"));
        };
        let mut rest = &bytes[record.end..];
        let layout = layout(&mut rest);
        let (shape, strides, offset) = layout
            .ok_or_else(|| wrong(format!("has a tensor {address} whose shape makes no sense")))?;
        at = bytes.len() - rest.len();
        let name = address.to_string();
        let tensor = Stored::strided(&name, shape, strides, offset, *element, storage)?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

/// Sizes, strides and first value of a tensor.
type Layout = (Vec<usize>, Vec<usize>, usize);

fn layout(rest: &mut &[u8]) -> Option<Layout> {
    let mut next = || {
        let (number, after) = rest.split_first_chunk::<8>()?;
        *rest = after;
        Some(*number)
    };
    // Four of the eight bytes count: what follows them was never set.
    let [a, b, c, d, ..] = next()?;
    let dimensions = usize::try_from(i32::from_le_bytes([a, b, c, d])).ok()?;
    if dimensions > MAX_DIMENSIONS {
        return None;
    }
    let mut number = || usize::try_from(i64::from_le_bytes(next()?)).ok();
    let mut numbers = || {
        (0..dimensions)
            .map(|_| number())
            .collect::<Option<Vec<_>>>()
    };
    let (shape, strides) = (numbers()?, numbers()?);
    Some((shape, strides, number()?))
}

/// The number of records that a member begins with, and where they begin.
fn number(bytes: &[u8]) -> Result<(usize, usize), Problem> {
    let number = pickle::run(bytes, 0, Dialect::Torch)?;
    match number.heap.count(number.root) {
        Some(count) => Ok((count, number.end)),
        None => Err(wrong("does not say how many storages or tensors it has")),
    }
}

fn tuple<'h>(heap: &'h Heap, id: Id) -> &'h [Id] {
    match heap.get(id) {
        Value::Tuple(fields) => fields,
        _ => &[],
    }
}

fn list<'h>(heap: &'h Heap, id: Id) -> &'h [Id] {
    match heap.get(id) {
        Value::List(items) => items,
        _ => &[],
    }
}

fn int(heap: &Heap, id: Id) -> Option<i64> {
    match heap.get(id) {
        Value::Int(value) => Some(*value),
        _ => None,
    }
}

fn wrong(what: impl Into<String>) -> Problem {
    Problem::Archive { what: what.into() }
}
