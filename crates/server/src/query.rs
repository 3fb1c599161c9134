//! Query strings, as strict as bodies: a filter that is misspelt and ignored shows too much, and nobody notices.

use std::fmt::Display;
use std::str::FromStr;

use crate::problem::Problem;
use crate::suggest::nearest;

/// Parameters of one query string. More than this is no query of ours.
const PARAMETERS_MAX: usize = 64;

/// The parameters, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub fn read(text: &str) -> Result<Self, Problem> {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(text)
            .map_err(|error| Problem::invalid("query", format!("the query cannot be read: {error}")))?;
        if pairs.len() > PARAMETERS_MAX {
            return Err(Problem::invalid("query", format!("at most {PARAMETERS_MAX} parameters")));
        }
        Ok(Self(pairs))
    }

    /// Refuses what is not in `known`.
    pub fn only(&self, known: &[&'static str]) -> Result<&Self, Problem> {
        let unknown = self.0.iter().find(|(name, _)| !known.contains(&name.as_str()));
        let Some((name, _)) = unknown else { return Ok(self) };
        let there_are = match known {
            [] => "there are none here".to_owned(),
            known => format!("there are: {}", known.join(", ")),
        };
        let mut problem = Problem::invalid(name.clone(), format!("there is no such parameter; {there_are}"));
        problem.code = "unknown_parameter";
        Err(problem.did_you_mean(nearest(name, known.iter().copied())))
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// One value, read as what it has to be.
    pub fn value<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, Problem> {
        self.text(name)
            .map(|text| text.parse().map_err(|error: T::Err| Problem::invalid(name, error.to_string())))
            .transpose()
    }

    /// Any number of values: the parameter again, or commas.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        let values = self.0.iter().filter(move |(known, _)| known == name);
        values.flat_map(|(_, value)| value.split(',')).map(str::trim).filter(|word| !word.is_empty())
    }
}
