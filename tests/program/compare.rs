//! Runs side by side.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::Project;

const CASES: &str = r#"
cases:
  - name: asks
    rows: [{id: one}, {id: two}]
    steps: [{get: /v1/version, expect: [{status: 200}]}]
  - name: depends
    steps: [{get: "/v1/${{ env.WHAT }}", expect: [{status: 200}]}]
  - name: says_otherwise
    steps: [{get: "/v1/${{ env.SHAPE }}", expect: [{status: 200}]}]
  - name: skips
    skip: [{env_unset: THERE, because: "THERE | is not set"}]
    steps: [{get: /v1/health, expect: [{status: 200}]}]
"#;

/// Two runs, `ours` and `theirs`: in the second paths are others, and nothing is skipped.
fn two() -> Project {
    let project = Project::cases(CASES);
    for (side, what, shape, more) in
        [("ours", "health", "version", None), ("theirs", "nowhere", "health", Some("--env=THERE=1"))]
    {
        let (run, answers) =
            (format!("--report={side}/run.jsonl"), format!("--report=exchanges={side}/x.jsonl"));
        let env = [format!("--env=WHAT={what}"), format!("--env=SHAPE={shape}")];
        let args: Vec<&str> =
            [&env[0], &env[1], &run, &answers, "-q"].into_iter().map(AsRef::as_ref).chain(more).collect();
        project.run(&args);
    }
    project
}

fn without_times(text: &str) -> String {
    let times = regex::Regex::new(r"\d+\.\d+ ms|\d+\.\d\ds").expect("compiles");
    times.replace_all(text, "[time]").into_owned()
}

#[test]
fn outcomes_and_shapes_of_two_runs() {
    let project = two();
    assert_snapshot!(without_times(&project.says(&["compare", "ours", "theirs"])), @r#"
    exit 1
    --- stdout
    ours    all cases against starter (replay): 4 passed, 0 failed, 1 skipped
    theirs  all cases against starter (replay): 4 passed, 1 failed

    3 of 5 trials end alike
           3  passed
           1  passed | failed
           1  skipped | passed

    a::depends
      ours    passed
      theirs  failed: status: expected 200, got 404

    a::skips
      ours    skipped: THERE | is not set
      theirs  passed

    times of the trials that passed on all sides:
      ours    [time] in all, median [time]
      theirs  [time] in all, median [time]

    shapes of answers: 2 of 3 answers alike
      compared   alike  endpoint
             2       2  GET /v1/version
             1       0  GET /v1/{id}

    GET /v1/{id}: $.status
      ours    absent
      theirs  string
      1 answer, as in a::says_otherwise

    GET /v1/{id}: $.version
      ours    string
      theirs  absent
      1 answer, as in a::says_otherwise
    "#);
}

#[test]
fn the_same_run_is_alike() {
    let project = two();
    let output = project.run(&[
        "compare",
        "a=ours",
        "b=ours/run.jsonl,ours/x.jsonl",
        "--fail-on-shapes",
        "--format=json",
    ]);
    assert_eq!(output.code, Some(0), "{output}");
    let found: Value = serde_json::from_str(&output.stdout).expect("is JSON");
    assert_eq!(
        (&found["differing"], &found["shapes"]["differences"]),
        (&0.into(), &Value::Array(Vec::new()))
    );
    assert_eq!(found["trials"].as_array().map(Vec::len), Some(5));
    assert_eq!(found["trials"][0]["sides"][1]["outcome"], "passed");
}

#[test]
fn a_table_for_a_pull_request() {
    let project = two();
    let output = project.run(&["compare", "ours", "theirs", "--format=markdown"]);
    assert_eq!(output.code, Some(1));
    assert_snapshot!(without_times(&output.stdout), @r#"
    # Comparison

    | | run | outcomes | time of what passed everywhere | median | first chunk of a stream |
    |---|---|---|---:|---:|---:|
    | **ours** | all cases against starter (replay) | 4 passed, 0 failed, 1 skipped | [time] | [time] |  |
    | **theirs** | all cases against starter (replay) | 4 passed, 1 failed | [time] | [time] |  |

    ## Outcomes

    3 of 5 trials end alike

    | trials | ours | theirs |
    |---|---|---|
    | 3 | passed | passed |
    | 1 | passed | failed |
    | 1 | skipped | passed |

    | trial | ours | theirs |
    |---|---|---|
    | `a::depends` | passed | failed: status: expected 200, got 404 |
    | `a::skips` | skipped: THERE \| is not set | passed |

    ## Shapes of answers

    2 of 3 answers alike

    | endpoint | compared | alike |
    |---|---:|---:|
    | `GET /v1/version` | 2 | 2 |
    | `GET /v1/{id}` | 1 | 0 |

    | where they differ | ours | theirs |
    |---|---|---|
    | `GET /v1/{id}: $.status` (1 answer, as in a::says_otherwise) | absent | string |
    | `GET /v1/{id}: $.version` (1 answer, as in a::says_otherwise) | string | absent |
    "#);
}

#[test]
fn what_cannot_be_compared() {
    let project = two().file("cut/run.jsonl", "").file("only/x.jsonl", "");
    std::fs::copy(project.path("ours/x.jsonl"), project.path("only/x.jsonl")).expect("copies");
    assert_snapshot!(project.says(&["compare", "ours", "cut"]), @r#"
    exit 4
    --- stderr
    error: cut/run.jsonl: no run is in it; --report PATH.jsonl writes one
    "#);
    assert_snapshot!(project.says(&["compare", "ours", "only"]), @r#"
    exit 4
    --- stderr
    error: only: no run is in it; --report PATH.jsonl writes one
    "#);
    assert_snapshot!(project.says(&["compare", "ours", "ours"]), @r#"
    exit 4
    --- stderr
    error: two runs are called `ours`; write NAME=RUN
    "#);
    assert_snapshot!(project.says(&["merge", "only"]), @r#"
    exit 4
    --- stderr
    error: only exchanges are in it, no run; --report PATH.jsonl writes one
    "#);
}

/// A folder with exchanges beside the run is merged as if they were not there.
#[test]
fn merge_takes_no_exchanges_for_a_run() {
    let output = two().run(&["merge", "ours"]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{output}");
}
