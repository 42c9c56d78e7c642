//! Cases into trials: matrix, ids, selection, and what is skipped before anything runs.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use jiff::civil::Date;
use serde_json::{Value, json};

use super::expectations::{self, Lists};
use super::expression::Scope;
use super::fixture::{self, Visible};
use super::fixture_tree;
use super::keyword::Keyword;
use super::lower;
use super::params::{Parameter, short_name};
use super::resolve::Settings;
use super::select::{Candidate, Selector};
use super::shard::{Shard, Split};
use super::template::Template;
use super::tree;
use super::trial::{CasePlan, TrialPlan};
use super::vars::{FixtureNames, Vars};
use crate::record::sha256_hex;
use crate::schema::case::{Case, Client, Need, Row};
use crate::schema::{CaseFile, Documents};
use crate::source::parallel::in_parallel;
use crate::source::project::Folder;
use crate::source::{Located, Problem, Problems, Span};

/// Everything that will run, in order.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub trials: Vec<TrialPlan>,
    /// How many trials all shards have together.
    pub planned: usize,
    /// The ids of all trials that the project has with these settings, selected or not.
    pub known: BTreeSet<String>,
    /// Those of them that can never run with these settings.
    pub impossible: BTreeSet<String>,
    /// What the user should know of lists of known failures.
    pub notes: Vec<String>,
}

impl Plan {
    /// The trials of one shard.
    #[must_use]
    pub fn shard(mut self, shard: Shard, split: &Split) -> Self {
        let ids: Vec<&str> = self.trials.iter().map(|trial| trial.id.as_str()).collect();
        let shards = split.assign(&ids, shard.count);
        let trials = std::mem::take(&mut self.trials).into_iter().zip(shards);
        let trials = trials.filter(|(_, of)| *of == shard.index).map(|(trial, _)| trial).collect();
        Self { trials, ..self }
    }
}

/// What the user asked for beyond a suite.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    pub selectors: Vec<Selector>,
    pub keyword: Option<Keyword>,
    /// Whether cases that need the internet may run.
    pub internet: bool,
    /// What entries of lists with a last day are compared with.
    pub today: Date,
}

/// Expands, selects and lowers; every mistake in the whole tree is reported, selected or not.
pub fn build(
    documents: &Documents,
    settings: &Settings<'_>,
    selection: &Selection,
) -> Result<Plan, Problems> {
    let mut problems = Problems::default();
    let roots = suite_selectors(settings);
    let mut used = vec![false; selection.selectors.len()];
    let mut trials = Vec::new();
    let (mut known, mut impossible) = (BTreeSet::new(), BTreeSet::new());
    let complete = documents.is_complete(Folder::TestCases);
    let lists = Lists::of(documents, settings, selection.today);
    let run = run_scope(settings);
    let fixtures = fixture::Lowering::new(&run);
    let expanded = in_parallel(&documents.cases, |file| {
        let mut problems = Problems::default();
        let path = file_id(&file.span);
        let visible = Visible::new(&file.fixtures.0, &documents.fixtures);
        let of = |case| {
            let own = Own { path: &path, file, case, visible: &visible };
            expand(own, settings, selection, &run, &fixtures, &mut problems)
        };
        let trials: Vec<Vec<TrialPlan>> = file.cases.iter().map(of).collect();
        tree::cases(file, documents, &mut problems);
        (path, trials, problems)
    });
    for (file, (path, found, more)) in documents.cases.iter().zip(expanded) {
        problems.extend(more);
        for (case, found) in file.cases.iter().zip(found) {
            let candidate = Candidate { file: &path, case: &case.name };
            let in_suite = roots.holds(candidate);
            for mut trial in found {
                known.insert(trial.id.clone());
                known.extend(trial.case.fixtures.iter().map(|fixture| fixture.id.clone()));
                if trial.skip.is_some() {
                    impossible.insert(trial.id.clone());
                }
                let suffix = &trial.id[path.len() + 2 + case.name.len()..];
                (trial.xfail, trial.quarantine) = lists.about(candidate, suffix);
                let mut asked = selection.selectors.is_empty();
                for (index, selector) in selection.selectors.iter().enumerate() {
                    let matches = selector.matches(candidate) && selector.matches_trial(suffix);
                    used[index] |= matches;
                    asked |= matches;
                }
                if in_suite && asked && selection.keyword.as_ref().is_none_or(|k| k.matches(&trial.id)) {
                    trials.push(trial);
                }
            }
        }
    }
    let parameters: Vec<&Parameter> = settings.params.iter().map(|(parameter, _)| parameter).collect();
    tree::params(documents, &parameters, &mut problems);
    tree::stacks(&documents.stacks, &mut problems);
    fixture_tree::fixtures(documents, &mut problems);
    // What a broken file defines is not known, so that nothing can be said to match nothing.
    for (selector, _) in selection.selectors.iter().zip(&used).filter(|(_, used)| complete && !**used) {
        problems.push(tree::unmatched(selector, documents));
    }
    tree::suites(documents, &mut problems);
    expectations::lists(documents, &mut problems);
    let expired = lists.expired.iter();
    let notes = expired
        .map(|(place, last)| format!("{place}: this entry counted until {last} and is not applied"))
        .collect();
    problems.or(Plan { planned: trials.len(), trials, known, impossible, notes })
}

