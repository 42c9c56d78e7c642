//! `multipart/form-data` bodies, encoded the same for every transport.

use bytes::Bytes;

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormPart {
    pub name: String,
    /// A file part has a name and a type.
    pub file: Option<(String, String)>,
    pub data: Bytes,
}

/// The `content-type` and the encoded body. The boundary depends on the parts alone, so that the same upload is
/// always the same bytes.
pub fn encode(parts: &[FormPart]) -> (String, Bytes) {
    let boundary = boundary(parts);
    let mut body = Vec::new();
    for part in parts {
        body.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        let mut head = format!("Content-Disposition: form-data; name=\"{}\"", quoted(&part.name));
        if let Some((filename, content_type)) = &part.file {
            head.push_str(&format!("; filename=\"{}\"\r\nContent-Type: {content_type}", quoted(filename)));
        }
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(&part.data);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body.into())
}

/// Escapes as the HTML standard does for form data names.
fn quoted(text: &str) -> String {
    text.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

fn boundary(parts: &[FormPart]) -> String {
    let mut number = 0_u32;
    loop {
        let candidate = format!("runner-boundary-{number:08}");
        let taken =
            parts.iter().any(|part| part.data.windows(candidate.len()).any(|w| w == candidate.as_bytes()));
        if !taken {
            return candidate;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_files_are_encoded_and_the_boundary_is_not_in_the_data() {
        let parts = [
            FormPart { name: "purpose".into(), file: None, data: Bytes::from_static(b"assistants") },
            FormPart {
                name: "file".into(),
                file: Some(("a\"b.txt".into(), "text/plain".into())),
                data: Bytes::from_static(b"has runner-boundary-00000000 in it"),
            },
        ];
        let (content_type, body) = encode(&parts);
        assert_eq!(content_type, "multipart/form-data; boundary=runner-boundary-00000001");
        let want = "--runner-boundary-00000001\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n\
            --runner-boundary-00000001\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a%22b.txt\"\r\n\
            Content-Type: text/plain\r\n\r\nhas runner-boundary-00000000 in it\r\n--runner-boundary-00000001--\r\n";
        assert_eq!(std::str::from_utf8(&body), Ok(want));
    }
}
