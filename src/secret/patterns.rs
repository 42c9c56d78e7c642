//! What keys look like: found even when no variable holds them.

use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::Regex;

/// Says whether a match is a key rather than words.
type Accept = fn(&[u8]) -> bool;

/// One kind of key.
struct Pattern {
    regex: &'static str,
    /// Whether a match is long and mixed enough to be a key rather than words.
    accept: Accept,
}

const ANY: Accept = |_| true;

/// A key has digits; `sk-learn-classification-model` has not.
const HAS_DIGIT: Accept = |found| found.iter().any(u8::is_ascii_digit);

/// `user:password` in base64.
const IS_BASIC: Accept = |found| {
    use base64::Engine;
    let padding: &[_] = &['='];
    let text = String::from_utf8_lossy(found);
    let decoded = base64::engine::general_purpose::STANDARD_NO_PAD.decode(text.trim_end_matches(padding));
    decoded.is_ok_and(|bytes| bytes.contains(&b':') && std::str::from_utf8(&bytes).is_ok())
};

/// The secret is group `s` where there is one, otherwise the whole match. Prefixes as their issuers document them.
const PATTERNS: [Pattern; 15] = [
    // OpenAI, Anthropic, OpenRouter, DeepSeek, Cerebras, Stripe.
    Pattern { regex: r"\b(?:sk|pk|rk|csk)[-_][A-Za-z0-9_-]{16,}", accept: HAS_DIGIT },
    // Google.
    // Its letters also come up in long base64, so it must stand for itself.
    Pattern {
        regex: r"(?-u)(?:^|[^A-Za-z0-9+/=_-])(?P<s>AIza[A-Za-z0-9_-]{35})(?:$|[^A-Za-z0-9+/=_-])",
        accept: ANY,
    },
    Pattern { regex: r"\bya29\.[A-Za-z0-9_-]{20,}", accept: ANY },
    // AWS key ids.
    Pattern { regex: r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b", accept: ANY },
    // Groq, NVIDIA, Fireworks, Together, Replicate, xAI, Perplexity.
    Pattern { regex: r"\b(?:gsk_|nvapi-|fw_|tgp_v1_|r8_|xai-|pplx-)[A-Za-z0-9_-]{20,}", accept: HAS_DIGIT },
    // Tavily.
    Pattern { regex: r"tvly-[A-Za-z0-9_-]{16,}", accept: HAS_DIGIT },
    // GitHub, GitLab, Hugging Face, npm.
    Pattern { regex: r"gh[pousr]_[A-Za-z0-9]{20,}", accept: ANY },
    Pattern { regex: r"github_pat_[A-Za-z0-9_]{20,}", accept: ANY },
    Pattern { regex: r"\b(?:glpat-|hf_|npm_)[A-Za-z0-9_-]{20,}", accept: ANY },
    // Slack.
    Pattern { regex: r"\b(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,}", accept: HAS_DIGIT },
    // Databricks.
    Pattern { regex: r"\bdapi[0-9a-f]{32}(?:-\d)?\b", accept: ANY },
    // JSON Web Tokens, signed or not.
    Pattern { regex: r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?", accept: ANY },
    Pattern { regex: r"(?i)\bbearer\s+(?P<s>[A-Za-z0-9._~+/-]{12,}=*)", accept: HAS_DIGIT },
    Pattern { regex: r"(?i)\bbasic\s+(?P<s>[A-Za-z0-9+/]{8,}={0,2})", accept: IS_BASIC },
    Pattern {
        regex: r"(?s)-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\z)",
        accept: ANY,
    },
];

/// In addresses: `user:password@`, and parameters that carry a credential.
const IN_ADDRESSES: [Pattern; 2] = [
    Pattern { regex: r#"(?-u)://[^\s/:@"'<>\\]*:(?P<s>[^\s/@"'<>\\]{2,})@"#, accept: ANY },
    Pattern {
        regex: r#"(?i-u)[?&;](?:key|api[-_]?key|apikey|access[-_]token|auth[-_]?token|token|sig|signature|client[-_]secret|secret|password|x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature)=(?P<s>[^\s&;"'<>#\\]{6,})"#,
        accept: ANY,
    },
];

/// Something of every pattern that must be there: most text has none of it, and that is quick to see.
const HINT: &str = r"(?i-u)(?:[spr]k|csk)[-_]|AIza|ya29|AKIA|ASIA|ABIA|ACCA|gsk_|nvapi-|fw_|tgp_v1_|r8_|xai-|pplx-|tvly-|gh[pousr]_|github_pat_|glpat-|hf_|npm_|xox[abeoprs]-|xapp-|dapi|eyJ|bearer|basic|PRIVATE KEY|://|[?&;][a-z_-]{3,20}=";

struct Compiled {
    hint: Regex,
    all: Vec<(Regex, Accept)>,
}

static COMPILED: LazyLock<Option<Compiled>> = LazyLock::new(|| {
    let all = PATTERNS.iter().chain(&IN_ADDRESSES);
    let all = all.filter_map(|p| Some((Regex::new(p.regex).ok()?, p.accept))).collect();
    Some(Compiled { hint: Regex::new(HINT).ok()?, all })
});

/// Where keys stand in `bytes`, in no order.
pub(super) fn find(bytes: &[u8]) -> Vec<Range<usize>> {
    let Some(compiled) = &*COMPILED else { return Vec::new() };
    if !compiled.hint.is_match(bytes) {
        return Vec::new();
    }
    let found = |(regex, accept): &(Regex, Accept)| {
        let secrets = regex.captures_iter(bytes).filter_map(|found| found.name("s").or(found.get(0)));
        secrets.filter(|secret| accept(secret.as_bytes())).map(|secret| secret.range()).collect::<Vec<_>>()
    };
    compiled.all.iter().flat_map(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        find(text.as_bytes()).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(COMPILED.as_ref().unwrap().all.len(), PATTERNS.len() + IN_ADDRESSES.len());
    }

    #[test]
    fn keys_are_known_by_their_looks() {
        // Put together here, so that no scanner takes this file for a leak.
        let digits = "0123456789abcdefABCDEF0123456789abcdefABCDEF";
        let keys = [
            format!("sk-{digits}"),
            format!("sk-ant-api03-{digits}"),
            format!("sk_live_{digits}"),
            format!("AIza{}", &digits[..35]),
            format!("AKIA{}", "ABCDEFGH12345678"),
            format!("gsk_{digits}"),
            format!("tvly-{}", &digits[..20]),
            format!("ghp_{}", &digits[..36]),
            format!("github_pat_{digits}"),
            format!("xoxb-{}", &digits[..16]),
            format!("hf_{}", &digits[..34]),
            format!("dapi{}", "0123456789abcdef0123456789abcdef"),
            format!("eyJ{}.eyJ{}.{digits}", &digits[..12], &digits[..12]),
        ];
        for key in &keys {
            assert_eq!(
                found(&format!("the key is {key}.")).first().map(|k| k.trim_end_matches('.')),
                Some(key.as_str())
            );
        }
    }

    #[test]
    fn only_the_secret_of_a_phrase_is_found() {
        let pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----";
        assert_eq!(found("Authorization: Bearer abc123def456ghi"), ["abc123def456ghi"]);
        assert_eq!(found("basic dXNlcjpwYXNz and"), ["dXNlcjpwYXNz"]);
        assert_eq!(found(&format!("a {pem} b")), [pem]);
        assert_eq!(found("https://me:hunter2@host/x?a=1&sig=abcdef%2Bgh&b=2"), ["hunter2", "abcdef%2Bgh"]);
    }

    #[test]
    fn prose_is_left_alone() {
        for text in [
            "a sk-learn-based-classification-model is no key",
            "bearer authentication-required",
            "basic understanding of things",
            "see https://host:8080/path?page=2 and the risk-0123456789abcdef0123",
            "what is the key=value form; token=abc",
            "<secret>",
        ] {
            assert_eq!(found(text), Vec::<&str>::new(), "{text}");
        }
    }
}
