//! The text of a file's bytes.

/// The text of a file of this type; empty for types that none is taken from, which are all but text and PDF.
///
/// # Errors
/// When a PDF cannot be read, or a text file is empty; the second is Llama Stack's and worded as there.
pub(crate) fn text(bytes: &[u8], mime: Option<&str>) -> Result<String, String> {
    match mime {
        Some("application/pdf") => pdf(bytes),
        Some(mime) if mime.starts_with("text/") => decoded(bytes),
        _ => Ok(String::new()),
    }
}

/// UTF-8, or UTF-16 with its mark, or else Latin-1. Llama Stack guesses among more encodings, and wrongly when a
/// text is short.
fn decoded(bytes: &[u8]) -> Result<String, String> {
    if bytes.is_empty() {
        return Err("decode() argument 'encoding' must be str, not None".to_owned());
    }
    let utf16 = |bytes: &[u8], read: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|two| read([two[0], two[1]]));
        char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    Ok(match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => {
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            match std::str::from_utf8(bytes) {
                Ok(text) => text.to_owned(),
                Err(_) => bytes.iter().copied().map(char::from).collect(),
            }
        }
    })
}

/// The text of all pages, a line break between two.
fn pdf(bytes: &[u8]) -> Result<String, String> {
    let broken = |error: lopdf::Error| format!("the PDF cannot be read: {error}");
    let document = lopdf::Document::load_mem(bytes).map_err(broken)?;
    let mut pages = Vec::new();
    for number in document.get_pages().into_keys() {
        let page = document.extract_text(&[number]).map_err(broken)?;
        pages.push(page.trim_end().to_owned());
    }
    Ok(pages.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_decoded() {
        let read = |bytes: &[u8]| text(bytes, Some("text/plain"));
        assert_eq!(read("naïve ☕".as_bytes()).unwrap(), "naïve ☕");
        assert_eq!(read(b"\xef\xbb\xbfa").unwrap(), "a");
        assert_eq!(read(b"\xff\xfea\0\xe9\0").unwrap(), "aé");
        assert_eq!(read(b"na\xefve").unwrap(), "naïve");
        assert_eq!(read(b"").unwrap_err(), "decode() argument 'encoding' must be str, not None");
    }

    #[test]
    fn other_types_have_no_text() {
        assert_eq!(text(b"{}", Some("application/json")).unwrap(), "");
        assert_eq!(text(b"x", None).unwrap(), "");
    }

    /// The file that the file-search cases upload.
    #[test]
    fn a_pdf_has_its_text() {
        let bytes =
            std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/test_cases/responses/experts.pdf")).unwrap();
        assert_eq!(text(&bytes, Some("application/pdf")).unwrap(), "Llama 4 Maverick has 128 experts");
        assert!(
            text(b"%PDF-1.4 nothing", Some("application/pdf"))
                .unwrap_err()
                .starts_with("the PDF cannot be read")
        );
    }
}
