//! The structs and containers that are open at a place in a message.

use smallvec::SmallVec;

use super::error::ScanError;
use super::token::pass_strings;
use crate::wire::thrift::{MAX_DEPTH, Type};
use crate::wire::watch::{FieldPath, SmallId, WATCH_DEPTH};

/// A string of `TColumn` in a reply to `FetchResults` is in this many containers.
const USUAL_CONTAINERS: usize = 2;
/// Added to the number of structs inside a container, which makes it too large to be watched.
const INSIDE: u8 = 0x80;

/// The open levels of a message. A struct is only counted; a container has something to remember.
pub(super) struct Levels {
    /// Structs that are open in the message or, with [`INSIDE`], in its innermost container.
    structs: u8,
    /// The most that `structs` may be.
    most: u8,
    /// Messages of real servers do not nest deeper than there is place for here.
    containers: SmallVec<[Container; USUAL_CONTAINERS]>,
    /// The latest field of the innermost struct that is watched.
    path: FieldPath,
    /// For each watched level, a bit for each field id below 64 that has occurred.
    met: [u64; WATCH_DEPTH],
}

/// An open container. A list is a map whose keys and values are of one type.
#[derive(Clone, Copy)]
struct Container {
    key: Type,
    value: Type,
    /// [`Levels::structs`] and [`Levels::most`] around it.
    around: (u8, u8),
    /// Keys and values to come; a key is next when this is even.
    left: u32,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A field of the innermost struct, or its end.
    Field,
    /// An element of the innermost container, or its end.
    Element,
    /// Nothing: the message has ended.
    Nothing,
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            structs: 0,
            most: MAX_DEPTH,
            containers: SmallVec::new(),
            path: FieldPath::default(),
            met: [0; WATCH_DEPTH],
        }
    }
}

impl Levels {
    /// Closes all. What was met is forgotten when a struct is opened.
    pub(super) fn clear(&mut self) {
        (self.structs, self.most, self.path) = (0, MAX_DEPTH, FieldPath::default());
        self.containers.clear();
    }

    /// What stands after a value, or where something was opened.
    #[inline]
    pub(super) fn next(&self) -> Next {
        match self.structs {
            0 => Next::Nothing,
            INSIDE => Next::Element,
            _ => Next::Field,
        }
    }

    /// The ids that have occurred in the innermost struct, if it is watched: not inside a container, and not
    /// too deep.
    #[inline]
    fn met(&mut self) -> Option<&mut u64> {
        self.met.get_mut(usize::from(self.structs).wrapping_sub(1))
    }

    #[inline]
    pub(super) fn open_struct(&mut self) -> Result<(), ScanError> {
        if self.structs >= self.most {
            return Err(ScanError::TooDeep);
        }
        self.structs += 1;
        if let Some(met) = self.met() {
            *met = 0;
            self.path = self.path.inward();
        }
        Ok(())
    }

    #[inline]
    pub(super) fn close_struct(&mut self) {
        if self.met().is_some() {
            self.path = self.path.outward();
        }
        self.structs = self.structs.wrapping_sub(1);
    }

    /// `count` is positive as an `i32`.
    pub(super) fn open_container(
        &mut self,
        key: Type,
        value: Option<Type>,
        count: u32,
    ) -> Result<(), ScanError> {
        let Some(most @ 1..) = self.most.checked_sub(self.structs) else { return Err(ScanError::TooDeep) };
        let left = if value.is_some() { count * 2 } else { count };
        let value = value.unwrap_or(key);
        self.containers.push(Container { key, value, around: (self.structs, self.most), left });
        // The container is a level itself.
        (self.structs, self.most) = (INSIDE, INSIDE + most - 1);
        Ok(())
    }

    /// Goes on in a container, over as many strings as the bytes hold. Returns the type of the next element;
    /// none if there was no other and the container is closed.
    pub(super) fn element(&mut self, rest: &mut &[u8]) -> Result<Option<Type>, ScanError> {
        let Some(Container { key, value, around, left }) = self.containers.last_mut() else {
            return Ok(None);
        };
        let kind = if (*key, *value) == (Type::String, Type::String) {
            (*rest, *left) = pass_strings(rest, *left)?;
            Type::String
        } else if left.is_multiple_of(2) {
            *key
        } else {
            *value
        };
        if *left > 0 {
            *left -= 1;
            return Ok(Some(kind));
        }
        (self.structs, self.most) = *around;
        self.containers.pop();
        Ok(None)
    }

    /// Notes a field of the innermost struct, and returns its place if anything may be looked for there.
    #[inline]
    pub(super) fn field(&mut self, id: i16) -> Result<Option<FieldPath>, ScanError> {
        let Some(met) = self.met() else { return Ok(None) };
        let Some(small) = SmallId::new(id) else {
            self.path = self.path.beside_any();
            return Ok(None);
        };
        if *met & small.bit() != 0 {
            return Err(ScanError::Repeated { id });
        }
        *met |= small.bit();
        self.path = self.path.beside(small);
        Ok(Some(self.path))
    }
}
