//! The named tool sets: what each tool is called, takes and returns. The definitions are data, `tool_sets.json`, as a
//! server lists them; parameters of all but `schemas` are what upstream's test servers list, so that its recordings
//! answer the same requests. `schemas` has what conversions lose: `$ref` and `$defs`, recursion, arrays, `anyOf`.

use rmcp::ErrorData;
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, JsonObject,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Value, json};

use crate::check::SchemaRef;

const DEFINITIONS: &str = include_str!("tool_sets.json");

/// A named set of tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolSet {
    /// `greet_everyone` and `get_boiling_point`.
    Default,
    /// Five lookups of which each needs what another one found.
    Dependency,
    /// Tools whose parameters and results are described with all that JSON Schema offers.
    Schemas,
    /// `get_weather` and `calculate`, which also describe what is inside the objects that they return.
    Outputs,
}

impl ToolSet {
    fn key(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Dependency => "dependency",
            Self::Schemas => "schemas",
            Self::Outputs => "outputs",
        }
    }

    /// The tools as a server lists them: the result of `tools/list`.
    ///
    /// # Errors
    /// None while the definitions are JSON.
    pub fn definitions(self) -> serde_json::Result<Value> {
        let mut sets: Value = serde_json::from_str(DEFINITIONS)?;
        Ok(sets[self.key()].take())
    }

    fn tools(self) -> Result<Vec<Tool>, ErrorData> {
        let broken = |error: serde_json::Error| ErrorData::internal_error(error.to_string(), None);
        serde_json::from_value(self.definitions().map_err(broken)?).map_err(broken)
    }

    /// What a call returns: a result, or a text that says why there is none.
    fn call(self, tool: &str, arguments: JsonObject) -> Result<CallToolResult, ErrorData> {
        let tools = self.tools()?;
        let Some(definition) = tools.iter().find(|known| known.name == tool) else {
            return Err(ErrorData::invalid_params(format!("Unknown tool: {tool}"), None));
        };
        let arguments = Value::Object(arguments);
        let refused = match SchemaRef::compile(definition.schema_as_json_value()) {
            Ok(schema) => schema.violations(&arguments).into_iter().map(at_place).collect(),
            Err(error) => vec![error],
        };
        if !refused.is_empty() {
            let text = format!("Error executing tool {tool}: {}", refused.join("; "));
            return Ok(CallToolResult::error(vec![ContentBlock::text(text)]));
        }
        let value = answer(tool, &arguments);
        // As FastMCP does: a text as it is, anything else as JSON; what is no object is wrapped where it is described.
        let text = match &value {
            Value::String(text) => text.clone(),
            Value::Object(_) => format!("{value:#}"),
            other => other.to_string(),
        };
        let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
        if definition.output_schema.is_some() {
            result.structured_content =
                Some(if value.is_object() { value } else { json!({"result": value}) });
        }
        Ok(result)
    }
}

fn at_place((place, message): (String, String)) -> String {
    if place.is_empty() { message } else { format!("{place}: {message}") }
}

/// What a tool says to arguments that its schema accepts.
fn answer(tool: &str, given: &Value) -> Value {
    let text = |name: &str| given[name].as_str().unwrap_or_default();
    match tool {
        "greet_everyone" => json!("Hello, world!"),
        "get_boiling_point" => match (text("liquid_name").to_lowercase().as_str(), given["celsius"] == false)
        {
            ("myawesomeliquid", false) => json!(-100),
            ("myawesomeliquid", true) => json!(-212),
            _ => json!(-1),
        },
        "get_user_id" => json!(match text("username") {
            "alice" => "user_12345",
            "bob" => "user_67890",
            "charlie" => "user_11111",
            _ => "user_not_found",
        }),
        "get_user_permissions" => json!(match text("user_id") {
            "user_12345" => "read,write",
            "user_67890" => "read",
            "user_11111" => "admin",
            _ => "none",
        }),
        "check_file_access" => json!(match (text("user_id"), text("filename")) {
            ("user_12345" | "user_67890", "document.txt") | ("user_12345", "report.pdf") => "yes",
            _ => "no",
        }),
        "get_experiment_id" => json!(match text("experiment_name") {
            "temperature_test" => "exp_001",
            "pressure_test" => "exp_002",
            "chemical_reaction" => "exp_003",
            "boiling_point" => "exp_004",
            _ => "exp_not_found",
        }),
        "get_experiment_results" => json!(match text("experiment_id") {
            "exp_001" => "Temperature: 25°C, Status: Success",
            "exp_002" => "Pressure: 2.5 atm, Status: Success",
            "exp_003" => "Yield: 85%, Status: Complete",
            "exp_004" => "Boiling Point: 100°C, Status: Verified",
            _ => "No results found",
        }),
        "book_flight" => {
            let passengers = given["passengers"].as_array().map_or(0, Vec::len);
            json!({"booking_id": "BK12345", "passengers": passengers, "flight": given["flight"]})
        }
        "process_order" => {
            json!({"order_id": "ORD789", "status": "processing", "data": given["order_data"]})
        }
        "flexible_contact" => {
            let kind = if text("contact_info").contains('@') { "email" } else { "phone" };
            json!({"type": kind, "value": given["contact_info"]})
        }
        "count_nodes" => json!(nodes(&given["root"])),
        "get_weather" => json!({"temperature": 72.5, "conditions": "Sunny", "wind": {"speed": 10.2}}),
        "calculate" => {
            let (x, y) = (given["x"].as_f64().unwrap_or_default(), given["y"].as_f64().unwrap_or_default());
            let result = match text("operation") {
                "add" => x + y,
                "subtract" => x - y,
                "multiply" => x * y,
                _ => x / y,
            };
            json!({"result": result, "operation": given["operation"]})
        }
        _ => Value::Null,
    }
}

