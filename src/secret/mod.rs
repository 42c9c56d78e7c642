//! Values that must never be printed or written: which they are, and finding them however they are written.
//!
//! | file | concern |
//! |---|---|
//! | [`finder`] | secret values and known kinds of keys in bytes, encoded or not, and masking them |
//! | `views` | the same bytes read through percent- and JSON-escapes, base64 and hex |
//! | `patterns` | what keys look like that no variable holds |
//!
//! Output is masked by [`Redactor`], recordings by `record`'s scrubber; both find with [`Finder`].

use std::collections::BTreeMap;
use std::sync::Arc;

pub mod finder;
mod patterns;
mod views;

pub use finder::{Edit, Finder, Hidden, ROUNDS, apply_edits};

/// What stands in a secret's place in output.
pub const MASK: &str = "***";

/// Values shorter than this are placeholders such as `fake`; masking them would garble unrelated text. Bytes.
pub const SHORTEST: usize = 6;

/// Replaces the values of secret-looking variables, and what looks like a key, in text.
#[derive(Clone, Default)]
pub struct Redactor {
    values: Vec<String>,
    finder: Arc<Finder>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} values)", self.values.len())
    }
}

impl Redactor {
    /// Takes the values of variables whose names look secret and that are no mere placeholders ([`SHORTEST`]).
    pub fn from_env(env: &BTreeMap<String, String>) -> Self {
        let values: Vec<String> = env
            .iter()
            .filter(|(name, value)| looks_secret(name) && value.trim().len() >= SHORTEST)
            .map(|(_, value)| value.trim().to_owned())
            .collect();
        Self { finder: Arc::new(Finder::new(&values)), values }
    }

    /// `text` with every secret masked, in whatever encoding; text around it stays.
    pub fn apply(&self, text: &str) -> String {
        self.finder.text(text, MASK)
    }

    pub fn values(&self) -> &[String] {
        &self.values
    }
}

/// Whether a variable's name says that its value is a credential.
pub fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    // `OPENAI_API_KEY_2` is as secret as `OPENAI_API_KEY`.
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
    let last = name.rsplit('_').next().unwrap_or_default();
    let words = [
        "KEY",
        "APIKEY",
        "TOKEN",
        "SECRET",
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "CREDENTIALS",
        "PAT",
        "BEARER",
    ];
    words.contains(&last) || name.ends_with("ACCESS_KEY_ID")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_values_are_masked_longest_first_and_placeholders_stay() {
        let env = [
            ("OPENAI_API_KEY", "sk-abcdef"),
            ("GH_TOKEN", "sk-abcdef-long"),
            ("X_TOKEN", "fake"),
            ("KEYBOARD", "qwerty"),
        ];
        let env = env.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let redactor = Redactor::from_env(&env);
        assert_eq!(
            redactor.apply("a sk-abcdef-long b sk-abcdef c fake d qwerty"),
            "a *** b *** c fake d qwerty"
        );
        assert_eq!(redactor.apply("?k=sk%2Dabcdef&b=c2stYWJjZGVm"), "?k=***&b=Kioq", "encoded values too");
        assert_eq!(
            redactor.apply("key ghp_0123456789abcdefghijABCD"),
            "key ***",
            "and what looks like a key"
        );
    }

    #[test]
    fn names_of_credentials() {
        for name in
            ["OPENAI_API_KEY", "HF_TOKEN", "openai_api_key_2", "AWS_ACCESS_KEY_ID", "DB_PASSWORD", "APIKEY"]
        {
            assert!(looks_secret(name), "{name}");
        }
        for name in ["MAX_TOKENS", "KEYBOARD", "OPENAI_BASE_URL", "PATH", "MODEL_ID"] {
            assert!(!looks_secret(name), "{name}");
        }
    }
}
