//! Reading bytes through an encoding while remembering where each decoded byte came from.

use std::borrow::Cow;
use std::ops::Range;

/// Bytes, perhaps decoded from others.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) bytes: Cow<'a, [u8]>,
    /// Where in the original each byte starts, and at the end the original's length; `None` when undecoded.
    starts: Option<Vec<usize>>,
}

impl<'a> View<'a> {
    pub(crate) fn plain(bytes: &'a [u8]) -> Self {
        Self { bytes: Cow::Borrowed(bytes), starts: None }
    }

    /// The range of the original that a range of this view was read from.
    pub(crate) fn source(&self, range: &Range<usize>) -> Range<usize> {
        match &self.starts {
            None => range.clone(),
            Some(starts) => starts[range.start]..starts[range.end],
        }
    }

    /// This view with `%41` read as `A`; `None` when there is no such thing in it.
    pub(crate) fn percent_decoded(&self) -> Option<View<'static>> {
        self.decoded(b'%', |rest| Some((Decoded::Byte(hex_pair(rest.get(1..3)?)?), 3)))
    }

    /// This view with JSON's escapes resolved, as inside a string; `None` when there are none.
    pub(crate) fn json_decoded(&self) -> Option<View<'static>> {
        self.decoded(b'\\', json_escape)
    }

    fn decoded(&self, lead: u8, escape: fn(&[u8]) -> Option<(Decoded, usize)>) -> Option<View<'static>> {
        let first = self.bytes.iter().position(|byte| *byte == lead)?;
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let mut starts = Vec::with_capacity(self.bytes.len() + 1);
        let origin = |at: usize| self.starts.as_ref().map_or(at, |starts| starts[at]);
        let mut found = false;
        let mut at = 0;
        while at < self.bytes.len() {
            let escaped =
                (at >= first && self.bytes[at] == lead).then(|| escape(&self.bytes[at..])).flatten();
            let length = match escaped {
                Some((Decoded::Byte(byte), length)) => {
                    bytes.push(byte);
                    length
                }
                Some((Decoded::Char(c), length)) => {
                    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    length
                }
                None => {
                    bytes.push(self.bytes[at]);
                    1
                }
            };
            found |= escaped.is_some();
            starts.resize(bytes.len(), origin(at));
            at += length;
        }
        starts.push(origin(self.bytes.len()));
        found.then_some(View { bytes: Cow::Owned(bytes), starts: Some(starts) })
    }
}

#[derive(Clone, Copy)]
enum Decoded {
    Byte(u8),
    Char(char),
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn hex_pair(pair: &[u8]) -> Option<u8> {
    Some(hex_digit(*pair.first()?)? * 16 + hex_digit(*pair.get(1)?)?)
}

fn json_escape(rest: &[u8]) -> Option<(Decoded, usize)> {
    let unit = |from: usize| {
        let digits = rest.get(from..from + 4)?;
        Some(u16::from(hex_pair(&digits[..2])?) << 8 | u16::from(hex_pair(&digits[2..])?))
    };
    let plain = |byte| Some((Decoded::Byte(byte), 2));
    match rest.get(1)? {
        byte @ (b'"' | b'\\' | b'/') => plain(*byte),
        b'n' => plain(b'\n'),
        b'r' => plain(b'\r'),
        b't' => plain(b'\t'),
        b'b' => plain(8),
        b'f' => plain(12),
        b'u' => {
            let first = unit(2)?;
            let low = || (rest.get(6..8)? == br"\u").then(|| unit(8)).flatten();
            let paired = low().filter(|_| (0xd800..0xdc00).contains(&first));
            let units = [first, paired.unwrap_or_default()];
            let count = 1 + usize::from(paired.is_some());
            let c = char::decode_utf16(units[..count].iter().copied()).next()?.ok()?;
            Some((Decoded::Char(c), 6 * count))
        }
        _ => None,
    }
}

/// A stretch of bytes that may be an encoding of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) range: Range<usize>,
    /// The digits in it, without line breaks and padding.
    digits: Vec<u8>,
    padded: bool,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Base64,
    Hex,
}

impl Kind {
    /// The fewest digits that can hold a secret of [`super::SHORTEST`] bytes.
    fn shortest(self) -> usize {
        match self {
            Self::Base64 => super::SHORTEST * 4 / 3,
            Self::Hex => super::SHORTEST * 2,
        }
    }

    fn accepts(self, byte: u8) -> bool {
        match self {
            Self::Base64 => sextet(byte).is_some(),
            Self::Hex => byte.is_ascii_hexdigit(),
        }
    }
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Both alphabets, standard and URL-safe.
fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// Everything in `bytes` that could be base64 or hex of a secret. Line breaks inside belong to it.
pub(crate) fn runs(bytes: &[u8]) -> impl Iterator<Item = Run> {
    [Kind::Base64, Kind::Hex].into_iter().flat_map(move |kind| runs_of(bytes, kind))
}

fn runs_of(bytes: &[u8], kind: Kind) -> impl Iterator<Item = Run> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            if !kind.accepts(bytes[at]) {
                at += 1;
                continue;
            }
            let start = at;
            let mut end = at;
            let mut count = 0;
            while at < bytes.len() && (kind.accepts(bytes[at]) || matches!(bytes[at], b'\r' | b'\n')) {
                if kind.accepts(bytes[at]) {
                    end = at + 1;
                    count += 1;
                }
                at += 1;
            }
            if count < kind.shortest() {
                continue;
            }
            let digits = bytes[start..end].iter().copied().filter(|byte| kind.accepts(*byte)).collect();
            let mut padded_end = end;
            while kind == Kind::Base64 && bytes.get(padded_end) == Some(&b'=') && padded_end < end + 2 {
                padded_end += 1;
            }
            return Some(Run { range: start..padded_end, digits, padded: padded_end > end, kind });
        }
        None
    })
}

