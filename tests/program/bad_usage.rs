//! Mistakes on the command line and in the environment.

use insta::assert_snapshot;

use crate::support::Project;

fn run(args: &[&str]) -> String {
    Project::new().says(args)
}

#[test]
fn unknown_suite() {
    assert_snapshot!(run(&["--suite=bas"]), @"
    exit 4
    --- stderr
    error: there is no suite `bas`
     |
     = help: did you mean `base`?

    1 problem found; nothing was run
    ");
}

#[test]
fn unknown_setup() {
    assert_snapshot!(run(&["--setup=locl"]), @"
    exit 4
    --- stderr
    error: there is no setup `locl`
     |
     = help: did you mean `local`?

    1 problem found; nothing was run
    ");
}

#[test]
fn unknown_stack() {
    assert_snapshot!(run(&["--stack=runer"]), @"
    exit 4
    --- stderr
    error: there is no stack `runer`
     |
     = help: did you mean `runner`?

    1 problem found; nothing was run
    ");
}

#[test]
fn all_unknown_names_at_once() {
    assert_snapshot!(run(&["--suite=bas", "--setup=locl", "--stack=runer", "chat/versio"]), @"
    exit 4
    --- stderr
    error: there is no suite `bas`
     |
     = help: did you mean `base`?

    error: there is no setup `locl`
     |
     = help: did you mean `local`?

    error: there is no stack `runer`
     |
     = help: did you mean `runner`?

    error: no case matches `chat/versio`
     |
     = help: did you mean `chat/version`?

    4 problems found; nothing was run
    ");
}

#[test]
fn unknown_parameter_flag() {
    assert_snapshot!(run(&["--tex-model=x"]), @"
    exit 4
    --- stderr
    error: unexpected argument '--tex-model' found

      tip: a similar argument exists: '--text-model'

    Usage: runner --text-model <LIST> [SELECTOR]...

    For more information, try '--help'.
    ");
}

#[test]
fn env_without_a_value() {
    assert_snapshot!(run(&["--env", "OLLAMA_URL"]), @"
    exit 4
    --- stderr
    error: invalid value 'OLLAMA_URL' for '--env <KEY=VALUE>': there is no `=` in it; write OLLAMA_URL=VALUE

    For more information, try '--help'.
    ");
}

#[test]
fn env_without_a_name() {
    assert_snapshot!(run(&["--env", "=http://localhost"]), @"
    exit 4
    --- stderr
    error: invalid value '=http://localhost' for '--env <KEY=VALUE>': there is nothing before the `=`

    For more information, try '--help'.
    ");
}

#[test]
fn a_url_and_server_in_one() {
    assert_snapshot!(run(&["--stack-config=server:http://localhost:8321"]), @"
    exit 4
    --- stderr
    error: `server:` starts a process, `http://localhost:8321` names one that runs already: give `http://localhost:8321` alone, or `server:CONFIG` (from --stack-config)

    1 problem found; nothing was run
    ");
}

#[test]
fn quiet_and_verbose() {
    assert_snapshot!(run(&["-q", "-v"]), @"
    exit 4
    --- stderr
    error: the argument '--quiet' cannot be used with '--verbose'

    Usage: runner --quiet [SELECTOR]...

    For more information, try '--help'.
    ");
}

#[test]
fn exitfirst_and_maxfail() {
    assert_snapshot!(run(&["-x", "--maxfail=2"]), @"
    exit 4
    --- stderr
    error: the argument '--exitfirst' cannot be used with '--maxfail <N>'

    Usage: runner --exitfirst [SELECTOR]...

    For more information, try '--help'.
    ");
}

#[test]
fn format_without_list() {
    assert_snapshot!(run(&["--format=json"]), @"
    exit 4
    --- stderr
    error: the following required arguments were not provided:
      --list

    Usage: runner --list --format <FORMAT> [SELECTOR]...

    For more information, try '--help'.
    ");
}

#[test]
fn bad_mode_by_flag() {
    assert_snapshot!(run(&["--inference-mode=playback"]), @"
    exit 4
    --- stderr
    error: invalid value 'playback' for '--inference-mode <MODE>': unknown inference mode `playback`; choose one of: replay, record, record-if-missing, live

    For more information, try '--help'.
    ");
}

#[test]
fn bad_mode_by_variable() {
    let project = Project::new().env("LLAMA_STACK_TEST_INFERENCE_MODE", "playback");
    assert_snapshot!(project.says(&[]), @"
    exit 4
    --- stderr
    error: LLAMA_STACK_TEST_INFERENCE_MODE: unknown inference mode `playback`; choose one of: replay, record, record-if-missing, live

    1 problem found; nothing was run
    ");
}

#[test]
fn bad_mode_in_dotenv() {
    let project = Project::new().file(".env", "LLAMA_STACK_TEST_INFERENCE_MODE=playback\n");
    assert_snapshot!(project.says(&[]), @"
    exit 4
    --- stderr
    error: LLAMA_STACK_TEST_INFERENCE_MODE: unknown inference mode `playback`; choose one of: replay, record, record-if-missing, live

    1 problem found; nothing was run
    ");
}

#[test]
fn dotenv_line_without_a_value() {
    let project = Project::new().file(".env", "# keys\nOPENAI_API_KEY sk-secret\n");
    assert_snapshot!(project.says(&[]), @"
    exit 4
    --- stderr
    error: .env:2: expected KEY=VALUE

    1 problem found; nothing was run
    ");
}

#[test]
fn unknown_report_kind() {
    assert_snapshot!(run(&["--report=jnuit=out"]), @"
    exit 4
    --- stderr
    error: invalid value 'jnuit=out' for '--report <[KIND=]PATH>': there is no report of kind `jnuit`; did you mean `junit`?

    For more information, try '--help'.
    ");
}

#[test]
fn report_without_a_kind() {
    assert_snapshot!(run(&["--report=out.pdf"]), @r"
    exit 4
    --- stderr
    error: invalid value 'out.pdf' for '--report <[KIND=]PATH>': cannot tell the report's kind from `out.pdf`: write KIND=PATH with one of jsonl, exchanges, junit, markdown, html, ctrf, tap

    For more information, try '--help'.
    ");
}

#[test]
fn report_in_a_place_that_cannot_be_written() {
    let project = Project::new().file("taken", "");
    assert_snapshot!(project.says(&["--report=taken/out.md"]), @"
    exit 4
    --- stderr
    error: cannot write the report taken/out.md: File exists (os error 17)
    ");
}

#[test]
fn bad_numbers() {
    assert_snapshot!(run(&["--jobs=0"]), @"
    exit 4
    --- stderr
    error: invalid value '0' for '--jobs <N>': 0 is not in 1..=65535

    For more information, try '--help'.
    ");
    assert_snapshot!(run(&["--timeout=soon"]), @"
    exit 4
    --- stderr
    error: invalid value 'soon' for '--timeout <DURATION>': write a duration such as 500ms, 90s or 2m

    For more information, try '--help'.
    ");
}

#[test]
fn no_project_here() {
    assert_snapshot!(Project::empty().says(&["--suite=base"]), @"
    exit 4
    --- stderr
    error: there is no project here: no directory upwards has suites/ and test_cases/ (see --root);
    `runner init` makes one
    ");
}

#[test]
fn selector_that_matches_nothing() {
    assert_snapshot!(run(&["chat/versin"]), @"
    exit 4
    --- stderr
    error: no case matches `chat/versin`
     |
     = help: did you mean `chat/version`?

    1 problem found; nothing was run
    ");
    assert_snapshot!(run(&["chat/version::verison"]), @"
    exit 4
    --- stderr
    error: no case matches `chat/version::verison`
     |
     = help: did you mean `chat/version::version`?

    1 problem found; nothing was run
    ");
    assert_snapshot!(run(&["safety"]), @"
    exit 4
    --- stderr
    error: no case matches `safety`
     |
     = help: `runner --list` shows what there is

    1 problem found; nothing was run
    ");
}

#[test]
fn empty_selector() {
    assert_snapshot!(run(&[""]), @"
    exit 4
    --- stderr
    error: a selector is empty; leave it out to select everything

    1 problem found; nothing was run
    ");
}

#[test]
fn bad_pattern() {
    assert_snapshot!(run(&["chat/{a"]), @"
    exit 4
    --- stderr
    error: bad pattern `chat/{a`: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)

    1 problem found; nothing was run
    ");
}

#[test]
fn bad_keyword() {
    assert_snapshot!(run(&["-k", "chat and"]), @"
    exit 4
    --- stderr
    error: -k: a word is missing at character 9 of `chat and`
     |
     = help: words joined by and, or, not and parentheses, as `-k 'chat and not (vision or tools)'`

    1 problem found; nothing was run
    ");
}

#[test]
fn keyword_that_matches_nothing() {
    assert_snapshot!(run(&["-k", "vision"]), @"
    exit 5
    --- stderr
    nothing was run: no trial matches `-k vision` (`runner --list` shows all trials)
    ");
    assert_snapshot!(run(&["-k", "vision", "--list"]), @"
    exit 5
    --- stderr
    nothing was run: no trial matches `-k vision` (`runner --list` shows all trials)
    ");
}

#[test]
fn empty_suite() {
    let project = Project::new().file("suites/later.yaml", "name: later\nroots: []\n");
    assert_snapshot!(project.says(&["--suite=later"]), @"
    exit 5
    --- stderr
    nothing was run: no trial is in suite `later` (`runner --list` shows all trials)
    ");
}
