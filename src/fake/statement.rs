//! The small language of statements that the module documentation describes: from the text to a plan.

mod plan;
mod tokens;
mod types;

use std::collections::BTreeMap;
use std::time::Duration;

pub(super) use self::plan::{Effect, Plan};
use self::tokens::{Token, tokens};
use self::types::{integer_type, types};
use super::metadata;
use super::options::{self, Listed};
use super::refusal::{Quoted, Refusal};
use super::rows::{Column, Table, Type, Value};

/// What a statement may depend on.
pub(super) struct Context<'a> {
    pub(super) coordinator: &'a str,
    pub(super) user: &'a str,
    pub(super) effective_user: &'a str,
    pub(super) database: &'a str,
    pub(super) options: &'a BTreeMap<String, String>,
}

/// Reads a statement.
///
/// # Errors
/// [`Refusal::Statement`] with Impala's parse or analysis error.
pub(super) fn plan(text: &str, context: &Context<'_>) -> Result<Plan, Refusal> {
    let tokens = tokens(text);
    let mut parser = Parser { text, tokens: &tokens, next: 0, context };
    let plan = parser.statement()?;
    parser.take_symbol(';');
    if parser.next < tokens.len() { Err(parser.unexpected()) } else { Ok(plan) }
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [(usize, Token)],
    next: usize,
    context: &'a Context<'a>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.next += usize::from(token.is_some());
        token
    }

    fn take_symbol(&mut self, symbol: char) -> bool {
        let found = self.peek() == Some(&Token::Symbol(symbol));
        self.next += usize::from(found);
        found
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(wanted));
        self.next += usize::from(found);
        found
    }

    fn expect_symbol(&mut self, symbol: char) -> Result<(), Refusal> {
        if self.take_symbol(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn word(&mut self) -> Result<String, Refusal> {
        match self.peek() {
            Some(Token::Word(word)) => {
                let word = word.clone();
                self.next += 1;
                Ok(word)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T, Refusal> {
        let number = match self.peek() {
            Some(Token::Number(number)) => number.parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| self.unexpected())?;
        self.next += 1;
        Ok(number)
    }

    /// The syntax error at the token that comes next, with Impala's pointer under it.
    fn unexpected(&self) -> Refusal {
        let at = self.tokens.get(self.next).map_or(self.text.len(), |(at, _)| *at);
        let before = self.text.get(..at).unwrap_or_default();
        let line = self.text.lines().nth(before.matches('\n').count()).unwrap_or_default();
        let pointer = " ".repeat(before.rsplit('\n').next().unwrap_or_default().chars().count());
        let encountered = match self.peek() {
            None => "EOF",
            Some(Token::Word(_)) => "IDENTIFIER",
            Some(Token::Number(_)) => "INTEGER LITERAL",
            Some(Token::Text(_)) => "STRING LITERAL",
            Some(Token::Symbol(_)) => "Unexpected character",
        };
        error(format!(
            "ParseException: Syntax error in line {}:\n{line}\n{pointer}^\nEncountered: {encountered}\n\
             Expected: ALTER, CREATE, DESCRIBE, DROP, EXPLAIN, INSERT, SELECT, SET, SHOW, USE\n\n\
             CAUSED BY: Exception: Syntax error\n",
            before.matches('\n').count() + 1
        ))
    }

    fn statement(&mut self) -> Result<Plan, Refusal> {
        let Some(Token::Word(word)) = self.peek() else { return Err(self.unexpected()) };
        let word = word.to_ascii_lowercase();
        match word.as_str() {
            "select" => self.select(),
            "sleep" | "fail" => self.call(),
            "use" => self.use_database(),
            "set" => self.set(),
            "unset" => self.unset(),
            "show" => self.show(),
            "explain" | "describe" => Ok(self.explain(&word)),
            "insert" | "upsert" | "update" | "delete" => Ok(self.modify()),
            "create" | "drop" | "alter" | "truncate" | "refresh" | "invalidate" | "compute" => {
                self.next = self.tokens.len();
                Ok(Plan::summary(match word.as_str() {
                    "create" => "Table has been created.",
                    "drop" => "Table has been dropped.",
                    "compute" => "Updated 1 partition(s) and 2 column(s).",
                    "truncate" => "Table has been truncated.",
                    "alter" => "Updated table.",
                    _ => "Metadata has been refreshed.",
                }))
            }
            _ => Err(self.unexpected()),
        }
    }

    fn use_database(&mut self) -> Result<Plan, Refusal> {
        self.next += 1;
        let database = self.word()?.to_ascii_lowercase();
        if !metadata::DATABASES.iter().any(|(known, _)| *known == database) {
            return Err(error(format!("AnalysisException: Database does not exist: {database}\n")));
        }
        Ok(Plan::effect(Effect::Use(database)))
    }

    fn set(&mut self) -> Result<Plan, Refusal> {
        self.next += 1;
        if self.take_word("all") {
            return Ok(Plan::rows(options::table(self.context.options, Listed::All)));
        }
        if matches!(self.peek(), None | Some(Token::Symbol(';'))) {
            return Ok(Plan::rows(options::table(self.context.options, Listed::Common)));
        }
        let option = self.word()?.to_ascii_uppercase();
        self.expect_symbol('=')?;
        let mut value = if self.take_symbol('-') { "-".to_owned() } else { String::new() };
        match self.take() {
            Some(Token::Word(word) | Token::Number(word) | Token::Text(word)) => value.push_str(&word),
            _ => return Err(self.unexpected()),
        }
        if !options::is_known(&option) {
            return Err(error(format!("Invalid query option: {option}")));
        }
        Ok(Plan::effect(Effect::Set { option, value }))
    }

    fn unset(&mut self) -> Result<Plan, Refusal> {
        self.next += 1;
        if self.take_word("all") { Ok(Plan::effect(Effect::UnsetAll)) } else { Err(self.unexpected()) }
    }

    fn show(&mut self) -> Result<Plan, Refusal> {
        self.next += 1;
        let what = self.word()?.to_ascii_lowercase();
        let table = match what.as_str() {
            "databases" | "schemas" => metadata::databases(),
            "tables" => {
                let database =
                    if self.take_word("in") { self.word()? } else { self.context.database.to_owned() };
                metadata::table_names(&database)
            }
            "statements" => metadata::statements(),
            _ => return Err(self.unexpected()),
        };
        Ok(Plan::rows(table))
    }

    fn explain(&mut self, word: &str) -> Plan {
        self.next = self.tokens.len();
        if word == "describe" {
            return Plan::rows(metadata::description());
        }
        let lines =
            ["Max Per-Host Resource Reservation: Memory=0B Threads=1", "", "PLAN-ROOT SINK", "|", "00:UNION"];
        let rows = lines.iter().map(|line| vec![Value::text(line)]).collect();
        Plan::rows(Table::fixed(&[("Explain String", Type::String(0))], rows))
    }

    /// DML; `rows(n)` anywhere in it gives the number of rows.
    fn modify(&mut self) -> Plan {
        let mut modified = 1;
        while self.next < self.tokens.len() {
            if self.take_word("rows") && self.take_symbol('(') {
                modified = self.number().unwrap_or(modified);
            } else {
                self.next += 1;
            }
        }
        Plan { modified: Some(modified), ..Plan::effect(Effect::None) }
    }

    /// `sleep(ms)` or `fail('text')`.
    fn call(&mut self) -> Result<Plan, Refusal> {
        let name = self.word()?.to_ascii_lowercase();
        self.expect_symbol('(')?;
        let mut plan =
            Plan::rows(Table::fixed(&[(&format!("{name}()"), Type::Boolean)], vec![vec![Value::Bool(true)]]));
        if name == "fail" {
            let Some(Token::Text(text)) = self.take() else { return Err(self.unexpected()) };
            plan.failure = Some(error(text));
        } else {
            plan.delay = Duration::from_millis(self.number()?);
        }
        self.expect_symbol(')')?;
        Ok(plan)
    }

    fn select(&mut self) -> Result<Plan, Refusal> {
        self.next += 1;
        if matches!(self.peek(), Some(Token::Word(word)) if ["sleep", "fail"].contains(&word.to_ascii_lowercase().as_str()))
        {
            return self.call();
        }
        if self.take_symbol('*') {
            if !self.take_word("from") {
                return Err(self.unexpected());
            }
            return self.generate();
        }
        let mut columns = Vec::new();
        let mut row = Vec::new();
        loop {
            let (column, value) = self.expression()?;
            columns.push(column);
            row.push(value);
            if !self.take_symbol(',') {
                break;
            }
        }
        if self.take_word("from") {
            return Err(unresolved(&self.word()?));
        }
        let columns: Vec<_> = columns.iter().map(|column| (column.name.as_str(), column.kind)).collect();
        Ok(Plan::rows(Table::fixed(&columns, vec![row])))
    }

    /// `rows(n)`, `rows(n, width)`, `rows(n, 'types')`, and a limit.
    fn generate(&mut self) -> Result<Plan, Refusal> {
        let source = self.word()?;
        if !source.eq_ignore_ascii_case("rows") {
            return Err(unresolved(&source));
        }
        self.expect_symbol('(')?;
        let rows = self.number()?;
        let types = if self.take_symbol(',') {
            if let Some(Token::Text(list)) = self.peek() {
                let types = types(list).ok_or_else(|| self.unexpected())?;
                self.next += 1;
                types
            } else {
                let width = self.number::<usize>()?.clamp(1, 2000);
                Type::ALL.iter().copied().cycle().take(width).collect()
            }
        } else {
            vec![Type::BigInt, Type::String(32)]
        };
        self.expect_symbol(')')?;
        let mut table = Table::generated(rows, &types);
        if self.take_word("limit") {
            table.truncate(self.number()?);
        }
        Ok(Plan::rows(table))
    }

    fn expression(&mut self) -> Result<(Column, Value), Refusal> {
        let start = self.tokens.get(self.next).map_or(self.text.len(), |(at, _)| *at);
        let negative = self.take_symbol('-');
        let sign = if negative { "-" } else { "" };
        let before = self.next;
        let (kind, value) = match self.take() {
            Some(Token::Number(number)) if number.contains('.') => {
                let scale = number.split('.').nth(1).map_or(0, str::len);
                let precision = u8::try_from(number.len() - 1).unwrap_or(38);
                let scale = u8::try_from(scale).unwrap_or(38);
                (Type::Decimal { precision, scale }, Value::Text(format!("{sign}{number}")))
            }
            Some(Token::Number(number)) => {
                let Ok(value) = format!("{sign}{number}").parse::<i64>() else {
                    self.next = before;
                    return Err(self.unexpected());
                };
                (integer_type(value), Value::Int(value))
            }
            Some(Token::Text(text)) if !negative => (Type::String(0), Value::Text(text)),
            Some(Token::Word(word)) if !negative => self.named(&word, before)?,
            _ => {
                self.next = before;
                return Err(self.unexpected());
            }
        };
        let end = self.tokens.get(self.next).map_or(self.text.len(), |(at, _)| *at);
        let mut name = self.text.get(start..end).unwrap_or_default().trim().to_ascii_lowercase();
        if self.take_word("as") {
            name = self.word()?;
        } else if let Some(Token::Word(alias)) = self.peek()
            && !alias.eq_ignore_ascii_case("from")
        {
            name.clone_from(alias);
            self.next += 1;
        }
        Ok((Column { name, kind }, value))
    }

    fn named(&mut self, word: &str, at: usize) -> Result<(Type, Value), Refusal> {
        let text = |value: &str| Ok((Type::String(0), Value::text(value)));
        match word.to_ascii_lowercase().as_str() {
            "true" => return Ok((Type::Boolean, Value::Bool(true))),
            "false" => return Ok((Type::Boolean, Value::Bool(false))),
            "null" => return Ok((Type::Null, Value::Null)),
            _ if !self.take_symbol('(') => {
                return Err(error(format!(
                    "AnalysisException: Could not resolve column/field reference: '{word}'\n"
                )));
            }
            _ => {}
        }
        self.expect_symbol(')')?;
        match word.to_ascii_lowercase().as_str() {
            "coordinator" => text(self.context.coordinator),
            "user" => text(self.context.user),
            "effective_user" | "current_user" => text(self.context.effective_user),
            "current_database" => text(self.context.database),
            "version" => text(super::profile::VERSION),
            _ => {
                self.next = at;
                Err(error(format!("AnalysisException: default.{word}() unknown\n")))
            }
        }
    }
}

fn error(text: String) -> Refusal {
    Refusal::Statement(Quoted(text))
}

fn unresolved(name: &str) -> Refusal {
    error(format!("AnalysisException: Could not resolve table reference: '{name}'\n"))
}

#[cfg(test)]
mod tests;
