//! The types of columns, and how the protocols name them.

use std::collections::BTreeMap;

use crate::idl::t_c_l_i_service as cli;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::fake) enum Type {
    /// A literal NULL, which clients see as a boolean (Impala: IMPALA-1370).
    Null,
    Boolean,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Float,
    Double,
    /// Generated texts have this many bytes.
    String(usize),
    Timestamp,
    Date,
    Binary,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Varchar(usize),
    Char(usize),
}

impl Type {
    /// Every type once; generated columns cycle through them.
    pub(in crate::fake) const ALL: [Self; 14] = [
        Self::BigInt,
        Self::String(32),
        Self::Boolean,
        Self::TinyInt,
        Self::SmallInt,
        Self::Int,
        Self::Float,
        Self::Double,
        Self::Timestamp,
        Self::Date,
        Self::Binary,
        Self::Decimal { precision: 18, scale: 4 },
        Self::Varchar(20),
        Self::Char(5),
    ];

    /// The name in a Beeswax schema and in `describe`.
    pub(in crate::fake) fn name(self) -> &'static str {
        match self {
            Self::Null | Self::Boolean => "boolean",
            Self::TinyInt => "tinyint",
            Self::SmallInt => "smallint",
            Self::Int => "int",
            Self::BigInt => "bigint",
            Self::Float => "float",
            Self::Double => "double",
            Self::String(_) => "string",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
            Self::Binary => "binary",
            Self::Decimal { .. } => "decimal",
            Self::Varchar(_) => "varchar",
            Self::Char(_) => "char",
        }
    }

    fn id(self) -> cli::TTypeId {
        match self {
            Self::Null | Self::Boolean => cli::TTypeId::BOOLEAN_TYPE,
            Self::TinyInt => cli::TTypeId::TINYINT_TYPE,
            Self::SmallInt => cli::TTypeId::SMALLINT_TYPE,
            Self::Int => cli::TTypeId::INT_TYPE,
            Self::BigInt => cli::TTypeId::BIGINT_TYPE,
            Self::Float => cli::TTypeId::FLOAT_TYPE,
            Self::Double => cli::TTypeId::DOUBLE_TYPE,
            Self::String(_) => cli::TTypeId::STRING_TYPE,
            Self::Timestamp => cli::TTypeId::TIMESTAMP_TYPE,
            Self::Date => cli::TTypeId::DATE_TYPE,
            Self::Binary => cli::TTypeId::BINARY_TYPE,
            Self::Decimal { .. } => cli::TTypeId::DECIMAL_TYPE,
            Self::Varchar(_) => cli::TTypeId::VARCHAR_TYPE,
            Self::Char(_) => cli::TTypeId::CHAR_TYPE,
        }
    }

    pub(super) fn descriptor(self) -> cli::TTypeDesc {
        let number =
            |value: usize| cli::TTypeQualifierValue::I32Value(i32::try_from(value).unwrap_or(i32::MAX));
        let qualifiers = match self {
            Self::Decimal { precision, scale } => vec![
                ("precision".to_owned(), number(precision.into())),
                ("scale".to_owned(), number(scale.into())),
            ],
            Self::Varchar(length) | Self::Char(length) => {
                vec![("characterMaximumLength".to_owned(), number(length))]
            }
            _ => Vec::new(),
        };
        let qualifiers = (!qualifiers.is_empty())
            .then(|| cli::TTypeQualifiers::new(qualifiers.into_iter().collect::<BTreeMap<_, _>>()));
        let entry = cli::TPrimitiveTypeEntry::new(self.id(), qualifiers);
        cli::TTypeDesc::new(vec![cli::TTypeEntry::PrimitiveEntry(entry)])
    }
}
