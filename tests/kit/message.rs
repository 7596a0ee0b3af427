//! Messages as values: what the tests and benches make up and look into, on Thrift's own library, which has
//! nothing in common with how the router reads: a parser that made the router's mistakes would find them
//! right.

use std::io::{self, Read};

use thrift::TConfiguration;
use thrift::protocol::{
    TBinaryInputProtocol, TBinaryOutputProtocol, TInputProtocol, TMessageIdentifier, TMessageType,
    TOutputProtocol, TType,
};

/// A value in a message. Type bytes are those of `TBinaryProtocol` in the Thrift specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Bool(bool),
    I32(i32),
    I64(i64),
    Bytes(Vec<u8>),
    Struct(Vec<(i16, Self)>),
    /// Of one type, which is a struct's if there are none.
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
    /// As it stands, under this type: for what no sound writer would write.
    Raw(u8, Vec<u8>),
}

pub(crate) const BOOL: u8 = 2;
pub(crate) const I32: u8 = 8;
pub(crate) const I64: u8 = 10;
pub(crate) const STRING: u8 = 11;
pub(crate) const STRUCT: u8 = 12;
pub(crate) const MAP: u8 = 13;
pub(crate) const LIST: u8 = 15;

impl Value {
    pub(crate) fn text(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }

    /// What stands at this path of field ids.
    pub(crate) fn at(&self, path: &[i16]) -> Option<&Self> {
        let Some((id, rest)) = path.split_first() else { return Some(self) };
        let Self::Struct(fields) = self else { return None };
        fields.iter().find(|(field, _)| field == id)?.1.at(rest)
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Bool(_) => BOOL,
            Self::I32(_) => I32,
            Self::I64(_) => I64,
            Self::Bytes(_) => STRING,
            Self::Struct(_) => STRUCT,
            Self::List(_) => LIST,
            Self::Map(_) => MAP,
            Self::Raw(kind, _) => *kind,
        }
    }

    fn write(&self, output: &mut dyn TOutputProtocol) -> thrift::Result<()> {
        match self {
            Self::Bool(value) => output.write_bool(*value),
            Self::I32(value) => output.write_i32(*value),
            Self::I64(value) => output.write_i64(*value),
            Self::Bytes(bytes) => output.write_bytes(bytes),
            Self::Struct(fields) => {
                for (id, value) in fields {
                    output.write_byte(value.kind())?;
                    output.write_i16(*id)?;
                    value.write(output)?;
                }
                output.write_field_stop()
            }
            Self::List(values) => {
                output.write_byte(values.first().map_or(STRUCT, Self::kind))?;
                output.write_i32(count(values))?;
                values.iter().try_for_each(|value| value.write(output))
            }
            Self::Map(pairs) => {
                let kinds = pairs.first().map_or((STRING, STRING), |(key, value)| (key.kind(), value.kind()));
                output.write_byte(kinds.0)?;
                output.write_byte(kinds.1)?;
                output.write_i32(count(pairs))?;
                pairs.iter().try_for_each(|(key, value)| key.write(output).and_then(|()| value.write(output)))
            }
            Self::Raw(_, bytes) => bytes.iter().try_for_each(|byte| output.write_byte(*byte)),
        }
    }

    fn read(kind: TType, input: &mut dyn TInputProtocol) -> thrift::Result<Self> {
        Ok(match kind {
            TType::Bool => Self::Bool(input.read_bool()?),
            TType::I08 => Self::Raw(3, vec![input.read_byte()?]),
            TType::I16 => Self::Raw(6, input.read_i16()?.to_be_bytes().to_vec()),
            TType::I32 => Self::I32(input.read_i32()?),
            TType::I64 | TType::Double => Self::I64(input.read_i64()?),
            TType::String => Self::Bytes(input.read_bytes()?),
            TType::Struct => Self::read_fields(input)?,
            TType::Map => {
                let map = input.read_map_begin()?;
                let (key, value) = (map.key_type.expect("a key type"), map.value_type.expect("a value type"));
                let pairs = (0..map.size).map(|_| Ok((Self::read(key, input)?, Self::read(value, input)?)));
                Self::Map(pairs.collect::<thrift::Result<_>>()?)
            }
            TType::Set | TType::List => {
                let list = input.read_list_begin()?;
                let values = (0..list.size).map(|_| Self::read(list.element_type, input));
                Self::List(values.collect::<thrift::Result<_>>()?)
            }
            _ => return Err(format!("type {kind}").into()),
        })
    }

    fn read_fields(input: &mut dyn TInputProtocol) -> thrift::Result<Self> {
        let mut fields = Vec::new();
        loop {
            let field = input.read_field_begin()?;
            if field.field_type == TType::Stop {
                return Ok(Self::Struct(fields));
            }
            fields.push((field.id.expect("a field has an id"), Self::read(field.field_type, input)?));
        }
    }
}

pub(crate) const CALL: u8 = 1;
pub(crate) const REPLY: u8 = 2;
pub(crate) const EXCEPTION: u8 = 3;
pub(crate) const ONEWAY: u8 = 4;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: u8,
    pub(crate) name: String,
    pub(crate) seqid: i32,
    /// The arguments, or the result.
    pub(crate) body: Value,
}

