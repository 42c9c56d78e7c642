//! Host names of private endpoints: they name a customer or a deployment, so recordings get a neutral name instead.

use regex::bytes::Regex;

use crate::secret::Edit;

/// What stands where a `*` of a rule matched, or for the whole host when the rule has none.
pub(crate) const HOST_MASK: &str = "private-host";

/// Endpoints whose first labels belong to a customer.
const PRIVATE: [&str; 9] = [
    "*.openai.azure.com",
    "*.cognitiveservices.azure.com",
    "*.services.ai.azure.com",
    "*.inference.ai.azure.com",
    "*.models.ai.azure.com",
    "*.azure-api.net",
    "*.cloud.databricks.com",
    "*.gcp.databricks.com",
    "*.azuredatabricks.net",
];

/// Which host names are private, as globs in which `*` stands for one or more labels or parts of one.
pub(crate) struct HostRules {
    regex: Option<Regex>,
    /// What a match of each group becomes.
    replacements: Vec<String>,
}

impl std::fmt::Debug for HostRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HostRules({})", self.replacements.len())
    }
}

impl Default for HostRules {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl HostRules {
    /// The built-in rules and the user's.
    pub(crate) fn new(globs: &[String]) -> Self {
        let globs: Vec<&str> =
            globs.iter().map(|glob| glob.trim()).filter(|glob| !glob.is_empty()).chain(PRIVATE).collect();
        let pattern = |glob: &&str| {
            let parts: Vec<_> = glob.split('*').map(regex::escape).collect();
            format!("({})", parts.join("[a-z0-9_][a-z0-9_.-]*"))
        };
        let alternatives = globs.iter().map(pattern).collect::<Vec<_>>().join("|");
        let replacement = |glob: &&str| {
            if glob.contains('*') { glob.replace('*', HOST_MASK) } else { HOST_MASK.to_owned() }
        };
        Self {
            regex: Regex::new(&format!("(?i-u){alternatives}")).ok(),
            replacements: globs.iter().map(replacement).collect(),
        }
    }

    /// What to replace so that no private host name is left.
    pub(crate) fn edits(&self, bytes: &[u8]) -> Vec<Edit> {
        let Some(regex) = self.regex.as_ref().filter(|regex| regex.is_match(bytes)) else {
            return Vec::new();
        };
        let is_host = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'-');
        let edit = |found: regex::bytes::Captures<'_>| {
            let at = found.iter().skip(1).position(|group| group.is_some())?;
            let host = found.get(0)?;
            let with = self.replacements[at].as_bytes();
            // Part of a longer name is another name.
            let before = host.start().checked_sub(1).and_then(|at| bytes.get(at));
            let is_part = is_host(before) || is_host(bytes.get(host.end()));
            (!is_part && host.as_bytes() != with).then(|| Edit { range: host.range(), with: with.to_vec() })
        };
        regex.captures_iter(bytes).filter_map(edit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::apply_edits;

    #[test]
    fn private_hosts_are_masked_by_rule() {
        let rules = HostRules::new(&["*.corp.example".into(), "llm-internal".into(), " ".into()]);
        let masked = |text: &str| {
            let once = apply_edits(text.as_bytes(), &rules.edits(text.as_bytes()));
            assert_eq!(rules.edits(&once), [], "masking once is enough");
            String::from_utf8(once).unwrap()
        };
        for (text, expected) in [
            (
                "https://acme-east.openai.azure.com/openai/v1",
                "https://private-host.openai.azure.com/openai/v1",
            ),
            ("adb-123.7.azuredatabricks.net", "private-host.azuredatabricks.net"),
            ("\"DBC-1.cloud.databricks.com\"", "\"private-host.cloud.databricks.com\""),
            ("a.b.corp.example:80", "private-host.corp.example:80"),
            ("http://llm-internal/v1", "http://private-host/v1"),
            (
                "openai.azure.com and llm-internals and api.openai.com",
                "openai.azure.com and llm-internals and api.openai.com",
            ),
        ] {
            assert_eq!(masked(text), expected);
        }
    }
}
