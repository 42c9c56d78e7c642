//! The scoring functions that come with their providers.

use serde_json::{Value, json};

/// How an answer to a multiple-choice question is announced, in the languages of the benchmarks.
const ANNOUNCED: &[&str] = &[
    r"The best answer is ",
    r"Answer\s*:",
    "Answer\\s*:\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}",
    r"উত্তর\s*:",
    r"उत्तर\s*:",
    r"উত্তরঃ",
    r"উত্তর\s*:",
    r"Antwort\s*:",
    r"답변\s*:",
    r"정답\s*:",
    r"답\s*:",
    r"答案\s*：",
    r"答案\s*:",
    r"答\s*：",
    r"答\s*:",
    r"答复\s*：",
    r"答曰\s*：",
    r"الإجابة:",
    r"الجواب:",
    r"إجابة:",
    r"الإجابة النهائية:",
    r"الإجابة الصحيحة:",
    r"الإجابة الصحيحة هي:",
    r"الإجابة هي:",
    r"Respuesta\s*:",
    r"Risposta\s*:",
    r"答え\s*:",
    r"答え\s*：",
    r"回答\s*:",
    r"回答\s*：",
    r"解答\s*:",
    r"Jawaban\s*:",
    r"Réponse\s*:",
    r"Resposta\s*:",
    r"Jibu\s*:",
    r"Idahun\s*:",
    r"Ìdáhùn\s*:",
    r"Idáhùn\s*:",
    r"Àmọ̀nà\s*:",
    r"Àdáhùn\s*:",
    r"Ànúgọ\s*:",
    r"Àṣàyàn\s*:",
];
const LETTER: &str = r"\s*([A-D]|[أ-د]|[অ]|[ব]|[ড]|[ঢ]|[Ａ]|[Ｂ]|[Ｃ]|[Ｄ])";

/// The prompt of `llm-as-judge::405b-simpleqa`: the same places and the same letters to answer with as Llama
/// Stack's, in fewer words.
const GRADER: &str = "Compare a predicted answer with the gold target of a question.

Question: {input_query}
Gold target: {expected_answer}
Predicted answer: {generated_answer}

It is correct when it holds what the gold target says and contradicts none of it; wording, case and order do not \
matter. It is incorrect when anything in it contradicts the gold target. It is not attempted when what matters is \
missing and nothing is contradicted.

Answer with one letter and nothing else:
A: CORRECT
B: INCORRECT
C: NOT_ATTEMPTED";

const JUDGE_MODEL: &str = "meta-llama/Llama-3.1-405B-Instruct";

/// The functions of a provider, as it registers them under its own id, in Llama Stack's order.
pub(crate) fn definitions(provider_type: &str, provider_id: &str) -> Vec<Value> {
    let functions = match provider_type {
        "inline::basic" => basic(),
        "inline::llm-as-judge" => judges(),
        _ => Vec::new(),
    };
    let object = |(name, resource, description, params): Function| {
        json!({
            "identifier": name,
            "provider_resource_id": resource,
            "provider_id": provider_id,
            "type": "scoring_function",
            "owner": null,
            "source": "via_register_api",
            "description": description,
            "metadata": {},
            "return_type": {"type": "number"},
            "params": params,
        })
    };
    functions.into_iter().map(object).collect()
}

/// Whether a judge of this name comes with the provider.
pub(crate) fn is_built_in(name: &str) -> bool {
    judges().iter().any(|(known, ..)| *known == name)
}

/// Name, the provider's name, description, parameters.
type Function = (&'static str, &'static str, &'static str, Value);

fn basic() -> Vec<Function> {
    let accuracy = || json!({"type": "basic", "aggregation_functions": ["accuracy"]});
    let patterns = |patterns: Vec<String>| json!({"type": "regex_parser", "parsing_regexes": patterns, "aggregation_functions": ["accuracy"]});
    let choices = ANNOUNCED.iter().map(|announced| format!("(?i){announced}{LETTER}")).collect();
    vec![
        (
            "basic::equality",
            "equality",
            "Returns 1.0 if the input is equal to the target, 0.0 otherwise.",
            accuracy(),
        ),
        (
            "basic::subset_of",
            "subset-of",
            "Returns 1.0 if the expected is included in generated, 0.0 otherwise.",
            accuracy(),
        ),
        (
            "basic::regex_parser_multiple_choice_answer",
            "regex-parser-multiple-choice-answer",
            "Extract answer from response matching Answer: [the_answer_letter], and compare with expected result",
            patterns(choices),
        ),
        (
            "basic::regex_parser_math_response",
            "regex-parser-math-response",
            "For math related benchmarks, extract answer from the generated response and expected_answer and see if \
             they match",
            patterns(vec![r".*final answer is:?\s*\$\\boxed{(?P<X>.*)}\$".to_owned()]),
        ),
        (
            "basic::ifeval",
            "ifeval",
            "Eval intruction follow capacity by checkping how many instructions can be followed in each example",
            json!({"type": "basic", "aggregation_functions": ["weighted_average"]}),
        ),
        ("basic::docvqa", "docvqa", "DocVQA Visual Question & Answer scoring function", accuracy()),
    ]
}

fn judges() -> Vec<Function> {
    let params = |prompt: &str, patterns: &[&str], aggregations: &[&str]| {
        json!({
            "type": "llm_as_judge",
            "judge_model": JUDGE_MODEL,
            "prompt_template": prompt,
            "judge_score_regexes": patterns,
            "aggregation_functions": aggregations,
        })
    };
    vec![
        (
            "llm-as-judge::base",
            "llm-as-judge-base",
            "Llm As Judge Scoring Function",
            params("Enter custom LLM as Judge Prompt Template", &[], &[]),
        ),
        (
            "llm-as-judge::405b-simpleqa",
            "llm-as-judge-405b-simpleqa",
            "Llm As Judge Scoring Function for SimpleQA Benchmark \
             (https://github.com/openai/simple-evals/blob/main/simpleqa_eval.py)",
            params(GRADER, &["(A|B|C)"], &["categorical_count"]),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_has_its_functions() {
        let names = |provider: &str| -> Vec<String> {
            let all = definitions(provider, "mine");
            assert!(all.iter().all(|function| function["provider_id"] == "mine"));
            all.iter().map(|function| function["identifier"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names("inline::basic").len(), 6);
        assert_eq!(names("inline::llm-as-judge"), ["llm-as-judge::base", "llm-as-judge::405b-simpleqa"]);
        assert_eq!(names("inline::braintrust"), [""; 0]);
    }
}
