//! Walks through a JSON array one element at a time: what stood before a break is kept, and a large array is never held
//! as a tree.

use std::fmt;

use serde::Deserializer;
use serde::de::{self, DeserializeSeed, SeqAccess, Visitor};
use serde_json::Value;

/// Whether to go on with the next element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walk {
    On,
    Stop,
}

/// Hands over each element; `Ok` after the last and after a stop.
pub(crate) fn each(json: &[u8], mut take: impl FnMut(Value) -> Walk) -> Result<(), serde_json::Error> {
    let mut stopped = false;
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let walked = Each { take: &mut take, stopped: &mut stopped }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    if stopped { Ok(()) } else { walked }
}

struct Each<'a, F> {
    take: &'a mut F,
    stopped: &'a mut bool,
}

impl<'de, F: FnMut(Value) -> Walk> DeserializeSeed<'de> for Each<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Value) -> Walk> Visitor<'de> for Each<'_, F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element()? {
            match (self.take)(element) {
                Walk::On => {}
                Walk::Stop => {
                    *self.stopped = true;
                    return Err(de::Error::custom("stopped"));
                }
            }
        }
        Ok(())
    }
}
