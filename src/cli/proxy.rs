//! `proxy`: the record/replay proxy alone, for a stack that somebody else starts.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::args::ProxyArgs;
use super::exit::ExitStatus;
use super::machine::Machine;
use super::serve::usage;
use super::signals::StopSignals;
use crate::record::{self, AfterAnswer, Mode, ProviderUpstream, Proxy, ProxyOptions};
use crate::schema::StackDefinition;
use crate::secret::Redactor;
use crate::source::nearest::suggestion;

/// How long calls that are being answered when the proxy is told to stop may take to end.
const FINISH_WITHIN: Duration = Duration::from_secs(30);

/// A provider as it is served.
#[derive(Debug, PartialEq, Eq)]
struct Served {
    name: String,
    upstream: String,
    api_key: Option<String>,
    /// What the stack must have in its environment; nothing when no stack is named.
    exports: Vec<Export>,
}

/// A variable of the stack.
#[derive(Debug, PartialEq, Eq)]
enum Export {
    /// The proxy's address for the provider, and this path.
    Address { variable: String, path: String },
    /// Some key, so that the stack starts.
    DummyKey { variable: String },
}

/// Serves until it is told to stop, and finishes what is being recorded then.
pub(super) fn serve(
    args: &ProxyArgs,
    machine: &Machine,
    stacks: &[StackDefinition],
) -> Result<ExitStatus, String> {
    let (served, after_answer) = match served(args, &machine.env, stacks) {
        Ok(served) => served,
        Err(message) => return usage(&message),
    };
    let upstream = |provider: &Served| ProviderUpstream {
        name: provider.name.clone(),
        base_url: provider.upstream.clone(),
        api_key: provider.api_key.clone(),
    };
    let interval = match super::policies::interval(machine.var(super::policies::INTERVAL)) {
        Ok(interval) => interval,
        Err(message) => return usage(&message),
    };
    let policy = args.budget.policy(interval);
    let options = ProxyOptions {
        mode: args.inference_mode,
        dir: machine.cwd.join(&args.recording_dir),
        providers: served.iter().map(upstream).collect(),
        setup: None,
        secrets: Redactor::from_env(&machine.env).values().to_vec(),
        mask_hosts: record::mask_hosts(&machine.env),
        port: args.port,
        replay_speed: args.replay_speed,
        policy,
        after_answer,
    };
    let runtime = Runtime::new().map_err(|error| error.to_string())?;
    let mut signals = StopSignals::catch(&runtime)?;
    runtime.block_on(async {
        let proxy = match record::start_stand_alone(options).await {
            Ok(proxy) => proxy,
            Err(error) => return usage(&error.to_string()),
        };
        for problem in proxy.problems() {
            anstream::eprintln!("warning: {problem}");
        }
        served
            .iter()
            .flat_map(|provider| lines(provider, &proxy))
            .for_each(|line| anstream::println!("{line}"));
        signals.next().await;
        let finished = tokio::select! {
            finished = proxy.stop(FINISH_WITHIN) => finished,
            // Asked twice, it does not wait any longer.
            () = signals.next() => false,
        };
        if finished {
            return Ok(ExitStatus::Passed);
        }
        anstream::eprintln!("error: stopped while calls were still being answered; they are not recorded");
        Ok(ExitStatus::Interrupted)
    })
}

/// What to tell about a provider: the variables to export, or else its address.
fn lines(provider: &Served, proxy: &Proxy) -> Vec<String> {
    let url = proxy.url(&provider.name);
    if provider.exports.is_empty() {
        return vec![format!("{}: {url}", provider.name)];
    }
    let line = |export: &Export| match export {
        Export::Address { variable, path } => format!("export {variable}={url}{path}"),
        Export::DummyKey { variable } => format!("export {variable}=replay-needs-no-key"),
    };
    provider.exports.iter().map(line).collect()
}

/// What is served, and what the stack bears when a request of its is answered.
fn served(
    args: &ProxyArgs,
    env: &BTreeMap<String, String>,
    stacks: &[StackDefinition],
) -> Result<(Vec<Served>, AfterAnswer), String> {
    let Some(name) = &args.stack else {
        let plain = |(name, url): &(String, String)| Served {
            name: name.clone(),
            upstream: url.clone(),
            api_key: None,
            exports: Vec::new(),
        };
        return Ok((args.providers.iter().map(plain).collect(), AfterAnswer::default()));
    };
    let stack = stacks.iter().find(|stack| stack.name.value == *name).ok_or_else(|| {
        let known: Vec<&str> = stacks.iter().map(|stack| stack.name.as_str()).collect();
        format!("there is no stack `{name}`; {}", suggestion(name, &known))
    })?;
    let set = |variable: &String| env.get(variable).filter(|value| !value.is_empty()).cloned();
    let wanted: Vec<(String, String)> = if args.providers.is_empty() {
        let address = |wiring: &crate::schema::stack::ProviderWiring| {
            set(wiring.url_env.as_ref()?).or_else(|| wiring.default.as_ref().map(|url| url.value.clone()))
        };
        let all = stack.providers.iter();
        all.filter_map(|(name, wiring)| Some((name.value.clone(), address(wiring)?))).collect()
    } else {
        args.providers.clone()
    };
    let wired = |(name, url)| wired(stack, name, url, args.inference_mode, set);
    Ok((wanted.into_iter().map(wired).collect::<Result<_, _>>()?, stack.keep_alive.into()))
}

