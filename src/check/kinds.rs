//! What is checked: one variant per thing that can be looked at.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::matcher::{Matcher, map_all};
use super::path::Path;
use super::scalar::{Parse, Range, StatusIs, named};

/// One expectation of a step. In YAML each is a key, the snake_case of the variant's name.
#[derive(Debug, Clone, PartialEq)]
pub enum Check<T> {
    Status(StatusIs<T>),
    /// A response header as text; repeated ones are joined with `, `. An absent header is a missing node.
    Header {
        name: String,
        check: PathCheck<T>,
    },
    /// The body as text.
    Body(PathCheck<T>),
    /// The body's bytes as base64 text, for bodies that are no text.
    BodyBase64(PathCheck<T>),
    /// The body as JSON.
    Json(PathCheck<T>),
    /// The list of the stream's events, each decoded from JSON, without a `[DONE]` at the end.
    Events(PathCheck<T>),
    /// The stream put together into the object that the same request returns without streaming.
    Assembled(PathCheck<T>),
    /// The strings that `at` finds in each event, concatenated. Nulls are skipped.
    Joined(PathCheck<T>),
    /// A kept or computed value.
    Value {
        of: T,
        check: PathCheck<T>,
    },
    Error(ErrorIs<T>),
    Stream(Box<StreamIs<T>>),
    /// The JSON bodies of requests that the stack sent to its provider. At least one was sent.
    ProviderRequest {
        call: ProviderCall,
        which: Which,
        check: PathCheck<T>,
    },
    /// How many requests the stack sent to its provider.
    ProviderCalls {
        call: ProviderCall,
        count: Range<T>,
    },
    /// The list of what an MCP server received meanwhile: with `tool`, the calls of that tool; else the requests of
    /// `method`.
    McpCalls {
        /// Name of the fixture that is the server.
        server: String,
        method: String,
        tool: Option<String>,
        check: PathCheck<T>,
    },
    /// An expression that came out as `true`.
    Assert(T),
}

/// Matchers for the nodes that a path finds in a document.
#[derive(Debug, Clone, PartialEq)]
pub struct PathCheck<T> {
    pub at: Path,
    /// Applied to each node first; the matchers then see what came of it.
    pub parse: Option<Parse>,
    /// Whether it is right when the path finds nothing, or only `null`.
    pub if_present: bool,
    /// All must hold. None at all means that something must be there.
    pub matchers: Vec<Matcher<T>>,
}

/// An error response, whichever shape it has.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorIs<T> {
    /// Any status from 400 when absent.
    pub status: Option<StatusIs<T>>,
    /// Applied to the error's message: Llama Stack's `detail` or `error.message`, its list of validation
    /// errors as `loc: msg` joined with `; `, or the whole body when it has another shape.
    pub message: Vec<Matcher<T>>,
    /// The error comes as an event of a stream whose status is 2xx, not as a status.
    pub in_stream: bool,
}

/// The course of a stream, whatever it says. Always required: every event is well-formed JSON, nothing
/// comes after the end, the last event is complete and the connection ended properly.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamIs<T> {
    pub format: Option<StreamFormat>,
    pub terminal: Option<Terminal<T>>,
    /// How many events, the `[DONE]` not counted (`min_events`, `max_events`).
    pub events: Range<T>,
    /// Where an event has its name. When absent: the `event:` field, else `$.type`, else Llama Stack's
    /// `$.event.payload.event_type`.
    pub name_at: Option<Path>,
    /// Name of the first event.
    pub first: Option<T>,
    /// Name of the last event, `[DONE]` not counted.
    pub last: Option<T>,
    /// Names of which each occurs after the one before it; others may come between.
    pub in_order: Vec<T>,
    pub between: Vec<Between<T>>,
    /// Whether an event may carry a top-level `error`. Otherwise such an event is a mismatch.
    pub allow_error: bool,
    /// Time from the request to the first event.
    pub first_within: Option<Duration>,
    /// The longest silence between two events.
    pub largest_gap: Option<Duration>,
}

/// Every event named `event`, of which there is one, comes after the first `after` and before the last `before`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Between<T> {
    pub event: T,
    pub after: Option<T>,
    pub before: Option<T>,
}

/// How a stream says that it is over.
#[derive(Debug, Clone, PartialEq)]
pub enum Terminal<T> {
    /// Exactly one event with this data, and it is the last: `[DONE]`.
    Data(T),
    /// No `[DONE]`; the stream just ends.
    None,
    /// Exactly one event satisfies this, and it is the last.
    Event(PathCheck<T>),
}

named! {
    /// How a streamed body is framed.
    StreamFormat {
        /// Server-sent events, `text/event-stream`.
        Sse = "sse",
        /// One JSON document per line, `application/x-ndjson`.
        Ndjson = "ndjson",
    }
}

/// Which of the stack's outbound requests are meant. Without fields: all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderCall {
    /// Name of the provider, as `ollama`.
    pub provider: Option<String>,
    /// The path or its end, as `/v1/chat/completions` or `/chat/completions`. Queries do not count.
    pub endpoint: Option<String>,
}

/// Which of the selected requests must satisfy the matchers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Which {
    #[default]
    Every,
    /// At least one.
    Some,
    /// In the order they were made, from 1.
    Nth(NonZeroUsize),
    Last,
}

