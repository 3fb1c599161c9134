#![cfg(test)]
//! Profiles hide what they are to hide, and copy nothing that has nothing to hide.

use std::borrow::Cow;
use std::sync::Arc;

use proptest::prelude::*;
use ringfence_core::row::AgentRow;
use ringfence_wire::Profile;
use ringfence_wire::mask::{self, HIDDEN_CALL_ID};
use rows::{any_agent, busy_agent, idle_agent};

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "support/rows.rs"]
mod rows;

proptest! {
    #[test]
    fn no_masked_row_shows_more_of_a_peer_than_four_digits(row in any_agent()) {
        let masked = mask::row(&row, Profile::Masked);
        for peer in peers(&masked) {
            prop_assert!(peer.starts_with('…'), "{peer}");
            let rest: Vec<char> = peer.chars().skip(1).collect();
            prop_assert!(rest.is_empty() || rest.len() == 4, "{peer}");
            prop_assert!(rest.iter().all(char::is_ascii_digit), "{peer}");
        }
        let unchanged = matches!(masked, Cow::Borrowed(_));
        prop_assert_eq!(unchanged, peers(&row).next().is_none());
    }

    #[test]
    fn no_anonymous_row_has_a_name_a_call_id_or_a_peer(row in any_agent()) {
        let shown = mask::row(&row, Profile::Anonymous);
        prop_assert_eq!(peers(&shown).count(), 0);
        prop_assert!(shown.directory.as_ref().is_none_or(|directory| directory.name.is_none()));
        if let Some(live) = &shown.live {
            let ids = live.calls.iter().map(|call| &call.call_id)
                .chain(live.external.iter().map(|call| &call.call_id))
                .chain(live.offers.iter().map(|offer| &offer.call_id));
            prop_assert!(ids.into_iter().all(|id| id.as_str() == HIDDEN_CALL_ID));
        }
        prop_assert_eq!(&shown.today, &row.today);
    }
}

fn peers(row: &AgentRow) -> impl Iterator<Item = &str> {
    let live = row.live.iter();
    live.flat_map(|live| {
        let calls = live.calls.iter().map(|call| &call.peer);
        calls.chain(live.external.iter().map(|call| &call.peer)).filter_map(Option::as_deref)
    })
}

#[test]
fn numbers_are_masked_but_for_their_last_digits() {
    for (peer, masked) in [
        ("+441632960123", "…0123"),
        ("441632960123@carrier.test", "…0123"),
        ("sip:+44 1632 960-123@10.0.0.1:5060", "…0123"),
        ("1234567", "…4567"),
        ("123456", "…"),
        ("1008@acme.test", "…"),
        ("alice@acme.test", "…"),
        ("", "…"),
    ] {
        assert_eq!(mask::peer(peer), masked);
    }
}

#[test]
fn what_is_not_masked_stays_shared() {
    let row = Arc::new(idle_agent("1", 1));
    for profile in Profile::ALL {
        assert!(Arc::ptr_eq(&row, &mask::shared(&row, profile)), "{profile:?}");
    }
    let busy = busy_agent("1", 1);
    assert!(matches!(mask::row(&busy, Profile::Full), Cow::Borrowed(_)));
    let masked = mask::row(&busy, Profile::Masked);
    assert!(Arc::ptr_eq(masked.directory.as_ref().unwrap(), busy.directory.as_ref().unwrap()));
}
