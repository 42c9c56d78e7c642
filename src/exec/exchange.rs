//! What an answer of the stack is made of, for reports that lay stacks side by side.

use std::sync::mpsc::Sender;

use super::event::{Event, ExchangeReport};
use super::trace::Asked;
use crate::http::{BodyEnd, Request, Response};
use crate::record::structure::Structure;
use crate::record::{Answer, AnswerBody};
use crate::secret::Redactor;

/// Tells of an exchange, should anybody want to know.
pub(super) fn tell(
    listener: Option<&(Sender<Event>, Redactor)>,
    asked: Asked<'_>,
    request: &Request,
    response: &Response,
) {
    if let Some((listener, redactor)) = listener {
        let mut report = exchanged(asked, request, response);
        report.path = redactor.apply(&report.path);
        // Nobody listens any more only when the run is over.
        let _ = listener.send(Event::Exchanged(Box::new(report)));
    }
}

/// An exchange without what was said in it.
fn exchanged(asked: Asked<'_>, request: &Request, response: &Response) -> ExchangeReport {
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
    let written = asked.plan.path.pattern();
    ExchangeReport {
        id: asked.trial.to_owned(),
        place: asked.step.file_line(),
        method: request.method.to_string(),
        path: request.path.clone(),
        endpoint: written.split('?').next().unwrap_or_default().to_owned(),
        took: response.took,
        answer: Structure::of(&answer),
    }
}
