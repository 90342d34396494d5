//! Python's pickle, read as data.
//!
//! A pickle is a program for a small stack machine, and in Python's hands may import and call
//! anything. Here the machine builds numbers, text, tuples, lists, dictionaries and descriptions of
//! tensors; a global that is not on the short list in `globals.rs`, or a call of one with other
//! arguments than its own, is refused with its name and place, and nothing outside the machine is
//! ever touched.
//!
//! Values live side by side in one arena and refer to each other by number: to nest or to share them
//! costs nothing, to drop them takes no stack, and an instruction makes one value at most.

mod call;
mod globals;
mod machine;
mod reader;

use crate::error::Problem;
use crate::stored::Element;

pub(crate) use globals::Dialect;
pub(crate) use machine::run;

/// The most instructions that are followed. A state dict of AlexNet takes about 500, one with its
/// optimiser some thousands.
const MAX_INSTRUCTIONS: usize = 1 << 18;

/// The place of a value in its [`Heap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id(u32);

/// A value, `'a` being the file's bytes.
#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// Beyond i64: two's complement, little endian.
    Long(&'a [u8]),
    /// Nothing of a weights file hangs on it.
    Float,
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Text of which each character stands for a byte: how protocol 2 writes Python 3's bytes.
    Latin1(&'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// In the order written; of a key written twice the last counts.
    Dict(Vec<(Id, Id)>),
    Global(globals::Global),
    /// What a persistent id stands for: the numbers behind tensors, by a name that the file's form
    /// resolves.
    Storage(Storage<'a>),
    /// A persistent id of another kind, as the oldest form has them: a plain number in text.
    Reference(&'a str),
    Tensor(TensorView),
    Dtype(Dtype<'a>),
    Array(Array),
}

/// A storage as a persistent id describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Storage<'a> {
    pub key: &'a str,
    pub element: Element,
    /// Values in it.
    pub length: usize,
    /// The part that is meant, first value and number of values; else all of it.
    pub view: Option<(usize, usize)>,
}

/// `torch._utils._rebuild_tensor`'s arguments.
#[derive(Clone, Debug)]
pub(crate) struct TensorView {
    pub storage: Id,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// `numpy.dtype`, as the text it is made of: `f4`, with its byte order once its state is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dtype<'a> {
    pub code: &'a str,
    pub order: Option<&'a str>,
}

/// A NumPy array, once its state is set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Array {
    pub state: Option<ArrayState>,
}

#[derive(Clone, Debug)]
pub(crate) struct ArrayState {
    pub shape: Vec<usize>,
    pub dtype: Id,
    /// Whether the first dimension is the fastest.
    pub fortran: bool,
    /// Bytes, or a list of objects.
    pub data: Id,
}

/// All values that a pickle made.
#[derive(Debug, Default)]
pub(crate) struct Heap<'a> {
    values: Vec<Value<'a>>,
}

impl<'a> Heap<'a> {
    pub fn get(&self, id: Id) -> &Value<'a> {
        &self.values[id.0 as usize]
    }

    fn get_mut(&mut self, id: Id) -> &mut Value<'a> {
        &mut self.values[id.0 as usize]
    }

    fn add(&mut self, value: Value<'a>) -> Id {
        let id = Id(self.values.len() as u32);
        self.values.push(value);
        id
    }

    /// The text at `id`, also where Python 2 wrote it as bytes.
    pub fn text(&self, id: Id) -> Option<&'a str> {
        match *self.get(id) {
            Value::Text(text) => Some(text),
            Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The values of a storage of the type at `id`, if it is one.
    pub fn storage_type(&self, id: Id) -> Option<Element> {
        match self.get(id) {
            Value::Global(globals::Global::Storage(element)) => Some(*element),
            _ => None,
        }
    }

    /// Every storage that is named, whatever for.
    pub fn storages(&self) -> impl Iterator<Item = &Storage<'a>> {
        self.values.iter().filter_map(|value| match value {
            Value::Storage(storage) => Some(storage),
            _ => None,
        })
    }

    /// The whole number at `id`, if it can count something.
    pub fn count(&self, id: Id) -> Option<usize> {
        match *self.get(id) {
            Value::Int(value) => usize::try_from(value).ok(),
            _ => None,
        }
    }

    /// What `id` is, for messages.
    pub fn kind(&self, id: Id) -> &'static str {
        match self.get(id) {
            Value::None => "None",
            Value::Bool(_) => "a truth value",
            Value::Int(_) | Value::Long(_) => "a whole number",
            Value::Float => "a number",
            Value::Text(_) => "a text",
            Value::Bytes(_) | Value::Latin1(_) => "bytes",
            Value::Tuple(_) => "a tuple",
            Value::List(_) => "a list",
            Value::Dict(_) => "a dictionary",
            Value::Global(_) => "a global",
            Value::Storage(_) | Value::Reference(_) => "a storage",
            Value::Tensor(_) => "a tensor",
            Value::Dtype(_) => "a type of number",
            Value::Array(_) => "an array",
        }
    }
}

/// A pickle that was followed to its end.
#[derive(Debug)]
pub(crate) struct Pickled<'a> {
    pub heap: Heap<'a>,
    pub root: Id,
    /// Where it ends in the bytes it was read from.
    pub end: usize,
}

fn broken(at: usize, what: impl Into<String>) -> Problem {
    Problem::Pickle {
        at,
        what: what.into(),
    }
}
