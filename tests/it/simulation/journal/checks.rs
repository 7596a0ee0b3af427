//! What is checked of each request that comes to a coordinator.

use hs2router::fake::{Id, ReceivedCall};

use super::super::http;
use super::{
    Arrival, Journal, Minted, Named, Notes, OF_FORMER_PLACES, PART, PRINTED, TAG, has, number_after,
    secret_of,
};

impl Journal {
    /// A request came to a coordinator; it may be executed or not.
    pub(crate) fn arrived(&self, arrival: &Arrival<'_>) {
        self.sent(arrival.coordinator, "call", arrival.chosen_at);
        let named = self.named(arrival.raw);
        self.check_owner(arrival, &named);
        self.check_identity(arrival, &named);
        let Some(number) = number_after(arrival.raw, TAG) else { return };
        let coordinator = arrival.coordinator;
        let mut notes = self.notes.borrow_mut();
        let drained_since = notes.drained_since.get(&coordinator).copied();
        let Some(tagged) = notes.tagged.get_mut(&number) else { return };
        tagged.arrivals += 1;
        let tagged = tagged.clone();
        drop(notes);
        let opens = has(arrival.raw, "OpenSession");
        let begins = opens || (arrival.is_first && has(arrival.raw, "\0\0\0\u{5}query"));
        // A moving session was asked for long ago: then the moment counts at which its request went where it
        // went.
        let latest = tagged.asked_at.max(arrival.chosen_at);
        if begins && drained_since.is_some_and(|since| latest > since) {
            self.violation(format_args!("c{coordinator} is drained and was asked for session {number}"));
        }
        if !opens && tagged.arrivals > 1 + tagged.refusals {
            self.violation(format_args!("statement {number} was sent again, to c{coordinator}"));
        }
    }

    /// What a coordinator executed, and what came of it.
    pub(crate) fn executed(&self, arrival: &Arrival<'_>, call: &ReceivedCall, reply: &[u8]) {
        let coordinator = arrival.coordinator;
        let number = number_after(arrival.raw, TAG);
        let user = call.user.as_deref().unwrap_or("-");
        let tag = number.map(|number| format!(" {TAG}{number}")).unwrap_or_default();
        let ids: Vec<String> =
            [call.session, call.operation].iter().flatten().map(ToString::to_string).collect();
        let (connection, method) = (call.connection, &call.method);
        self.say(format_args!("c{coordinator} #{connection} {user}: {method}{tag} {}", ids.join(" ")));
        if !OF_FORMER_PLACES.contains(&method.as_str()) {
            self.check_place(arrival);
        }
        let (opens, runs) = (method == "OpenSession", method == "ExecuteStatement" || method == "query");
        let minted = if opens { call.session } else { call.operation.filter(|_| runs) };
        let mut notes = self.notes.borrow_mut();
        let tagged = number.and_then(|number| notes.tagged.get_mut(&number));
        let mut ran = 0;
        if let Some(tagged) = tagged {
            let refused = ["Server is being shut down:", "Invalid session id"];
            let reply = http::body(reply);
            let head = &reply[..reply.len().min(300)];
            tagged.refusals += usize::from(refused.iter().any(|words| has(head, words)));
            tagged.ran += usize::from(runs && minted.is_some());
            ran = tagged.ran;
        }
        if let Some(Id(id)) = minted {
            let (user, secret) = (call.user.clone(), secret_of(reply, &id));
            let link = arrival.link;
            notes
                .minted
                .insert(id, Minted { coordinator, user, secret, link, opened_by: None, was_removed: false });
            notes.untold.extend(number.filter(|_| opens).map(|number| (id, number)));
        }
        drop(notes);
        if ran > 1 {
            self.violation(format_args!("statement{tag} ran {ran} times, the last time on c{coordinator}"));
        }
    }

