//! Finding secrets in bytes and masking them there.
//!
//! Looked at are the bytes as they are, through percent-escapes and JSON-escapes (also one inside the other), and what
//! every stretch of base64 (either alphabet, at every alignment, folded or not) and hex in them decodes to, which is
//! looked at in the same way.

use std::fmt;
use std::ops::Range;

use regex::bytes::Regex;

use super::views::{Run, View, runs};
use super::{SHORTEST, patterns};

/// Escapes inside escapes that are followed.
const ESCAPES_DEEP: usize = 3;

/// Encodings inside encodings that are followed.
const ENCODINGS_DEEP: usize = 4;

/// How often masking starts again with what came out of it.
pub const ROUNDS: usize = 8;

/// A run of base64 up to this length is a token: it is masked as a whole where its content is no text. Digits.
const TOKEN: usize = 512;

/// Knows secret values, and what keys look like.
#[derive(Default)]
pub struct Finder {
    /// An alternation of all values, longest first; `None` without values.
    values: Option<Regex>,
    count: usize,
}

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Finder({} values)", self.count)
    }
}

/// A replacement in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub range: Range<usize>,
    pub with: Vec<u8>,
}

/// A secret inside something that is no text, such as an image in base64: it cannot be masked without breaking that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hidden;

impl Finder {
    /// Values shorter than [`SHORTEST`] are not looked for.
    pub fn new(values: &[String]) -> Self {
        let mut values: Vec<&str> =
            values.iter().map(String::as_str).filter(|v| v.len() >= SHORTEST).collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        let alternation = values.iter().map(|value| regex::escape(value)).collect::<Vec<_>>().join("|");
        let compiled = regex::bytes::RegexBuilder::new(&alternation).size_limit(1 << 28).build();
        Self { values: compiled.ok().filter(|_| !values.is_empty()), count: values.len() }
    }

    /// What to replace so that `bytes` hold no secret any more: in order, not overlapping. Empty when they hold none.
    ///
    /// # Errors
    /// [`Hidden`] when a secret cannot be replaced.
    pub fn edits(&self, bytes: &[u8], mask: &str) -> Result<Vec<Edit>, Hidden> {
        let mut edits = Vec::new();
        self.explore(&View::plain(bytes), mask, ESCAPES_DEEP, ENCODINGS_DEEP, &mut edits)?;
        Ok(merged(edits, mask))
    }

    /// Whether `bytes` hold a secret in any form.
    pub fn finds(&self, bytes: &[u8]) -> bool {
        self.edits(bytes, "").map_or(true, |edits| !edits.is_empty())
    }

    /// `bytes` with secrets masked; `None` when there are none. A mask can uncover what was no word of its own before,
    /// so this goes on until nothing is found.
    ///
    /// # Errors
    /// [`Hidden`] when a secret cannot be replaced.
    pub fn masked(&self, bytes: &[u8], mask: &str) -> Result<Option<Vec<u8>>, Hidden> {
        let mut out: Option<Vec<u8>> = None;
        for _ in 0..ROUNDS {
            let current = out.as_deref().unwrap_or(bytes);
            let edits = self.edits(current, mask)?;
            if edits.is_empty() {
                return Ok(out);
            }
            out = Some(apply_edits(current, &edits));
        }
        Err(Hidden)
    }

    /// `text` with secrets masked; nothing but the mask when one of them cannot be replaced.
    pub fn text(&self, text: &str, mask: &str) -> String {
        match self.masked(text.as_bytes(), mask) {
            Ok(None) => text.to_owned(),
            Ok(Some(masked)) => String::from_utf8_lossy(&masked).into_owned(),
            Err(Hidden) => mask.to_owned(),
        }
    }

    fn explore(
        &self,
        view: &View<'_>,
        mask: &str,
        escapes: usize,
        encodings: usize,
        edits: &mut Vec<Edit>,
    ) -> Result<(), Hidden> {
        let plain = |range: Range<usize>| Edit { range: view.source(&range), with: mask.into() };
        edits.extend(self.in_plain(&view.bytes).into_iter().map(plain));
        for run in runs(&view.bytes) {
            if let Some(with) = self.in_run(&run, mask, encodings)? {
                edits.push(Edit { range: view.source(&run.range), with });
            }
        }
        if escapes > 0 {
            for deeper in [view.percent_decoded(), view.json_decoded()].into_iter().flatten() {
                self.explore(&deeper, mask, escapes - 1, encodings, edits)?;
            }
        }
        Ok(())
    }

    fn in_plain(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut found = patterns::find(bytes);
        found
            .extend(self.values.iter().flat_map(|values| values.find_iter(bytes).map(|value| value.range())));
        found
    }

    /// What should stand in a run's place; `None` when it encodes no secret.
    fn in_run(&self, run: &Run, mask: &str, encodings: usize) -> Result<Option<Vec<u8>>, Hidden> {
        for offset in run.offsets() {
            let decoded = run.decode(offset);
            if std::str::from_utf8(&decoded).is_err() {
                if self.in_plain(&decoded).is_empty() {
                    continue;
                }
                return if run.len() <= TOKEN { Ok(Some(mask.into())) } else { Err(Hidden) };
            }
            let mut edits = Vec::new();
            let deeper = encodings.saturating_sub(1);
            if encodings > 0 {
                self.explore(&View::plain(&decoded), mask, ESCAPES_DEEP, deeper, &mut edits)?;
            }
            if !edits.is_empty() {
                return Ok(Some(run.encode(offset, &apply_edits(&decoded, &merged(edits, mask)))));
            }
        }
        Ok(None)
    }
}

