//! `expectations/*.yaml`: trials of which it is known that they fail, or that they cannot be relied on.

use jiff::civil::Date;
use serde_json::json;

use super::case::TargetKind;
use super::decode::{Decode, wrong_kind};
use super::record::record;
use super::shape::{Definitions, Shape};
use crate::source::{Located, Node, NodeValue, Problems};

record! {
    /// Lists of trials whose failures are known.
    pub struct ExpectationFile {
        /// Trials that are expected to fail. One that passes is reported as `xpassed`.
        xfail: Vec<Listed>,
        /// Trials that run and are reported, and do not fail the run.
        quarantine: Vec<Listed>,
    }
}

record! {
    /// Some trials, and why they are on the list.
    pub struct Listed {
        /// Folders, files, `file::case` or trial ids below `test_cases/`; `*` and `?` stand for other characters.
        trials: Vec<Located<String>>,
        /// Only in runs with one of these setups.
        setup: Vec<Located<String>>,
        /// Only where the stack is reached in one of these ways.
        target_is: Vec<Located<TargetKind>>,
        because: Located<String>,
        /// The last day on which the entry counts, as `2026-12-31`.
        until: Option<Located<Date>>,
    }
}

impl Decode for Date {
    const EXPECTED: &'static str = "a date such as 2026-12-31";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let date = match &node.value {
            NodeValue::Text(text) => text.parse().ok(),
            _ => None,
        };
        if date.is_none() {
            problems.push(wrong_kind::<Self>(node));
        }
        date
    }
    fn describe(_: &mut Definitions) -> Shape {
        json!({"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"})
    }
}