impl<T> Check<T> {
    /// Turns every expected value into its next stage (fills templates); stops at the first error.
    pub fn try_map<U, E>(&self, f: &mut impl FnMut(&T) -> Result<U, E>) -> Result<Check<U>, E> {
        let f: &mut dyn FnMut(&T) -> Result<U, E> = f;
        Ok(match self {
            Self::Status(status) => Check::Status(status.map_dyn(f)?),
            Self::Header { name, check } => Check::Header { name: name.clone(), check: check.map_dyn(f)? },
            Self::Body(check) => Check::Body(check.map_dyn(f)?),
            Self::BodyBase64(check) => Check::BodyBase64(check.map_dyn(f)?),
            Self::Json(check) => Check::Json(check.map_dyn(f)?),
            Self::Events(check) => Check::Events(check.map_dyn(f)?),
            Self::Assembled(check) => Check::Assembled(check.map_dyn(f)?),
            Self::Joined(check) => Check::Joined(check.map_dyn(f)?),
            Self::Value { of, check } => Check::Value { of: f(of)?, check: check.map_dyn(f)? },
            Self::Error(error) => Check::Error(ErrorIs {
                status: error.status.as_ref().map(|status| status.map_dyn(f)).transpose()?,
                message: map_all(&error.message, f)?,
                in_stream: error.in_stream,
            }),
            Self::Stream(stream) => Check::Stream(Box::new(stream.map_dyn(f)?)),
            Self::ProviderRequest { call, which, check } => {
                Check::ProviderRequest { call: call.clone(), which: *which, check: check.map_dyn(f)? }
            }
            Self::ProviderCalls { call, count } => {
                Check::ProviderCalls { call: call.clone(), count: count.try_map(&mut |t| f(t))? }
            }
            Self::McpCalls { server, method, tool, check } => Check::McpCalls {
                server: server.clone(),
                method: method.clone(),
                tool: tool.clone(),
                check: check.map_dyn(f)?,
            },
            Self::Assert(expression) => Check::Assert(f(expression)?),
        })
    }
}

impl<T> PathCheck<T> {
    /// Matchers for what is found at `at`.
    pub fn new(at: Path, matchers: Vec<Matcher<T>>) -> Self {
        Self { at, parse: None, if_present: false, matchers }
    }

    /// Matchers for the whole document.
    pub fn whole(matchers: Vec<Matcher<T>>) -> Self {
        Self::new(Path::root(), matchers)
    }

    /// As [`Check::try_map`].
    pub fn try_map<U, E>(&self, f: &mut impl FnMut(&T) -> Result<U, E>) -> Result<PathCheck<U>, E> {
        self.map_dyn(f)
    }

    pub(super) fn map_dyn<U, E>(&self, f: &mut dyn FnMut(&T) -> Result<U, E>) -> Result<PathCheck<U>, E> {
        Ok(PathCheck {
            at: self.at.clone(),
            parse: self.parse,
            if_present: self.if_present,
            matchers: map_all(&self.matchers, f)?,
        })
    }
}

impl<T> StatusIs<T> {
    fn map_dyn<U, E>(&self, f: &mut dyn FnMut(&T) -> Result<U, E>) -> Result<StatusIs<U>, E> {
        Ok(match self {
            Self::OneOf(codes) => StatusIs::OneOf(codes.clone()),
            Self::Computed(value) => StatusIs::Computed(f(value)?),
        })
    }
}

// By hand: derived, these would demand `T: Default`.
impl<T> Default for ErrorIs<T> {
    fn default() -> Self {
        Self { status: None, message: Vec::new(), in_stream: false }
    }
}

impl<T> Default for StreamIs<T> {
    fn default() -> Self {
        Self {
            format: None,
            terminal: None,
            events: Range { min: None, max: None },
            name_at: None,
            first: None,
            last: None,
            in_order: Vec::new(),
            between: Vec::new(),
            allow_error: false,
            first_within: None,
            largest_gap: None,
        }
    }
}

impl<T> StreamIs<T> {
    fn map_dyn<U, E>(&self, f: &mut dyn FnMut(&T) -> Result<U, E>) -> Result<StreamIs<U>, E> {
        let between = self.between.iter().map(|rule| {
            Ok(Between {
                event: f(&rule.event)?,
                after: rule.after.as_ref().map(&mut *f).transpose()?,
                before: rule.before.as_ref().map(&mut *f).transpose()?,
            })
        });
        let between = between.collect::<Result<_, E>>()?;
        Ok(StreamIs {
            format: self.format,
            terminal: match &self.terminal {
                None => None,
                Some(Terminal::None) => Some(Terminal::None),
                Some(Terminal::Data(data)) => Some(Terminal::Data(f(data)?)),
                Some(Terminal::Event(check)) => Some(Terminal::Event(check.map_dyn(f)?)),
            },
            events: self.events.try_map(&mut |t| f(t))?,
            name_at: self.name_at.clone(),
            first: self.first.as_ref().map(&mut *f).transpose()?,
            last: self.last.as_ref().map(&mut *f).transpose()?,
            in_order: self.in_order.iter().map(&mut *f).collect::<Result<_, E>>()?,
            between,
            allow_error: self.allow_error,
            first_within: self.first_within,
            largest_gap: self.largest_gap,
        })
    }
}
