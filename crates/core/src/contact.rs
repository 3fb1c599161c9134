//! Contacts: where an AoR's phones are, and until when that is known (model.md §2, feeds.md).

use serde::{Deserialize, Serialize};

use crate::feed::{Qualify, Stamp};
use crate::id::SourceId;
use crate::slab::Ix;
use crate::time::Time;

/// Contacts one AoR may have over all sources; a registrar's own limit is far lower.
pub const CONTACTS_MAX: usize = 64;
/// Bindings of AoRs nobody has, kept until somebody gains the address.
pub const UNOWNED_AORS_MAX: usize = 64 * 1024;
/// Removed contacts whose stamp is kept, per AoR, so that nothing late revives them.
pub const GONE_MAX: usize = 64;

/// Least and most the stored expiry goes beyond the lease: a refresh inside the pad writes no record.
const PAD_MS: std::ops::RangeInclusive<u64> = 30_000..=600_000;

/// Until when something holds. Ordered: later is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lease {
    None,
    Until(Time),
    /// Without an end.
    Held,
}

impl Lease {
    pub fn live(self, now: Time) -> bool {
        match self {
            Self::None => false,
            Self::Until(time) => time > now,
            Self::Held => true,
        }
    }
}

/// One binding of an AoR at one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    pub source: SourceId,
    pub id: String,
    pub uri: String,
    /// As journalled: the lease with a pad on top; none = held without a lease.
    pub expires_at: Option<Time>,
    pub qualify: Qualify,
    /// Of the last word on the binding.
    pub stamp: Stamp,
    /// Of the last word on `qualify`: OPTIONS pings and registrations are told of apart.
    pub qualified: Stamp,
    pub instance: Option<String>,
    pub user_agent: Option<String>,
    /// The exact end of the lease: soft, known only while this process has heard of it.
    #[serde(skip)]
    pub(crate) exact: Option<Time>,
    /// Stamp of the last refresh that wrote no record.
    #[serde(skip)]
    pub(crate) soft_stamp: Option<Stamp>,
    /// Stamp of the last qualify that said nothing new.
    #[serde(skip)]
    pub(crate) soft_qualified: Option<Stamp>,
}

impl Contact {
    pub fn lease(&self) -> Lease {
        match self.exact.or(self.expires_at) {
            Some(time) => Lease::Until(time),
            None => Lease::Held,
        }
    }

    /// Not expired, and not known to be deaf.
    pub fn live_until(&self) -> Lease {
        match self.qualify {
            Qualify::Failed => Lease::None,
            Qualify::Unknown | Qualify::Ok => self.lease(),
        }
    }

    pub(crate) fn last_stamp(&self) -> Stamp {
        self.soft_stamp.map_or(self.stamp, |soft| soft.max(self.stamp))
    }

    pub(crate) fn last_qualified(&self) -> Stamp {
        self.soft_qualified.map_or(self.qualified, |soft| soft.max(self.qualified))
    }
}

/// The expiry a record stores for a lease that ends at `lease`.
pub(crate) fn padded(lease: Option<Time>, now: Time) -> Option<Time> {
    lease.map(|end| end.plus_ms(end.since(now).clamp(*PAD_MS.start(), *PAD_MS.end())))
}

/// A contact that is gone, remembered so that an older event cannot bring it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    pub source: SourceId,
    pub id: String,
    pub stamp: Stamp,
    pub at: Time,
}

/// An address of record and its contacts over all sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aor {
    /// user@domain, the domain in lower case.
    pub name: String,
    pub contacts: Vec<Contact>,
    pub gone: Vec<Gone>,
    #[serde(skip)]
    pub(crate) owner: Option<Ix>,
    /// Newest whole contact set heard per source; soft.
    #[serde(skip)]
    pub(crate) floors: Vec<(SourceId, Stamp)>,
}

impl Aor {
    pub(crate) fn new(name: String, owner: Option<Ix>) -> Self {
        Self { name, contacts: Vec::new(), gone: Vec::new(), owner, floors: Vec::new() }
    }

    pub(crate) fn contact(&self, source: &SourceId, id: &str) -> Option<&Contact> {
        self.contacts.iter().find(|contact| contact.source == *source && contact.id == id)
    }

    pub(crate) fn contact_mut(&mut self, source: &SourceId, id: &str) -> Option<&mut Contact> {
        self.contacts.iter_mut().find(|contact| contact.source == *source && contact.id == id)
    }

    pub(crate) fn floor(&self, source: &SourceId) -> Stamp {
        floor(&self.floors, source)
    }

    /// Newest word about this contact, present or gone.
    pub(crate) fn stamp_of(&self, source: &SourceId, id: &str) -> Stamp {
        let present = self.contact(source, id).map(Contact::last_stamp);
        let gone =
            self.gone.iter().find(|gone| gone.source == *source && gone.id == id).map(|gone| gone.stamp);
        present.max(gone).unwrap_or(Stamp::ZERO)
    }

    pub fn live_until(&self) -> Lease {
        self.contacts.iter().map(Contact::live_until).max().unwrap_or(Lease::None)
    }
}

pub(crate) fn floor(floors: &[(SourceId, Stamp)], source: &SourceId) -> Stamp {
    floors.iter().find(|(of, _)| of == source).map_or(Stamp::ZERO, |(_, stamp)| *stamp)
}

pub(crate) fn raise_floor(floors: &mut Vec<(SourceId, Stamp)>, source: &SourceId, stamp: Stamp) {
    match floors.iter_mut().find(|(of, _)| of == source) {
        Some((_, floor)) => *floor = (*floor).max(stamp),
        None => floors.push((source.clone(), stamp)),
    }
}

/// user@domain with the domain in lower case, or what is wrong with it.
pub fn canonical_aor(text: &str) -> Result<String, &'static str> {
    let text = text.strip_prefix("sip:").or_else(|| text.strip_prefix("sips:")).unwrap_or(text);
    let (user, domain) = text.split_once('@').ok_or("an AoR is user@domain")?;
    if user.is_empty() || domain.is_empty() || domain.contains('@') {
        return Err("an AoR is user@domain");
    }
    if text.len() > 256 || text.chars().any(|c| c.is_control() || c.is_whitespace() || c == ';') {
        return Err("an AoR is user@domain of at most 256 bytes, without parameters or spaces");
    }
    Ok(format!("{user}@{}", domain.to_ascii_lowercase()))
}
