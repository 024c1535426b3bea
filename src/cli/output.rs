//! Lists: as a table, as JSON (one object a line), or as a few named columns.

use std::str::FromStr;

use clap::Args;
use serde::Serialize;

use super::{Error, World};

/// How a list is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns under a header.
    Table,
    /// One JSON object a line.
    Json,
    /// These columns, tab-separated, no header.
    Columns(Vec<String>),
}

impl FromStr for Format {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "table" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            _ if text.is_empty() || text.contains(['{', '}', ' ']) => Err(
                "use table, json, or column names separated by commas, such as name,expires (there are no templates)".into(),
            ),
            _ => Ok(Self::Columns(text.split(',').map(str::to_ascii_lowercase).collect())),
        }
    }
}

/// The options of every list.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// Print only what names each item.
    #[arg(short, long)]
    pub quiet: bool,
    /// table, json (one object a line), or column names: name,expires
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
    /// Only items that match; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
}

impl ListArgs {
    /// The filters as pairs; a key outside `known` is an error that names those.
    pub fn filters(&self, known: &[&str]) -> Result<Vec<(&str, &str)>, Error> {
        let parse = |filter| split_filter(filter, known);
        self.filter.iter().map(String::as_str).map(parse).collect()
    }
}

fn split_filter<'a>(filter: &'a str, known: &[&str]) -> Result<(&'a str, &'a str), Error> {
    let (key, value) = filter.split_once('=').unwrap_or((filter, ""));
    if !known.contains(&key) || value.is_empty() {
        let keys: Vec<String> = known.iter().map(|key| format!("{key}=...")).collect();
        return Err(Error::Usage(format!(
            "--filter {filter:?} is not known here: use {}",
            keys.join(", ")
        )));
    }
    Ok((key, value))
}

/// One column.
pub struct Column<T> {
    /// Its header, upper case.
    pub header: &'static str,
    /// What stands in it.
    pub cell: fn(&T, &Row) -> String,
}

/// What a cell may depend on besides its item.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The present.
    pub now: crate::base::Timestamp,
    /// Whether long values are shown whole.
    pub whole: bool,
}

/// Writes a list, with long values shortened.
pub fn list<T: Serialize>(
    world: &mut World,
    args: &ListArgs,
    items: &[T],
    key: impl Fn(&T) -> String,
    columns: &[Column<T>],
) -> Result<(), Error> {
    let row = Row {
        now: world.clock.now(),
        whole: false,
    };
    list_as(world, args, row, items, key, columns)
}

/// Writes a list.
pub fn list_as<T: Serialize>(
    world: &mut World,
    args: &ListArgs,
    row: Row,
    items: &[T],
    key: impl Fn(&T) -> String,
    columns: &[Column<T>],
) -> Result<(), Error> {
    if args.quiet {
        return items.iter().try_for_each(|item| world.say(key(item)));
    }
    match &args.format {
        Format::Json => items
            .iter()
            .try_for_each(|item| world.say(serde_json::to_string(item).expect("wire types are always JSON"))),
        Format::Table => {
            let cells = items
                .iter()
                .map(|i| columns.iter().map(|c| (c.cell)(i, &row)).collect())
                .collect();
            let headers = columns.iter().map(|c| c.header.to_owned()).collect();
            table(headers, cells)
                .into_iter()
                .try_for_each(|line| world.say(line))
        }
        Format::Columns(names) => {
            let chosen = names
                .iter()
                .map(|name| find(name, columns))
                .collect::<Result<Vec<_>, _>>()?;
            items.iter().try_for_each(|item| {
                let cells: Vec<String> = chosen
                    .iter()
                    .map(|c| (c.cell)(item, &Row { whole: true, ..row }))
                    .collect();
                world.say(cells.join("\t"))
            })
        }
    }
}

fn find<'a, T>(name: &str, columns: &'a [Column<T>]) -> Result<&'a Column<T>, Error> {
    let column_name = |column: &Column<T>| column.header.to_ascii_lowercase().replace(' ', "-");
    columns
        .iter()
        .find(|column| column_name(column) == name)
        .ok_or_else(|| {
            let known: Vec<String> = columns.iter().map(column_name).collect();
            Error::Usage(format!(
                "--format: no column {name:?} here: use table, json, or some of {}",
                known.join(",")
            ))
        })
}

/// Aligned lines, the first one the headers; two spaces between columns, none at the ends.
pub fn table(headers: Vec<String>, rows: Vec<Vec<String>>) -> Vec<String> {
    let lines: Vec<Vec<String>> = std::iter::once(headers).chain(rows).collect();
    let columns = lines[0].len();
    let width = |column: usize| lines.iter().map(|l| l[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let pad =
        |(cell, width): (&String, &usize)| format!("{cell}{}", " ".repeat(width - cell.chars().count()));
    lines
        .iter()
        .map(|line| {
            let cells: Vec<String> = line.iter().zip(&widths).map(pad).collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect()
}

/// A string from the server, made fit for a terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// `-` for nothing.
pub fn or_dash(text: Option<String>) -> String {
    text.filter(|text| !text.is_empty())
        .unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_is_in_them() {
        let rows = vec![
            vec!["4f…a1".into(), "web-01".into()],
            vec!["7".into(), "a-much-longer-name".into()],
        ];
        let lines = table(vec!["SERIAL".into(), "NAME".into()], rows);
        assert_eq!(
            lines,
            ["SERIAL  NAME", "4f…a1   web-01", "7       a-much-longer-name"]
        );
    }

    #[test]
    fn a_filter_nobody_knows_names_those_that_exist() {
        let args = |filter: &str| ListArgs {
            quiet: false,
            format: Format::Table,
            filter: vec![filter.into()],
        };
        let good = args("name=a=b");
        assert_eq!(good.filters(&["name", "status"]).unwrap(), [("name", "a=b")]);
        for bad in ["nme=a", "name", "name=", ""] {
            let error = args(bad).filters(&["name", "status"]).unwrap_err();
            assert!(
                matches!(&error, Error::Usage(text) if text.contains("name=..., status=...")),
                "{bad}: {error}"
            );
        }
    }

    #[test]
    fn a_format_is_table_json_or_columns_and_never_a_template() {
        assert_eq!(
            "name,Expires".parse(),
            Ok(Format::Columns(vec!["name".into(), "expires".into()]))
        );
        assert_eq!(
            ("table".parse(), "json".parse()),
            (Ok(Format::Table), Ok(Format::Json))
        );
        assert!("{{.Name}}".parse::<Format>().is_err() && "".parse::<Format>().is_err());
    }
}