impl Run {
    /// How many digits may precede the encoding within the run: text before it can be made of digits too.
    pub(crate) fn offsets(&self) -> Range<usize> {
        match self.kind {
            Kind::Base64 => 0..4,
            Kind::Hex => 0..2,
        }
    }

    /// What the run encodes when `offset` digits are left out.
    pub(crate) fn decode(&self, offset: usize) -> Vec<u8> {
        let digits = self.digits.get(offset..).unwrap_or_default();
        match self.kind {
            Kind::Hex => digits.chunks_exact(2).filter_map(hex_pair).collect(),
            Kind::Base64 => {
                let mut out = Vec::with_capacity(digits.len() * 3 / 4);
                for quantum in digits.chunks(4) {
                    let bits = quantum
                        .iter()
                        .filter_map(|d| sextet(*d))
                        .fold(0u32, |bits, s| bits << 6 | u32::from(s));
                    let [_, bytes @ ..] = (bits << (6 * (4 - quantum.len()))).to_be_bytes();
                    out.extend_from_slice(&bytes[..quantum.len() - 1]);
                }
                out
            }
        }
    }

    /// The run with other content from `offset` on, in the same alphabet.
    pub(crate) fn encode(&self, offset: usize, content: &[u8]) -> Vec<u8> {
        let mut out = self.digits[..offset].to_vec();
        match self.kind {
            Kind::Hex => out.extend(content.iter().flat_map(|byte| format!("{byte:02x}").into_bytes())),
            Kind::Base64 => {
                let is_url_safe = self.digits.iter().any(|digit| matches!(digit, b'-' | b'_'));
                let digit = |sextet: u32| match STANDARD[sextet as usize & 63] {
                    b'+' if is_url_safe => b'-',
                    b'/' if is_url_safe => b'_',
                    digit => digit,
                };
                for bytes in content.chunks(3) {
                    let bits = bytes.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
                        << (8 * (3 - bytes.len()));
                    out.extend((0..=bytes.len()).map(|i| digit(bits >> (18 - 6 * i))));
                    if self.padded {
                        out.extend(std::iter::repeat_n(b'=', 3 - bytes.len()));
                    }
                }
            }
        }
        out
    }

    pub(crate) fn len(&self) -> usize {
        self.digits.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(view: Option<View<'_>>) -> Option<String> {
        view.map(|view| String::from_utf8(view.bytes.into_owned()).unwrap())
    }

    #[test]
    fn escapes_are_resolved_and_remember_where_they_stood() {
        assert_eq!(text(View::plain(b"a%2Bb%zz%4").percent_decoded()).unwrap(), "a+b%zz%4");
        let json = View::plain(br#"x\u0041\ud83d\ude00\/\"\q"#);
        let decoded = json.json_decoded().unwrap();
        assert_eq!(decoded.source(&(1..2)), 1..7);
        assert_eq!(decoded.source(&(2..6)), 7..19);
        assert_eq!(text(Some(decoded)).unwrap(), "xA😀/\"\\q");
        assert_eq!(text(View::plain(b"50% of it").percent_decoded()), None);
    }

    #[test]
    fn runs_are_long_enough_to_hold_a_secret() {
        let found = |bytes: &[u8]| runs(bytes).map(|run| (run.range.clone(), run.kind)).collect::<Vec<_>>();
        assert_eq!(found(b"short words"), []);
        assert_eq!(found(b"a: QUJDREVG=="), [(3..13, Kind::Base64)]);
        assert_eq!(found(b"QUJD\nREVG."), [(0..9, Kind::Base64)]);
        assert_eq!(found(b"{414243444546}"), [(1..13, Kind::Base64), (1..13, Kind::Hex)]);
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes(content in prop::collection::vec(any::<u8>(), 6..40), before in "[a-z]{0,3}") {
            use base64::Engine;
            use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
            let hex: String = content.iter().map(|byte| format!("{byte:02x}")).collect();
            for encoded in [STANDARD.encode(&content), URL_SAFE_NO_PAD.encode(&content)] {
                let run = runs_of(encoded.as_bytes(), Kind::Base64).next().unwrap();
                prop_assert_eq!(run.decode(0), content.clone());
                prop_assert_eq!(String::from_utf8(run.encode(0, &content)).unwrap(), encoded.clone());
                let shifted = format!("{before}{encoded}");
                let run = runs_of(shifted.as_bytes(), Kind::Base64).next().unwrap();
                prop_assert!(run.decode(before.len()).starts_with(&content));
            }
            prop_assert_eq!(runs_of(hex.as_bytes(), Kind::Hex).next().unwrap().decode(0), content);
        }
    }
}
