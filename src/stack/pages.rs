//! Lists that come in pages: which part of them a query asks for, and how each API shows it.

use super::errors::{ApiError, json_response};
use super::fields::{Extra, Model, Ty, body, optional};
use super::json::text;
use super::python;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::cmp::Reverse;

/// The query of a list of stored completions or responses.
pub(crate) static STORED_QUERY: Model = body(
    &[
        optional("after", Ty::Str),
        optional("limit", Ty::Int),
        optional("model", Ty::Str),
        optional("order", Ty::Enum(&["asc", "desc"])),
    ],
    Extra::Drop,
);

/// The query of a list that is cut by position.
pub(crate) static POSITION_QUERY: Model =
    body(&[optional("start_index", Ty::Int), optional("limit", Ty::Int)], Extra::Drop);

/// A text of a query, unless it is empty.
fn given<'a>(query: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    query.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn created(row: &Value) -> i64 {
    row.get("created_at").and_then(Value::as_i64).unwrap_or_default()
}

fn place(rows: &[Value], id: &str) -> Option<usize> {
    rows.iter().position(|row| text(row, "id") == id)
}

/// Which rows of a table to read.
pub(crate) struct Page<'a> {
    /// Continue after the row of this id.
    pub(crate) after: Option<&'a str>,
    pub(crate) model: Option<&'a str>,
    pub(crate) ascending: bool,
    /// 0 for all.
    pub(crate) limit: i64,
}

impl<'a> Page<'a> {
    /// What a checked query asks for.
    pub(crate) fn of(query: &'a Map<String, Value>, default_limit: i64) -> Self {
        Self {
            after: given(query, "after"),
            model: given(query, "model"),
            ascending: given(query, "order") == Some("asc"),
            limit: query.get("limit").and_then(Value::as_i64).unwrap_or(default_limit),
        }
    }

    /// How many of the rows found the limit keeps, and whether there are more.
    pub(crate) fn kept(&self, found: usize) -> (usize, bool) {
        let rows = i64::try_from(found).unwrap_or(i64::MAX);
        match self.limit {
            0 => (found, false),
            // Python's slicing: a negative limit leaves that many off the end.
            limit => {
                let kept = if limit > 0 { limit } else { rows.saturating_add(limit).max(0) };
                (usize::try_from(kept).unwrap_or(usize::MAX), rows > limit)
            }
        }
    }

    /// The page of a table's rows that fit, and whether there are more. Rows of the same second stay in the order
    /// they came.
    ///
    /// # Errors
    /// When no row has the id to continue after.
    pub(crate) fn of_rows(
        &self,
        mut rows: Vec<Value>,
        table: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<(Vec<Value>, bool), ApiError> {
        if let Some(after) = self.after {
            let cursor = place(&rows, after).map(|at| created(&rows[at]));
            let cursor = cursor.ok_or_else(|| no_such_row(after, table))?;
            rows.retain(|row| if self.ascending { created(row) > cursor } else { created(row) < cursor });
        }
        rows.retain(fits);
        if self.ascending {
            rows.sort_by_key(created);
        } else {
            rows.sort_by_key(|row| Reverse(created(row)));
        }
        let (kept, has_more) = self.kept(rows.len());
        rows.truncate(kept);
        Ok((rows, has_more))
    }
}

/// There is no row to continue after.
pub(crate) fn no_such_row(id: &str, table: &str) -> ApiError {
    ApiError::Value(format!("Record with id='{id}' not found in table '{table}'"))
}

/// A page of a table's rows; the ids are empty when it is.
pub(crate) fn stored(data: &[Value], has_more: bool) -> Response {
    let id = |row: Option<&Value>| row.map_or("", |row| text(row, "id")).to_owned();
    let body = json!({
        "data": data,
        "has_more": has_more,
        "first_id": id(data.first()),
        "last_id": id(data.last()),
        "object": "list",
    });
    json_response(StatusCode::OK, &body)
}

/// The first and the last id of a list; null when it is empty.
fn ends(data: &[Value]) -> [Value; 2] {
    [data.first(), data.last()].map(|item| item.and_then(|item| item.get("id")).cloned().unwrap_or_default())
}

/// A list as OpenAI shows it.
pub(crate) fn list(data: &[Value], has_more: bool) -> Response {
    list_within(data, ends(data), has_more)
}

fn list_within(data: &[Value], [first_id, last_id]: [Value; 2], has_more: bool) -> Response {
    let body = json!({
        "object": "list", "data": data, "first_id": first_id, "last_id": last_id, "has_more": has_more,
    });
    json_response(StatusCode::OK, &body)
}

/// A page of a list that was sorted by time.
pub(crate) struct Cut {
    data: Vec<Value>,
    /// The ends of all that could follow.
    whole: [Value; 2],
    has_more: bool,
}

impl Cut {
    /// Sorts by time and takes the page that a query asks for. An id that is not there changes nothing.
    pub(crate) fn of(mut all: Vec<Value>, query: &Map<String, Value>, limit: i64) -> Self {
        let descending = given(query, "order").is_none_or(|order| order == "desc");
        all.sort_by_key(|item| if descending { -created(item) } else { created(item) });
        if let Some(at) = given(query, "after").and_then(|id| place(&all, id)) {
            all.drain(..=at);
        }
        if let Some(at) = given(query, "before").and_then(|id| place(&all, id)) {
            all.truncate(at);
        }
        let whole = ends(&all);
        let limit = usize::try_from(limit).unwrap_or_default();
        let has_more = all.len() > limit;
        all.truncate(limit);
        Self { data: all, whole, has_more }
    }

