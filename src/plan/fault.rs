//! Declared faults, from what is written to what the proxy does.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use crate::record::{Effect, Fault, Occurrence};
use crate::schema;
use crate::source::{Located, Problem, Problems};

/// Lowers a fault; `None` when it says nothing that could happen.
pub(super) fn fault(written: &schema::Fault, problems: &mut Problems) -> Option<Located<Fault>> {
    let calls = occurrence(written, problems);
    let effect = effect(written, problems);
    if !matches!(effect, Some(Effect::Status { .. }) | None) {
        let extra = written.retry_after.as_ref().map(|given| given.problem("`retry_after` needs `status`"));
        let more = written.should_retry.as_ref().map(|given| given.problem("`should_retry` needs `status`"));
        extra.into_iter().chain(more).for_each(|problem| problems.push(problem));
    }
    let text = |given: &Option<Located<String>>| given.as_ref().map(|text| text.value.clone());
    let fault = Fault {
        provider: text(&written.provider),
        endpoint: text(&written.endpoint),
        calls: calls?,
        delay: written.delay.unwrap_or(Duration::ZERO),
        effect: effect?,
    };
    Some(Located::new(fault, written.span.clone()))
}

fn occurrence(written: &schema::Fault, problems: &mut Problems) -> Option<Occurrence> {
    let count = |given: &Located<u64>, problems: &mut Problems| {
        let count = u32::try_from(given.value).ok().and_then(NonZeroU32::new);
        if count.is_none() {
            problems.push(given.problem("calls are counted from 1"));
        }
        count
    };
    match (&written.first, &written.nth) {
        (None, None) => Some(Occurrence::Every),
        (Some(first), None) => count(first, problems).map(Occurrence::First),
        (None, Some(nth)) => count(nth, problems).map(Occurrence::Nth),
        (Some(first), Some(nth)) => {
            let problem = nth.problem("a fault has `first` or `nth`, not both");
            problems.push(problem.other(&first.span, "`first` is here"));
            None
        }
    }
}

fn effect(written: &schema::Fault, problems: &mut Problems) -> Option<Effect> {
    let status = written.status.as_ref().map(|given| (given.span.clone(), status(written, given, problems)));
    let refuse = written.refuse.as_ref().map(|given| {
        if !given.value {
            problems.push(given.problem("`refuse` is true or not written at all"));
        }
        (given.span.clone(), given.value.then_some(Effect::Refused))
    });
    let cut = written.cut_after_events.as_ref().map(|given| {
        let count = usize::try_from(given.value).unwrap_or(usize::MAX);
        (given.span.clone(), Some(Effect::CutAfterEvents(count)))
    });
    let malformed = written.malformed_event.as_ref().map(|given| {
        let number = usize::try_from(given.value).ok().and_then(NonZeroUsize::new);
        if number.is_none() {
            problems.push(given.problem("events are counted from 1"));
        }
        (given.span.clone(), number.map(Effect::MalformedEvent))
    });
    let mut given: Vec<_> = [status, refuse, cut, malformed].into_iter().flatten().collect();
    match given.len() {
        0 if written.delay.is_some() => Some(Effect::Delayed),
        0 => {
            let problem = Problem::new("this fault does nothing").at(&written.span);
            problems.push(problem.help(
                "write one of `status`, `refuse`, `cut_after_events` and `malformed_event`, or a `delay`",
            ));
            None
        }
        1 => given.remove(0).1,
        _ => {
            let problem = Problem::new("one call cannot fail in two ways").at(&given[1].0);
            problems.push(
                problem
                    .help("write two faults, and `first` or `nth` in each")
                    .other(&given[0].0, "first here"),
            );
            None
        }
    }
}

fn status(written: &schema::Fault, given: &Located<u64>, problems: &mut Problems) -> Option<Effect> {
    let code = u16::try_from(given.value).ok().filter(|code| (400..600).contains(code));
    if code.is_none() {
        problems.push(given.problem("the status of a fault is an error, from 400 to 599"));
    }
    Some(Effect::Status {
        code: code?,
        retry_after: written.retry_after.as_ref().map(|after| after.value),
        should_retry: written.should_retry.as_ref().map(|retry| retry.value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceFile;

    /// What the fault comes to, or everything that is wrong with it.
    fn lowered(text: &str) -> String {
        let mut problems = Problems::default();
        let file = SourceFile::inline("t.yaml", text);
        let written = crate::schema::parse::<schema::Fault>(&file, &mut problems);
        let fault = written.and_then(|written| fault(&written, &mut problems));
        let place = |p: &Problem| p.span.as_ref().map(|span| span.line_column().1).unwrap_or_default();
        let mut lines: Vec<_> = problems.iter().map(|p| format!("{} {}", place(p), p.message)).collect();
        lines.extend(fault.filter(|_| lines.is_empty()).map(|fault| format!("{} {:?}", *fault, fault.delay)));
        lines.join("; ")
    }

    #[test]
    fn faults_are_lowered() {
        let cases = [
            (
                "{endpoint: /chat/completions, first: 1, status: 429, retry_after: 1s}",
                "status 429 for the first call to /chat/completions 0ns",
            ),
            ("{provider: p, nth: 2, refuse: true}", "connection refused for call 2 of p 0ns"),
            ("{cut_after_events: 0}", "cut after 0 events for calls 0ns"),
            ("{malformed_event: 2, delay: 5ms}", "event 2 malformed for calls 5ms"),
            ("{delay: 300ms}", "delay of 300ms for calls 300ms"),
        ];
        for (text, want) in cases {
            assert_eq!(lowered(text), want, "{text}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        let cases = [
            ("{endpoint: /x}", "1 this fault does nothing"),
            ("{status: 200}", "10 the status of a fault is an error, from 400 to 599"),
            ("{status: 500, refuse: true}", "23 one call cannot fail in two ways"),
            ("{refuse: false}", "10 `refuse` is true or not written at all"),
            ("{first: 1, nth: 2, refuse: true}", "17 a fault has `first` or `nth`, not both"),
            ("{first: 0, status: 500}", "9 calls are counted from 1"),
            ("{malformed_event: 0}", "19 events are counted from 1"),
            (
                "{delay: 1s, retry_after: 1s, should_retry: true}",
                "26 `retry_after` needs `status`; 44 `should_retry` needs `status`",
            ),
            ("{statsu: 500}", "2 unknown key `statsu`; 1 this fault does nothing"),
        ];
        for (text, want) in cases {
            assert_eq!(lowered(text), want, "{text}");
        }
    }
}
