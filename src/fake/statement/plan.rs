//! The result of reading a statement.

use std::time::Duration;

use crate::fake::refusal::Refusal;
use crate::fake::rows::{Table, Type, Value};
use crate::idl::t_c_l_i_service::TOperationType;

/// What a statement does to its session.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::fake) enum Effect {
    None,
    Use(String),
    Set { option: String, value: String },
    UnsetAll,
}

/// A statement ready to run.
#[derive(Debug)]
pub(in crate::fake) struct Plan {
    /// The type of its operation.
    pub(in crate::fake) kind: TOperationType,
    /// Its rows; `None` if the protocol says that there is no result set.
    pub(in crate::fake) table: Option<Table>,
    pub(in crate::fake) effect: Effect,
    /// How long it runs before the first row is there.
    pub(in crate::fake) delay: Duration,
    /// It fails with this once the delay is over.
    pub(in crate::fake) failure: Option<Refusal>,
    /// The rows that it modified, if it is DML.
    pub(in crate::fake) modified: Option<u64>,
}

impl Plan {
    /// A plan with these rows and nothing else.
    pub(in crate::fake) fn rows(table: Table) -> Self {
        Self { table: Some(table), ..Self::effect(Effect::None) }
    }

    pub(super) fn effect(effect: Effect) -> Self {
        let kind = TOperationType::EXECUTE_STATEMENT;
        Self { kind, table: None, effect, delay: Duration::ZERO, failure: None, modified: None }
    }

    pub(super) fn summary(text: &str) -> Self {
        Self::rows(Table::fixed(&[("summary", Type::String(0))], vec![vec![Value::text(text)]]))
    }
}
