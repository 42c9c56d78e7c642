//! `test_cases/**/*.yaml`: cases, the axes that multiply them, and when they are skipped.

use std::time::Duration;

use serde_json::json;

use super::decode::{Decode, Table};
use super::fault::Fault;
use super::fixture::Fixture;
use super::record::{Fields, record, words};
use super::shape::{Definitions, Shape};
use super::step::Step;
use crate::source::{Located, Node, Problems};

record! {
    /// One file of cases.
    pub struct CaseFile {
        /// Pieces that the cases repeat by YAML anchors; not looked at otherwise.
        anchors: Option<Node>,
        /// Values for every case of the file; they may refer to each other and to parameters.
        vars: Table<Node>,
        /// What the cases of this file need and share.
        fixtures: Table<Fixture>,
        cases: Vec<Case>,
    }
}

impl CaseFile {
    /// Each case, and where its text ends: where the next one begins.
    pub fn cases_with_ends(&self) -> impl Iterator<Item = (&Case, usize)> {
        let ends = self.cases.iter().skip(1).map(|case| case.span.start).chain([self.span.file.text.len()]);
        self.cases.iter().zip(ends)
    }
}

record! {
    /// One test case; it becomes one trial per combination of clients, parameters and rows.
    pub struct Case {
        name: Located<String>,
        description: Option<String>,
        /// The test of upstream's pytest suite that this case ports, parameters filled in by templates.
        upstream: Option<Located<String>>,
        /// Client profiles as an axis: their headers go with every request of the trial.
        clients: Vec<Located<Client>>,
        /// Model parameters that join the matrix; a trial without a value for one is skipped.
        params: Vec<Located<String>>,
        /// Capabilities the setup's models must not lack.
        requires: Vec<Located<String>>,
        /// What the machine must offer beyond the stack.
        needs: Vec<Located<Need>>,
        skip: Vec<Rule>,
        xfail: Vec<Rule>,
        /// One trial per row; in templates `row.…`.
        rows: Vec<Row>,
        /// Fixtures that are made before the first step.
        uses: Vec<Located<String>>,
        vars: Table<Node>,
        timeout: Option<Duration>,
        /// What goes wrong with the stack's provider calls, on purpose.
        faults: Vec<Fault>,
        steps: Vec<Step>,
        /// Steps that run after the others, also when those failed.
        cleanup: Vec<Step>,
    }
}

record! {
    /// When a trial is skipped, or expected to fail: all the conditions written must hold.
    pub struct Rule {
        /// A parameter; its model's provider type is looked up on the stack.
        provider_of: Option<Located<String>>,
        type_in: Vec<Located<String>>,
        type_not_in: Vec<Located<String>>,
        target_is: Vec<Located<TargetKind>>,
        target_is_not: Vec<Located<TargetKind>>,
        client_is: Vec<Located<Client>>,
        /// What `/v1/version` answers, or its beginning, as `0.3`.
        version_is: Vec<Located<String>>,
        /// An environment variable that is absent or empty.
        env_unset: Option<Located<String>>,
        /// `api=provider_type` that `/v1/providers` does not list.
        no_provider: Option<Located<String>>,
        /// An API for which `/v1/providers` lists more than one provider.
        several_providers: Option<Located<String>>,
        /// `METHOD /path` that `/v1/inspect/routes` does not list.
        no_route: Option<Located<String>>,
        /// `/path ID`: a list, as `/v1/shields`, that does not name this; the id may be a template.
        not_listed: Option<Located<String>>,
        /// An expression over parameters, the row and variables.
        when as "if": Option<Located<String>>,
        because: Located<String>,
    }
}

/// A row: free fields, and an `id` that names its trials.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: Located<String>,
    pub fields: Vec<(Located<String>, Node)>,
}

impl Decode for Row {
    const EXPECTED: &'static str = "a mapping with an `id`";
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let fields = Fields::any(node, problems)?;
        let id = fields.take::<Located<String>>("id", problems)?;
        Some(Self { id, fields: fields.pairs().to_vec() })
    }
    fn describe(definitions: &mut Definitions) -> Shape {
        let id = Located::<String>::describe(definitions);
        json!({"type": "object", "properties": {"id": id}, "required": ["id"]})
    }
}

words! {
    /// Which SDK's headers a request carries; the two that upstream runs its tests with.
    pub enum Client ("a client profile") {
        /// The OpenAI SDK: `Authorization: Bearer fake`.
        OpenAi = "openai_client",
        /// The Llama Stack SDK under upstream's fixture that makes sure that the models exist.
        WithModels = "client_with_models",
        /// The same SDK under the name that upstream's embedding tests use.
        LlamaStack = "llama_stack_client",
    }
}

words! {
    /// How the stack under test is reached.
    pub enum TargetKind ("a kind of target") {
        Url = "url",
        Server = "server",
        InProcess = "in_process",
    }
}

words! {
    /// What a case needs of the machine it runs on.
    pub enum Need ("something a case can need") {
        Internet = "internet",
    }
}
