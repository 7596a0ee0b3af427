//! Thrift's binary protocol as small as the tests need it, written from its specification and sharing nothing with the
//! router: a parser that made the router's mistakes would find them right.

use std::io::{self, Read};

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

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(value) => out.push(u8::from(*value)),
            Self::I32(value) => out.extend(value.to_be_bytes()),
            Self::I64(value) => out.extend(value.to_be_bytes()),
            Self::Bytes(bytes) => {
                out.extend(length(bytes.len()));
                out.extend(bytes);
            }
            Self::Struct(fields) => {
                for (id, value) in fields {
                    out.push(value.kind());
                    out.extend(id.to_be_bytes());
                    value.write(out);
                }
                out.push(0);
            }
            Self::List(values) => {
                out.push(values.first().map_or(STRUCT, Self::kind));
                out.extend(length(values.len()));
                for value in values {
                    value.write(out);
                }
            }
            Self::Map(pairs) => {
                let kinds = pairs.first().map_or((STRING, STRING), |(key, value)| (key.kind(), value.kind()));
                out.extend([kinds.0, kinds.1]);
                out.extend(length(pairs.len()));
                for (key, value) in pairs {
                    key.write(out);
                    value.write(out);
                }
            }
            Self::Raw(_, bytes) => out.extend(bytes),
        }
    }

    fn read(kind: u8, from: &mut impl Read) -> io::Result<Self> {
        Ok(match kind {
            BOOL => Self::Bool(bytes::<1>(from)? != [0]),
            3 => Self::Raw(3, bytes::<1>(from)?.to_vec()),
            6 => Self::Raw(6, bytes::<2>(from)?.to_vec()),
            I32 => Self::I32(i32::from_be_bytes(bytes(from)?)),
            4 | I64 => Self::I64(i64::from_be_bytes(bytes(from)?)),
            STRING => Self::Bytes(string(from)?),
            STRUCT => Self::read_fields(from)?,
            MAP => {
                let [key, value] = bytes(from)?;
                let pairs = (0..count(from)?).map(|_| Ok((Self::read(key, from)?, Self::read(value, from)?)));
                Self::Map(pairs.collect::<io::Result<_>>()?)
            }
            14 | LIST => {
                let [kind] = bytes(from)?;
                let values = (0..count(from)?).map(|_| Self::read(kind, from));
                Self::List(values.collect::<io::Result<_>>()?)
            }
            _ => return Err(io::Error::other(format!("type {kind}"))),
        })
    }

    fn read_fields(from: &mut impl Read) -> io::Result<Self> {
        let mut fields = Vec::new();
        loop {
            let [kind] = bytes(from)?;
            if kind == 0 {
                return Ok(Self::Struct(fields));
            }
            let id = i16::from_be_bytes(bytes(from)?);
            fields.push((id, Self::read(kind, from)?));
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
        let mut out = vec![0x80, 1, 0, self.kind];
        out.extend(length(self.name.len()));
        out.extend(self.name.as_bytes());
        out.extend(self.seqid.to_be_bytes());
        self.body.write(&mut out);
        out
    }

    /// Reads a message and not a byte more.
    pub(crate) fn read(from: &mut impl Read) -> io::Result<Self> {
        let [0x80, 1, 0, kind] = bytes(from)? else { return Err(io::Error::other("no version word")) };
        let name = String::from_utf8(string(from)?).map_err(io::Error::other)?;
        let seqid = i32::from_be_bytes(bytes(from)?);
        Ok(Self { kind, name, seqid, body: Value::read_fields(from)? })
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

/// A four-byte length.
pub(crate) fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap().to_be_bytes()
}

/// A frame around these bytes.
pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    [length(payload.len()).as_slice(), payload].concat()
}

fn bytes<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn count(from: &mut impl Read) -> io::Result<i32> {
    Ok(i32::from_be_bytes(bytes(from)?))
}

fn string(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let len = usize::try_from(count(from)?).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
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

/// A method that the router does not know, as one of a later version may be: whether a coordinator sees its requests end where
/// the router does is not sure.
pub(crate) const DOUBTFUL: &str = "GetLoad";

/// A call of it.
pub(crate) fn doubtful() -> Message {
    Message::call(DOUBTFUL, vec![])
}
