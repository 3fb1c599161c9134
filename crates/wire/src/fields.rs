//! Reads the fields of one JSON object and says, when it cannot, which field it was and what it should have been. Values
//! are not repeated in what it says: they may be numbers of people, and the text ends in logs.

use std::fmt;
use std::str::FromStr;

use ringfence_core::contact::canonical_aor;
use ringfence_core::{BadId, Time};
use serde_json::{Map, Value};

/// What kind of wrong a refused event or snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BadCode {
    NotJson,
    NotAnObject,
    MissingField,
    WrongType,
    /// Of the right type, and still not possible.
    BadValue,
    BadId,
    TooLong,
    TooMany,
}

impl BadCode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::BadValue => "bad_value",
            Self::BadId => "bad_id",
            Self::TooLong => "too_long",
            Self::TooMany => "too_many",
        }
    }
}

impl fmt::Display for BadCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A field that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadField {
    pub code: BadCode,
    pub message: String,
}

impl BadField {
    pub(crate) fn new(code: BadCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Nothing that could be read as JSON at all.
    pub(crate) fn not_json(error: &serde_json::Error) -> Self {
        Self::new(BadCode::NotJson, format!("this cannot be read as JSON: {error}"))
    }

    fn wrong_type(path: &str, wanted: &str, found: &Value) -> Self {
        Self::new(BadCode::WrongType, format!("`{path}` is {}, not {wanted}", type_of(found)))
    }
}

/// The fields of one object. Unknown ones are not looked at; null counts as absent.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// Where the object stands, like `contacts[2].`; empty for the event itself.
    place: &'a str,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(value: &'a Value, place: &'a str) -> Result<Self, BadField> {
        match value {
            Value::Object(map) => Ok(Self { map, place }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                let what = if place.is_empty() { "this" } else { place.trim_end_matches('.') };
                let message = format!("{what} is {}, not an object", type_of(value));
                Err(BadField::new(BadCode::NotAnObject, message))
            }
        }
    }

    pub(crate) fn number(&self, key: &str) -> Result<u64, BadField> {
        whole(self.required(key)?, &self.path(key))
    }

    pub(crate) fn optional_number(&self, key: &str) -> Result<Option<u64>, BadField> {
        self.present(key).map(|value| whole(value, &self.path(key))).transpose()
    }

    pub(crate) fn time(&self, key: &str) -> Result<Time, BadField> {
        self.number(key).map(Time::from_ms)
    }

    pub(crate) fn optional_time(&self, key: &str) -> Result<Option<Time>, BadField> {
        Ok(self.optional_number(key)?.map(Time::from_ms))
    }

    /// A text that says something, of at most `max` bytes.
    pub(crate) fn text(&self, key: &str, max: usize) -> Result<&'a str, BadField> {
        let path = self.path(key);
        let text = bounded(self.required(key)?, &path, max)?;
        if text.is_empty() {
            return Err(BadField::new(BadCode::BadValue, format!("`{path}` is empty")));
        }
        Ok(text)
    }

    pub(crate) fn optional_text(&self, key: &str, max: usize) -> Result<Option<&'a str>, BadField> {
        self.present(key).map(|value| bounded(value, &self.path(key), max)).transpose()
    }

    /// One word out of `words`, with what it stands for.
    pub(crate) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Result<T, BadField> {
        word(self.required(key)?, &self.path(key), words)
    }

    pub(crate) fn optional_word<T: Copy>(
        &self,
        key: &str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, BadField> {
        self.present(key).map(|value| word(value, &self.path(key), words)).transpose()
    }

    pub(crate) fn id<T: FromStr<Err = BadId>>(&self, key: &str) -> Result<T, BadField> {
        id(self.required(key)?, &self.path(key))
    }

    pub(crate) fn optional_id<T: FromStr<Err = BadId>>(&self, key: &str) -> Result<Option<T>, BadField> {
        self.present(key).map(|value| id(value, &self.path(key))).transpose()
    }

    /// An AoR in its canonical form.
    pub(crate) fn aor(&self, key: &str) -> Result<String, BadField> {
        let path = self.path(key);
        let text = bounded(self.required(key)?, &path, AOR_BYTES_MAX)?;
        canonical_aor(text).map_err(|why| BadField::new(BadCode::BadValue, format!("`{path}`: {why}")))
    }

    pub(crate) fn array(&self, key: &str, max: usize) -> Result<&'a [Value], BadField> {
        let path = self.path(key);
        let value = self.required(key)?;
        let items = value.as_array().ok_or_else(|| BadField::wrong_type(&path, "an array", value))?;
        if items.len() > max {
            let message = format!("`{path}` has {} items; the most is {max}", items.len());
            return Err(BadField::new(BadCode::TooMany, message));
        }
        Ok(items)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.present(key).is_some()
    }

    fn present(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn required(&self, key: &str) -> Result<&'a Value, BadField> {
        self.present(key)
            .ok_or_else(|| BadField::new(BadCode::MissingField, format!("`{}` is missing", self.path(key))))
    }

    /// The field's whole name, from the event's own object on.
    pub(crate) fn path(&self, key: &str) -> String {
        format!("{}{key}", self.place)
    }
}

/// Bytes of an AoR as it came; core refuses longer ones too.
pub const AOR_BYTES_MAX: usize = 256;

fn whole(value: &Value, path: &str) -> Result<u64, BadField> {
    if let Some(number) = value.as_u64() {
        return Ok(number);
    }
    if value.as_i64().is_some() {
        return Err(BadField::new(BadCode::BadValue, format!("`{path}` is negative; it counts from 0")));
    }
    Err(BadField::wrong_type(path, "a whole number", value))
}

pub(crate) fn bounded<'a>(value: &'a Value, path: &str, max: usize) -> Result<&'a str, BadField> {
    let text = value.as_str().ok_or_else(|| BadField::wrong_type(path, "a text", value))?;
    if text.len() > max {
        let message = format!("`{path}` has {} bytes; the most is {max}", text.len());
        return Err(BadField::new(BadCode::TooLong, message));
    }
    Ok(text)
}

fn word<T: Copy>(value: &Value, path: &str, words: &[(&str, T)]) -> Result<T, BadField> {
    let text = value.as_str().ok_or_else(|| BadField::wrong_type(path, "a text", value))?;
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        BadField::new(BadCode::BadValue, format!("`{path}` is none of {}", known.join(", ")))
    })
}

fn id<T: FromStr<Err = BadId>>(value: &Value, path: &str) -> Result<T, BadField> {
    let text = match (value.as_str(), value.as_u64()) {
        (Some(text), _) => T::from_str(text),
        (None, Some(number)) => T::from_str(&number.to_string()),
        (None, None) => return Err(BadField::wrong_type(path, "an id", value)),
    };
    text.map_err(|why| BadField::new(BadCode::BadId, format!("`{path}`: {why}")))
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with a fraction or out of range",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