/// A provider of a stack: its variable gets the path that the stack's default has, the upstream is what is before it.
fn wired(
    stack: &StackDefinition,
    name: String,
    url: String,
    mode: Mode,
    set: impl Fn(&String) -> Option<String>,
) -> Result<Served, String> {
    let wiring = stack.providers.get(&name).ok_or_else(|| {
        let known: Vec<&str> = stack.providers.iter().map(|(name, _)| name.as_str()).collect();
        let stack = &stack.name.value;
        format!("stack {stack} does not say how it reaches `{name}`; {}", suggestion(&name, &known))
    })?;
    let Some(variable) = wiring.url_env.clone() else {
        return Err(format!(
            "stack {} reads the address of `{name}` from no variable: add `url_env` to it",
            stack.name.value
        ));
    };
    let path = path_of(wiring.default.as_ref().map_or(&url, |default| &default.value)).to_owned();
    let url = url.trim_end_matches('/');
    let upstream = url.strip_suffix(path.as_str()).unwrap_or(url).to_owned();
    let mut exports = vec![Export::Address { variable, path }];
    let api_key = wiring.key_env.as_ref().and_then(&set);
    if let (Mode::Replay, Some(variable), None) = (mode, &wiring.key_env, &api_key) {
        exports.push(Export::DummyKey { variable: variable.clone() });
    }
    Ok(Served { name, upstream, api_key, exports })
}

/// The path of an address, without a final slash.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("", |at| rest[at..].trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ReplaySpeed;
    use crate::source::{Problems, SourceFile};

    const STACK: &str = "name: s\nlaunch: [x]\nready: {get: /h}\nproviders:\n  \
        ollama: {url_env: OLLAMA_URL, default: 'http://localhost:11434'}\n  \
        openai: {url_env: OPENAI_BASE_URL, default: 'https://api.openai.com/v1', key_env: OPENAI_API_KEY}\n  \
        odd: {key_env: ODD}\n";

    /// What is served and exported, or why nothing is.
    fn told(stack: Option<&str>, providers: &[(&str, &str)], env: &[(&str, &str)], mode: Mode) -> String {
        let mut problems = Problems::default();
        let stacks = crate::schema::parse(&SourceFile::inline("stacks/s.yaml", STACK), &mut problems);
        let own = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        let args = ProxyArgs {
            providers: own(providers),
            stack: stack.map(str::to_owned),
            port: 0,
            inference_mode: mode,
            recording_dir: "recordings".into(),
            replay_speed: ReplaySpeed::FAST,
            budget: super::super::policies::BudgetArgs::default(),
        };
        let env = own(env).into_iter().collect();
        match served(&args, &env, &stacks.into_iter().collect::<Vec<_>>()) {
            Ok((served, _)) => {
                let one = |s: &Served| {
                    let exports: Vec<_> = s
                        .exports
                        .iter()
                        .map(|export| match export {
                            Export::Address { variable, path } => format!("{variable}=@{path}"),
                            Export::DummyKey { variable } => format!("{variable}=dummy"),
                        })
                        .collect();
                    format!("{} -> {} {}", s.name, s.upstream, exports.join(" "))
                };
                served.iter().map(one).collect::<Vec<_>>().join("; ")
            }
            Err(message) => message,
        }
    }

    #[test]
    fn without_a_stack_providers_are_served_as_they_are_given() {
        assert_eq!(told(None, &[("p", "http://h:1/v1")], &[], Mode::Replay), "p -> http://h:1/v1 ");
    }

    #[test]
    fn a_stacks_variables_keep_the_path_of_its_default() {
        let openai = |url| told(Some("s"), &[("openai", url)], &[], Mode::Record);
        for url in ["https://api.openai.com/v1", "https://api.openai.com/v1/", "https://api.openai.com"] {
            assert_eq!(openai(url), "openai -> https://api.openai.com OPENAI_BASE_URL=@/v1");
        }
        assert_eq!(openai("https://gate/openai/v1"), "openai -> https://gate/openai OPENAI_BASE_URL=@/v1");
    }

    #[test]
    fn all_of_a_stacks_providers_are_served_when_none_is_named() {
        assert_eq!(
            told(Some("s"), &[], &[("OLLAMA_URL", "http://h:2")], Mode::Replay),
            "ollama -> http://h:2 OLLAMA_URL=@; openai -> https://api.openai.com OPENAI_BASE_URL=@/v1 OPENAI_API_KEY=dummy"
        );
        let keyed = told(Some("s"), &[("openai", "https://o/v1")], &[("OPENAI_API_KEY", "k")], Mode::Replay);
        assert_eq!(keyed, "openai -> https://o OPENAI_BASE_URL=@/v1");
    }

    #[test]
    fn what_cannot_be_wired_is_named() {
        let told = |stack, name| told(Some(stack), &[(name, "http://h")], &[], Mode::Replay);
        assert!(told("t", "ollama").starts_with("there is no stack `t`"));
        assert_eq!(told("s", "olama"), "stack s does not say how it reaches `olama`; did you mean `ollama`?");
        assert!(told("s", "odd").contains("add `url_env`"));
    }
}