impl Message {
    pub(crate) fn call(name: &str, arguments: Vec<(i16, Value)>) -> Self {
        Self { kind: CALL, name: name.into(), seqid: 7, body: Value::Struct(arguments) }
    }

    pub(crate) fn seqid(self, seqid: i32) -> Self {
        Self { seqid, ..self }
    }

    /// The reply to this call.
    pub(crate) fn reply(&self, result: Vec<(i16, Value)>) -> Self {
        Self { kind: REPLY, body: Value::Struct(result), ..self.clone() }
    }

    /// The reply to this HS2 call, with a success status and these fields beside it.
    pub(crate) fn done(&self, mut fields: Vec<(i16, Value)>) -> Self {
        fields.insert(0, (1, Value::Struct(vec![(1, Value::I32(0))])));
        self.reply(vec![(0, Value::Struct(fields))])
    }

    /// The reply to this HS2 call that says it failed with these words.
    pub(crate) fn failed(&self, words: &str) -> Self {
        let status = vec![(1, Value::I32(3)), (3, Value::text("HY000")), (5, Value::text(words))];
        self.reply(vec![(0, Value::Struct(vec![(1, Value::Struct(status))]))])
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let kind = TMessageType::try_from(self.kind).expect("a kind of message");
        let mut bytes = Vec::new();
        let mut output = TBinaryOutputProtocol::new(&mut bytes, true);
        output
            .write_message_begin(&TMessageIdentifier::new(&self.name, kind, self.seqid))
            .expect("memory takes it");
        self.body.write(&mut output).expect("memory takes it");
        bytes
    }

    /// Reads a message and not a byte more.
    pub(crate) fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut input = TBinaryInputProtocol::with_config(from, true, TConfiguration::no_limits());
        let head = input.read_message_begin().map_err(io::Error::other)?;
        let body = Value::read_fields(&mut input).map_err(io::Error::other)?;
        Ok(Self { kind: head.message_type.into(), name: head.name, seqid: head.sequence_number, body })
    }

    /// The text at a path of the body; empty if there is none.
    pub(crate) fn text(&self, path: &[i16]) -> String {
        match self.body.at(path) {
            Some(Value::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        }
    }

    /// `TStatus.statusCode` of an HS2 reply.
    pub(crate) fn status(&self) -> Option<i32> {
        match self.body.at(&[0, 1, 1]) {
            Some(Value::I32(code)) => Some(*code),
            _ => None,
        }
    }

    /// SQLSTATE and words of an HS2 reply.
    pub(crate) fn error(&self) -> (String, String) {
        (self.text(&[0, 1, 3]), self.text(&[0, 1, 5]))
    }

    /// The handle at a path.
    pub(crate) fn handle(&self, path: &[i16]) -> Value {
        self.body.at(path).unwrap_or_else(|| panic!("no handle in {self:?}")).clone()
    }
}

/// A handle: a struct whose first field is the `THandleIdentifier {1: guid, 2: secret}`.
pub(crate) fn handle(guid: [u8; 16], secret: [u8; 16]) -> Value {
    let id = vec![(1, Value::Bytes(guid.to_vec())), (2, Value::Bytes(secret.to_vec()))];
    Value::Struct(vec![(1, Value::Struct(id))])
}

/// `OpenSession` as the Python clients send it.
pub(crate) fn open_session() -> Message {
    Message::call("OpenSession", vec![(1, Value::Struct(vec![(1, Value::I32(5))]))])
}

/// A call of a method whose request begins with a handle.
pub(crate) fn of_handle(method: &str, handle: &Value) -> Message {
    Message::call(method, vec![(1, Value::Struct(vec![(1, handle.clone())]))])
}

/// `ExecuteStatement`.
pub(crate) fn execute(session: &Value, statement: &str) -> Message {
    let request = vec![(1, session.clone()), (2, Value::text(statement)), (4, Value::Bool(true))];
    Message::call("ExecuteStatement", vec![(1, Value::Struct(request))])
}

/// Beeswax `query`.
pub(crate) fn query(statement: &str) -> Message {
    Message::call("query", vec![(1, Value::Struct(vec![(1, Value::text(statement))]))])
}

/// A call of a Beeswax method that takes a `QueryHandle`.
pub(crate) fn of_query(method: &str, id: &str) -> Message {
    let handle = Value::Struct(vec![(1, Value::text(id)), (2, Value::text(id))]);
    Message::call(method, vec![(1, handle)])
}

fn count<T>(all: &[T]) -> i32 {
    i32::try_from(all.len()).expect("fewer than two thousand million")
}

/// A method that the router does not know, as one of a later version may be: whether a coordinator sees its
/// requests end where the router does is not sure.
pub(crate) const DOUBTFUL: &str = "GetLoad";

/// A call of it.
pub(crate) fn doubtful() -> Message {
    Message::call(DOUBTFUL, vec![])
}

#[test]
fn what_is_written_reads_back() {
    let message = execute(&handle([1; 16], [2; 16]), "select 1");
    let mut bytes = message.encode();
    bytes.push(9);
    let mut rest = bytes.as_slice();
    assert_eq!(Message::read(&mut rest).unwrap(), message);
    assert_eq!(rest, [9]);
}
