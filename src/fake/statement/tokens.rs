//! Statements cut into words.

/// A word of a statement; quotes and escapes are gone.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Word(String),
    Number(String),
    Text(String),
    Symbol(char),
}

/// The tokens with the byte at which each begins; comments and white space are left out.
pub(super) fn tokens(text: &str) -> Vec<(usize, Token)> {
    let mut tokens = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((start, first)) = chars.next() {
        let after = chars.peek().map(|(_, next)| *next);
        match first {
            _ if first.is_whitespace() => {}
            '-' if after == Some('-') => while chars.next_if(|(_, next)| *next != '\n').is_some() {},
            '/' if after == Some('*') => {
                let mut last = ' ';
                chars.next();
                for (_, next) in chars.by_ref() {
                    if last == '*' && next == '/' {
                        break;
                    }
                    last = next;
                }
            }
            '\'' | '"' | '`' => {
                let mut inside = String::new();
                while let Some((_, next)) = chars.next_if(|(_, next)| *next != first) {
                    let escaped = if next == '\\' && first != '`' { chars.next() } else { None };
                    inside.push(escaped.map_or(next, |(_, escaped)| escaped));
                }
                chars.next();
                tokens.push((start, if first == '`' { Token::Word(inside) } else { Token::Text(inside) }));
            }
            _ if first.is_alphanumeric() || first == '_' => {
                let mut word = String::from(first);
                let number = first.is_ascii_digit();
                while let Some((_, next)) =
                    chars.next_if(|(_, c)| c.is_alphanumeric() || *c == '_' || (number && *c == '.'))
                {
                    word.push(next);
                }
                tokens.push((start, if number { Token::Number(word) } else { Token::Word(word) }));
            }
            _ => tokens.push((start, Token::Symbol(first))),
        }
    }
    tokens
}
