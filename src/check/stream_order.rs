//! Events by name: which comes first, last, before and between.

use serde_json::Value;

use super::kinds::{Between, StreamIs};
use super::mismatch::{Mismatch, shorten, show};

/// First and last event, events in order, events between others.
pub(super) fn check_order(check: &StreamIs<Value>, names: &[String], out: &mut Vec<Mismatch>) {
    let ends = [("first", &check.first, names.first()), ("last", &check.last, names.last())];
    for (which, wanted, name) in ends {
        if let Some(wanted) = wanted.as_ref().filter(|wanted| name.map(String::as_str) != wanted.as_str()) {
            let actual = name.map_or("no event".to_owned(), |name| shown_name(name));
            let mismatch = Mismatch::new(format!("{which} event"), plain(wanted), actual);
            out.push(mismatch.with(overview(names)));
        }
    }
    let mut from = 0;
    for (index, wanted) in check.in_order.iter().enumerate() {
        match names[from..].iter().position(|name| Some(name.as_str()) == wanted.as_str()) {
            Some(found) => from += found + 1,
            None => {
                let after =
                    index.checked_sub(1).map(|before| format!(" after {}", plain(&check.in_order[before])));
                let expected = format!("{}{}", plain(wanted), after.unwrap_or_default());
                let actual = format!("no such event from events[{from}] on");
                out.push(Mismatch::new("order of events", expected, actual).with(overview(names)));
                break;
            }
        }
    }
    check.between.iter().for_each(|rule| check_between(rule, names, out));
}

fn check_between(rule: &Between<Value>, names: &[String], out: &mut Vec<Mismatch>) {
    let of = |wanted: &Value| -> Vec<usize> {
        let named = |name: &String| Some(name.as_str()) == wanted.as_str();
        names.iter().enumerate().filter(|(_, name)| named(name)).map(|(at, _)| at).collect()
    };
    let mut wrong = |expected: String, actual: String| {
        out.push(Mismatch::new("order of events", expected, actual).with(overview(names)));
    };
    let events = of(&rule.event);
    let (Some(first), Some(last)) = (events.first(), events.last()) else {
        return wrong(plain(&rule.event), "no such event".to_owned());
    };
    if let Some(after) = &rule.after {
        let expected = format!("every {} after {}", plain(&rule.event), plain(after));
        match of(after).first() {
            None => wrong(expected, format!("no {}", plain(after))),
            Some(start) if start > first => {
                wrong(expected, format!("events[{first}] comes before events[{start}]"));
            }
            Some(_) => {}
        }
    }
    if let Some(before) = &rule.before {
        let expected = format!("every {} before {}", plain(&rule.event), plain(before));
        match of(before).last() {
            None => wrong(expected, format!("no {}", plain(before))),
            Some(end) if end < last => {
                wrong(expected, format!("events[{last}] comes after events[{end}]"));
            }
            Some(_) => {}
        }
    }
}

/// The names in order, repetitions counted.
fn overview(names: &[String]) -> String {
    let mut runs: Vec<(&str, usize)> = Vec::new();
    for name in names {
        match runs.last_mut() {
            Some((last, count)) if last == name => *count += 1,
            _ => runs.push((name, 1)),
        }
    }
    let runs: Vec<_> = runs
        .iter()
        .map(|(name, count)| match count {
            1 => shown_name(name),
            _ => format!("{} ×{count}", shown_name(name)),
        })
        .collect();
    format!("events: {}", shorten(&runs.join(", ")))
}

fn shown_name(name: &str) -> String {
    if name.is_empty() { "(unnamed)".to_owned() } else { name.to_owned() }
}

/// A name without the quotes of JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| show(value), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{check_stream as check, response, sse, typed, verdict};
    use super::super::{Check, Path};
    use super::*;

    type Stream = StreamIs<Value>;

    fn any() -> Stream {
        Stream::default()
    }

    #[test]
    fn order() {
        let stream = typed(&["created", "added", "delta", "delta", "done", "completed"]);
        let named =
            |first: &str, last: &str| Stream { first: Some(json!(first)), last: Some(json!(last)), ..any() };
        check(named("created", "completed"), &stream, &[]);
        check(
            named("added", "done"),
            &stream,
            &["first event: added / created", "last event: done / completed"],
        );
        let order =
            |names: &[&str]| Stream { in_order: names.iter().map(|name| json!(name)).collect(), ..any() };
        check(order(&["created", "delta", "delta", "completed"]), &stream, &[]);
        check(
            order(&["delta", "delta", "delta"]),
            &stream,
            &["order of events: delta after delta / no such event from events[4] on"],
        );
        check(order(&["x"]), &stream, &["order of events: x / no such event from events[0] on"]);
        let between = |event: &str, after: &str, before: &str| Stream {
            between: vec![Between {
                event: json!(event),
                after: Some(json!(after)),
                before: Some(json!(before)),
            }],
            ..any()
        };
        check(between("delta", "added", "done"), &stream, &[]);
        check(
            between("delta", "done", "added"),
            &stream,
            &[
                "order of events: every delta after done / events[2] comes before events[4]",
                "order of events: every delta before added / events[3] comes after events[1]",
            ],
        );
        check(
            between("delta", "x", "y"),
            &stream,
            &["order of events: every delta after x / no x", "order of events: every delta before y / no y"],
        );
        check(between("x", "added", "done"), &stream, &["order of events: x / no such event"]);
        let shown = verdict(&Check::Stream(Box::new(order(&["x"]))), &stream, &[]);
        assert!(shown.ends_with("events: created, added, delta ×2, done, completed"), "{shown}");
    }

    #[test]
    fn names_come_from_where_servers_put_them() {
        let first = |name: &str| Stream { first: Some(json!(name)), ..any() };
        let field = response(200, "text/event-stream", "event: a\ndata: {\"type\":\"b\"}\n\n");
        check(first("a"), &field, &[]);
        check(first("b"), &typed(&["b"]), &[]);
        check(first("c"), &sse(&[r#"{"event":{"payload":{"event_type":"c"}}}"#]), &[]);
        let own = Stream { name_at: Some(Path::parse("$.kind").unwrap()), ..first("d") };
        check(own, &sse(&[r#"{"kind":"d","type":"x"}"#]), &[]);
        check(first("e"), &sse(&["{}"]), &["first event: e / (unnamed)"]);
        check(first("e"), &sse(&[]), &["number of events: 1 or more / 0", "first event: e / no event"]);
    }
}
