//! The last events, kept for operators: what the log says from `info` on, at whatever level it is written.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::FormattedFields;
use tracing_subscriber::fmt::format::{DefaultFields, JsonFields};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{Extensions, LookupSpan};

use crate::clock;

/// How many events are kept. The largest have some ten texts of 400 bytes, so all together take eight megabytes at
/// most.
pub const MOST_EVENTS: usize = 2000;
/// The longest text that is kept of an event, of one of its fields, or of what it says of its connection, in bytes.
const LONGEST_TEXT: usize = 400;

/// The last [`MOST_EVENTS`] events.
#[derive(Clone, Debug, Default)]
pub struct Recent(Arc<Mutex<VecDeque<Arc<Said>>>>);

/// An event.
#[derive(Clone, Debug)]
pub struct Said {
    /// When.
    pub at: Instant,
    /// How bad it is.
    pub level: Level,
    /// What, in the same words each time.
    pub event: String,
    /// More about it.
    pub fields: Vec<(&'static str, String)>,
    /// The fields of the connection (and the call) that it is about, as the log writes them.
    pub connection: Option<String>,
}

impl Said {
    /// How bad it is, as the config writes it.
    pub fn level_word(&self) -> &'static str {
        match self.level {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        }
    }
}

impl Recent {
    /// Returns the events that are kept, the newest first.
    pub fn all(&self) -> Vec<Arc<Said>> {
        self.0.lock().iter().rev().cloned().collect()
    }

    fn keep(&self, said: Said) {
        let mut kept = self.0.lock();
        if kept.len() == MOST_EVENTS {
            kept.pop_front();
        }
        kept.push_back(Arc::new(said));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recent {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut texts = Texts::default();
        event.record(&mut texts);
        let connection = context.event_scope(event).map(|scope| {
            let shown = scope.from_root().filter_map(|span| shown(&span.extensions()));
            cut(shown.collect::<Vec<_>>().join(" "))
        });
        self.keep(Said {
            at: clock::now(),
            level: *event.metadata().level(),
            event: texts.message,
            fields: texts.fields,
            connection,
        });
    }
}

/// The fields of a span, which the layer that writes lines has put in its form there.
fn shown(extensions: &Extensions<'_>) -> Option<String> {
    if let Some(text) = extensions.get::<FormattedFields<DefaultFields>>() {
        return Some(text.fields.clone());
    }
    let json = extensions.get::<FormattedFields<JsonFields>>()?;
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&json.fields).ok()?;
    Some(fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
}

#[derive(Default)]
struct Texts {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Texts {
    fn note(&mut self, field: &Field, text: String) {
        match field.name() {
            "message" => self.message = cut(text),
            name => self.fields.push((name, cut(text))),
        }
    }
}

impl Visit for Texts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.note(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, value.to_owned());
    }
}

/// Not more than [`LONGEST_TEXT`] of a text.
pub(in crate::control) fn cut(mut text: String) -> String {
    if text.len() > LONGEST_TEXT {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
        text.push('…');
    }
    // The room of a long text is not kept with its beginning.
    text.shrink_to_fit();
    text
}
