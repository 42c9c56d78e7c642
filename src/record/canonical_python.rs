//! Canonical JSON beside CPython's own, where there is a Python. Skipped, with a printed reason, where there is none.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::canonical::{Style, to_string};

const VALUES: usize = 100_000;

/// Whether what a developer's machine may lack has to be there.
fn is_required() -> bool {
    std::env::var("RUNNER_REQUIRE_SHARED").is_ok_and(|value| value == "1")
}

#[test]
fn canonical_text_is_what_cpython_writes() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/canonical-values.py");
    let started = Command::new("python3").arg(script).arg(VALUES.to_string()).stdout(Stdio::piped()).spawn();
    let mut python = match started {
        Ok(python) => python,
        Err(error) => {
            assert!(!is_required(), "python3: {error}");
            println!("skipped: python3: {error}");
            return;
        }
    };
    let mut compared = 0;
    for line in BufReader::new(python.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let texts: Vec<_> = line.split('\t').collect();
        let [plain, spaced, compact] = texts[..] else { panic!("not three texts: {line}") };
        let value: Value = serde_json::from_str(plain).unwrap_or_else(|error| panic!("{plain}: {error}"));
        assert_eq!(to_string(&value, Style::Spaced), spaced, "{plain}");
        assert_eq!(to_string(&value, Style::Compact), compact, "{plain}");
        compared += 1;
    }
    assert!(python.wait().unwrap().success());
    assert_eq!(compared, VALUES);
}
