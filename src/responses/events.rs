//! Events of a response's stream, numbered.

use serde_json::{Map, Value, json};

/// Numbers the events of one response. The first event and the completed one carry no number, as in Llama Stack.
pub(super) struct Events {
    pub(super) response_id: String,
    number: u64,
}

impl Events {
    pub(super) fn new(response_id: String) -> Self {
        Self { response_id, number: 0 }
    }

    /// Counts an event that is not sent: Llama Stack does so for a call of a tool that it runs itself.
    pub(super) fn skip(&mut self) {
        self.number += 1;
    }

    pub(super) fn numbered(&mut self, kind: &str, fields: Value) -> Value {
        self.number += 1;
        let mut event = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        event.insert("sequence_number".into(), self.number.into());
        event.insert("type".into(), kind.into());
        event.into()
    }

    pub(super) fn item(&mut self, kind: &str, item: &Value, output_index: usize) -> Value {
        let fields = json!({"response_id": self.response_id, "item": item, "output_index": output_index});
        self.numbered(kind, fields)
    }

    /// An event about an item that is being made.
    pub(super) fn about(&mut self, kind: &str, item_id: &str, output_index: usize) -> Value {
        self.numbered(kind, json!({"item_id": item_id, "output_index": output_index}))
    }

    /// A piece (`delta`) or the whole (`arguments`) of a call's arguments.
    pub(super) fn arguments(
        &mut self,
        kind: &str,
        field: &str,
        text: &str,
        item_id: &str,
        at: usize,
    ) -> Value {
        self.numbered(kind, json!({field: text, "item_id": item_id, "output_index": at}))
    }

    pub(super) fn part(&mut self, kind: &str, place: &Place<'_>, part: Value) -> Value {
        let fields = json!({
            "content_index": place.content_index,
            "response_id": self.response_id,
            "item_id": place.item_id,
            "output_index": place.output_index,
            "part": part,
        });
        self.numbered(kind, fields)
    }

    /// A text that belongs to a content part, under the name the event has for it.
    pub(super) fn content(&mut self, kind: &str, place: &Place<'_>, field: &str, text: &str) -> Value {
        let fields = json!({
            "content_index": place.content_index,
            field: text,
            "item_id": place.item_id,
            "output_index": place.output_index,
        });
        self.numbered(kind, fields)
    }
}

/// Where a content part stands.
pub(super) struct Place<'a> {
    pub(super) content_index: usize,
    pub(super) item_id: &'a str,
    pub(super) output_index: usize,
}

/// An event without a number about the whole response.
pub(super) fn whole(kind: &str, response: Value) -> Value {
    json!({"response": response, "type": kind})
}
