//! Lists, a page at a time.

use std::fmt::Display;
use std::str::FromStr;

use serde::Serialize;

use crate::problem::Problem;
use crate::query::Query;

/// Entries of one page.
pub(super) const LIMIT_MAX: usize = 500;
/// Entries of a page nobody gave a length.
const LIMIT_DEFAULT: usize = 100;

/// What is asked for of a list in the order of its ids.
pub(super) struct Page<Id> {
    pub limit: Option<usize>,
    /// The last one of the page before.
    cursor: Option<Id>,
    /// Whether all there are are to be counted.
    counted: bool,
}

/// A page of something.
#[derive(Serialize)]
pub(super) struct List<T> {
    pub data: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl<Id: FromStr<Err: Display> + Ord + Display> Page<Id> {
    pub fn read(query: &Query) -> Result<Self, Problem> {
        let limit = query.value::<usize>("limit")?;
        if limit.is_some_and(|limit| !(1..=LIMIT_MAX).contains(&limit)) {
            return Err(Problem::invalid("limit", format!("1 to {LIMIT_MAX}")));
        }
        let counted = match query.text("count") {
            None => false,
            Some("exact") => true,
            Some(_) => return Err(Problem::invalid("count", "only \"exact\" is possible")),
        };
        Ok(Self { limit, cursor: query.value("cursor")?, counted })
    }

    /// As long as a page is when nobody says.
    pub fn or_default(mut self) -> Self {
        self.limit.get_or_insert(LIMIT_DEFAULT);
        self
    }

    /// The page of `all`, which stand in the order of their ids.
    pub fn of<T>(&self, all: Vec<T>, id: impl Fn(&T) -> &Id) -> List<T> {
        let total = self.counted.then_some(all.len());
        let mut rest =
            all.into_iter().skip_while(|entry| self.cursor.as_ref().is_some_and(|last| id(entry) <= last));
        let data: Vec<T> = rest.by_ref().take(self.limit.unwrap_or(usize::MAX)).collect();
        let more = rest.next().is_some();
        let next_cursor = data.last().filter(|_| more).map(|last| id(last).to_string());
        List { data, total, next_cursor }
    }
}

impl<T> List<T> {
    /// The same page of what its entries stand for.
    pub fn with<U>(self, data: Vec<U>) -> List<U> {
        List { data, total: self.total, next_cursor: self.next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Said = (Vec<u32>, Option<usize>, Option<String>);

    fn page(query: &str) -> Result<Said, &'static str> {
        let page = Page::<u32>::read(&Query::read(query).unwrap()).map_err(|problem| problem.code)?;
        let List { data, total, next_cursor } = page.of(vec![1, 3, 5, 7], |id| id);
        Ok((data, total, next_cursor))
    }

    #[test]
    fn pages_follow_one_another_also_after_an_id_that_is_gone() {
        assert_eq!(page(""), Ok((vec![1, 3, 5, 7], None, None)));
        assert_eq!(page("limit=2&count=exact"), Ok((vec![1, 3], Some(4), Some("3".to_owned()))));
        assert_eq!(page("limit=2&cursor=3"), Ok((vec![5, 7], None, None)));
        assert_eq!(page("limit=1&cursor=4"), Ok((vec![5], None, Some("5".to_owned()))));
        assert_eq!(page("cursor=9"), Ok((vec![], None, None)));
    }

    #[test]
    fn a_page_of_no_length_and_a_count_of_another_kind_are_refused() {
        for query in ["limit=0", "limit=501", "limit=x", "count=about", "cursor=x"] {
            assert_eq!(page(query), Err("invalid"), "{query}");
        }
    }
}
