//! Editing a body that came in chunks, keeping its chunks where that is possible.

use bytes::Bytes;

use super::recording::AnswerChunk;
use crate::secret::{Edit, apply_edits};

/// All bytes in one piece.
pub(crate) fn joined(chunks: &[AnswerChunk]) -> Bytes {
    chunks.iter().flat_map(|chunk| chunk.bytes.iter().copied()).collect::<Vec<_>>().into()
}

/// Makes edits whose ranges count over all chunks, in order and not overlapping. Chunks that one edit spans become one:
/// a replacement cannot be cut as what it replaces was.
pub(crate) fn apply(chunks: &mut Vec<AnswerChunk>, edits: &[Edit]) {
    let mut out: Vec<AnswerChunk> = Vec::with_capacity(chunks.len());
    let mut starts = Vec::with_capacity(chunks.len());
    let mut offset = 0;
    for chunk in chunks.drain(..) {
        let inside = edits.iter().any(|edit| edit.range.start < offset && offset < edit.range.end);
        match out.last_mut() {
            Some(last) if inside => {
                offset += chunk.bytes.len();
                last.bytes = [&last.bytes[..], &chunk.bytes[..]].concat().into();
            }
            _ => {
                starts.push(offset);
                offset += chunk.bytes.len();
                out.push(chunk);
            }
        }
    }
    for (chunk, start) in out.iter_mut().zip(starts) {
        let end = start + chunk.bytes.len();
        let own = |edit: &&Edit| edit.range.start >= start && edit.range.end <= end && edit.range.start < end;
        let shifted = |edit: &Edit| Edit {
            range: edit.range.start - start..edit.range.end - start,
            with: edit.with.clone(),
        };
        let local: Vec<Edit> = edits.iter().filter(own).map(shifted).collect();
        if !local.is_empty() {
            chunk.bytes = apply_edits(&chunk.bytes, &local).into();
        }
    }
    *chunks = out;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_chunks_that_an_edit_spans_are_joined() {
        let chunk = |text: &'static str| AnswerChunk {
            gap: Duration::ZERO,
            bytes: Bytes::from_static(text.as_bytes()),
        };
        let mut chunks = vec![chunk("ab"), chunk("cd"), chunk("ef"), chunk("gh")];
        let edit = |range, with: &str| Edit { range, with: with.into() };
        apply(&mut chunks, &[edit(0..1, "XX"), edit(3..5, "-"), edit(6..8, "")]);
        let texts: Vec<_> = chunks.iter().map(|chunk| std::str::from_utf8(&chunk.bytes).unwrap()).collect();
        assert_eq!(texts, ["XXb", "c-f", ""]);
    }
}
