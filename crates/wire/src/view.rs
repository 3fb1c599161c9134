//! What a client may subscribe to: a view and how much of it is shown.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use ringfence_core::row::View;
use ringfence_core::{AgentId, BadId, QueueId, TagId};
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How much of a row is shown. Ordered: a later one shows less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Everything; takes a scope of its own.
    Full,
    /// Of peers' numbers the last digits.
    #[default]
    Masked,
    /// No names, call ids or peers.
    Anonymous,
}

/// A view with its profile. Written as `{"queue":"q_1","profile":"full"}`; its canonical text is `queue:q_1;full`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewSpec {
    pub view: View,
    pub profile: Profile,
}

/// Why something is not a view.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadView {
    #[error("a view names what to watch; give one of account, queue, tag, agent")]
    Empty,
    #[error("a view names one thing, this one both `{0}` and `{1}`; subscribe twice")]
    Several(&'static str, &'static str),
    #[error("a view knows nothing of `{0}`; give one of account, queue, tag, agent, and maybe profile")]
    UnknownKey(String),
    #[error(
        "the view `router` needs a router connection (scope `router`); here are account, queue, tag, agent"
    )]
    Router,
    #[error("the view of the whole account is {{\"account\":true}}, as text `account`")]
    Account,
    #[error("`{key}` of a view: {source}")]
    Id { key: &'static str, source: BadId },
    #[error("there is no profile `{0}`; give one of full, masked, anonymous")]
    Profile(String),
    #[error("`%` in the text of a view is followed by 3B or 25, which stand for `;` and `%`")]
    Escape,
}

impl Profile {
    pub const ALL: [Self; 3] = [Self::Full, Self::Masked, Self::Anonymous];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Masked => "masked",
            Self::Anonymous => "anonymous",
        }
    }

    pub fn parse(text: &str) -> Result<Self, BadView> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.as_str() == text)
            .ok_or_else(|| BadView::Profile(shortened(text)))
    }
}

impl ViewSpec {
    /// The view as a key without special scopes sees it.
    pub const fn masked(view: View) -> Self {
        Self { view, profile: Profile::Masked }
    }

    /// The object form `subscribe` takes, or the canonical text.
    pub fn parse(text: &str) -> Result<Self, BadView> {
        let (view, profile) = match text.split_once(';') {
            Some((view, profile)) => (view, Profile::parse(profile)?),
            None => (text, Profile::default()),
        };
        let view = match view.split_once(':') {
            None if view == "account" => View::Account,
            None if view.is_empty() => return Err(BadView::Empty),
            None => return Err(BadView::UnknownKey(shortened(view))),
            Some(("account", _)) => return Err(BadView::Account),
            Some((key, id)) => Key::parse(key)?.view(&unescaped(id)?)?,
        };
        Ok(Self { view, profile })
    }
}

/// What an object form may name with an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Queue,
    Tag,
    Agent,
}

impl Key {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Tag => "tag",
            Self::Agent => "agent",
        }
    }

    fn parse(text: &str) -> Result<Self, BadView> {
        match text {
            "queue" => Ok(Self::Queue),
            "tag" => Ok(Self::Tag),
            "agent" => Ok(Self::Agent),
            "router" => Err(BadView::Router),
            _ => Err(BadView::UnknownKey(shortened(text))),
        }
    }

    fn view(self, id: &str) -> Result<View, BadView> {
        let bad = |source| BadView::Id { key: self.as_str(), source };
        match self {
            Self::Queue => QueueId::parse(id).map(View::Queue).map_err(bad),
            Self::Tag => TagId::parse(id).map(View::Tag).map_err(bad),
            Self::Agent => AgentId::parse(id).map(View::Agent).map_err(bad),
        }
    }
}

/// What a refused view had, cut so that a hostile one makes no large error.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

/// The name of what is watched and its id; none for the whole account.
fn parts(view: &View) -> (&'static str, Option<&str>) {
    match view {
        View::Account => ("account", None),
        View::Queue(id) => (Key::Queue.as_str(), Some(id.as_str())),
        View::Tag(id) => (Key::Tag.as_str(), Some(id.as_str())),
        View::Agent(id) => (Key::Agent.as_str(), Some(id.as_str())),
    }
}