fn nodes(tree: &Value) -> usize {
    1 + tree["children"].as_array().map_or(0, |children| children.iter().map(nodes).sum())
}

impl ServerHandler for ToolSet {
    fn get_info(&self) -> ServerConfig {
        let name = Implementation::new("runner", env!("CARGO_PKG_VERSION"));
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build()).with_server_info(name)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.tools().map(ListToolsResult::with_all_items)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.call(&request.name, request.arguments.unwrap_or_default()).map(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ToolSet; 4] = [ToolSet::Default, ToolSet::Dependency, ToolSet::Schemas, ToolSet::Outputs];

    fn called(set: ToolSet, tool: &str, arguments: Value) -> Value {
        let Value::Object(arguments) = arguments else { panic!("not an object") };
        serde_json::to_value(set.call(tool, arguments).expect("is known")).expect("is JSON")
    }

    #[test]
    fn definitions_are_whole_and_what_a_tool_returns_is_what_it_says() {
        let order = json!({"items": [{"name": "Widget", "quantity": 2}],
            "shipping": {"address": {"street": "1 Main St", "city": "X", "zipcode": "1"}}});
        let flight = json!({"from": "SFO", "to": "JFK", "date": "2025-01-01"});
        let card = json!({"card": "4111", "expires": "12/30"});
        let calls = [
            (ToolSet::Default, "greet_everyone", json!({"url": "http://x"})),
            (ToolSet::Default, "get_boiling_point", json!({"liquid_name": "water"})),
            (ToolSet::Dependency, "get_user_id", json!({"username": "alice"})),
            (ToolSet::Dependency, "get_user_permissions", json!({"user_id": "user_12345"})),
            (ToolSet::Dependency, "check_file_access", json!({"user_id": "user_12345", "filename": "a"})),
            (ToolSet::Dependency, "get_experiment_id", json!({"experiment_name": "boiling_point"})),
            (ToolSet::Dependency, "get_experiment_results", json!({"experiment_id": "exp_004"})),
            (
                ToolSet::Schemas,
                "book_flight",
                json!({"flight": flight, "passengers": [{"name": "Ann"}], "payment": card}),
            ),
            (ToolSet::Schemas, "process_order", json!({"order_data": order})),
            (ToolSet::Schemas, "flexible_contact", json!({"contact_info": "a@example.com"})),
            (ToolSet::Schemas, "count_nodes", json!({"root": {"name": "a", "children": [{"name": "b"}]}})),
            (ToolSet::Outputs, "get_weather", json!({"location": "Berlin"})),
            (ToolSet::Outputs, "calculate", json!({"x": 5, "y": 3, "operation": "add"})),
        ];
        let mut known = Vec::new();
        for tool in ALL.iter().flat_map(|set| set.tools().expect("is readable")) {
            known.push(tool.name.to_string());
        }
        assert_eq!(calls.iter().map(|(_, tool, _)| *tool).collect::<Vec<_>>(), known);
        for (set, name, arguments) in calls {
            let result = called(set, name, arguments);
            assert_eq!(result["isError"], false, "{name}: {result}");
            let tools = set.tools().expect("is readable");
            let output =
                tools.iter().find(|tool| tool.name == name).and_then(|tool| tool.output_schema.clone());
            let Some(output) = output else { continue };
            let schema = SchemaRef::compile(Value::Object(output.as_ref().clone())).expect("is a schema");
            assert_eq!(schema.violations(&result["structuredContent"]), [], "{name}: {result}");
        }
    }

    #[test]
    fn tools_look_up_and_compute() {
        let text = |set, tool, arguments| called(set, tool, arguments)["content"][0]["text"].clone();
        assert_eq!(
            text(ToolSet::Default, "get_boiling_point", json!({"liquid_name": "MyAwesomeLiquid"})),
            "-100"
        );
        assert_eq!(text(ToolSet::Dependency, "get_user_id", json!({"username": "charlie"})), "user_11111");
        let tree = json!({"root": {"name": "a", "children": [{"name": "b", "children": []}, {"name": "c"}]}});
        assert_eq!(text(ToolSet::Schemas, "count_nodes", tree), "3");
        let phone = called(ToolSet::Schemas, "flexible_contact", json!({"contact_info": "+15551234567"}));
        assert_eq!(phone["structuredContent"], json!({"type": "phone", "value": "+15551234567"}));
        let missing = called(ToolSet::Schemas, "book_flight", json!({"flight": {"from": "SFO"}}));
        assert_eq!(missing["isError"], true);
    }
}
