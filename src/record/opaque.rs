//! Bodies into which a search for secrets does not see by itself: compressed ones, archives, uploaded files.

use std::io::Read;

use crate::secret::Finder;

/// Bytes that a compressed body may have when unpacked; a larger one counts as unreadable.
const LARGEST_UNPACKED: u64 = 64 * 1024 * 1024;

/// What a body is, for a search.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Inside {
    /// The bytes are what they say.
    Plain,
    /// They pack these.
    Unpacked(Vec<u8>),
    /// They pack something that cannot be read here; says what.
    Sealed(&'static str),
}

/// Looks at how a body is packed, by its `content-encoding` and by how it begins.
pub(crate) fn inside(body: &[u8], encoding: Option<&str>) -> Inside {
    if body.is_empty() {
        return Inside::Plain;
    }
    match encoding.unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" | "identity" => packed(body),
        "gzip" | "x-gzip" => unpack(flate2::read::MultiGzDecoder::new(body), "gzip"),
        "deflate" if body.first() == Some(&0x78) => unpack(flate2::read::ZlibDecoder::new(body), "deflate"),
        "deflate" => unpack(flate2::read::DeflateDecoder::new(body), "deflate"),
        "br" => Inside::Sealed("compressed with br"),
        "zstd" => Inside::Sealed("compressed with zstd"),
        _ => Inside::Sealed("compressed in an unknown way"),
    }
}

/// By the first bytes that compressed formats have.
fn packed(body: &[u8]) -> Inside {
    const SEALED: [(&[u8], &str); 5] = [
        (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\xfd7zXZ\x00", "compressed with xz"),
        (b"BZh", "compressed with bzip2"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    ];
    if body.starts_with(b"\x1f\x8b") {
        return unpack(flate2::read::MultiGzDecoder::new(body), "gzip");
    }
    let sealed = SEALED.into_iter().find(|(magic, _)| body.starts_with(magic));
    // `BZh` is also text; text can be read.
    sealed
        .filter(|_| std::str::from_utf8(body).is_err())
        .map_or(Inside::Plain, |(_, what)| Inside::Sealed(what))
}

fn unpack(reader: impl Read, how: &str) -> Inside {
    let mut out = Vec::new();
    let broken = if how == "gzip" {
        "compressed with gzip, and damaged"
    } else {
        "compressed with deflate, and damaged"
    };
    match reader.take(LARGEST_UNPACKED + 1).read_to_end(&mut out) {
        Ok(_) if out.len() as u64 <= LARGEST_UNPACKED => Inside::Unpacked(out),
        Ok(_) => Inside::Sealed("too large when unpacked"),
        Err(_) => Inside::Sealed(broken),
    }
}

/// Why a multipart upload may not be stored: a file in it holds a secret or cannot be read.
pub(crate) fn refused_upload(body: &[u8], boundary: &str, finder: &Finder) -> Option<&'static str> {
    let marker = format!("--{boundary}");
    let mut rest = body;
    while let Some(at) = find(rest, marker.as_bytes()) {
        rest = &rest[at + marker.len()..];
        let part = &rest[..find(rest, marker.as_bytes()).unwrap_or(rest.len())];
        let Some(split) = find(part, b"\r\n\r\n") else { continue };
        let (head, content) = (&part[..split], &part[split + 4..]);
        let content = content.strip_suffix(b"\r\n").unwrap_or(content);
        if find(&head.to_ascii_lowercase(), b"filename").is_none() {
            continue;
        }
        match inside(content, None) {
            Inside::Plain if finder.finds(content) => return Some("a file in it holds a secret"),
            Inside::Unpacked(content) if finder.finds(&content) => {
                return Some("a compressed file in it holds a secret");
            }
            Inside::Sealed(_) => {
                return Some("a file in it is an archive that cannot be searched for secrets");
            }
            Inside::Plain | Inside::Unpacked(_) => {}
        }
    }
    None
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn compressed_bodies_are_unpacked_or_sealed() {
        let packed = gzip(b"hello");
        assert_eq!(inside(&packed, Some("gzip")), Inside::Unpacked(b"hello".to_vec()));
        assert_eq!(inside(&packed, None), Inside::Unpacked(b"hello".to_vec()));
        assert_eq!(inside(&packed[..9], Some("GZIP")), Inside::Sealed("compressed with gzip, and damaged"));
        assert_eq!(inside(b"x", Some("br")), Inside::Sealed("compressed with br"));
        assert_eq!(inside(b"PK\x03\x04\xff", None), Inside::Sealed("a zip archive"));
        assert_eq!(inside(b"BZh is text", None), Inside::Plain);
        assert_eq!(inside(b"{}", Some("identity")), Inside::Plain);
        assert_eq!(inside(b"", Some("br")), Inside::Plain);
    }

    #[test]
    fn uploaded_files_are_refused_when_they_hold_a_secret() {
        let finder = Finder::new(&["s3cr3t-value".to_owned()]);
        let upload = |head: &str, content: &[u8]| {
            let head = format!("--b\r\nContent-Disposition: form-data; name=\"x\"{head}\r\n\r\n");
            [head.as_bytes(), content, b"\r\n--b--\r\n"].concat()
        };
        let refused = |head: &str, content: &[u8]| refused_upload(&upload(head, content), "b", &finder);
        let file = "; filename=\"a.txt\"";
        assert_eq!(refused(file, b"s3cr3t-value"), Some("a file in it holds a secret"));
        assert_eq!(refused(file, &gzip(b"s3cr3t-value")), Some("a compressed file in it holds a secret"));
        assert!(refused(file, b"PK\x03\x04\xff").is_some());
        assert_eq!(refused("", b"s3cr3t-value"), None, "a field can be masked");
        assert_eq!(refused(file, b"harmless"), None);
    }
}
