//! Profiles applied to rows. A row that has nothing to hide is borrowed, not copied; of one that has, only the fragment
//! concerned is.

use std::borrow::Cow;
use std::sync::Arc;

use ringfence_core::CallId;
use ringfence_core::row::{AgentRow, Directory, Live};

use crate::view::Profile;

/// Stands where an anonymous row would name a call. Rows always name one, so it cannot be left out.
pub const HIDDEN_CALL_ID: &str = "-";
/// Put before the digits that are left of a number.
pub const MASK: &str = "…";
/// Digits of a number that stay readable.
const DIGITS_SHOWN: usize = 4;
/// Numbers with fewer digits are hidden wholly: the last four of an extension would be the extension.
const DIGITS_MIN: usize = 7;

/// The row as the profile shows it.
pub fn row(row: &AgentRow, profile: Profile) -> Cow<'_, AgentRow> {
    match profile {
        Profile::Full => Cow::Borrowed(row),
        Profile::Masked => masked(row),
        Profile::Anonymous => anonymous(row),
    }
}

/// The same for a shared row, which stays shared where nothing is hidden.
pub fn shared(row: &Arc<AgentRow>, profile: Profile) -> Arc<AgentRow> {
    match self::row(row, profile) {
        Cow::Borrowed(_) => Arc::clone(row),
        Cow::Owned(row) => Arc::new(row),
    }
}

/// A peer with all but its number's last digits hidden. What is not a number, a SIP user's name say, is hidden wholly.
pub fn peer(peer: &str) -> String {
    let user = peer.split_once('@').map_or(peer, |(user, _)| user);
    let digits: Vec<char> = user.chars().filter(char::is_ascii_digit).collect();
    let shown = if digits.len() < DIGITS_MIN { &[] } else { &digits[digits.len() - DIGITS_SHOWN..] };
    MASK.chars().chain(shown.iter().copied()).collect()
}

fn masked(row: &AgentRow) -> Cow<'_, AgentRow> {
    let Some(live) = row.live.as_deref().filter(|live| has_peers(live)) else {
        return Cow::Borrowed(row);
    };
    let mut live = live.clone();
    for peer in peers(&mut live) {
        *peer = peer.as_deref().map(self::peer);
    }
    Cow::Owned(AgentRow { live: Some(Arc::new(live)), ..row.clone() })
}

fn anonymous(row: &AgentRow) -> Cow<'_, AgentRow> {
    let directory = row.directory.as_deref().filter(|directory| directory.name.is_some());
    let live = row.live.as_deref().filter(|live| names_calls(live));
    if directory.is_none() && live.is_none() {
        return Cow::Borrowed(row);
    }
    let mut shown = row.clone();
    if let Some(directory) = directory {
        shown.directory = Some(Arc::new(Directory { name: None, ..directory.clone() }));
    }
    if let Some(live) = live {
        shown.live = Some(Arc::new(without_calls(live.clone())));
    }
    Cow::Owned(shown)
}

fn without_calls(mut live: Live) -> Live {
    let Ok(hidden) = CallId::parse(HIDDEN_CALL_ID) else {
        unreachable!("{HIDDEN_CALL_ID:?} is a valid id");
    };
    for peer in peers(&mut live) {
        *peer = None;
    }
    let calls = live.calls.iter_mut().map(|call| &mut call.call_id);
    let external = live.external.iter_mut().map(|call| &mut call.call_id);
    let offers = live.offers.iter_mut().map(|offer| &mut offer.call_id);
    for call_id in calls.chain(external).chain(offers) {
        *call_id = hidden.clone();
    }
    live
}

fn has_peers(live: &Live) -> bool {
    live.calls.iter().any(|call| call.peer.is_some()) || live.external.iter().any(|call| call.peer.is_some())
}

fn names_calls(live: &Live) -> bool {
    !(live.calls.is_empty() && live.external.is_empty() && live.offers.is_empty())
}

fn peers(live: &mut Live) -> impl Iterator<Item = &mut Option<String>> {
    let calls = live.calls.iter_mut().map(|call| &mut call.peer);
    calls.chain(live.external.iter_mut().map(|call| &mut call.peer))
}