/// The canonical text. A `;` in an id is written `%3B`, else the queue `a;full` would pass for `a` in the clear.
impl fmt::Display for ViewSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, id) = parts(&self.view);
        formatter.write_str(key)?;
        if let Some(id) = id {
            write!(formatter, ":{}", escaped(id))?;
        }
        match self.profile {
            Profile::Masked => Ok(()),
            Profile::Full | Profile::Anonymous => write!(formatter, ";{}", self.profile.as_str()),
        }
    }
}

fn escaped(id: &str) -> Cow<'_, str> {
    if id.contains(['%', ';']) {
        Cow::Owned(id.replace('%', "%25").replace(';', "%3B"))
    } else {
        Cow::Borrowed(id)
    }
}

fn unescaped(text: &str) -> Result<Cow<'_, str>, BadView> {
    let mut pieces = text.split('%');
    let Some(first) = pieces.next().filter(|first| first.len() < text.len()) else {
        return Ok(Cow::Borrowed(text));
    };
    let mut id = first.to_owned();
    for piece in pieces {
        let (sign, rest) = match (piece.strip_prefix("3B"), piece.strip_prefix("25")) {
            (Some(rest), _) => (';', rest),
            (None, Some(rest)) => ('%', rest),
            (None, None) => return Err(BadView::Escape),
        };
        id.push(sign);
        id.push_str(rest);
    }
    Ok(Cow::Owned(id))
}

impl FromStr for ViewSpec {
    type Err = BadView;

    fn from_str(text: &str) -> Result<Self, BadView> {
        Self::parse(text)
    }
}

/// The object form; the profile is left out where it is the default.
impl Serialize for ViewSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match parts(&self.view) {
            (key, None) => map.serialize_entry(key, &true)?,
            (key, Some(id)) => map.serialize_entry(key, id)?,
        }
        if self.profile != Profile::default() {
            map.serialize_entry("profile", &self.profile)?;
        }
        map.end()
    }
}

/// For frames that name a view subscribed to before.
pub(crate) fn as_text<S: Serializer>(view: &ViewSpec, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(view)
}

struct ViewVisitor;

impl<'de> Visitor<'de> for ViewVisitor {
    type Value = ViewSpec;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a view: an object like {\"queue\":\"q_1\"}, or its text like `queue:q_1`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ViewSpec, E> {
        ViewSpec::parse(text).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ViewSpec, A::Error> {
        let mut named: Option<(&'static str, View)> = None;
        let mut profile = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == "profile" {
                let text: Cow<'de, str> = map.next_value()?;
                if profile.replace(Profile::parse(&text).map_err(de::Error::custom)?).is_some() {
                    return Err(de::Error::duplicate_field("profile"));
                }
                continue;
            }
            let next = if key == "account" {
                ("account", account(&mut map)?)
            } else {
                let key = Key::parse(&key).map_err(de::Error::custom)?;
                (key.as_str(), keyed(key, &mut map)?)
            };
            if let Some((before, _)) = &named {
                return Err(de::Error::custom(BadView::Several(before, next.0)));
            }
            named = Some(next);
        }
        let (_, view) = named.ok_or_else(|| de::Error::custom(BadView::Empty))?;
        Ok(ViewSpec { view, profile: profile.unwrap_or_default() })
    }
}

fn account<'de, A: MapAccess<'de>>(map: &mut A) -> Result<View, A::Error> {
    match map.next_value::<bool>() {
        Ok(true) => Ok(View::Account),
        Ok(false) | Err(_) => Err(de::Error::custom(BadView::Account)),
    }
}

fn keyed<'de, A: MapAccess<'de>>(key: Key, map: &mut A) -> Result<View, A::Error> {
    let named = |error: A::Error| de::Error::custom(format_args!("`{}` of a view: {error}", key.as_str()));
    match key {
        Key::Queue => map.next_value().map(View::Queue).map_err(named),
        Key::Tag => map.next_value().map(View::Tag).map_err(named),
        Key::Agent => map.next_value().map(View::Agent).map_err(named),
    }
}

impl<'de> Deserialize<'de> for ViewSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ViewVisitor)
    }
}
