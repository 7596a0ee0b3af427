//! Enters spans only when there is something to log in them. A connection's span is entered at every poll of its task,
//! and hardly any poll logs; the registry of spans takes some 300 instructions for an entry and its exit.

use std::cell::RefCell;

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_core::span::Current;

thread_local! {
    /// The spans that this thread is in, the innermost last.
    static ENTERED: RefCell<Vec<Id>> = const { RefCell::new(Vec::new()) };
}

/// A subscriber that hears of the spans that a thread is in only while it is asked for something that depends on them.
/// A process has one, because all share the threads' spans.
pub(super) struct Late<S>(pub(super) S);

impl<S: Subscriber> Late<S> {
    /// Does something for which the subscriber has to know in which spans it happens.
    fn inside<T>(&self, ask: impl FnOnce(&S) -> T) -> T {
        // Copied, because to ask may log. At the end of a thread there are none any more.
        let spans = ENTERED.try_with(|spans| spans.borrow().clone()).unwrap_or_default();
        for span in &spans {
            self.0.enter(span);
        }
        let entered = Entered { subscriber: &self.0, spans };
        ask(entered.subscriber)
    }
}

/// Spans that a subscriber leaves when this is dropped, also where a field that is shown panics.
struct Entered<'a, S: Subscriber> {
    subscriber: &'a S,
    spans: Vec<Id>,
}

impl<S: Subscriber> Drop for Entered<'_, S> {
    fn drop(&mut self) {
        for span in self.spans.iter().rev() {
            self.subscriber.exit(span);
        }
    }
}

impl<S: Subscriber> Subscriber for Late<S> {
    fn enter(&self, span: &Id) {
        let _ends = ENTERED.try_with(|spans| spans.borrow_mut().push(span.clone()));
    }

    fn exit(&self, span: &Id) {
        let _ends = ENTERED.try_with(|spans| {
            let mut spans = spans.borrow_mut();
            if let Some(place) = spans.iter().rposition(|entered| entered == span) {
                spans.remove(place);
            }
        });
    }

    fn event(&self, event: &Event<'_>) {
        self.inside(|within| within.event(event));
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        self.inside(|within| within.new_span(attributes))
    }

    fn current_span(&self) -> Current {
        self.inside(S::current_span)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn event_enabled(&self, event: &Event<'_>) -> bool {
        self.0.event_enabled(event)
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.0.register_callsite(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.0.max_level_hint()
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.0.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.0.record_follows_from(span, follows);
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.0.clone_span(span)
    }

    fn try_close(&self, span: Id) -> bool {
        self.0.try_close(span)
    }
}
