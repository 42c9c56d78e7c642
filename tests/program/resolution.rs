//! Which values hold: flags, environment, `.env`, setups; and what `--list`, `explain` and `--help` show of them.

use insta::assert_snapshot;

use crate::support::Project;

/// A case whose row, id and skip depend on what is resolved.
const CASES: &str = r#"
cases:
  - name: chat
    description: Says hello.
    upstream: "test_chat[${{ text_model }}]"
    params: [text_model]
    rows: [{id: a}, {id: b}]
    steps: [{get: /v1/version, expect: [{status: 200}]}]
  - name: embed
    clients: [openai_client, client_with_models]
    params: [embedding_model, embedding_dimension]
    steps: [{get: /v1/version, expect: [{status: 200}]}]
  - name: rerank
    params: [rerank_model]
    requires: [reranking]
    steps: [{get: /v1/version, expect: [{status: 200}]}]
"#;

fn project() -> Project {
    Project::cases(CASES)
        .file("setups/local.yaml", "name: local\ndescription: A model here\nenv: {COLOUR: red, SHAPE: round, MODEL_API_KEY: from-setup}\ndefaults: {text_model: [local/one, local/two], embedding_model: local/e, rerank_model: local/r}\nlacks: [reranking]\n")
        .file("setups/other.yaml", "name: other\ndefaults: {text_model: other/x, embedding_dimension: 768}\n")
}