    pub(crate) fn response(&self) -> Response {
        list(&self.data, self.has_more)
    }

    /// With the ids of all that could follow, as upstream shows the files of a store.
    pub(crate) fn response_of_whole(self) -> Response {
        list_within(&self.data, self.whole, self.has_more)
    }
}

/// Part of the rows, and whether more follow. Indices count as in Python: a negative one from the end.
fn positions<T>(rows: Vec<T>, start: Option<i64>, limit: Option<i64>) -> (Vec<T>, bool) {
    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let Some(limit) = limit.filter(|limit| *limit != -1) else { return (rows, false) };
    let start = start.unwrap_or(0);
    let end = start.saturating_add(limit).min(count);
    let range = python::slice(start, end, rows.len());
    (rows.into_iter().skip(range.start).take(range.len()).collect(), end < count)
}

/// The part of a list at the positions that a checked query asks for; all of it without a limit.
pub(crate) fn at_positions<T: Serialize>(rows: Vec<T>, query: &Map<String, Value>, url: &str) -> Response {
    let number = |name: &str| query.get(name).and_then(Value::as_i64);
    let (data, has_more) = positions(rows, number("start_index"), number("limit"));
    json_response(StatusCode::OK, &json!({"data": data, "has_more": has_more, "url": url}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paged(start: Option<i64>, limit: Option<i64>) -> (Vec<u8>, bool) {
        positions(vec![0, 1, 2], start, limit)
    }

    #[test]
    fn pages_are_cut_as_python_cuts_lists() {
        assert_eq!(paged(None, None), (vec![0, 1, 2], false));
        assert_eq!(paged(Some(2), Some(-1)), (vec![0, 1, 2], false));
        assert_eq!(paged(None, Some(2)), (vec![0, 1], true));
        assert_eq!(paged(Some(1), Some(1)), (vec![1], true));
        assert_eq!(paged(Some(-1), Some(5)), (vec![2], false));
        assert_eq!(paged(Some(9), Some(5)), (vec![], false));
        assert_eq!(paged(Some(0), Some(0)), (vec![], true));
    }

    const ALL: Page<'static> = Page { after: None, model: None, ascending: false, limit: 0 };

    fn ids(page: &Page<'_>) -> Result<String, String> {
        let rows = [("a", 1), ("b", 2), ("c", 2), ("d", 3)];
        let rows = rows.map(|(id, second)| json!({"id": id, "created_at": second})).to_vec();
        let (rows, more) = page.of_rows(rows, "t", |row| row["id"] != "c").map_err(|e| e.to_string())?;
        let ids: String = rows.iter().map(|row| text(row, "id")).collect();
        Ok(format!("{ids}{}", if more { "+" } else { "" }))
    }

    /// What a limit keeps is what Llama Stack 0.3.0's `fetch_all` keeps.
    #[test]
    fn rows_come_by_their_second() {
        assert_eq!(ids(&ALL), Ok("dba".into()));
        assert_eq!(ids(&Page { ascending: true, limit: 3, ..ALL }), Ok("abd".into()));
        assert_eq!(ids(&Page { limit: 2, ..ALL }), Ok("db+".into()));
        assert_eq!(ids(&Page { limit: -1, ..ALL }), Ok("db+".into()));
        assert_eq!(ids(&Page { limit: -9, ..ALL }), Ok("+".into()));
        assert_eq!(ids(&Page { after: Some("c"), ..ALL }), Ok("a".into()));
        let missing = "Record with id='z' not found in table 't'".to_owned();
        assert_eq!(ids(&Page { after: Some("z"), ..ALL }), Err(missing));
    }
}
