//! `suites/*.yaml`: which cases run together, and the setup they use by default.

use super::record::record;
use crate::source::Located;

record! {
    /// A named selection of cases.
    pub struct Suite {
        name: Located<String>,
        description: Option<String>,
        /// Folders, files, `file::case` or globs below `test_cases/`.
        roots: Vec<Located<String>>,
        /// The same forms; what they match is left out.
        exclude: Vec<Located<String>>,
        /// Files with the shapes of answers, or folders of such files; every answer is held against them.
        contract: Vec<Located<String>>,
        default_setup: Option<Located<String>>,
        /// Run this suite when no other is asked for; at most one suite of a project.
        default: Option<Located<bool>>,
    }
}