/// In order; where edits overlap, one that masks all they cover.
fn merged(mut edits: Vec<Edit>, mask: &str) -> Vec<Edit> {
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let mut out: Vec<Edit> = Vec::with_capacity(edits.len());
    for edit in edits {
        match out.last_mut() {
            Some(last) if last.range == edit.range && last.with == edit.with => {}
            Some(last) if edit.range.start < last.range.end => {
                last.range.end = last.range.end.max(edit.range.end);
                last.with = mask.into();
            }
            _ => out.push(edit),
        }
    }
    out
}

/// `bytes` with the edits made, which are in order and do not overlap.
pub fn apply_edits(bytes: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for edit in edits {
        out.extend_from_slice(&bytes[from..edit.range.start]);
        out.extend_from_slice(&edit.with);
        from = edit.range.end;
    }
    out.extend_from_slice(&bytes[from..]);
    out
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "p/s+s\"w?rd~Ünïcode";

    fn masked(text: &str) -> String {
        Finder::new(&[SECRET.to_owned()]).text(text, "#")
    }

    fn percent(text: &str) -> String {
        text.bytes().map(|byte| format!("%{byte:02X}")).collect()
    }

    #[test]
    fn a_value_is_found_through_every_escape() {
        let json = serde_json::to_string(SECRET).unwrap();
        let ascii: String = SECRET.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let forms = [
            SECRET.to_owned(),
            percent(SECRET),
            percent(SECRET).to_lowercase(),
            percent(&percent(SECRET)),
            SECRET.replace('/', "%2F").replace('"', "%22"),
            json.trim_matches('"').to_owned(),
            json.trim_matches('"').replace('/', "\\/"),
            ascii,
            serde_json::to_string(&json).unwrap().trim_matches('"').trim_matches(['\\', '"']).to_owned(),
        ];
        for form in forms {
            assert_eq!(masked(&format!("a {form} b")), "a # b", "{form}");
        }
    }

    #[test]
    fn a_value_is_found_in_base64_at_every_alignment_and_in_hex() {
        for before in ["", "x", "xy", "xyz"] {
            let text = format!("{before}{SECRET} after");
            for encoded in [STANDARD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                let found = masked(&format!("k={encoded}&"));
                let inner = found.trim_start_matches("k=").trim_end_matches(['&', '=']);
                let decoded = URL_SAFE_NO_PAD.decode(inner.replace('+', "-").replace('/', "_")).unwrap();
                assert_eq!(String::from_utf8(decoded).unwrap(), format!("{before}# after"));
            }
        }
        let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(masked(&format!("0x{hex}")), "0x23");
        assert_eq!(masked(&hex.to_uppercase()), "23");
        let twice = STANDARD.encode(STANDARD.encode(SECRET));
        assert_eq!(masked(&twice), STANDARD.encode(STANDARD.encode("#")));
        let whole = STANDARD.encode(SECRET.repeat(3));
        let folded: Vec<_> = whole.as_bytes().chunks(16).map(String::from_utf8_lossy).collect();
        assert_eq!(masked(&folded.join("\r\n")), STANDARD.encode("###"));
    }

    #[test]
    fn a_value_in_something_binary_is_hidden() {
        let image = [&[0xff; 600][..], SECRET.as_bytes(), &[0xfe; 600]].concat();
        let finder = Finder::new(&[SECRET.to_owned()]);
        assert_eq!(finder.edits(STANDARD.encode(&image).as_bytes(), "#"), Err(Hidden));
        assert!(finder.finds(STANDARD.encode(&image).as_bytes()));
        assert!(!finder.finds(STANDARD.encode([0xff; 1200]).as_bytes()));
    }

    proptest! {
        #[test]
        fn masking_leaves_nothing_to_find(parts in prop::collection::vec(0..8usize, 1..6), glue in "[ -~]{0,6}") {
            let finder = Finder::new(&[SECRET.to_owned(), "another-value".to_owned()]);
            let forms = [
                SECRET.to_owned(), "another-value".to_owned(), STANDARD.encode(SECRET), percent(SECRET),
                "plain".to_owned(), "Bearer abcdef1234567890".to_owned(),
                "?sig=abcdefghijk".to_owned(), URL_SAFE_NO_PAD.encode("x another-value y"),
            ];
            let text = parts.iter().map(|part| forms[*part].as_str()).collect::<Vec<_>>().join(&glue);
            let masked = finder.text(&text, "<secret>");
            prop_assert!(!finder.finds(masked.as_bytes()), "{} -> {}", text, masked);
        }

        #[test]
        fn text_without_secrets_is_untouched(text in "\\PC{0,60}") {
            prop_assert_eq!(Finder::new(&[SECRET.to_owned()]).text(&text, "#"), text);
        }
    }
}
