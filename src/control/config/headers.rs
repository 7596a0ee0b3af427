//! Lists of headers of HTTP: `["X-Trusted-Proxy"]`.

use http::HeaderName;
use toml::Spanned;
use toml::de::DeValue;

use super::problem::Problems;
use super::value::{Value, bad_value, string, wrong_type};

const EXPECTED: &str = "the name of a header such as \"X-Trusted-Proxy\"";

impl Value for Vec<HeaderName> {
    fn kind() -> String {
        "list of headers".to_owned()
    }

    fn read(value: &Spanned<DeValue<'_>>, key: &'static str, problems: &mut Problems) -> Option<Self> {
        let Some(list) = value.get_ref().as_array() else {
            let fault = wrong_type(value.get_ref(), "a list of headers such as [\"X-Trusted-Proxy\"]");
            problems.add(&value.span(), key, fault);
            return None;
        };
        let mut read = |one: &Spanned<DeValue<'_>>| {
            let name = string(one.get_ref(), EXPECTED).and_then(|text| {
                HeaderName::try_from(text)
                    .map_err(|_| bad_value(text, "is not the name of a header", EXPECTED))
            });
            name.map_err(|fault| problems.add(&one.span(), key, fault)).ok()
        };
        // All are read, so that every problem is noted.
        let names: Vec<_> = list.iter().map(&mut read).collect();
        names.into_iter().collect()
    }
}
