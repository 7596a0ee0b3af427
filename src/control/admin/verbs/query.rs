//! The parameters of a verb. Nothing is guessed: nothing done is better than something else done.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::cluster::WEIGHTS;
use crate::control::config::{LogLevel, TimeSpan, UnitError, Words as _};
use crate::control::verbs::{Parameter, Verb};
use crate::wire::http::form;

/// Why the parameters of a request are refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadQuery {
    #[error("{}", known(.0))]
    Unknown(&'static [Parameter]),
    #[error("{0} {1}; write a duration such as 30s, 10m or 1h")]
    Duration(&'static str, UnitError),
    #[error("level must be one of {}", LogLevel::listed())]
    Level,
    #[error("weight must be a number from {} to {}", WEIGHTS.start(), WEIGHTS.end())]
    Weight,
}

/// What may be asked for, in words.
fn known(parameters: &[Parameter]) -> String {
    let mut text = match parameters.len() {
        0 => "this path takes no parameters".to_owned(),
        1 => "the only parameter, given once, is".to_owned(),
        _ => "the parameters, each given once at most, are".to_owned(),
    };
    for (place, (name, value)) in parameters.iter().enumerate() {
        // A String takes all.
        let _never_fails = write!(text, "{} {name} ({value})", if place == 0 { "" } else { "," });
    }
    text
}

/// The parameters of a request, which its verb knows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query(Vec<(&'static str, String)>);

impl Query {
    /// # Errors
    /// [`BadQuery::Unknown`], when the verb does not know one of the parameters, or one is given twice, or its
    /// value is no text.
    pub(super) fn of(verb: Verb, query: Option<&str>) -> Result<Self, BadQuery> {
        let known = verb.parameters();
        let mut found: Vec<(&'static str, String)> = Vec::new();
        for parameter in query.unwrap_or_default().split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').ok_or(BadQuery::Unknown(known))?;
            let name = known.iter().map(|(known, _)| *known).find(|known| *known == name);
            let name = name.filter(|name| found.iter().all(|(found, _)| found != name));
            let value = form::decode(value).and_then(|bytes| String::from_utf8(bytes).ok());
            found.push(name.zip(value).ok_or(BadQuery::Unknown(known))?);
        }
        Ok(Self(found))
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str())
    }

    /// From now.
    pub(super) fn deadline(&self) -> Result<Option<Duration>, BadQuery> {
        self.duration("deadline")
    }

    /// How long a pause is to last.
    pub(super) fn lasts(&self) -> Result<Option<Duration>, BadQuery> {
        self.duration("for")
    }

    fn duration(&self, name: &'static str) -> Result<Option<Duration>, BadQuery> {
        let span = self.value(name).map(str::parse::<TimeSpan>).transpose();
        Ok(span.map_err(|error| BadQuery::Duration(name, error))?.map(|span| span.0))
    }

    /// The name of a coordinator.
    pub(super) fn to(&self) -> Option<&str> {
        self.value("to")
    }

    /// It must be there.
    pub(super) fn level(&self) -> Result<LogLevel, BadQuery> {
        self.value("level").and_then(LogLevel::from_word).ok_or(BadQuery::Level)
    }

    /// It must be there.
    pub(super) fn weight(&self) -> Result<NonZeroU32, BadQuery> {
        let weight = self.value("weight").and_then(|value| value.parse::<u32>().ok());
        let weight = weight.filter(|weight| WEIGHTS.contains(weight));
        weight.and_then(NonZeroU32::new).ok_or(BadQuery::Weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::verbs::{OfCoordinator, OfRouter};

    const DRAIN: Verb = Verb::Coordinator(OfCoordinator::Drain);

    fn deadline_in(query: Option<&str>) -> Result<Option<Duration>, BadQuery> {
        Query::of(DRAIN, query)?.deadline()
    }

    #[test]
    fn a_deadline_is_written_as_in_the_config() {
        assert_eq!(deadline_in(None), Ok(None));
        for (query, seconds) in [("deadline=0s", 0), ("deadline=90s", 90), ("deadline=1%68", 3600)] {
            assert_eq!(deadline_in(Some(query)), Ok(Some(Duration::from_secs(seconds))), "{query}");
        }
    }

    #[test]
    fn what_a_verb_does_not_know_is_not_guessed_at() {
        let known = DRAIN.parameters();
        for query in
            ["deadline", "deadlin=1s", "x=1", "deadline=1s&deadline=2s", "deadline=1s&x=1", "deadline=%ff"]
        {
            assert_eq!(deadline_in(Some(query)), Err(BadQuery::Unknown(known)), "{query}");
        }
        for query in ["deadline=", "deadline=30", "deadline=-1s", "deadline=1.5s"] {
            let bad = deadline_in(Some(query)).unwrap_err().to_string();
            assert!(
                bad.contains("is not a whole number followed by a unit") && bad.contains("30s, 10m or 1h"),
                "{bad}"
            );
        }
        assert!(deadline_in(Some("deadline=9999h")).unwrap_err().to_string().contains("is more than a year"));
        let none =
            Query::of(Verb::Coordinator(OfCoordinator::Resume), Some("deadline=1s")).unwrap_err().to_string();
        assert_eq!(none, "this path takes no parameters");
    }

    #[test]
    fn a_level_has_a_word_of_the_config() {
        let level = |query| Query::of(Verb::Router(OfRouter::LogLevel), query)?.level();
        assert_eq!(level(Some("level=debug")), Ok(LogLevel::Debug));
        for query in [None, Some("level="), Some("level=DEBUG"), Some("level=all")] {
            assert_eq!(level(query), Err(BadQuery::Level), "{query:?}");
        }
        assert!(BadQuery::Level.to_string().ends_with(r#""error", "warn", "info", "debug", "trace""#));
    }

    #[test]
    fn a_weight_is_within_the_bounds_of_the_config() {
        let weight = |query| Query::of(Verb::Coordinator(OfCoordinator::Weight), query)?.weight();
        for (query, number) in [("weight=1", 1), ("weight=1000", 1000)] {
            assert_eq!(weight(Some(query)).map(NonZeroU32::get), Ok(number), "{query}");
        }
        for query in [None, Some("weight="), Some("weight=0"), Some("weight=1001"), Some("weight=1.5")] {
            assert_eq!(weight(query), Err(BadQuery::Weight), "{query:?}");
        }
    }
}
