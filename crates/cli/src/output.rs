//! The one place that prints: data to stdout, talk to stderr.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;

/// What a person, or a program, wants to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    #[default]
    Table,
    Json,
}

/// Rows under headings, or the same as an array of objects with the headings as names.
#[derive(Debug)]
pub struct Rows<const N: usize> {
    pub headings: [&'static str; N],
    pub rows: Vec<[Value; N]>,
}

/// One line of data.
pub fn line(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.write_all(b"\n"));
    // A reader at the other end of a pipe waits for this line.
    written.and_then(|()| stdout.flush()).map_err(closed)
}

/// One line of JSON.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    line(&serde_json::to_string(value).map_err(Failure::of)?)
}

pub fn rows<const N: usize>(format: Format, rows: &Rows<N>) -> Result<(), Failure> {
    match format {
        Format::Json => json(&rows.objects()),
        Format::Table => rows.lines().iter().try_for_each(|text| line(text)),
    }
}

/// One line of talk. That nobody listens is no reason to stop.
pub fn say(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

pub fn complain(failure: &Failure) {
    match failure {
        Failure::Usage(text) | Failure::Check(text) | Failure::Failed(text) => say(&format!("error: {text}")),
        Failure::OutputClosed => {}
    }
}

fn closed(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Failure::OutputClosed
    } else {
        Failure::Failed(format!("cannot write to stdout: {error}"))
    }
}

impl<const N: usize> Rows<N> {
    fn objects(&self) -> Vec<Value> {
        let object = |row: &[Value; N]| {
            self.headings.iter().zip(row).map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
        };
        self.rows.iter().map(|row| Value::Object(object(row))).collect()
    }

    /// Columns as wide as their widest cell, two spaces apart.
    fn lines(&self) -> Vec<String> {
        let headings = self.headings.map(|heading| heading.to_uppercase().replace('_', " "));
        let cells: Vec<[String; N]> = std::iter::once(headings)
            .chain(self.rows.iter().map(|row| std::array::from_fn(|column| cell(&row[column]))))
            .collect();
        let widths: [usize; N] = std::array::from_fn(|column| {
            cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        });
        let padded = |row: &[String; N]| {
            let columns = row.iter().zip(widths).map(|(text, width)| format!("{text:width$}"));
            columns.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        cells.iter().map(padded).collect()
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Rows;

    #[test]
    fn a_table_and_its_json_say_the_same() {
        let rows = Rows {
            headings: ["id", "made_at"],
            rows: vec![[json!("key_1"), json!(7)], [json!("key_22"), json!(null)]],
        };
        assert_eq!(rows.lines(), ["ID      MADE AT", "key_1   7", "key_22  -"]);
        assert_eq!(
            json!(rows.objects()),
            json!([{"id": "key_1", "made_at": 7}, {"id": "key_22", "made_at": null}])
        );
    }
}
