//! A node's attributes, each of the type that is asked for.

use super::message;

/// The attributes of a node.
pub(super) struct Attributes<'n> {
    node: &'n message::Node,
}

/// Padding before and after, of height and width alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Padding {
    pub before: usize,
    pub after: usize,
}

impl Padding {
    /// The padding of every side, if they are equal.
    pub(super) fn even(self) -> Option<usize> {
        (self.before == self.after).then_some(self.before)
    }
}

type Result<T> = std::result::Result<T, String>;

impl<'n> Attributes<'n> {
    pub(super) fn of(node: &'n message::Node) -> Self {
        Self { node }
    }

    /// The attribute `name`, if it is there and of that kind.
    fn get(&self, name: &str, kind: i32) -> Result<Option<&'n message::Attribute>> {
        let found = self.node.attribute.iter().find(|a| a.name == name);
        match found {
            // The kind was not written before 2017.
            Some(attribute) if attribute.kind == kind || attribute.kind == 0 => Ok(Some(attribute)),
            Some(_) => Err(format!("has a `{name}` of another type than ONNX says")),
            None => Ok(None),
        }
    }

    pub(super) fn int(&self, name: &str) -> Result<Option<i64>> {
        Ok(self.get(name, 2)?.map(|attribute| attribute.i))
    }

    pub(super) fn float(&self, name: &str) -> Result<Option<f32>> {
        Ok(self.get(name, 1)?.map(|attribute| attribute.f))
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<&'n [i64]>> {
        Ok(self
            .get(name, 7)?
            .map(|attribute| attribute.ints.as_slice()))
    }

    /// A size that is the same for height and width.
    pub(super) fn square(&self, name: &str) -> Result<Option<usize>> {
        match self.ints(name)? {
            None => Ok(None),
            Some(&[h, w]) if h == w && h >= 0 => Ok(usize::try_from(h).ok()),
            Some(sizes) => Err(format!("has {name} of {sizes:?}, and Tandem's are square")),
        }
    }

    /// `pads`, none by default.
    pub(super) fn padding(&self) -> Result<Padding> {
        let automatic = self
            .get("auto_pad", 3)?
            .map(|attribute| attribute.s.as_slice());
        let none = Padding {
            before: 0,
            after: 0,
        };
        match automatic {
            None | Some(b"" | b"NOTSET") => {}
            Some(b"VALID") => return Ok(none),
            Some(_) => return Err("leaves its padding to whoever runs it (`auto_pad`)".to_owned()),
        }
        match self.ints("pads")? {
            None => Ok(none),
            Some(&[top, left, bottom, right]) if top == left && bottom == right => {
                match (usize::try_from(top), usize::try_from(bottom)) {
                    (Ok(before), Ok(after)) => Ok(Padding { before, after }),
                    _ => Err(format!("has pads of {top} and {bottom}")),
                }
            }
            Some(pads) => Err(format!("has pads of {pads:?}, and Tandem's are square")),
        }
    }
}
