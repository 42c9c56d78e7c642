//! Content types by file name, as Python's `mimetypes` knows them without a system table.

/// Extensions and types; of several extensions of a type the first is the one a new file gets.
const TYPES: &[(&str, &str)] = &[
    (".txt", "text/plain"),
    (".bat", "text/plain"),
    (".c", "text/plain"),
    (".h", "text/plain"),
    (".ksh", "text/plain"),
    (".pl", "text/plain"),
    (".srt", "text/plain"),
    (".css", "text/css"),
    (".csv", "text/csv"),
    (".html", "text/html"),
    (".htm", "text/html"),
    (".md", "text/markdown"),
    (".markdown", "text/markdown"),
    (".n3", "text/n3"),
    (".rtx", "text/richtext"),
    (".tsv", "text/tab-separated-values"),
    (".vtt", "text/vtt"),
    (".py", "text/x-python"),
    (".etx", "text/x-setext"),
    (".sgm", "text/x-sgml"),
    (".sgml", "text/x-sgml"),
    (".vcf", "text/x-vcard"),
    (".xml", "text/xml"),
    (".js", "text/javascript"),
    (".mjs", "text/javascript"),
    (".pdf", "application/pdf"),
    (".json", "application/json"),
    (".bin", "application/octet-stream"),
    (".doc", "application/msword"),
    (".zip", "application/zip"),
    (".png", "image/png"),
    (".jpg", "image/jpeg"),
];

/// The type that a file of this name has.
pub(crate) fn of_name(name: &str) -> Option<&'static str> {
    let dot = name.rfind('.').filter(|dot| *dot > 0)?;
    let extension = name[dot..].to_lowercase();
    TYPES.iter().find(|(known, _)| *known == extension).map(|(_, of)| *of)
}

/// The extension, with its dot, that a file of this type gets.
pub(crate) fn extension(of: &str) -> Option<&'static str> {
    let essence = of.split(';').next().unwrap_or_default().trim().to_lowercase();
    TYPES.iter().find(|(_, known)| *known == essence).map(|(extension, _)| *extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_types_belong_together() {
        assert_eq!(of_name("a.b.TXT"), Some("text/plain"));
        assert_eq!(of_name("experts.pdf"), Some("application/pdf"));
        assert_eq!((of_name("none"), of_name(".txt"), of_name("a.rst")), (None, None, None));
        assert_eq!(extension("text/html; charset=utf-8"), Some(".html"));
        assert_eq!(extension("x/y"), None);
    }
}
