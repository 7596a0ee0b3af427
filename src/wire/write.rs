//! Writes Thrift's strict binary protocol, as much of it as the router's own messages need.
//!
//! All other messages were written by a client or a coordinator and are passed on as they came. Numbers are
//! big-endian; a string is its length and its bytes, a field its type, its id and its value, a struct its
//! fields and a stop byte (`TBinaryProtocol` in the Thrift specification, thrift-binary-protocol.md).

use bytes::{BufMut, BytesMut};

use super::thrift::{MessageType, Type};

/// The type of a `TApplicationException`, by its number on the wire (Thrift: `TApplicationException.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExceptionKind {
    /// There is no such method. Clients probe for methods with it, so it must be true.
    UnknownMethod = 1,
    /// An error prevented a result.
    InternalError = 6,
}

/// A whole message with a `TApplicationException`, which can be the reply to any method.
pub fn application_exception(name: &[u8], seqid: i32, kind: ExceptionKind, message: &str) -> BytesMut {
    Writer::message(MessageType::Exception, name, seqid, |exception| {
        exception.string(1, message.as_bytes());
        exception.i32(2, kind as i32);
    })
}

/// Appends fields to the innermost open struct. A struct is written by a closure and closed automatically, so
/// that a stop byte can be neither forgotten nor doubled.
#[derive(Debug)]
pub struct Writer {
    bytes: BytesMut,
}

impl Writer {
    /// A whole message: its header, then the struct that `fields` fills (arguments, a result or an
    /// exception).
    pub fn message(kind: MessageType, name: &[u8], seqid: i32, fields: impl FnOnce(&mut Self)) -> BytesMut {
        let mut writer = Self { bytes: BytesMut::with_capacity(256 + name.len()) };
        writer.bytes.put_slice(&[0x80, 0x01, 0x00, kind as u8]);
        writer.counted(name);
        writer.bytes.put_i32(seqid);
        writer.fields(fields);
        writer.bytes
    }

    /// A field that is a struct, with what `fields` writes inside.
    pub fn structure(&mut self, id: i16, fields: impl FnOnce(&mut Self)) {
        self.field(Type::Struct, id);
        self.fields(fields);
    }

    /// A field that is a string, or bytes.
    pub fn string(&mut self, id: i16, value: &[u8]) {
        self.field(Type::String, id);
        self.counted(value);
    }

    /// A field that is a number of 32 bits, or an enum.
    pub fn i32(&mut self, id: i16, value: i32) {
        self.field(Type::I32, id);
        self.bytes.put_i32(value);
    }

    /// A field that is true or false.
    pub fn bool(&mut self, id: i16, value: bool) {
        self.field(Type::Bool, id);
        self.bytes.put_u8(value.into());
    }

    /// A field that is a map from strings to strings.
    pub fn string_map(&mut self, id: i16, entries: &[(&str, &str)]) {
        self.field(Type::Map, id);
        self.bytes.put_slice(&[Type::String as u8; 2]);
        self.count(entries.len());
        for (key, value) in entries {
            self.counted(key.as_bytes());
            self.counted(value.as_bytes());
        }
    }

    /// A field that is a list of strings.
    pub fn string_list(&mut self, id: i16, elements: &[&str]) {
        self.field(Type::List, id);
        self.bytes.put_u8(Type::String as u8);
        self.count(elements.len());
        for element in elements {
            self.counted(element.as_bytes());
        }
    }

    fn count(&mut self, count: usize) {
        self.bytes.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
    }

    fn fields(&mut self, fields: impl FnOnce(&mut Self)) {
        const STOP: u8 = 0;
        fields(self);
        self.bytes.put_u8(STOP);
    }

    fn field(&mut self, kind: Type, id: i16) {
        self.bytes.put_u8(kind as u8);
        self.bytes.put_i16(id);
    }

    /// A length and as many bytes; bytes beyond what a length can count (2 GiB) are cut off.
    fn counted(&mut self, value: &[u8]) {
        let value = value.get(..i32::MAX as usize).unwrap_or(value);
        self.count(value.len());
        self.bytes.put_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thrift::protocol::TMessageType;

    use super::*;
    use crate::wire::tree::{Value, read, structure, text};

    #[test]
    fn an_application_exception_has_these_bytes() {
        let bytes = application_exception(b"Foo", 7, ExceptionKind::InternalError, "no");
        let expected = b"\x80\x01\0\x03\0\0\0\x03Foo\0\0\0\x07\x0b\0\x01\0\0\0\x02no\x08\0\x02\0\0\0\x06\0";
        assert_eq!(bytes.as_ref(), expected);
    }

    #[test]
    fn every_kind_of_field_is_read_back_by_thrifts_own_reader() {
        let bytes = Writer::message(MessageType::Call, b"Everything", -2, |result| {
            result.structure(0, |inner| {
                inner.i32(1, -3);
                inner.structure(2, |_| {});
                inner.string_map(3, &[]);
                inner.string_map(4, &[("k", "v"), ("", "")]);
                inner.string_list(5, &["a", ""]);
                inner.bool(6, true);
                inner.bool(7, false);
            });
            result.string(-1, b"text");
        });
        let pairs = |pairs: &[(&str, &str)]| {
            Value::Map(pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect())
        };
        let inner = structure([
            (1, Value::I32(-3)),
            (2, structure([])),
            (3, pairs(&[])),
            (4, pairs(&[("k", "v"), ("", "")])),
            (5, Value::List(vec!["a".into(), String::new()])),
            (6, Value::Bool(true)),
            (7, Value::Bool(false)),
        ]);
        let message = read(&bytes);
        assert_eq!((message.kind, message.seqid), (TMessageType::Call, -2));
        assert_eq!(message.name, "Everything");
        assert_eq!(message.fields, structure([(0, inner), (-1, text("text"))]));
    }

    proptest! {
        #[test]
        fn any_name_number_and_text_comes_back(name in "[a-zA-Z_]{0,40}", seqid in any::<i32>(), said in ".{0,99}") {
            let bytes = application_exception(name.as_bytes(), seqid, ExceptionKind::UnknownMethod, &said);
            let message = read(&bytes);
            prop_assert_eq!((message.kind, message.seqid), (TMessageType::Exception, seqid));
            prop_assert_eq!(message.name, name);
            prop_assert_eq!(message.fields, structure([(1, text(&said)), (2, Value::I32(1))]));
        }
    }
}