/// A suite's roots and excludes; without a suite everything is included.
#[derive(Default)]
struct Roots {
    include: Vec<Selector>,
    exclude: Vec<Selector>,
    all: bool,
}

impl Roots {
    fn holds(&self, candidate: Candidate<'_>) -> bool {
        let any = |roots: &[Selector]| roots.iter().any(|root| root.matches(candidate));
        (self.all || any(&self.include)) && !any(&self.exclude)
    }
}

/// Patterns that cannot be read are reported with those of all suites.
fn suite_selectors(settings: &Settings<'_>) -> Roots {
    let Some((suite, _)) = &settings.suite else { return Roots { all: true, ..Roots::default() } };
    let parse =
        |written: &[Located<String>]| written.iter().filter_map(|text| Selector::parse(text).ok()).collect();
    Roots { include: parse(&suite.roots), exclude: parse(&suite.exclude), all: false }
}

/// A short name for what a trial makes on a shared stack: stable, and no other trial's.
pub(super) fn trial_hash(id: &str) -> String {
    sha256_hex(id.as_bytes())[..12].to_owned()
}

/// `test_cases/inference/chat.yaml` as `inference/chat`.
pub(super) fn file_id(span: &Span) -> String {
    let path = span.file.path.strip_prefix("test_cases").unwrap_or(&span.file.path);
    let path: &Path = &path.with_extension("");
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// What templates know that is the same for the whole run.
fn run_scope(settings: &Settings<'_>) -> Scope {
    let mut scope = Scope::new();
    let env: Scope = settings.env.iter().map(|(k, v)| (k.clone(), json!(v.value))).collect();
    scope.insert("env".to_owned(), Value::Object(env));
    let setup = settings.setup.as_ref().map(|(setup, _)| *setup);
    let lacks: Vec<&str> = setup.iter().flat_map(|s| &s.lacks).map(|word| word.value.as_str()).collect();
    scope.insert("lacks".to_owned(), json!(lacks));
    // The first value of every parameter, for what depends on the run and not on the trial's own axes.
    let models = settings.params.iter().map(|(p, values)| (p.name.clone(), json!(values.value.first())));
    scope.insert("models".to_owned(), Value::Object(models.collect()));
    scope.insert("setup".to_owned(), json!(setup.map(|s| s.name.value.as_str())));
    scope
}

/// One point of the matrix.
struct Point<'a> {
    client: Option<Client>,
    /// Parameter and value; `None` where no value was given.
    params: Vec<(&'a str, Option<&'a str>)>,
    row: Option<&'a Row>,
}

