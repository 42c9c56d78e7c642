//! The kinds of files that a project has.

use serde_json::Value;

use super::shape::document;
use super::{CaseFile, ContractFile, ExpectationFile, FixtureFile, Setup, StackDefinition, Suite};
use crate::source::project::Folder;

/// What a file holds, by the folder it lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    Case,
    Fixture,
    Suite,
    Setup,
    Stack,
    Expectation,
    Contract,
}

impl FileKind {
    pub const ALL: [Self; 7] =
        [Self::Case, Self::Fixture, Self::Suite, Self::Setup, Self::Stack, Self::Expectation, Self::Contract];

    pub fn name(self) -> &'static str {
        match self {
            Self::Case => "case",
            Self::Fixture => "fixture",
            Self::Suite => "suite",
            Self::Setup => "setup",
            Self::Stack => "stack",
            Self::Expectation => "expectation",
            Self::Contract => "contract",
        }
    }

    /// The kind with this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Where such files lie.
    pub fn folder(self) -> Folder {
        match self {
            Self::Case => Folder::TestCases,
            Self::Fixture => Folder::Fixtures,
            Self::Suite => Folder::Suites,
            Self::Setup => Folder::Setups,
            Self::Stack => Folder::Stacks,
            Self::Expectation => Folder::Expectations,
            Self::Contract => Folder::Shapes,
        }
    }

    /// The JSON Schema (draft 2020-12) of such a file, as the types that read it describe themselves.
    pub fn schema(self) -> Value {
        match self {
            Self::Case => document::<CaseFile>("A file of test cases"),
            Self::Fixture => document::<FixtureFile>("A file of fixtures"),
            Self::Suite => document::<Suite>("A suite"),
            Self::Setup => document::<Setup>("A setup"),
            Self::Stack => document::<StackDefinition>("A stack"),
            Self::Expectation => document::<ExpectationFile>("Lists of trials whose failures are known"),
            Self::Contract => document::<ContractFile>("What a target answers at its endpoints"),
        }
    }
}
