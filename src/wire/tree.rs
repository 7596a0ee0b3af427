//! A message read into a tree by Thrift's own library: how the tests look at what this layer writes, with a
//! reader that shares nothing with it.

use std::collections::BTreeMap;

use thrift::protocol::{TBinaryInputProtocol, TInputProtocol, TMessageType, TType};

/// A whole message.
pub(crate) struct Message {
    pub(crate) kind: TMessageType,
    pub(crate) name: String,
    pub(crate) seqid: i32,
    /// The result or exception struct.
    pub(crate) fields: Value,
}

/// A value of a type that the router writes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    I32(i32),
    Text(String),
    Struct(BTreeMap<i16, Self>),
    Map(BTreeMap<String, String>),
    List(Vec<String>),
}

/// A struct with these fields.
pub(crate) fn structure<const N: usize>(fields: [(i16, Value); N]) -> Value {
    Value::Struct(BTreeMap::from(fields))
}

/// A string.
pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Reads `bytes`, which must be one message and nothing after it.
pub(crate) fn read(bytes: &[u8]) -> Message {
    let mut rest = bytes;
    let message = {
        let mut input = TBinaryInputProtocol::new(&mut rest, true);
        let header = input.read_message_begin().unwrap();
        let fields = read_struct(&mut input);
        input.read_message_end().unwrap();
        Message { kind: header.message_type, name: header.name, seqid: header.sequence_number, fields }
    };
    assert!(rest.is_empty(), "{} bytes after the message", rest.len());
    message
}

fn read_struct(input: &mut impl TInputProtocol) -> Value {
    let mut fields = BTreeMap::new();
    input.read_struct_begin().unwrap();
    loop {
        let field = input.read_field_begin().unwrap();
        let value = match field.field_type {
            TType::Stop => break,
            TType::I32 => Value::I32(input.read_i32().unwrap()),
            TType::String => Value::Text(input.read_string().unwrap()),
            TType::Struct => read_struct(input),
            TType::Bool => Value::Bool(input.read_bool().unwrap()),
            TType::Map => {
                let map = input.read_map_begin().unwrap();
                let entries =
                    (0..map.size).map(|_| (input.read_string().unwrap(), input.read_string().unwrap()));
                Value::Map(entries.collect())
            }
            TType::List => {
                let list = input.read_list_begin().unwrap();
                assert_eq!(list.element_type, TType::String);
                Value::List((0..list.size).map(|_| input.read_string().unwrap()).collect())
            }
            other => panic!("the router writes no {other:?}"),
        };
        input.read_field_end().unwrap();
        let earlier = fields.insert(field.id.unwrap(), value);
        assert_eq!(earlier, None, "a field must not be repeated");
    }
    input.read_struct_end().unwrap();
    Value::Struct(fields)
}