/// A case, and what its file says about it.
#[derive(Clone, Copy)]
struct Own<'a> {
    path: &'a str,
    file: &'a CaseFile,
    case: &'a Case,
    visible: &'a Visible<'a>,
}

fn expand(
    own: Own<'_>,
    settings: &Settings<'_>,
    selection: &Selection,
    run: &Scope,
    fixtures: &fixture::Lowering<'_>,
    problems: &mut Problems,
) -> Vec<TrialPlan> {
    let Own { path, file, case, visible } = own;
    let written = visible.in_order(&case.uses);
    let used: BTreeSet<String> = written.iter().map(|fixture| fixture.name.value.clone()).collect();
    let others = visible.names().into_iter().map(str::to_owned).filter(|name| !used.contains(name)).collect();
    let fixture_names = FixtureNames { used, others };
    let vars = Vars::lower(&file.vars, &case.vars, &fixture_names, problems);
    let FixtureNames { used, others } = fixture_names;
    let mut names: BTreeSet<String> = lower::BUILT_IN.iter().map(|name| (*name).to_owned()).collect();
    for param in &case.params {
        names.insert(param.value.clone());
    }
    names.extend(vars.names().map(|name| name.value.clone()));
    for name in case.params.iter().chain(vars.all_names()).filter(|name| used.contains(&name.value)) {
        problems.push(name.problem(format!("`{}` is also a fixture that this case uses", name.value)));
    }
    let mut all = names.clone();
    all.extend(vars.late().map(|(name, _)| name.value.clone()));
    all.extend(used);
    vars.templates().for_each(|template| lower::check_names(template, &all, problems));
    let plans = fixtures.of_case(path, &written, &names, problems);
    let late_vars = vars.late().map(|(name, template)| (name.value.clone(), template.clone())).collect();
    let known = lower::Known { early: &names, all: &all, fixtures: &plans, others: &others, late_vars };
    let plan = Arc::new(lower::case(path, case, known, problems));
    let upstream = case.upstream.as_ref().map(|text| Template::text(text, &text.span, problems));
    if let Some(template) = &upstream {
        lower::check_names(template, &names, problems);
    }
    let context = Context {
        path,
        case,
        settings,
        selection,
        run,
        vars: &vars,
        plan: &plan,
        upstream: upstream.as_ref(),
    };
    points(case, settings).into_iter().map(|point| context.trial(&point, problems)).collect()
}

/// The product of clients, parameter values and rows, in the order of upstream's ids.
fn points<'a>(case: &'a Case, settings: &'a Settings<'_>) -> Vec<Point<'a>> {
    let mut points = vec![Point { client: None, params: Vec::new(), row: None }];
    if !case.clients.is_empty() {
        points = case
            .clients
            .iter()
            .map(|client| Point { client: Some(client.value), params: Vec::new(), row: None })
            .collect();
    }
    for (parameter, resolved) in &settings.params {
        if !case.params.iter().any(|p| p.value == parameter.name) {
            continue;
        }
        let values: Vec<Option<&str>> = match resolved.value.as_slice() {
            [] => vec![None],
            values => values.iter().map(|value| Some(value.as_str())).collect(),
        };
        points = points
            .into_iter()
            .flat_map(|point| {
                values.iter().map(move |value| {
                    let mut params = point.params.clone();
                    params.push((parameter.name.as_str(), *value));
                    Point { client: point.client, params, row: None }
                })
            })
            .collect();
    }
    if case.rows.is_empty() {
        return points;
    }
    let with_rows = |point: Point<'a>| {
        case.rows.iter().map(move |row| Point {
            client: point.client,
            params: point.params.clone(),
            row: Some(row),
        })
    };
    points.into_iter().flat_map(with_rows).collect()
}

struct Context<'a> {
    path: &'a str,
    case: &'a Case,
    settings: &'a Settings<'a>,
    selection: &'a Selection,
    run: &'a Scope,
    vars: &'a Vars,
    plan: &'a Arc<CasePlan>,
    upstream: Option<&'a Template>,
}

