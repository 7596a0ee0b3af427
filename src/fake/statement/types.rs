//! The types of literals and of generated columns.

use super::super::rows::Type;
use super::tokens::{Token, tokens};

/// The smallest type that holds a literal (Impala: `NumericLiteral.java`).
pub(super) fn integer_type(value: i64) -> Type {
    if i8::try_from(value).is_ok() {
        Type::TinyInt
    } else if i16::try_from(value).is_ok() {
        Type::SmallInt
    } else if i32::try_from(value).is_ok() {
        Type::Int
    } else {
        Type::BigInt
    }
}

/// A list of type names, some with numbers in parentheses.
pub(super) fn types(list: &str) -> Option<Vec<Type>> {
    let tokens = tokens(list);
    let mut tokens = tokens.into_iter().map(|(_, token)| token).peekable();
    let mut types = Vec::new();
    loop {
        let Token::Word(name) = tokens.next()? else { return None };
        let mut numbers = Vec::new();
        if tokens.next_if_eq(&Token::Symbol('(')).is_some() {
            loop {
                let Token::Number(number) = tokens.next()? else { return None };
                numbers.push(number.parse::<usize>().ok()?);
                match tokens.next()? {
                    Token::Symbol(')') => break,
                    Token::Symbol(',') => {}
                    _ => return None,
                }
            }
        }
        types.push(sized(&name.to_ascii_lowercase(), &numbers)?);
        match tokens.next() {
            None => return Some(types),
            Some(Token::Symbol(',')) => {}
            Some(_) => return None,
        }
    }
}

fn sized(name: &str, numbers: &[usize]) -> Option<Type> {
    // Longer texts would only test the memory of the machine.
    let length = |default: usize| numbers.first().copied().unwrap_or(default).min(64 << 20);
    Some(match name {
        "string" => Type::String(length(32)),
        "varchar" => Type::Varchar(length(20)),
        "char" => Type::Char(length(5)),
        "decimal" => {
            let precision = u8::try_from(length(9).min(38)).ok()?;
            let scale = u8::try_from(numbers.get(1).copied().unwrap_or(0)).ok()?.min(precision).min(18);
            Type::Decimal { precision, scale }
        }
        _ => Type::ALL.into_iter().find(|kind| kind.name() == name)?,
    })
}
