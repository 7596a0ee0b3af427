//! What a statement does to its session, told from its text: just enough to open the session again elsewhere.
//!
//! In Impala `SET`, `UNSET ALL` and `USE` change a session and nothing else does (`common/cup/sql-parser.cup`
//! `set_stmt`, `unset_stmt`; `client-request-state.cc` `Exec`, `ExecLocalCatalogOp`). What is not understood
//! is not guessed at.

/// What a statement does, if it succeeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing to its session, and nothing that it would want to read again.
    Nothing,
    /// May change data or tables: other coordinators learn of it later.
    Changes,
    /// Sets an option, or with an empty value gives it back its default.
    Set {
        /// As written.
        option: String,
        /// Without its quotes.
        value: String,
    },
    /// Gives all options back their defaults.
    UnsetAll,
    /// Changes the database.
    Use(String),
    /// Not understood.
    Unclear,
}

impl Effect {
    /// Whether its session is not what it was before.
    pub fn is_of_session(&self) -> bool {
        !matches!(self, Self::Nothing | Self::Changes)
    }
}

/// Statements that only read.
const READS: [&[u8]; 6] = [b"select", b"values", b"show", b"describe", b"desc", b"explain"];
/// Statements that change data or tables (Impala: `sql-parser.cup` `stmt`).
const CHANGES: [&[u8]; 21] = [
    b"insert",
    b"upsert",
    b"update",
    b"delete",
    b"merge",
    b"create",
    b"alter",
    b"drop",
    b"truncate",
    b"refresh",
    b"invalidate",
    b"compute",
    b"load",
    b"grant",
    b"revoke",
    b"comment",
    b"optimize",
    b"convert",
    b"copy",
    b"destroy",
    b"kill",
];

/// What a statement does. Of a text that is not `whole` only the beginning is given.
pub fn effect(text: &[u8], whole: bool) -> Effect {
    let Some(mut rest) = skip(text) else { return Effect::Unclear };
    let mut in_parentheses = false;
    while let Some(inner) = rest.strip_prefix(b"(") {
        in_parentheses = true;
        let Some(inner) = skip(inner) else { return Effect::Unclear };
        rest = inner;
    }
    let (word, after) = word(rest);
    let is = |other: &[u8]| word.eq_ignore_ascii_case(other);
    if READS.into_iter().any(is) {
        return Effect::Nothing;
    }
    if is(b"with") {
        // May stand before an INSERT or UPSERT as well as before a SELECT.
        return if whole && !mentions_insert(after) { Effect::Nothing } else { Effect::Changes };
    }
    if in_parentheses {
        return Effect::Unclear;
    }
    if CHANGES.into_iter().any(is) {
        return Effect::Changes;
    }
    let known = if !whole {
        None
    } else if is(b"set") {
        set(after)
    } else if is(b"unset") {
        unset(after)
    } else if is(b"use") {
        use_database(after)
    } else {
        None
    };
    known.unwrap_or(Effect::Unclear)
}

fn set(rest: &[u8]) -> Option<Effect> {
    let (option, rest) = word(skip(rest)?);
    if option.is_empty() || option.eq_ignore_ascii_case(b"all") && is_over(rest) {
        return is_over(rest).then_some(Effect::Nothing);
    }
    let rest = skip(rest)?.strip_prefix(b"=")?;
    let (value, rest) = value(skip(rest)?)?;
    is_over(rest).then_some(Effect::Set { option: text(option)?, value: text(value)? })
}

fn unset(rest: &[u8]) -> Option<Effect> {
    let (what, rest) = word(skip(rest)?);
    (what.eq_ignore_ascii_case(b"all") && is_over(rest)).then_some(Effect::UnsetAll)
}

fn use_database(rest: &[u8]) -> Option<Effect> {
    let rest = skip(rest)?;
    let (name, rest) = match rest.strip_prefix(b"`") {
        Some(quoted) => split_once(quoted, b'`')?,
        None => word(rest),
    };
    (!name.is_empty() && is_over(rest)).then(|| text(name)).flatten().map(Effect::Use)
}

/// A quoted text without escapes, a number or a word, and what follows.
fn value(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    if let [quote @ (b'\'' | b'"'), quoted @ ..] = rest {
        let (value, rest) = split_once(quoted, *quote)?;
        // Whether escapes are resolved in an option's value is not known.
        return (!value.contains(&b'\\')).then_some((value, rest));
    }
    let signed = rest.strip_prefix(b"-").unwrap_or(rest);
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    let len = signed.iter().take_while(|byte| is_part(byte)).count();
    let (bare, _) = signed.split_at_checked(len)?;
    let is_number = bare.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
        && bare.split(|byte| *byte == b'.').count() <= 2
        && bare.first().is_some_and(u8::is_ascii_digit);
    let is_word = signed.len() == rest.len() && !bare.is_empty() && !bare.contains(&b'.');
    if is_number || is_word { rest.split_at_checked(rest.len() - signed.len() + len) } else { None }
}

/// Whether nothing but white space, comments and semicolons follows.
fn is_over(rest: &[u8]) -> bool {
    let mut rest = rest;
    loop {
        match skip(rest) {
            Some([]) => return true,
            Some([b';', after @ ..]) => rest = after,
            _ => return false,
        }
    }
}