impl Context<'_> {
    fn trial(&self, point: &Point<'_>, problems: &mut Problems) -> TrialPlan {
        let id = self.id(point);
        let mut scope = self.scope(point, &id);
        if let Some(row) = point.row {
            let fields = row.fields.iter().map(|(name, node)| {
                let template = Template::compile(node, problems);
                let value = template.fill(&scope).unwrap_or_else(|error| {
                    problems.push(Problem::new(error.message).at(&error.span));
                    Value::Null
                });
                (name.value.clone(), value)
            });
            let row: Scope = fields.collect();
            scope.insert("row".to_owned(), Value::Object(row));
        }
        self.vars.fill(&mut scope, problems);
        let upstream = self.upstream.and_then(|template| {
            let filled = template.fill_text(&scope);
            filled.map_err(|error| problems.push(Problem::new(error.message).at(&error.span))).ok()
        });
        TrialPlan {
            id,
            round: 1,
            case: self.plan.clone(),
            client: point.client,
            axes: self.axes(point),
            scope,
            upstream,
            skip: self.skip(point),
            xfail: Vec::new(),
            quarantine: Vec::new(),
        }
    }

    /// The parameters' prefixes with the values as ids show them.
    fn models(&self, point: &Point<'_>) -> Vec<(String, String)> {
        let shown = |(name, value): &(&str, Option<&str>)| {
            let (parameter, resolved) = self.settings.params.iter().find(|(p, _)| p.name == *name)?;
            let shown = value.map_or("none", |value| short_name(value, &resolved.value));
            Some((parameter.prefix.clone(), shown.to_owned()))
        };
        point.params.iter().filter_map(shown).collect()
    }

    fn id(&self, point: &Point<'_>) -> String {
        let models: Vec<String> =
            self.models(point).into_iter().map(|(prefix, shown)| format!("{prefix}={shown}")).collect();
        let mut parts: Vec<String> = point.client.iter().map(|client| client.word().to_owned()).collect();
        if !models.is_empty() {
            parts.push(models.join(":"));
        }
        parts.extend(point.row.map(|row| row.id.value.clone()));
        let suffix = if parts.is_empty() { String::new() } else { format!("[{}]", parts.join("-")) };
        format!("{}::{}{suffix}", self.path, self.case.name.value)
    }

    /// What the id says in brackets, part by part.
    fn axes(&self, point: &Point<'_>) -> Vec<(String, String)> {
        let client = point.client.map(|client| ("client".to_owned(), client.word().to_owned()));
        let row = point.row.map(|row| ("row".to_owned(), row.id.value.clone()));
        client.into_iter().chain(self.models(point)).chain(row).collect()
    }

    fn scope(&self, point: &Point<'_>, id: &str) -> Scope {
        let mut scope = self.run.clone();
        scope.insert("client".to_owned(), json!(point.client.map(Client::word)));
        scope.insert("row".to_owned(), Value::Null);
        scope.insert("trial".to_owned(), json!({"id": id, "hash": trial_hash(id)}));
        for (name, value) in &point.params {
            // A dimension goes into requests as a number.
            let value = value.map_or(Value::Null, |text| match (*name, text.parse::<u64>()) {
                ("embedding_dimension", Ok(number)) => json!(number),
                _ => json!(text),
            });
            scope.insert((*name).to_owned(), value);
        }
        scope
    }

    fn skip(&self, point: &Point<'_>) -> Option<String> {
        if let Some((name, _)) = point.params.iter().find(|(_, value)| value.is_none()) {
            return Some(format!("{name} empty - skipping test"));
        }
        if let Some((setup, _)) = &self.settings.setup
            && let Some(lacking) =
                self.case.requires.iter().find(|r| setup.lacks.iter().any(|l| l.value == r.value))
        {
            return Some(format!("setup {} lacks {}", setup.name.value, lacking.value));
        }
        let internet = self.case.needs.iter().any(|need| need.value == Need::Internet);
        (internet && !self.selection.internet)
            .then(|| "needs the internet (RUNNER_INTERNET=1 lets it run)".to_owned())
    }
}
