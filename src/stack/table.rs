//! Rows as a pandas data frame shows them: every row has every column, and a column has one type.
//!
//! What is reproduced is what Llama Stack's `datasetio` answers with: integers become floats in a column that
//! lacks a value, texts of a CSV file become numbers or booleans when the whole column can, and the missing is null.

use indexmap::IndexSet;
use serde_json::{Map, Value};

type Record = Map<String, Value>;

/// Texts of a CSV file that mean that a value is missing.
const MISSING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
    "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// The records of a frame that is made from rows.
pub(crate) fn from_rows<'a>(rows: impl Iterator<Item = &'a Record>) -> Vec<Record> {
    let rows: Vec<&Record> = rows.collect();
    let names: IndexSet<&String> = rows.iter().flat_map(|row| row.keys()).collect();
    let columns = names.into_iter().map(|name| {
        let values = rows.iter().map(|row| row.get(name).cloned().unwrap_or_default());
        (name.clone(), unified(values.collect()))
    });
    records(rows.len(), columns.collect())
}

/// The records of a CSV file, whose first line names the columns.
///
/// # Errors
/// With pandas's text when a line has more values than there are names.
pub(crate) fn from_csv(bytes: &[u8]) -> Result<Vec<Record>, String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut lines = reader.byte_records();
    let Some(first) = lines.next() else { return Err("No columns to parse from file".to_owned()) };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut names: Vec<String> = Vec::new();
    for (at, name) in first.map_err(|error| error.to_string())?.iter().enumerate() {
        // A byte order mark is no part of the first name.
        let name = text(name).trim_start_matches('\u{feff}').to_owned();
        let name = if name.is_empty() { format!("Unnamed: {at}") } else { name };
        let again = (1..).map(|n| format!("{name}.{n}"));
        let free = std::iter::once(name.clone()).chain(again).find(|name| !names.contains(name));
        names.extend(free);
    }
    let mut columns: Vec<Vec<String>> = vec![Vec::new(); names.len()];
    let mut count = 0;
    for line in lines {
        let line = line.map_err(|error| error.to_string())?;
        if line.len() > names.len() {
            return Err(format!(
                "Error tokenizing data. C error: Expected {} fields in line {}, saw {}\n",
                names.len(),
                line.position().map_or(count + 2, csv::Position::line),
                line.len()
            ));
        }
        for (at, column) in columns.iter_mut().enumerate() {
            column.push(line.get(at).map(text).unwrap_or_default());
        }
        count += 1;
    }
    let columns = names.into_iter().zip(columns.iter().map(|column| typed(column))).collect();
    Ok(records(usize::try_from(count).unwrap_or_default(), columns))
}

/// A column of JSON values: one that holds nothing but numbers, some of them missing or with a fraction, is one of
/// floats.
fn unified(mut values: Vec<Value>) -> Vec<Value> {
    let numeric = values.iter().all(|value| value.is_number() || value.is_null());
    let whole = values.iter().all(|value| value.is_i64() || value.is_u64());
    if numeric && !whole {
        for value in &mut values {
            *value = value.as_f64().map_or(Value::Null, Value::from);
        }
    }
    values
}

/// A column of texts as the narrowest of integers, floats, booleans and texts.
fn typed(column: &[String]) -> Vec<Value> {
    let present = |text: &&String| !MISSING.contains(&text.as_str());
    let all = |read: fn(&str) -> Option<Value>| -> Option<Vec<Value>> {
        let read = |text: &String| if present(&text) { read(text) } else { Some(Value::Null) };
        column.iter().map(read).collect()
    };
    let integer = |text: &str| text.trim().parse::<i64>().ok().map(Value::from);
    let float = |text: &str| text.trim().parse::<f64>().ok().map(Value::from);
    let boolean = |text: &str| match text {
        "True" | "TRUE" | "true" => Some(Value::Bool(true)),
        "False" | "FALSE" | "false" => Some(Value::Bool(false)),
        _ => None,
    };
    all(integer)
        .map(unified)
        .or_else(|| all(float))
        .or_else(|| all(boolean))
        .or_else(|| all(|text| Some(text.into())))
        .unwrap_or_default()
}

fn records(count: usize, columns: Vec<(String, Vec<Value>)>) -> Vec<Record> {
    // A frame without columns has no rows either.
    let mut records = vec![Record::new(); if columns.is_empty() { 0 } else { count }];
    for (name, values) in columns {
        for (record, value) in records.iter_mut().zip(values) {
            record.insert(name.clone(), value);
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rows(rows: Value) -> String {
        let rows: Vec<Record> = serde_json::from_value(rows).unwrap();
        serde_json::to_string(&from_rows(rows.iter())).unwrap()
    }

    fn csv(text: &str) -> String {
        from_csv(text.as_bytes()).map_or_else(|error| error, |rows| serde_json::to_string(&rows).unwrap())
    }

    /// Seen on Llama Stack 0.3.0.
    #[test]
    fn rows_get_the_same_columns_and_one_type_each() {
        assert_eq!(
            rows(json!([{"a": 1, "b": "x"}, {"a": 2.5, "c": null}, {"b": ["q"]}])),
            r#"[{"a":1.0,"b":"x","c":null},{"a":2.5,"b":null,"c":null},{"a":null,"b":["q"],"c":null}]"#
        );
        assert_eq!(rows(json!([{"n": 1}, {"n": 2}])), r#"[{"n":1},{"n":2}]"#);
        assert_eq!(rows(json!([{"n": 1}, {"n": true}, {}])), r#"[{"n":1},{"n":true},{"n":null}]"#);
        assert_eq!(rows(json!([{}])), "[]");
    }

    /// Seen on Llama Stack 0.3.0, as the errors.
    #[test]
    fn csv_columns_are_typed() {
        assert_eq!(
            csv("a,b\n1,x\n2,\nTrue,y"),
            r#"[{"a":"1","b":"x"},{"a":"2","b":null},{"a":"True","b":"y"}]"#
        );
        assert_eq!(
            csv("a,b,c,d\n1,x,True,1.5\n2,z,False,2\n"),
            r#"[{"a":1,"b":"x","c":true,"d":1.5},{"a":2,"b":"z","c":false,"d":2.0}]"#
        );
        assert_eq!(
            csv("a,a,\r\n1,NA\r\n\r\n,\"2, 3\",4\r\n"),
            r#"[{"a":1.0,"a.1":null,"Unnamed: 2":null},{"a":null,"a.1":"2, 3","Unnamed: 2":4.0}]"#
        );
        assert_eq!(
            csv("a,b\n1,2\n1,2,3\n"),
            "Error tokenizing data. C error: Expected 2 fields in line 3, saw 3\n"
        );
        assert_eq!(csv(""), "No columns to parse from file");
    }
}
