//! Schemas of requests and stored rows, checked as pydantic checks them: lax coercions, every violation
//! reported with its location, unknown fields dropped or kept, absent ones filled in.
//!
//! The declarations are data ([`super::request_types`]); this file interprets them.

use super::errors::{ApiError, Issue};
use serde_json::{Map, Value};

/// A type of the schema language.
pub(crate) enum Ty {
    Any,
    Str,
    Bool,
    Int,
    IntWithin {
        least: i64,
        most: i64,
    },
    Float,
    /// `dict[str, T]`
    Dict(&'static Ty),
    List {
        of: &'static Ty,
        min: usize,
    },
    Literal(&'static [&'static str]),
    /// Like a literal, under the name pydantic gives to enumerations.
    Enum(&'static [&'static str]),
    /// The first alternative that accepts the value; the label appears in locations.
    Union(&'static [(&'static str, &'static Ty)]),
    /// The alternative that the field `by` names.
    Tagged {
        by: &'static str,
        of: &'static [(&'static str, &'static Model)],
    },
    Model(&'static Model),
    /// `T | None` where no field says so
    OrNull(&'static Ty),
}

/// `dict[str, Any]`
pub(crate) const OBJECT: Ty = Ty::Dict(&Ty::Any);
/// `list[str]`
pub(crate) const STR_LIST: Ty = Ty::List { of: &Ty::Str, min: 0 };

/// An object type.
pub(crate) struct Model {
    pub(crate) fields: &'static [Field],
    pub(crate) extra: Extra,
    /// What is said of a value that is no object.
    pub(crate) otherwise: NotAnObject,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Extra {
    Drop,
    Keep,
}

pub(crate) enum NotAnObject {
    /// The body of a request.
    Body,
    /// A nested model of this name.
    Instance(&'static str),
    /// A typed dictionary.
    Dict,
}

/// A field of an object type.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) ty: Ty,
    pub(crate) need: Need,
}

/// What happens when a field is absent or null.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Need {
    Required,
    /// Absent becomes null; null is fine.
    Optional,
    /// Absent becomes this text; null is refused.
    Fixed(&'static str),
    /// Absent becomes this text; null is fine.
    Default(&'static str),
    /// Absent becomes this number, or whether it is not 0; null is fine.
    Number(i64),
    /// Absent becomes an empty list or mapping, as the type says; null is refused.
    Empty,
    /// Stays absent; null is refused.
    Absent,
    /// Stays absent; null is fine.
    AbsentOrNull,
}

/// A field that must be there.
pub(crate) const fn required(name: &'static str, ty: Ty) -> Field {
    Field { name, ty, need: Need::Required }
}

/// A field that may be null or absent; absent becomes null.
pub(crate) const fn optional(name: &'static str, ty: Ty) -> Field {
    Field { name, ty, need: Need::Optional }
}

/// A field with one of these texts; absent becomes the first.
pub(crate) const fn fixed(name: &'static str, text: &'static [&'static str]) -> Field {
    Field { name, ty: Ty::Literal(text), need: Need::Fixed(text[0]) }
}

/// A field with another need.
pub(crate) const fn absent(name: &'static str, ty: Ty, need: Need) -> Field {
    Field { name, ty, need }
}

/// An object type under the name that messages give it; unknown fields are dropped.
pub(crate) const fn model(name: &'static str, fields: &'static [Field]) -> Model {
    Model { fields, extra: Extra::Drop, otherwise: NotAnObject::Instance(name) }
}

/// An object inside of a body, where FastAPI's messages do not name its type: the name is for the reader.
pub(crate) const fn part(_: &'static str, fields: &'static [Field]) -> Model {
    body(fields, Extra::Drop)
}

/// A typed dictionary; unknown fields are dropped.
pub(crate) const fn typed_dict(fields: &'static [Field]) -> Model {
    Model { fields, extra: Extra::Drop, otherwise: NotAnObject::Dict }
}

/// A request's body.
pub(crate) const fn body(fields: &'static [Field], extra: Extra) -> Model {
    Model { fields, extra, otherwise: NotAnObject::Body }
}

impl Need {
    fn takes_null(self) -> bool {
        matches!(self, Self::Optional | Self::Default(_) | Self::Number(_) | Self::AbsentOrNull)
    }
}

/// Checks and completes `value`. `root` begins every location: `["body"]`, `["query"]` or nothing.
pub(crate) fn check(ty: &Ty, value: &Value, root: &[&str]) -> Result<Value, Vec<Issue>> {
    checked_by(root, |checker| checker.ty(ty, value))
}

/// As [`check`], of an object.
pub(crate) fn check_object(
    model: &Model,
    value: &Value,
    root: &[&str],
) -> Result<Map<String, Value>, Vec<Issue>> {
    checked_by(root, |checker| checker.model(model, value))
}

fn checked_by<T>(root: &[&str], check: impl FnOnce(&mut Checker) -> Option<T>) -> Result<T, Vec<Issue>> {
    let mut checker =
        Checker { loc: root.iter().map(|part| Value::from(*part)).collect(), issues: Vec::new() };
    match check(&mut checker) {
        Some(value) if checker.issues.is_empty() => Ok(value),
        _ => Err(checker.issues),
    }
}

/// Checks parameters that one API hands to another, as the handler's own types do.
pub(crate) fn checked(model: &Model, params: &Value) -> Result<Map<String, Value>, ApiError> {
    check_object(model, params, &[]).map_err(ApiError::Issues)
}

/// The checked value without the nulls of declared fields; nulls inside free-form parts stay.
pub(crate) fn without_nulls(ty: &Ty, value: &Value) -> Value {
    match (ty, value) {
        (Ty::List { of, .. }, Value::Array(items)) => {
            items.iter().map(|item| without_nulls(of, item)).collect()
        }
        (Ty::Union(of), value) => of
            .iter()
            .find(|(_, ty)| check(ty, value, &[]).is_ok())
            .map_or_else(|| value.clone(), |(_, ty)| without_nulls(ty, value)),
        (Ty::Tagged { by, of }, Value::Object(map)) => {
            let tag = map.get(*by).and_then(Value::as_str);
            match of.iter().find(|(name, _)| Some(*name) == tag) {
                Some((_, model)) => model_without_nulls(model, map),
                None => value.clone(),
            }
        }
        (Ty::Model(model), Value::Object(map)) => model_without_nulls(model, map),
        _ => value.clone(),
    }
}

fn model_without_nulls(model: &Model, map: &Map<String, Value>) -> Value {
    let declared = model.fields.iter().filter_map(|field| {
        let value = map.get(field.name).filter(|value| !value.is_null())?;
        Some((field.name.to_owned(), without_nulls(&field.ty, value)))
    });
    declared.collect::<Map<_, _>>().into()
}

struct Checker {
    loc: Vec<Value>,
    issues: Vec<Issue>,
}

impl Checker {
    fn fail<T>(&mut self, msg: impl Into<String>, kind: &'static str) -> Option<T> {
        self.issues.push(Issue::new(&self.loc, msg, kind));
        None
    }

    fn within<T>(&mut self, part: impl Into<Value>, inner: impl FnOnce(&mut Self) -> T) -> T {
        self.loc.push(part.into());
        let result = inner(self);
        self.loc.pop();
        result
    }

    fn ty(&mut self, ty: &Ty, value: &Value) -> Option<Value> {
        match ty {
            Ty::Any => Some(value.clone()),
            Ty::Str => match value {
                Value::String(_) => Some(value.clone()),
                _ => self.fail("Input should be a valid string", "string_type"),
            },
            Ty::Bool => self.boolean(value),
            Ty::Int => self.integer(value),
            Ty::IntWithin { least, most } => self.integer_within(*least, *most, value),
            Ty::Float => self.number(value),
            Ty::Dict(of) => match value {
                Value::Object(map) => {
                    let items = map.iter().map(|(key, item)| {
                        let item = self.within(key.as_str(), |this| this.ty(of, item));
                        Some((key.clone(), item?))
                    });
                    all(items).map(|items: Vec<_>| items.into_iter().collect::<Map<_, _>>().into())
                }
                _ => self.fail("Input should be a valid dictionary", "dict_type"),
            },
            Ty::List { of, min } => self.list(of, *min, value),
            Ty::Literal(texts) => self.one_of(texts, "literal_error", value),
            Ty::Enum(texts) => self.one_of(texts, "enum", value),
            Ty::Union(of) => self.union(of, value),
            Ty::Tagged { by, of } => self.tagged(by, of, value),
            Ty::Model(model) => self.model(model, value).map(Value::Object),
            Ty::OrNull(_) if value.is_null() => Some(Value::Null),
            Ty::OrNull(of) => self.ty(of, value),
        }
    }

    fn boolean(&mut self, value: &Value) -> Option<Value> {
        let read = match value {
            Value::Bool(b) => Some(*b),
            Value::Number(n) if n.as_f64() == Some(0.0) => Some(false),
            Value::Number(n) if n.as_f64() == Some(1.0) => Some(true),
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "1" | "true" | "t" | "yes" | "y" | "on" => Some(true),
                "0" | "false" | "f" | "no" | "n" | "off" => Some(false),
                _ => None,
            },
            Value::Number(_) => None,
            _ => return self.fail("Input should be a valid boolean", "bool_type"),
        };
        match read {
            Some(read) => Some(read.into()),
            None => self.fail("Input should be a valid boolean, unable to interpret input", "bool_parsing"),
        }
    }

    fn integer(&mut self, value: &Value) -> Option<Value> {
        match value {
            Value::Bool(b) => Some(i64::from(*b).into()),
            Value::Number(n) if !n.is_f64() => Some(value.clone()),
            Value::Number(n) => match n.as_f64() {
                // 2^53: beyond it a float no longer says which integer is meant.
                Some(f) if f.fract() == 0.0 && f.abs() < 9_007_199_254_740_992.0 => Some((f as i64).into()),
                _ => self.fail(
                    "Input should be a valid integer, got a number with a fractional part",
                    "int_from_float",
                ),
            },
            Value::String(text) => match text.trim().parse::<i64>() {
                Ok(n) => Some(n.into()),
                Err(_) => self.fail(
                    "Input should be a valid integer, unable to parse string as an integer",
                    "int_parsing",
                ),
            },
            _ => self.fail("Input should be a valid integer", "int_type"),
        }
    }

    fn integer_within(&mut self, least: i64, most: i64, value: &Value) -> Option<Value> {
        let read = self.integer(value)?;
        match read.as_i64() {
            Some(n) if n < least => {
                self.fail(format!("Input should be greater than or equal to {least}"), "greater_than_equal")
            }
            Some(n) if n <= most => Some(read),
            _ => self.fail(format!("Input should be less than or equal to {most}"), "less_than_equal"),
        }
    }

    fn number(&mut self, value: &Value) -> Option<Value> {
        match value {
            Value::Bool(b) => Some(f64::from(u8::from(*b)).into()),
            Value::Number(n) => n.as_f64().map(Value::from),
            Value::String(text) => match text.trim().parse::<f64>() {
                Ok(n) if n.is_finite() => Some(n.into()),
                _ => self.fail(
                    "Input should be a valid number, unable to parse string as a number",
                    "float_parsing",
                ),
            },
            _ => self.fail("Input should be a valid number", "float_type"),
        }
    }

    fn list(&mut self, of: &Ty, min: usize, value: &Value) -> Option<Value> {
        let Value::Array(items) = value else {
            return self.fail("Input should be a valid list", "list_type");
        };
        if items.len() < min {
            let plural = if min == 1 { "" } else { "s" };
            let found = items.len();
            return self.fail(
                format!("List should have at least {min} item{plural} after validation, not {found}"),
                "too_short",
            );
        }
        all(items.iter().enumerate().map(|(i, item)| self.within(i, |this| this.ty(of, item))))
            .map(Value::Array)
    }

    fn one_of(&mut self, texts: &[&str], kind: &'static str, value: &Value) -> Option<Value> {
        if value.as_str().is_some_and(|text| texts.contains(&text)) {
            return Some(value.clone());
        }
        let quoted: Vec<String> = texts.iter().map(|text| format!("'{text}'")).collect();
        let listed = match quoted.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => quoted.concat(),
        };
        self.fail(format!("Input should be {listed}"), kind)
    }

    fn union(&mut self, of: &[(&str, &Ty)], value: &Value) -> Option<Value> {
        let before = self.issues.len();
        for (label, ty) in of {
            let tried = self.issues.len();
            let found = self.within(*label, |this| this.ty(ty, value));
            if found.is_some() && self.issues.len() == tried {
                self.issues.truncate(before);
                return found;
            }
        }
        None
    }

    fn tagged(&mut self, by: &str, of: &[(&str, &Model)], value: &Value) -> Option<Value> {
        let Value::Object(map) = value else {
            return self.fail(BODY_NOT_AN_OBJECT, "model_attributes_type");
        };
        let Some(tag) = map.get(by) else {
            return self
                .fail(format!("Unable to extract tag using discriminator '{by}'"), "union_tag_not_found");
        };
        match of.iter().find(|(name, _)| tag.as_str() == Some(name)) {
            Some((name, model)) => self.within(*name, |this| this.model(model, value)).map(Value::Object),
            None => {
                let tag = tag.as_str().map_or_else(|| tag.to_string(), str::to_owned);
                let known: Vec<String> = of.iter().map(|(name, _)| format!("'{name}'")).collect();
                let known = known.join(", ");
                self.fail(
                    format!("Input tag '{tag}' found using '{by}' does not match any of the expected tags: {known}"),
                    "union_tag_invalid",
                )
            }
        }
    }

    fn model(&mut self, model: &Model, value: &Value) -> Option<Map<String, Value>> {
        let Value::Object(map) = value else {
            return match model.otherwise {
                NotAnObject::Body => self.fail(BODY_NOT_AN_OBJECT, "model_attributes_type"),
                NotAnObject::Instance(name) => self
                    .fail(format!("Input should be a valid dictionary or instance of {name}"), "model_type"),
                NotAnObject::Dict => self.fail("Input should be a valid dictionary", "dict_type"),
            };
        };
        let mut out = Map::new();
        for field in model.fields {
            if let Some(value) = self.within(field.name, |this| this.field(field, map.get(field.name))) {
                out.insert(field.name.to_owned(), value);
            }
        }
        if model.extra == Extra::Keep {
            let extra =
                map.iter().filter(|(key, _)| model.fields.iter().all(|field| field.name != key.as_str()));
            out.extend(extra.map(|(key, value)| (key.clone(), value.clone())));
        }
        Some(out)
    }

    fn field(&mut self, field: &Field, value: Option<&Value>) -> Option<Value> {
        match (value, field.need) {
            (Some(Value::Null), need) if need.takes_null() => Some(Value::Null),
            (Some(value), _) => self.ty(&field.ty, value),
            (None, Need::Required) => self.fail("Field required", "missing"),
            (None, Need::Optional) => Some(Value::Null),
            (None, Need::Fixed(text) | Need::Default(text)) => Some(text.into()),
            (None, Need::Number(number)) => Some(match field.ty {
                Ty::Float => (number as f64).into(),
                Ty::Bool => (number != 0).into(),
                _ => number.into(),
            }),
            (None, Need::Empty) => Some(match field.ty {
                Ty::Dict(_) => Map::new().into(),
                _ => Vec::<Value>::new().into(),
            }),
            (None, Need::Absent | Need::AbsentOrNull) => None,
        }
    }
}

const BODY_NOT_AN_OBJECT: &str = "Input should be a valid dictionary or object to extract fields from";

/// Every item, so that all violations are reported, not only the first.
fn all<T>(items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let items: Vec<Option<T>> = items.collect();
    items.into_iter().collect()
}
