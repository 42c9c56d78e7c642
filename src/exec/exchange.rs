//! What an answer of the stack is made of, for reports that lay stacks side by side.

use std::sync::mpsc::Sender;

use super::event::{Event, ExchangeReport};
use crate::http::{BodyEnd, Request, Response};
use crate::record::structure::Structure;
use crate::record::{Answer, AnswerBody};
use crate::source::Span;

/// Tells of an exchange, should anybody want to know.
pub(super) fn tell(
    listener: Option<&Sender<Event>>,
    trial: &str,
    step: &Span,
    request: &Request,
    response: &Response,
) {
    if let Some(listener) = listener {
        let report = exchanged(trial, step, request, response);
        // Nobody listens any more only when the run is over.
        let _ = listener.send(Event::Exchanged(Box::new(report)));
    }
}

/// An exchange without what was said in it.
fn exchanged(trial: &str, step: &Span, request: &Request, response: &Response) -> ExchangeReport {
    let answer = Answer {
        status: response.status.as_u16(),
        headers: vec![("content-type".to_owned(), response.media_type())],
        wait: response.took,
        body: AnswerBody::Whole(response.body.clone()),
        cut: match &response.end {
            BodyEnd::Complete | BodyEnd::Aborted => None,
            BodyEnd::Cut(reason) => Some(reason.clone()),
        },
    };
    ExchangeReport {
        id: trial.to_owned(),
        place: step.file_line(),
        method: request.method.to_string(),
        path: request.path.clone(),
        took: response.took,
        answer: Structure::of(&answer),
    }
}
