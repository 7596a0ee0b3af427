//! A coordinator whose side of the router's own login is not MIT's.

use super::{Harm, Offer, Scene, TURNS, log_in, router_and_coordinator};
use crate::support::message::open_session;
use crate::support::minted::Mint;
use crate::support::router::eventually;
use crate::support::tools::{self, Tool};

#[test]
fn the_router_logs_in_however_the_offer_is_turned_and_whatever_is_in_it_besides_no_layer() {
    // Of impalad; of Java's servers (`hive.server2.thrift.sasl.qop`).
    for layers in [[1, 0, 0, 0], [1, 1, 0, 0], [7, 1, 0, 0]] {
        for right in TURNS {
            let Some(mut scene) = Scene::behind("", Offer { layers, right, ..Offer::default() }) else {
                return;
            };
            scene.stays_sound();
            assert_eq!(scene.coordinator.connections(), 1);
        }
    }
}

#[test]
fn a_coordinator_that_demands_a_layer_is_told_of_to_the_user_and_in_the_log() {
    if !tools::present(&[Tool::Kdc]) {
        return;
    }
    for layers in [[2, 1, 0, 0], [4, 1, 0, 0], [6, 1, 0, 0]] {
        let (router, coordinator) =
            router_and_coordinator("", Offer { layers, right: 28, ..Offer::default() });
        let mut ann = log_in(router.listener, &Mint::of("ann"));
        let text = ann.call(&open_session()).error().1;
        let words = "the coordinator demands a security layer of SASL (auth-int or auth-conf)";
        assert!(text.contains(words) && text.contains("hive.server2.thrift.sasl.qop=auth"), "{text}");
        assert!(eventually(|| router.has_logged(words)));
        assert_eq!(coordinator.calls().len(), 0);
    }
}

#[test]
fn a_coordinator_whose_proof_or_offer_was_changed_on_its_way_gets_no_session() {
    if !tools::present(&[Tool::Kdc]) {
        return;
    }
    for (harm, words) in [
        (Harm::OfProof, "Decrypt integrity check failed"),
        (Harm::OfOffer, "the last token of the handshake is not signed as it must be"),
    ] {
        let (router, coordinator) = router_and_coordinator("", Offer { harm, ..Offer::default() });
        let mut ann = log_in(router.listener, &Mint::of("ann"));
        let text = ann.call(&open_session()).error().1;
        assert!(text.contains(words) && text.contains("c1"), "{text}");
        assert!(eventually(|| router.has_logged(words)));
        assert_eq!(coordinator.calls().len(), 0);
    }
}