/// What follows white space and comments; none if a comment has no end. Hints look like comments, too, but do
/// not occur where that matters.
fn skip(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text.trim_ascii_start();
    loop {
        if let Some(line) = rest.strip_prefix(b"--") {
            let end = line.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(line.len());
            rest = line.get(end..)?.trim_ascii_start();
        } else if let Some(comment) = rest.strip_prefix(b"/*") {
            let end = comment.windows(2).position(|two| two == b"*/")?;
            rest = comment.get(end + 2..)?.trim_ascii_start();
        } else {
            return Some(rest);
        }
    }
}

/// The word that comes next, empty if none does, and what follows.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let len = text.iter().take_while(|byte| is_in_word(**byte)).count();
    text.split_at_checked(len).unwrap_or_default()
}

fn is_in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether INSERT or UPSERT stands anywhere, be it in quotes.
fn mentions_insert(text: &[u8]) -> bool {
    let mut words = text.split(|byte| !is_in_word(*byte));
    words.any(|word| word.eq_ignore_ascii_case(b"insert") || word.eq_ignore_ascii_case(b"upsert"))
}

fn split_once(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == at)?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Effect {
        effect(text.as_bytes(), true)
    }

    fn sets(option: &str, value: &str) -> Effect {
        Effect::Set { option: option.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn what_only_reads_does_nothing() {
        for text in [
            "select 1",
            "  SELECT 'insert'",
            "-- a comment\nselect 1",
            "/* insert */ /**/ select 1",
            "--\r\n(( select 1) union (select 2))",
            "values (1)",
            "with t as (select 1) select * from t",
            "show tables",
            "explain insert into t values (1)",
            "describe t",
            "set",
            "SET ALL;",
            "set ; -- that is all",
        ] {
            assert_eq!(of(text), Effect::Nothing, "{text}");
        }
    }

    #[test]
    fn what_changes_data_is_told() {
        for text in [
            "insert into t values (1)",
            "/* select */ CREATE table t (i int)",
            "with t as (select 1) insert into u select * from t",
            "with t as (select 'upsert') select * from t",
            "invalidate metadata",
            "Refresh t",
        ] {
            assert_eq!(of(text), Effect::Changes, "{text}");
        }
    }

    #[test]
    fn a_set_is_read_as_impala_reads_it() {
        for (text, option, value) in [
            ("set mem_limit=2g", "mem_limit", "2g"),
            ("SET\tMEM_LIMIT = '2 g' ;", "MEM_LIMIT", "2 g"),
            ("set a=\"it's\"", "a", "it's"),
            ("set a = -1", "a", "-1"),
            ("set a=0.5;;", "a", "0.5"),
            ("set a=''", "a", ""),
            ("set /* x */ a /* = */ = -- y\n 7 -- z", "a", "7"),
            ("set request_pool='root.a-b'", "request_pool", "root.a-b"),
            ("set all='x'", "all", "x"),
        ] {
            assert_eq!(of(text), sets(option, value), "{text}");
        }
    }

    #[test]
    fn use_and_unset_all_are_read() {
        assert_eq!(of("use demo"), Effect::Use("demo".into()));
        assert_eq!(of("Use `my db`; "), Effect::Use("my db".into()));
        assert_eq!(of("-- x\nUNSET all"), Effect::UnsetAll);
    }

    #[test]
    fn what_is_not_understood_is_not_guessed_at() {
        for text in [
            "",
            ";",
            "/* select 1",
            "/*/ select 1",
            ":shutdown()",
            "set a",
            "set a=",
            "set a=1 2",
            "set a=1; select 1",
            "set a='x",
            "set a='x\\'y'",
            "set a='x' 'y'",
            "set a=x.y",
            "set a=-x",
            "set a=1.2.3",
            "set a=.5",
            "set a==1",
            "use",
            "use a.b",
            "use `a",
            "use ``",
            "unset a",
            "unset",
            "sett a=1",
            "(set a=1)",
            "frobnicate",
            "sét a=1",
        ] {
            assert_eq!(of(text), Effect::Unclear, "{text:?}");
        }
    }

    #[test]
    fn of_a_long_statement_the_first_word_is_enough_and_no_less() {
        let of_part = |text: &str| effect(text.as_bytes(), false);
        assert_eq!(of_part("insert into t values (1"), Effect::Changes);
        assert_eq!(of_part("select 1, "), Effect::Nothing);
        assert_eq!(of_part("with t as (select"), Effect::Changes);
        assert_eq!(of_part("set a=1"), Effect::Unclear);
        assert_eq!(of_part("use demo"), Effect::Unclear);
    }

    proptest! {
        #[test]
        fn whatever_surrounds_a_set_does_not_change_it(
            before in "( |\t|\n|--[a-z']{0,5}\n|/\\*[a-z=']{0,5}\\*/){0,4}",
            option in "[a-z_]{1,12}",
            value in "[a-z0-9 =;.-]{0,12}",
        ) {
            let text = format!("{before}sEt {option} {before}='{value}'{before};");
            prop_assert_eq!(of(&text), sets(&option, &value));
        }

        #[test]
        fn no_text_is_too_strange(text in proptest::collection::vec(any::<u8>(), 0..40), whole in any::<bool>()) {
            let with_set = [b"set a='x'".as_slice(), &text].concat();
            for text in [&text, &with_set] {
                effect(text, whole);
            }
        }
    }
}
