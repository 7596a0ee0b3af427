//! Heads of requests as they are remembered, for assertions.

use super::head::Head;

/// How many fields of a head are remembered, and how many characters of each.
const FIELDS: usize = 64;
const LENGTH: usize = 256;

/// A request's head. Of `Authorization` only the scheme is kept, of `Cookie` only the names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedHead {
    /// The path with its query.
    pub target: String,
    /// Names and values in order of arrival.
    pub fields: Vec<(String, String)>,
}

impl ReceivedHead {
    pub(super) fn of(head: &Head) -> Self {
        let fields = head.fields.iter().take(FIELDS).map(|(name, value)| {
            let value = match name.to_ascii_lowercase().as_str() {
                "authorization" => value.split(' ').next().unwrap_or_default().to_owned(),
                "cookie" => {
                    let names =
                        value.split(';').map(|pair| pair.split('=').next().unwrap_or_default().trim());
                    names.collect::<Vec<_>>().join("; ")
                }
                _ => value.clone(),
            };
            (cut(name), cut(&value))
        });
        Self { target: cut(&head.target), fields: fields.collect() }
    }

    /// The values of a field, whose name is compared without regard to case, in order of arrival.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let of_name = self.fields.iter().filter(|(of, _)| of.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| value.as_str()).collect()
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LENGTH).collect()
}
