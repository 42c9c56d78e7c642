//! `data:` addresses, as Llama Stack reads them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a data URL holds.
#[derive(Debug, PartialEq)]
pub(crate) struct DataUrl<'a> {
    pub(crate) mime_type: &'a str,
    pub(crate) bytes: Vec<u8>,
}

/// Takes a data URL apart: `data:MIME[;charset=…][;base64],DATA`.
///
/// # Errors
/// Llama Stack's text when it is none.
pub(crate) fn parse(url: &str) -> Result<DataUrl<'_>, String> {
    let invalid = || "Invalid Data URL format".to_owned();
    let (head, data) = url.strip_prefix("data:").and_then(|rest| rest.split_once(',')).ok_or_else(invalid)?;
    let mut parts = head.split(';');
    let mime_type = parts.next().unwrap_or_default();
    let mime_ok = |c: char| c.is_alphanumeric() || "/_-+.".contains(c);
    let mut rest: Vec<&str> = parts.collect();
    let base64 = rest.last() == Some(&"base64");
    if base64 {
        rest.pop();
    }
    let known = match rest.as_slice() {
        [] => true,
        [one] => one.strip_prefix("charset=").is_some_and(|name| !name.is_empty()),
        _ => false,
    };
    if mime_type.is_empty() || !mime_type.chars().all(mime_ok) || !known {
        return Err(invalid());
    }
    let bytes = if base64 {
        // Python's decoder skips what is no base64.
        let text: String = data.chars().filter(|c| c.is_ascii_alphanumeric() || "+/=".contains(*c)).collect();
        STANDARD.decode(text).map_err(|_| "Incorrect padding".to_owned())?
    } else {
        unquote(data)
    };
    Ok(DataUrl { mime_type, bytes })
}

/// `%41` is `A`; a `%` that starts nothing stays.
fn unquote(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().iter();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let digits = (*byte == b'%').then(|| bytes.as_slice().get(..2)).flatten();
        let value = digits.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        if let Some(value) = value {
            out.push(value);
            bytes.nth(1);
        } else {
            out.push(*byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_urls_are_read() {
        let read = |url| parse(url).map(|data| String::from_utf8_lossy(&data.bytes).into_owned());
        assert_eq!(read("data:text/csv,a%2Cb%0A1,%"), Ok("a,b\n1,%".into()));
        assert_eq!(read("data:text/plain;charset=utf-8;base64,aGk="), Ok("hi".into()));
        assert_eq!(parse("data:text/csv;base64,").unwrap().mime_type, "text/csv");
        for bad in ["data:text/csv", "data:,x", "text/csv,x", "data:text/csv;x=1,y"] {
            assert_eq!(read(bad), Err("Invalid Data URL format".into()), "{bad}");
        }
        assert_eq!(read("data:text/csv;base64,a"), Err("Incorrect padding".into()));
    }
}
