//! Clients whose dials are all in vain are slowed down ([`crate::cluster::brake`]).

use std::time::Duration;

use tokio::time::sleep;

use super::calls::Calls;
use super::exchange::{Answered, Trouble};
use crate::clock;
use crate::cluster::brake::Who;
use crate::net::stream::Stream;

impl<S: Stream> Calls<S> {
    /// Takes in what came of an exchange on a link: of one on which nothing was answered before, that is what its dial was for.
    pub(super) fn note_use(&mut self, is_new: bool, exchanged: &Result<Answered<S>, Trouble>) {
        match exchanged {
            _ if !is_new => {}
            Ok(_) => self.note_of_use(),
            Err(Trouble::Link(lost)) if lost.cause.is_hang_up() => self.note_in_vain(),
            Err(_) => {}
        }
    }

    /// A link that was dialed for the client is lost, or was never there, without a coordinator having answered anything on it.
    pub(super) fn note_in_vain(&mut self) {
        let who = Who::of(self.links.identity(), self.client.address);
        self.slowed = self.fleet.brake.lock().note_in_vain(who, clock::now());
    }

    /// A coordinator has answered on a link that was dialed for the client.
    pub(super) fn note_of_use(&mut self) {
        let who = Who::of(self.links.identity(), self.client.address);
        self.fleet.brake.lock().note_of_use(who);
        self.slowed = Duration::ZERO;
    }

    /// Waits before the client is told of a dial in vain, with nothing of any coordinator's in hand; also if it has left, or it
    /// would come again at once.
    pub(super) async fn brake(&mut self) {
        if !self.slowed.is_zero() {
            sleep(std::mem::take(&mut self.slowed)).await;
        }
    }
}
