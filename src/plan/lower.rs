//! From a case as written to steps that can run, with every template compiled and every name known.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::fault;
use super::fixture::FixturePlan;
use super::template::{Placed, Template};
use super::trial::{
    BodyPlan, CasePlan, Condition, ContentPlan, KeepPlan, PartPlan, PollPlan, RepeatPlan, RequestPlan,
    RulePlan, StepPlan,
};
use crate::check::Check;
use crate::schema::case::{Case, Rule};
use crate::schema::check::PlainKeep;
use crate::schema::decode::Table;
use crate::schema::fixture::FixtureScope;
use crate::schema::step::{Body, Part, PollTimeout, Step};
use crate::source::nearest::suggestion;
use crate::source::{Located, Node, Problem, Problems, Span};

/// Pause before the second try of a poll that says nothing else.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// Names that every trial has besides parameters, variables and what it keeps.
pub(super) const BUILT_IN: [&str; 7] = ["client", "env", "lacks", "models", "row", "setup", "trial"];

/// What the templates of a case may use from the start.
pub(super) struct Known<'a> {
    /// Before anything runs: all that rules may look at.
    pub early: &'a BTreeSet<String>,
    /// When the first step begins.
    pub all: &'a BTreeSet<String>,
    pub fixtures: &'a [Arc<FixturePlan>],
    /// Names of fixtures that only other cases use.
    pub others: &'a BTreeSet<String>,
    pub late_vars: Vec<(String, Template)>,
}

/// Lowers a case.
pub(super) fn case(file: &str, case: &Case, known: Known<'_>, problems: &mut Problems) -> CasePlan {
    let names = known.early;
    let mut lowering =
        Lowering { names: known.all.clone(), fixtures: known.fixtures, others: known.others, problems };
    known.late_vars.iter().for_each(|(_, template)| lowering.check(template));
    let steps: Vec<StepPlan> = case.steps.iter().map(|step| lowering.step(step)).collect();
    let cleanup = case.cleanup.iter().map(|step| lowering.step(step)).collect();
    let faults = case.faults.iter().filter_map(|written| fault::fault(written, lowering.problems)).collect();
    let mut rules =
        |rules: &[Rule]| rules.iter().map(|rule| rule_plan(rule, case, names, lowering.problems)).collect();
    CasePlan {
        file: file.to_owned(),
        name: case.name.value.clone(),
        description: case.description.clone(),
        span: case.name.span.clone(),
        skip: rules(&case.skip),
        xfail: rules(&case.xfail),
        timeout: case.timeout,
        fixtures: known.fixtures.to_vec(),
        late_vars: known.late_vars,
        faults,
        steps,
        cleanup,
    }
}

/// Lowers lists of steps of which the later know what the earlier keep; `fixtures` are those they may ask.
pub(super) fn stages<const N: usize>(
    lists: [&[Step]; N],
    names: &BTreeSet<String>,
    fixtures: &[Arc<FixturePlan>],
    problems: &mut Problems,
) -> [Vec<StepPlan>; N] {
    let others = BTreeSet::new();
    let mut lowering = Lowering { names: names.clone(), fixtures, others: &others, problems };
    lists.map(|steps| steps.iter().map(|step| lowering.step(step)).collect())
}

/// Reports every name in a template that nothing defines.
pub(super) fn check_names(template: &Template, names: &BTreeSet<String>, problems: &mut Problems) {
    let mut found: Vec<&Placed> = Vec::new();
    template.expressions(&mut found);
    for placed in found {
        for root in placed.expression.roots() {
            if !names.contains(&root) {
                let known: Vec<&str> = names.iter().map(String::as_str).collect();
                let problem = Problem::new(format!("undefined variable `{root}`")).at(&placed.span);
                problems.push(problem.help(suggestion(&root, &known)));
            }
        }
    }
}

struct Lowering<'p> {
    names: BTreeSet<String>,
    fixtures: &'p [Arc<FixturePlan>],
    others: &'p BTreeSet<String>,
    problems: &'p mut Problems,
}

