//! A table for people, JSON for programs. Only results go to stdout; progress goes to stderr.

use std::{
    io::{self, Write},
    ops::ControlFlow,
};

use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::failure::Failure;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For people with a wide terminal: more columns, where there are more.
    Wide,
    /// For programs: one JSON document on stdout. Amounts are decimal strings in the token's smallest unit, times
    /// are Unix seconds.
    Json,
}

/// Something that a command found out or did.
pub(crate) trait Printable: Serialize {
    /// The same for people.
    fn table(&self) -> String;

    /// The same with all that is known.
    fn wide(&self) -> String {
        self.table()
    }
}

pub(crate) fn print(format: Format, result: &impl Printable) -> Result<(), Failure> {
    let text = match format {
        Format::Table => result.table(),
        Format::Wide => result.wide(),
        Format::Json => as_json(result)?,
    };
    line(&text).map(|_| ())
}

/// What is for programs in any case.
pub(crate) fn document(document: &impl Serialize) -> Result<(), Failure> {
    line(&as_json(document)?).map(|_| ())
}

fn as_json(result: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(result)
        .map_err(|error| Failure::local(format!("the result can't be written as JSON: {error}")))
}

/// One line of a result that is printed as it is found out; whether anybody still reads.
pub(crate) fn line(text: &str) -> Result<ControlFlow<()>, Failure> {
    match writeln!(io::stdout().lock(), "{text}") {
        // `hawser offers | head` closes the pipe early: that is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(Failure::local(format!("stdout can't be written: {error}"))),
        Ok(()) => Ok(ControlFlow::Continue(())),
    }
}

/// One line of progress.
pub(crate) fn progress(line: impl AsRef<str>) {
    // Nobody who reads stderr is no reason to stop half-way through an order.
    let _ = writeln!(io::stderr().lock(), "{}", line.as_ref());
}

/// Rows under headings, in the manner of kubectl: no frame, so that lines can be cut and searched.
pub(crate) fn columns<const N: usize>(headings: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headings);
    for row in rows {
        table.add_row(row);
    }
    trimmed(&table)
}

/// Names and values, one pair a line.
pub(crate) fn pairs(rows: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (name, value) in rows {
        table.add_row([name.to_owned(), value]);
    }
    trimmed(&table)
}

fn trimmed(table: &Table) -> String {
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
