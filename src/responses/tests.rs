//! Whole responses over chunk sequences as providers sent them. The events, their order and their numbers were seen on
//! a real Llama Stack 0.3.0 over the same chunks.

use super::{Call, McpServer, Outcome, Run, Setup, Toolbox, chat_tool};
use serde_json::{Value, json};

fn run(tools: Value, guarded: bool) -> Run {
    let input = json!("q");
    let mut count = 0;
    let mut run = Run::new(Setup {
        model: "m".into(),
        created_at: 7,
        instructions: Value::Null,
        text: json!({"format": {"type": "text"}}),
        temperature: Value::Null,
        messages: vec![json!({"role": "user", "content": input})],
        toolbox: Toolbox::new(&tools, &input),
        max_infer_iters: 2,
        guarded,
        new_id: Box::new(move |prefix| {
            count += 1;
            format!("{prefix}{count}")
        }),
    });
    for tool in std::mem::take(&mut run.toolbox.pending) {
        if tool["type"] == "mcp" {
            assert!(run.toolbox.offer_mcp("boil", chat_tool("boil", None, None), &McpServer::read(&tool)));
        }
    }
    run
}

fn text(pieces: &[&str]) -> Vec<Value> {
    let mut chunks: Vec<Value> = pieces
        .iter()
        .map(|piece| json!({"choices": [{"delta": {"content": piece, "tool_calls": null}, "finish_reason": null}]}))
        .collect();
    chunks.push(json!({"choices": [{"delta": {"content": ""}, "finish_reason": "stop"}]}));
    chunks
        .push(json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 1}}}));
    chunks
}

fn call(name: &str) -> Vec<Value> {
    let piece = |call: Value, reason: Option<&str>| json!({"choices": [{"delta": {"content": null, "tool_calls": [call]}, "finish_reason": reason}]});
    vec![
        piece(json!({"index": 0, "id": "c", "function": {"name": name, "arguments": ""}}), None),
        piece(json!({"index": 0, "id": null, "function": {"name": null, "arguments": "{\"a\""}}), None),
        piece(
            json!({"index": 0, "id": null, "function": {"name": null, "arguments": ":1}"}}),
            Some("tool_calls"),
        ),
    ]
}

/// Runs the chunks of each answer of the model; calls of the stack's own answer `outcome`.
fn events(run: &mut Run, answers: &[Vec<Value>], outcome: fn() -> Outcome) -> Vec<Value> {
    let mut events = run.begin();
    for chunks in answers {
        let mut turn = run.turn();
        for chunk in chunks {
            let of_chunk = turn.chunk(run, chunk);
            events.extend(of_chunk.now);
            events.extend(of_chunk.checked);
        }
        let (last, completion) = turn.finish(run);
        events.extend(last);
        let mut decision = run.decide(completion);
        events.append(&mut decision.events);
        for call in &decision.own {
            events.extend(run.call_begins(call).unwrap());
            events.extend(run.call_ends(call, outcome()));
        }
        let (of_functions, last) = run.next(&decision);
        events.extend(of_functions);
        events.extend(last);
    }
    events
}