impl Lowering<'_> {
    /// Reports names that nothing defines, and what fixtures are asked for that they do not have.
    fn check(&mut self, template: &Template) {
        let mut found: Vec<&Placed> = Vec::new();
        template.expressions(&mut found);
        let mut reported = false;
        for (placed, root) in
            found.iter().flat_map(|p| p.expression.roots().into_iter().map(move |root| (p, root)))
        {
            if self.others.contains(&root) && !self.names.contains(&root) {
                let problem =
                    Problem::new(format!("this case does not use the fixture `{root}`")).at(&placed.span);
                self.problems.push(problem.help(format!("write `uses: [{root}]`")));
                reported = true;
            }
        }
        if !reported {
            check_names(template, &self.names, self.problems);
        }
        for (placed, fixture) in found.iter().flat_map(|p| self.fixtures.iter().map(move |f| (p, f))) {
            let Some(member) = placed.expression.member_of(&fixture.name) else { continue };
            if !fixture.members().iter().any(|known| known == member) {
                let known: Vec<&str> = fixture.members().iter().map(String::as_str).collect();
                let message = format!("the fixture `{}` has no `{member}`", fixture.name);
                let help = if known.is_empty() {
                    "its steps keep nothing".to_owned()
                } else {
                    suggestion(member, &known)
                };
                self.problems.push(Problem::new(message).at(&placed.span).help(help));
            }
        }
    }

    /// What a server received can be told apart by trial only when it is the trial's own.
    fn server(&mut self, server: &str, span: &Span) {
        let fixture = self.fixtures.iter().find(|fixture| fixture.name == server);
        let (message, help) = match fixture {
            Some(fixture) if !fixture.is_server() => {
                (format!("the fixture `{server}` is no MCP server"), "it has steps".to_owned())
            }
            Some(fixture) if fixture.scope != FixtureScope::Trial => (
                format!("trials share the MCP server `{server}`, so that its calls are nobody's"),
                "give it `scope: trial`".to_owned(),
            ),
            Some(_) => return,
            None => {
                let servers = self.fixtures.iter().filter(|fixture| fixture.is_server());
                let names: Vec<&str> = servers.map(|fixture| fixture.name.as_str()).collect();
                let help = match names.as_slice() {
                    [] => "name a fixture with `mcp` under `uses`".to_owned(),
                    names => suggestion(server, names),
                };
                (format!("this case uses no MCP server `{server}`"), help)
            }
        };
        self.problems.push(Problem::new(message).at(span).help(help));
    }

    fn template(&mut self, node: &Node) -> Template {
        let template = Template::compile(node, self.problems);
        self.check(&template);
        template
    }

    fn text(&mut self, text: &Located<String>) -> Template {
        let template = Template::text(text, &text.span, self.problems);
        self.check(&template);
        template
    }

    fn table(&mut self, table: &Table<Node>) -> Vec<(String, Template)> {
        table.iter().map(|(name, node)| (name.value.clone(), self.template(node))).collect()
    }

    fn step(&mut self, step: &Step) -> StepPlan {
        let options = &step.options;
        let for_each = match options.for_each.0.as_slice() {
            [] => None,
            [(name, list)] => {
                let list = self.template(list);
                self.names.insert(name.value.clone());
                Some((name.value.clone(), list))
            }
            [_, (second, _), ..] => {
                self.problems.push(second.problem("`for_each` takes one name"));
                None
            }
        };
        let when = options.when.as_ref().map(|text| {
            let template = Template::condition(text, &text.span, self.problems);
            self.check(&template);
            template
        });
        let request = options.action.as_ref().map(|action| RequestPlan {
            method: method(&action.method),
            path: self.path(&action.path),
            query: self.table(&options.query),
            headers: self.headers(&options.headers),
            body: options.body.as_ref().map_or(BodyPlan::None, |body| self.body(body)),
            timeout: options.timeout,
            abort_after: options.abort_after_events.as_ref().and_then(|count| self.abort_after(count)),
        });
        let steps = options.steps.iter().map(|inner| self.step(inner)).collect::<Vec<_>>();
        let repeat = options.repeat.as_ref().map(|repeat| {
            let text = &repeat.again_while;
            let again_while = Template::condition(text, &text.span, self.problems);
            self.check(&again_while);
            RepeatPlan { again_while, at_most: repeat.at_most.value }
        });
        let poll = options.poll.as_ref().map(|poll| PollPlan {
            every: poll.every.unwrap_or(POLL_EVERY),
            within: poll.within,
            unless: self.checks(&poll.unless),
            timeout_is: poll.timeout_is.as_ref().map_or(PollTimeout::Fail, |word| word.value),
        });
        // What is kept can be used by what is kept after it, and by this step's own expectations.
        let mut keep = Vec::new();
        for (name, what) in options.keep.iter() {
            keep.push((name.value.clone(), self.keep(what)));
            self.names.insert(name.value.clone());
        }
        let expect = self.checks(&options.expect);
        if expect.is_empty() && options.keep.0.is_empty() && request.is_none() && steps.is_empty() {
            self.problems.push(
                Problem::new("this step does nothing").at(&options.span).help("give it a method or `expect`"),
            );
        }
        StepPlan {
            span: options.span.clone(),
            name: options.name.clone(),
            request,
            for_each,
            steps,
            repeat,
            when,
            poll,
            expect,
            keep,
        }
    }

    fn abort_after(&mut self, count: &Located<u64>) -> Option<usize> {
        if count.value == 0 {
            let problem = count.problem("events are counted from 1");
            self.problems.push(problem.help("a request that nobody waits for has a short `timeout`"));
        }
        usize::try_from(count.value).ok()
    }

    fn path(&mut self, path: &Located<String>) -> Template {
        if !path.starts_with('/') && !path.starts_with("${{") {
            let problem = path.problem("a path begins with `/`; the target's address is put before it");
            self.problems.push(problem.help(format!("write `/{}`", path.value)));
        }
        self.text(path)
    }

    fn headers(&mut self, table: &Table<Node>) -> Vec<(String, Template)> {
        for (name, _) in table.iter() {
            if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                self.problems.push(name.problem(format!("`{}` is not a header name", name.value)));
            }
        }
        self.table(table)
    }

    fn checks(&mut self, checks: &[Located<Check<Node>>]) -> Vec<Located<Check<Template>>> {
        let mut lowered = Vec::new();
        for check in checks {
            if let Check::McpCalls { server, .. } = &check.value {
                self.server(server, &check.span);
            }
            let Ok(value) =
                check.try_map(&mut |node: &Node| Ok::<_, std::convert::Infallible>(self.template(node)));
            lowered.push(Located::new(value, check.span.clone()));
        }
        lowered
    }

    fn keep(&mut self, keep: &Located<PlainKeep>) -> Located<KeepPlan> {
        let plan = match &keep.value {
            PlainKeep::Take(what) => KeepPlan::Take(what.clone()),
            PlainKeep::Value(node) => KeepPlan::Value(self.template(node)),
            PlainKeep::File(path, form) => KeepPlan::File(self.project_path(path), *form),
        };
        Located::new(plan, keep.span.clone())
    }

    fn body(&mut self, body: &Body) -> BodyPlan {
        match body {
            Body::Json(node) => BodyPlan::Json(self.template(node)),
            Body::Jsonl(node) => BodyPlan::Jsonl(self.template(node)),
            Body::Text(node) => BodyPlan::Text(self.template(node)),
            Body::Multipart(parts) => BodyPlan::Multipart(
                parts.iter().map(|(name, part)| (name.value.clone(), self.part(part))).collect(),
            ),
        }
    }

    fn part(&mut self, part: &Part) -> PartPlan {
        let file = match part {
            Part::Field(node) => return PartPlan::Field(self.template(node)),
            Part::File(file) => file,
        };
        let content = match (&file.text, &file.jsonl, &file.path) {
            (Some(text), _, _) => ContentPlan::Text(self.template(text)),
            (None, Some(lines), _) => ContentPlan::Jsonl(self.template(lines)),
            (None, None, Some(path)) => ContentPlan::Path(self.project_path(path)),
            (None, None, None) => ContentPlan::Text(Template::Value(String::new().into())),
        };
        let content_type = file.content_type.clone().unwrap_or_else(|| "application/octet-stream".to_owned());
        PartPlan::File { filename: self.template(&file.filename), content_type, content }
    }

    /// A case file must not read outside the project.
    fn project_path(&mut self, path: &Located<String>) -> Located<String> {
        let leaves = std::path::Path::new(&path.value)
            .components()
            .any(|part| !matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir));
        if leaves {
            let problem = path.problem("this path leaves the project");
            self.problems.push(problem.help("paths are relative to the project's root, without `..`"));
        }
        path.clone()
    }
}

