//! Stored responses and the chat behind a conversation.

use super::Shared;
use super::errors::ApiError;
use super::json::text;
use super::pages::Page;
use super::responses::as_items;
use serde_json::{Value, json};

const RESPONSE: &str = "response";
const MESSAGES: &str = "conversation_messages";

impl Shared {
    /// Stores a response with its input and the chat it came of.
    pub(crate) fn store_response(
        &self,
        response: &Value,
        input: &Value,
        messages: &[&Value],
    ) -> Result<(), ApiError> {
        let mut stored = response.clone();
        let mut items = as_items(input);
        if !input.is_array()
            && let Some(item) = items.first_mut()
        {
            item["id"] = format!("msg_{}", uuid::Uuid::new_v4()).into();
        }
        stored["input"] = items.into();
        stored["messages"] = json!(messages);
        Ok(self.documents.put(RESPONSE, text(response, "id"), &stored)?)
    }

    /// A response with its input and messages.
    pub(crate) fn stored_response(&self, id: &str) -> Result<Value, ApiError> {
        self.documents.get(RESPONSE, id)?.ok_or_else(|| not_found(id))
    }

    /// A page of responses with their input, by the second they were made in, and whether there are more.
    pub(crate) fn stored_responses(&self, page: &Page<'_>) -> Result<(Vec<Value>, bool), ApiError> {
        let fits = |row: &Value| page.model.is_none_or(|model| text(row, "model") == model);
        let rows = self.documents.list(RESPONSE)?;
        let (mut rows, has_more) = page.of_rows(rows, "openai_responses", fits)?;
        for row in rows.iter_mut().filter_map(Value::as_object_mut) {
            row.shift_remove("messages");
        }
        Ok((rows, has_more))
    }

    pub(crate) fn delete_response(&self, id: &str) -> Result<(), ApiError> {
        match self.documents.remove(RESPONSE, id)? {
            true => Ok(()),
            false => Err(not_found(id)),
        }
    }

    pub(crate) fn store_conversation_messages(
        &self,
        conversation: &str,
        messages: &[&Value],
    ) -> Result<(), ApiError> {
        Ok(self.documents.put(MESSAGES, conversation, &json!(messages))?)
    }

    /// The chat of a conversation's responses; empty when there was none.
    pub(crate) fn conversation_messages(&self, conversation: &str) -> Result<Vec<Value>, ApiError> {
        Ok(match self.documents.get(MESSAGES, conversation)? {
            Some(Value::Array(messages)) => messages,
            _ => Vec::new(),
        })
    }
}

fn not_found(id: &str) -> ApiError {
    ApiError::Value(format!("Response with id {id} not found"))
}
