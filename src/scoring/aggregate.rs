//! The aggregation functions: many scores as one result.

use super::{Row, Unscored};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The results of these functions by their names, in the order they are asked for.
///
/// # Errors
/// Where Python divides by zero or adds up what is no number.
pub(crate) fn aggregated(scores: &[Row], params: &Value) -> Result<Map<String, Value>, Unscored> {
    let asked = super::texts(params, "aggregation_functions");
    let results = asked.map(|name| {
        let result = match name {
            "accuracy" => accuracy(scores),
            "average" => average(scores),
            "weighted_average" => weighted_average(scores),
            "categorical_count" => Ok(categorical_count(scores)),
            "median" => median(scores),
            _ => Err(Unscored::Unfit(format!("there is no aggregation function `{name}`"))),
        };
        Ok((name.to_owned(), result?))
    });
    Ok(results.collect::<Result<IndexMap<_, _>, _>>()?.into_iter().collect())
}

/// A field of every row; `None` where it is null.
fn numbers(scores: &[Row], name: &str) -> Result<Vec<Option<f64>>, Unscored> {
    let number = |row: &Row| match row.get(name) {
        Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => Ok(number.as_f64()),
        Some(other) => Err(Unscored::Unfit(format!("the {name} {other} is no number"))),
        None => Err(Unscored::Unfit(format!("a row has no {name}"))),
    };
    scores.iter().map(number).collect()
}

fn divided(sum: f64, by: f64) -> Result<f64, Unscored> {
    if by == 0.0 { Err(Unscored::Unfit("division by zero".into())) } else { Ok(sum / by) }
}

fn accuracy(scores: &[Row]) -> Result<Value, Unscored> {
    let numbers: Option<Vec<f64>> = numbers(scores, "score")?.into_iter().collect();
    let numbers = numbers.ok_or_else(|| Unscored::Unfit("a score is null".into()))?;
    let sum: f64 = numbers.iter().sum();
    let accuracy = divided(sum, scores.len() as f64)?;
    Ok(json!({"accuracy": accuracy, "num_correct": sum, "num_total": scores.len()}))
}

fn average(scores: &[Row]) -> Result<Value, Unscored> {
    let numbers: Vec<f64> = numbers(scores, "score")?.into_iter().flatten().collect();
    Ok(json!({"average": divided(numbers.iter().sum(), numbers.len() as f64)?}))
}

fn weighted_average(scores: &[Row]) -> Result<Value, Unscored> {
    let weights = numbers(scores, "weight")?;
    let products = numbers(scores, "score")?.into_iter().zip(&weights);
    let sum = products.filter_map(|(score, weight)| Some(score? * (*weight)?)).sum();
    Ok(json!({"weighted_average": divided(sum, weights.iter().flatten().sum())?}))
}

fn categorical_count(scores: &[Row]) -> Value {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for row in scores {
        let name = match row.get("score") {
            None | Some(Value::Null) => "None".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        *counts.entry(name).or_default() += 1;
    }
    json!({"categorical_count": counts})
}

fn median(scores: &[Row]) -> Result<Value, Unscored> {
    let present: Vec<&Value> =
        scores.iter().filter_map(|row| row.get("score")).filter(|score| !score.is_null()).collect();
    let mut texts: Vec<&str> = present.iter().filter_map(|score| score.as_str()).collect();
    if !texts.is_empty() && texts.len() == present.len() {
        // Texts have an order, but there is none halfway between two.
        texts.sort_unstable();
        return match texts.len() % 2 {
            1 => Ok(json!({"median": texts[texts.len() / 2]})),
            _ => Err(Unscored::Unfit("texts have no median when their count is even".into())),
        };
    }
    let mut numbers: Vec<f64> = numbers(scores, "score")?.into_iter().flatten().collect();
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let median = match numbers.len() {
        0 => None,
        count if count % 2 == 1 => Some(numbers[middle]),
        _ => Some(f64::midpoint(numbers[middle - 1], numbers[middle])),
    };
    Ok(json!({"median": median}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(scores: Value, functions: Value) -> String {
        let rows: Vec<Row> = serde_json::from_value(scores).unwrap();
        let results = aggregated(&rows, &json!({"aggregation_functions": functions}));
        results.map_or_else(|error| error.to_string(), |results| Value::from(results).to_string())
    }

    #[test]
    fn numbers_are_summed_up_in_the_order_asked_for() {
        let scores = json!([{"score": 0.0}, {"score": 1.0}, {"score": 1.0}, {"score": 0.0}, {"score": 1.0}]);
        assert_eq!(
            results(scores, json!(["median", "accuracy", "categorical_count", "average"])),
            r#"{"median":{"median":1.0},"accuracy":{"accuracy":0.6,"num_correct":3.0,"num_total":5},"categorical_count":{"categorical_count":{"0.0":2,"1.0":3}},"average":{"average":0.6}}"#
        );
        assert_eq!(
            results(
                json!([{"score": 1.0, "weight": 3.0}, {"score": 0.0, "weight": 1.0}]),
                json!(["weighted_average", "median"])
            ),
            r#"{"weighted_average":{"weighted_average":0.75},"median":{"median":0.5}}"#
        );
    }

    #[test]
    fn a_judges_texts_are_counted() {
        let scores = json!([{"score": "7"}, {"score": null}, {"score": "7"}, {"score": "10"}]);
        assert_eq!(
            results(scores.clone(), json!(["categorical_count", "median"])),
            r#"{"categorical_count":{"categorical_count":{"10":1,"7":2,"None":1}},"median":{"median":"7"}}"#
        );
        assert_eq!(results(scores, json!(["average"])), "the score \"7\" is no number");
    }

    #[test]
    fn nothing_has_no_average() {
        for name in ["accuracy", "average"] {
            assert_eq!(results(json!([]), json!([name])), "division by zero");
        }
        assert_eq!(results(json!([]), json!(["median"])), r#"{"median":{"median":null}}"#);
        assert_eq!(results(json!([{"score": 1}]), json!(["weighted_average"])), "a row has no weight");
    }
}