fn method(name: &str) -> http::Method {
    match name {
        "post" => http::Method::POST,
        "put" => http::Method::PUT,
        "patch" => http::Method::PATCH,
        "delete" => http::Method::DELETE,
        _ => http::Method::GET,
    }
}

fn rule_plan(rule: &Rule, case: &Case, names: &BTreeSet<String>, problems: &mut Problems) -> RulePlan {
    let mut conditions = Vec::new();
    let words = |list: &[Located<String>]| list.iter().map(|word| word.value.clone()).collect::<Vec<_>>();
    match &rule.provider_of {
        Some(param) => {
            if !case.params.iter().any(|p| p.value == param.value) {
                let known: Vec<&str> = case.params.iter().map(|p| p.value.as_str()).collect();
                let problem = param.problem(format!("`{}` is not a parameter of this case", param.value));
                problems.push(problem.help(suggestion(param, &known)));
            }
            for (types, negated) in [(&rule.type_in, false), (&rule.type_not_in, true)] {
                if !types.is_empty() {
                    conditions.push(Condition::ProviderType {
                        param: param.value.clone(),
                        types: words(types),
                        negated,
                    });
                }
            }
            if rule.type_in.is_empty() && rule.type_not_in.is_empty() {
                problems.push(param.problem("`provider_of` needs `type_in` or `type_not_in`"));
            }
        }
        None => {
            if let Some(first) = rule.type_in.first().or(rule.type_not_in.first()) {
                problems.push(first.problem("`type_in` and `type_not_in` need `provider_of: PARAMETER`"));
            }
        }
    }
    for (kinds, negated) in [(&rule.target_is, false), (&rule.target_is_not, true)] {
        if !kinds.is_empty() {
            conditions.push(Condition::Target { kinds: kinds.iter().map(|k| k.value).collect(), negated });
        }
    }
    if !rule.client_is.is_empty() {
        conditions.push(Condition::Client(rule.client_is.iter().map(|c| c.value).collect()));
    }
    if !rule.version_is.is_empty() {
        conditions.push(Condition::Version(words(&rule.version_is)));
    }
    conditions.extend(rule.env_unset.as_ref().map(|name| Condition::EnvUnset(name.value.clone())));
    if let Some(pair) = &rule.no_provider {
        match pair.split_once('=') {
            Some((api, kind)) => {
                conditions
                    .push(Condition::NoProvider { api: api.to_owned(), provider_type: kind.to_owned() });
            }
            None => {
                problems.push(pair.problem("write `api=provider_type`, as in `datasetio=remote::nvidia`"));
            }
        }
    }
    conditions
        .extend(rule.several_providers.as_ref().map(|api| Condition::SeveralProviders(api.value.clone())));
    if let Some(pair) = &rule.no_route {
        match pair.split_once(' ') {
            Some((method, path)) => {
                conditions
                    .push(Condition::NoRoute { method: method.to_owned(), path: path.trim().to_owned() });
            }
            None => problems.push(pair.problem("write `METHOD /path`, as in `POST /v1/batches`")),
        }
    }
    if let Some(pair) = &rule.not_listed {
        match pair.split_once(' ') {
            Some((path, id)) if path.starts_with('/') => {
                let id = Template::text(id.trim(), &pair.span, problems);
                check_names(&id, names, problems);
                conditions.push(Condition::NotListed { path: path.to_owned(), id });
            }
            _ => problems.push(pair.problem("write `/path ID`, as in `/v1/shields llama-guard`")),
        }
    }
    if let Some(text) = &rule.when {
        let template = Template::condition(text, &text.span, problems);
        check_names(&template, names, problems);
        conditions.push(Condition::When(template));
    }
    if conditions.is_empty() {
        problems.push(rule.because.problem("a rule needs a condition beside `because`"));
    }
    RulePlan { conditions, because: rule.because.value.clone(), span: rule.span.clone() }
}
