//! A provider's server-sent events, decoded as they come.

use super::client::broken;
use super::errors::ApiError;
use serde_json::Value;
use std::collections::VecDeque;

/// The largest single event that is buffered.
const MAX_EVENT_BYTES: usize = 16 << 20;

/// The JSON of each event, up to `[DONE]` or the end.
pub(crate) struct Events {
    response: reqwest::Response,
    decoder: Decoder,
    ready: VecDeque<String>,
    ended: bool,
}

impl Events {
    pub(crate) fn new(response: reqwest::Response) -> Self {
        Self { response, decoder: Decoder::default(), ready: VecDeque::new(), ended: false }
    }

    /// The next event's JSON. An event that reports an error is an error, and so is one that is not JSON.
    pub(crate) async fn next(&mut self) -> Option<Result<Value, ApiError>> {
        loop {
            if let Some(data) = self.ready.pop_front() {
                return self.read(&data);
            }
            if self.ended {
                return None;
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => {
                    self.decoder.push(&chunk, &mut self.ready);
                    if self.decoder.pending() > MAX_EVENT_BYTES {
                        self.ended = true;
                        return Some(Err(ApiError::Internal("an event of the provider is too long".into())));
                    }
                }
                Ok(None) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(broken(&error)));
                }
            }
        }
    }

    fn read(&mut self, data: &str) -> Option<Result<Value, ApiError>> {
        if data.starts_with("[DONE]") {
            self.ended = true;
            self.ready.clear();
            return None;
        }
        let read = match serde_json::from_str::<Value>(data) {
            Ok(value) => match value.get("error") {
                Some(error) if truthy(error) => {
                    let text = error.get("message").and_then(Value::as_str);
                    Err(ApiError::Internal(text.unwrap_or("An error occurred during streaming").to_owned()))
                }
                _ => Ok(value),
            },
            Err(error) => Err(ApiError::Value(error.to_string())),
        };
        if read.is_err() {
            self.ended = true;
            self.ready.clear();
        }
        Some(read)
    }
}

/// Whether Python counts the value as true.
pub(crate) fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// Bytes to `data` texts. Lines end with `\n`, `\r\n` or `\r`; an event ends with an empty line.
#[derive(Default)]
struct Decoder {
    line: Vec<u8>,
    data: Option<String>,
    after_cr: bool,
}

impl Decoder {
    fn push(&mut self, bytes: &[u8], out: &mut VecDeque<String>) {
        for &byte in bytes {
            let after_cr = std::mem::take(&mut self.after_cr);
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    self.end_line(out);
                }
                byte => self.line.push(byte),
            }
        }
    }

    fn pending(&self) -> usize {
        self.line.len() + self.data.as_ref().map_or(0, String::len)
    }

    fn end_line(&mut self, out: &mut VecDeque<String>) {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            out.extend(self.data.take());
            return;
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.strip_prefix('\u{feff}').unwrap_or(&line);
        let Some(value) = line.strip_prefix("data:") else { return };
        let value = value.strip_prefix(' ').unwrap_or(value);
        match &mut self.data {
            Some(data) => {
                data.push('\n');
                data.push_str(value);
            }
            data @ None => *data = Some(value.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STREAM: &[u8] = b"\xef\xbb\xbfdata: a\r\n\r\n: comment\nevent: x\ndata:b\ndata: c\n\ndata: \xe2\x98\x83\r\rdata: lost";

    fn decode(chunks: &[&[u8]]) -> Vec<String> {
        let (mut decoder, mut out) = (Decoder::default(), VecDeque::new());
        for chunk in chunks {
            decoder.push(chunk, &mut out);
        }
        out.into()
    }

    proptest! {
        /// Where the network cuts the bytes does not matter.
        #[test]
        fn events_do_not_depend_on_chunks(at in 0..STREAM.len(), and in 0..STREAM.len()) {
            let (low, high) = (at.min(and), at.max(and));
            let events = decode(&[&STREAM[..low], &STREAM[low..high], &STREAM[high..]]);
            prop_assert_eq!(events, ["a", "b\nc", "☃"]);
        }
    }
}