#[test]
fn list_as_text() {
    assert_snapshot!(project().says(&["--suite=base", "--list"]), @"
    exit 0
    --- stdout
    a::chat[txt=local/one-a]
    a::chat[txt=local/one-b]
    a::chat[txt=local/two-a]
    a::chat[txt=local/two-b]
    a::embed[openai_client-emb=local/e:dim=384]
    a::embed[client_with_models-emb=local/e:dim=384]
    a::rerank[rerank=local/r]  # skipped: setup local lacks reranking
    7 trials
    ");
}

#[test]
fn list_as_json() {
    assert_snapshot!(project().says(&["--suite=base", "--list", "--format=json", "-k", "one-a or rerank"]), @r#"
    exit 0
    --- stdout
    [
      {
        "id": "a::chat[txt=local/one-a]",
        "place": "test_cases/a.yaml:3",
        "upstream": "test_chat[local/one]",
        "skip": null,
        "description": "Says hello."
      },
      {
        "id": "a::rerank[rerank=local/r]",
        "place": "test_cases/a.yaml:13",
        "upstream": null,
        "skip": "setup local lacks reranking",
        "description": null
      }
    ]
    "#);
}

#[test]
fn keywords_selectors_and_ids() {
    let ids = |args: &[&str]| project().run(&[&["--suite=base", "--list"], args].concat()).stdout;
    assert_snapshot!(ids(&["-k", "chat and not (two or -b)"]), @"
    a::chat[txt=local/one-a]
    1 trial
    ");
    assert_snapshot!(ids(&["a::chat[txt=local/two-b]"]), @"
    a::chat[txt=local/two-b]
    1 trial
    ");
    assert_snapshot!(ids(&["test_cases/a.yaml::rerank", "--rerank-model=x/y", "--setup=other"]), @"
    a::rerank[rerank=x/y]
    1 trial
    ");
}

#[test]
fn a_flag_replaces_a_setups_value() {
    let ids = |args: &[&str]| project().run(&[&["--suite=base", "--list"], args].concat()).stdout;
    assert_snapshot!(ids(&["--text-model=x/1, x/2,x/1", "-k", "chat"]), @"
    a::chat[txt=x/1-a]
    a::chat[txt=x/1-b]
    a::chat[txt=x/2-a]
    a::chat[txt=x/2-b]
    4 trials
    ");
    assert_snapshot!(ids(&["--text-model=", "-k", "chat"]), @"
    a::chat[txt=none-a]  # skipped: text_model empty - skipping test
    a::chat[txt=none-b]  # skipped: text_model empty - skipping test
    2 trials
    ");
    assert_snapshot!(ids(&["--setup=other", "-k", "embed", "--embedding-model=x/e"]), @"
    a::embed[openai_client-emb=x/e:dim=768]
    a::embed[client_with_models-emb=x/e:dim=768]
    2 trials
    ");
}

#[test]
fn explain_shows_where_every_value_came_from() {
    let project = project()
        .file(
            ".env",
            "# mine\nCOLOUR=green\nSHAPE='square'\nexport SIZE=big # note\nMODEL_API_KEY=from-dotenv\n",
        )
        .env("COLOUR", "blue")
        .env("LLAMA_STACK_CONFIG", "starter")
        .env("LLAMA_STACK_TEST_INFERENCE_MODE", "live");
    let args = [
        "explain",
        "--suite=base",
        "--text-model=x/1",
        "--env",
        "COLOUR=white",
        "--inference-mode=replay",
        "--stack-config=inference=ollama",
        "-j3",
    ];
    // Columns are as wide as the longest value, which holds the project's path.
    let columns = regex::Regex::new("  +").expect("compiles");
    assert_snapshot!(columns.replace_all(&project.says(&args), "  "), @"
    exit 0
    --- stdout
    suite  base  --suite
    setup  local  suite base
    stack-config  inference=ollama  --stack-config, hides starter (environment)
    stack  runner
    inference-mode  replay  --inference-mode, hides live (environment)
    recording-dir  [project]/recordings  built in
    replay-speed  fast
    jobs  3
    text-model  x/1  --text-model, hides local/one,local/two (setup local)
    vision-model  (none)  built in
    embedding-model  local/e  setup local
    safety-shield  (none)  built in
    judge-model  (none)  built in
    embedding-dimension  384  built in
    rerank-model  local/r  setup local
    env COLOUR  white  --env, hides blue (environment), green (.env), red (setup local)
    env MODEL_API_KEY  ***  .env, hides *** (setup local)
    env SHAPE  square  .env, hides round (setup local)
    env SIZE  big  .env
    trials  5
    ");
}

/// Each source gives way to the one above it.
#[test]
fn precedence_of_a_variable() {
    let yaml = "cases: [{name: a, steps: [{get: /v1/version, expect: [{value: {of: \"${{ env.COLOUR }}\", equals: white}}]}]}]\n";
    let got = |project: Project, args: &[&str]| {
        let output = project.run(&[&["--suite=base"], args].concat());
        let got = output.stdout.split("got ").nth(1).and_then(|rest| rest.lines().next()).map(str::to_owned);
        (output.code, got)
    };
    let base = || Project::cases(yaml).file("setups/local.yaml", "name: local\nenv: {COLOUR: setup}\n");
    let failed = |word: &str| (Some(1), Some(format!("\"{word}\"")));
    assert_eq!(got(base(), &[]), failed("setup"));
    assert_eq!(got(base().file(".env", "COLOUR=dotenv\n"), &[]), failed("dotenv"));
    assert_eq!(got(base().file(".env", "COLOUR=dotenv\n").env("COLOUR", "process"), &[]), failed("process"));
    let all = base().file(".env", "COLOUR=dotenv\n").env("COLOUR", "process");
    assert_eq!(got(all, &["--env", "COLOUR=black", "--env", "COLOUR=white"]), (Some(0), None));
}

/// The mode too can come from every source.
#[test]
fn precedence_of_the_mode() {
    let mode = |project: &Project, args: &[&str]| {
        let output = project.run(&[&["explain"], args].concat());
        let line =
            output.stdout.lines().find(|line| line.starts_with("inference-mode")).expect("has the mode");
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    let name = "LLAMA_STACK_TEST_INFERENCE_MODE";
    let dotenv = Project::new().file(".env", format!("{name}=record\n"));
    assert_eq!(mode(&Project::new(), &[]), "replay built in");
    assert_eq!(mode(&dotenv, &[]), "record .env");
    let both = dotenv.env(name, "live");
    assert_eq!(mode(&both, &[]), "live environment");
    assert_eq!(mode(&both, &["--env", &format!("{name}=record-if-missing")]), "record-if-missing --env");
    assert_eq!(
        mode(&both, &["--inference-mode=replay"]),
        "replay --inference-mode, hides live (environment)"
    );
}

/// Suites, setups and parameters in the help are those of the project's YAML.
#[test]
fn help_lists_what_the_project_has() {
    let output = project().run(&["--help"]);
    assert_eq!(output.code, Some(0));
    let from = output.stdout.find("Model parameters:").expect("has parameters");
    assert_snapshot!(&output.stdout[from..], @"
    Model parameters:
          --text-model <LIST>           Comma-separated text models (1 case; set by local, other)
          --vision-model <LIST>         Comma-separated vision models (0 cases)
          --embedding-model <LIST>      Comma-separated embedding models (1 case; set by local)
          --safety-shield <LIST>        Comma-separated safety shields (0 cases)
          --judge-model <LIST>          Comma-separated judge models (0 cases)
          --embedding-dimension <LIST>  Comma-separated output dimensions of the embedding model
                                        [default: 384] (1 case; set by other)
          --rerank-model <LIST>         Comma-separated rerank model (1 case; set by local)

    Suites:
      base            [default setup: local]

    Setups:
      local          A model here
      other

    Exit status: 0 passed, 1 failed, 2 interrupted, 3 internal error, 4 usage or definition error,
    5 nothing was run, 6 the target did not start, 7 the only failures are replay misses,
    8 a trial was flaky (--fail-on-flaky)
    ");
}

/// A broken file must not take the help away.
#[test]
fn help_works_with_a_broken_file_and_without_a_project() {
    let broken = project().file("test_cases/b.yaml", "cases: [\n").run(&["--help"]);
    assert!(broken.code == Some(0) && broken.stdout.contains("--rerank-model"), "{broken}");
    let nowhere = Project::empty().run(&["--help"]);
    assert!(nowhere.code == Some(0) && nowhere.stdout.contains("--text-model"), "{nowhere}");
}

#[test]
fn a_project_is_found_from_below_and_by_root() {
    let project = project();
    let mut below = project.command(&["--list", "-k", "one-a", "--setup=local"]);
    below.current_dir(project.path("test_cases"));
    let elsewhere = Project::empty().run(&[
        "--list",
        "-k",
        "one-a",
        "--setup=local",
        "--root",
        project.path("").to_str().expect("is text"),
    ]);
    assert_eq!(elsewhere.code, Some(0), "{elsewhere}");
    assert_eq!(project.finish(below).stdout, elsewhere.stdout);
}

#[test]
fn the_seed_form_of_an_ad_hoc_stack() {
    let project = Project::new();
    let output = project.run(&[
        "--stack-config=inference=remote::ollama,vector_io=inline::faiss",
        "--env",
        "OLLAMA_URL=http://127.0.0.1:1",
    ]);
    assert_eq!(output.code, Some(0), "{output}");
}