/// Number and type of each event, one a line; `-` for an event without number.
fn lines(events: &[Value]) -> String {
    let line = |event: &Value| {
        let kind = event["type"].as_str().unwrap();
        let kind = kind.strip_prefix("response.").unwrap();
        format!(
            "{} {kind}",
            event["sequence_number"].as_u64().map_or("-".to_owned(), |number| number.to_string())
        )
    };
    events.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn last(events: &[Value]) -> &Value {
    &events.last().unwrap()["response"]
}

#[test]
fn a_text_streams_in_its_message() {
    let mut run = run(Value::Null, false);
    let events = events(&mut run, &[text(&["Ear", "th"])], Outcome::default);
    assert_eq!(
        lines(&events),
        "- created\n1 in_progress\n2 output_item.added\n3 content_part.added\n4 output_text.delta\n\
         5 output_text.delta\n6 content_part.done\n7 output_item.done\n- completed"
    );
    let message = json!({
        "content": [{"text": "Earth", "type": "output_text", "annotations": []}],
        "role": "assistant", "type": "message", "id": "msg_2", "status": "completed"});
    assert_eq!(last(&events)["output"], json!([message]));
    assert_eq!(
        last(&events)["usage"],
        json!({"input_tokens": 3, "output_tokens": 2, "total_tokens": 5,
            "input_tokens_details": {"cached_tokens": 1}, "output_tokens_details": null})
    );
    assert_eq!(run.messages[1], json!({"role": "assistant", "content": "Earth", "tool_calls": null}));
}

#[test]
fn a_function_call_goes_to_the_client() {
    let mut run = run(json!([{"type": "function", "name": "f", "parameters": {}}]), false);
    let events = events(&mut run, &[call("f")], Outcome::default);
    assert_eq!(
        lines(&events),
        "- created\n1 in_progress\n2 output_item.added\n3 function_call_arguments.delta\n\
         4 function_call_arguments.delta\n5 function_call_arguments.done\n6 output_item.done\n- completed"
    );
    let item = json!({
        "call_id": "c", "name": "f", "arguments": "{\"a\":1}", "type": "function_call", "id": "fc_3",
        "status": "completed"});
    assert_eq!(last(&events)["output"], json!([item]));
}

fn mcp(approval: &str) -> Value {
    json!([{"type": "mcp", "server_label": "l", "server_url": "http://127.0.0.1:1", "require_approval": approval}])
}

fn boiled() -> Outcome {
    Outcome { content: Some(json!("100")), output: Some("100".into()), ..Outcome::default() }
}

#[test]
fn an_mcp_call_is_answered_and_the_model_goes_on() {
    let mut run = run(mcp("never"), false);
    let events = events(&mut run, &[call("boil"), text(&["100"])], boiled);
    // The number 2 is that of an item whose event comes later; only the first piece of a call tells whose it is.
    assert_eq!(
        lines(&events[2..8]),
        "3 function_call_arguments.delta\n4 function_call_arguments.delta\n5 mcp_call.arguments.done\n\
         6 output_item.added\n7 mcp_call.in_progress\n8 mcp_call.completed"
    );
    assert_eq!(lines(&events[8..10]), "9 output_item.done\n10 output_item.added");
    let item = json!({
        "id": "fc_3", "type": "mcp_call", "arguments": "{\"a\":1}", "name": "boil", "server_label": "l", "error": null,
        "output": "100"});
    assert_eq!(last(&events)["output"][0], item);
    assert_eq!(last(&events)["tools"], json!([{"type": "mcp", "server_label": "l", "allowed_tools": null}]));
    assert_eq!(run.messages[2], json!({"role": "tool", "tool_call_id": "c", "content": "100"}));
}

#[test]
fn an_mcp_call_waits_for_approval() {
    let mut run = run(mcp("always"), false);
    let events = events(&mut run, &[call("boil")], Outcome::default);
    assert_eq!(lines(&events[5..]), "6 output_item.added\n7 output_item.done\n- completed");
    assert_eq!(last(&events)["output"][0]["type"], "mcp_approval_request");
    assert_eq!(run.messages.len(), 1);
}

#[test]
fn a_loop_of_calls_ends_incomplete() {
    let mut run = run(mcp("never"), false);
    let events = events(&mut run, &[call("boil"), call("boil")], boiled);
    assert_eq!(events.last().unwrap()["type"], "response.incomplete");
    assert_eq!(last(&events)["status"], "incomplete");
}

#[test]
fn a_call_of_nobodys_tool_is_refused() {
    let mut run = run(mcp("never"), false);
    let call = Call {
        item_id: "fc".into(),
        index: 0,
        id: Some("c".into()),
        name: Some("x".into()),
        arguments: "{}".into(),
    };
    assert_eq!(run.call_begins(&call), Err("Unsupported tool call: x".to_owned()));
}

#[test]
fn pieces_of_a_guarded_text_wait() {
    let mut run = run(Value::Null, true);
    let mut turn = run.turn();
    let events = turn.chunk(&mut run, &text(&["bad"])[0]);
    assert_eq!(lines(&events.now), "1 output_item.added\n2 content_part.added");
    assert_eq!(lines(&events.checked), "3 output_text.delta");
    assert_eq!(turn.text(), "bad");
    let last = run.refused("No.");
    assert_eq!(last["type"], "response.completed");
    let content = json!([{"type": "refusal", "refusal": "No."}]);
    assert_eq!(last["response"]["output"][0]["content"], content);
    assert_eq!(last["response"]["tools"], Value::Null);
}

#[test]
fn reasoning_and_refusals_are_parts_of_their_own() {
    let delta = |delta: Value| json!({"choices": [{"delta": delta, "finish_reason": null}]});
    let chunks = vec![
        delta(json!({"reasoning_content": "hm"})),
        delta(json!({"content": "a"})),
        delta(json!({"refusal": "no"})),
    ];
    let events = events(&mut run(Value::Null, false), &[chunks], Outcome::default);
    assert_eq!(
        lines(&events[2..]),
        "2 content_part.added\n3 reasoning_text.delta\n4 output_item.added\n5 content_part.added\n\
         6 output_text.delta\n7 content_part.added\n8 refusal.delta\n9 content_part.done\n10 reasoning_text.done\n\
         11 content_part.done\n12 refusal.done\n13 content_part.done\n14 output_item.done\n- completed"
    );
}

#[test]
fn what_cannot_be_asked_fails_the_response() {
    let mut run = run(Value::Null, false);
    run.begin();
    let last = run.failed("broken");
    assert_eq!(lines(std::slice::from_ref(&last)), "2 failed");
    assert_eq!(last["response"]["error"], json!({"code": "internal_error", "message": "broken"}));
}