    /// The reply to the open of a session has come to whoever asked for it. One that is lost leaves a session
    /// that nobody has a handle of: no call is meant for it.
    pub(crate) fn opened(&self, Id(id): Id) {
        let mut notes = self.notes.borrow_mut();
        let Notes { untold, tagged, minted, .. } = &mut *notes;
        let Some(number) = untold.remove(&id) else { return };
        if let (Some(session), Some(tagged)) = (minted.get_mut(&id), tagged.get_mut(&number)) {
            session.opened_by = Some((number, tagged.sessions.len()));
            tagged.sessions.push(id);
        }
    }

    /// A call reaches only the coordinator that owns the handles in it, under the names that they have there.
    pub(super) fn check_owner(&self, arrival: &Arrival<'_>, named: &[Named]) {
        let here = arrival.coordinator;
        for Named { id, minted, rightly } in named {
            let owner = minted.coordinator;
            if owner == here || !rightly || minted.user.as_deref() != arrival.user {
                continue;
            }
            // A Beeswax query ends with its link, of whose end its coordinator may not have heard yet.
            let has_ended = minted.secret.is_none() && self.network.is_left(minted.link);
            if !has_ended && !minted.was_removed && self.knows(owner, *id) {
                self.violation(format_args!("{} belongs to c{owner} and was asked for on c{here}", Id(*id)));
            }
            let moved = self.places(*id).into_iter().find(|(id, at)| *at == here && self.knows(here, *id));
            if let Some((here_it_is, _)) = moved {
                let (id, is) = (Id(*id), Id(here_it_is));
                self.violation(format_args!("{id} is {is} on c{here} and was not asked for by that name"));
            }
        }
    }

    /// Once a call has come to the place that a session moved to, and as long as it lives there, none comes
    /// to where it was.
    pub(super) fn check_place(&self, arrival: &Arrival<'_>) {
        for Named { id, minted, rightly } in self.named(arrival.raw) {
            let is_its_users = rightly && minted.user.as_deref() == arrival.user;
            let Some((number, place)) = minted.opened_by.filter(|_| is_its_users) else { continue };
            let mut notes = self.notes.borrow_mut();
            let Some(tagged) = notes.tagged.get_mut(&number) else { continue };
            match tagged.place {
                Some((now, since)) if now > place => {
                    let there = tagged.sessions.get(now).copied();
                    drop(notes);
                    if arrival.sent_at > since && there.is_some_and(|there| self.is_open(there)) {
                        let here = arrival.coordinator;
                        self.violation(format_args!("{} has moved and was asked for on c{here}", Id(id)));
                    }
                }
                Some((now, _)) if now == place => {}
                _ => tagged.place = Some((place, arrival.sent_at)),
            }
        }
    }

    /// A call travels under its asker's identity.
    pub(super) fn check_identity(&self, arrival: &Arrival<'_>, named: &[Named]) {
        let Some(user) = arrival.user else { return };
        let is = |whose: &Option<String>| whose.as_deref() == Some(user);
        let tagged = number_after(arrival.raw, TAG)
            .and_then(|number| self.notes.borrow().tagged.get(&number).map(|tagged| is(&tagged.user)));
        let strangers = named.iter().filter(|Named { id, minted, .. }| {
            !is(&minted.user) && !self.notes.borrow().intruders.contains(&(*id, Some(user.to_owned())))
        });
        if tagged == Some(false) || strangers.count() > 0 {
            self.violation(format_args!("a call of somebody else came on a link of {user}"));
        }
    }

    /// The minted handles in a request, wherever they are: no parser is asked.
    pub(super) fn named(&self, raw: &[u8]) -> Vec<Named> {
        let notes = self.notes.borrow();
        let lengths = raw.windows(4).enumerate().filter_map(|(at, window)| match window {
            [0, 0, 0, length] => Some((at + 4, usize::from(*length))),
            _ => None,
        });
        let named = lengths.filter_map(|(at, length)| {
            let bytes = raw.get(at..at + length)?;
            let id = match length {
                PART => bytes.try_into().ok()?,
                PRINTED => Id::from_text(std::str::from_utf8(bytes).ok()?).0,
                _ => return None,
            };
            let minted = notes.minted.get(&id)?.clone();
            let rightly = length == PRINTED || secret_of(&raw[at..], &id) == minted.secret;
            Some(Named { id, minted, rightly })
        });
        named.collect()
    }
}
