//! Values that must never be printed or written: one redactor for all output.

use std::collections::BTreeMap;

/// What stands in a secret's place.
pub const MASK: &str = "***";

/// Replaces the values of secret-looking variables in text.
#[derive(Clone, Default)]
pub struct Redactor {
    values: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} values)", self.values.len())
    }
}

impl Redactor {
    /// Takes the values of variables whose names look secret. Values under six characters are left: they
    /// are placeholders such as `fake`, and masking them would garble unrelated text.
    pub fn from_env(env: &BTreeMap<String, String>) -> Self {
        let mut values: Vec<String> = env
            .iter()
            .filter(|(name, value)| looks_secret(name) && value.len() >= 6)
            .map(|(_, v)| v.clone())
            .collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        Self { values }
    }

    pub fn apply(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, value| {
            if text.contains(value.as_str()) { text.replace(value.as_str(), MASK) } else { text }
        })
    }

    pub fn values(&self) -> &[String] {
        &self.values
    }
}

/// Whether a variable's name says that its value is a credential.
pub fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let last = name.rsplit('_').next().unwrap_or_default();
    matches!(last, "KEY" | "TOKEN" | "SECRET" | "PASSWORD" | "PASSWD" | "CREDENTIALS" | "PAT")
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
    }
}
