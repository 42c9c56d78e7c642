//! What is wrong in the user's files: all of it at once, each with its place.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::Span;

/// One mistake in a file, a flag or the environment that the user can mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub message: String,
    pub span: Option<Span>,
    /// Short text under the marked place.
    pub label: Option<String>,
    /// A second place that matters, as the first of two definitions.
    pub other: Option<Box<(Span, String)>>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), span: None, label: None, other: None, help: None }
    }

    pub fn at(mut self, span: &Span) -> Self {
        self.span = Some(span.clone());
        self
    }

    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub fn other(mut self, span: &Span, label: impl Into<String>) -> Self {
        self.other = Some(Box::new((span.clone(), label.into())));
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The problem as printed: message, `file:line:column`, the quoted line, what to do.
    pub fn render(&self, color: bool) -> String {
        let mut group = Level::ERROR
            .primary_title(self.message.as_str())
            .elements(std::iter::empty::<annotate_snippets::Element<'_>>());
        if let Some(span) = &self.span {
            group = group.element(self.snippet(span));
            if let Some((other, label)) = self.other.as_deref().filter(|(other, _)| other.file != span.file) {
                let mark = AnnotationKind::Context.span(range(other)).label(label.as_str());
                group = group.element(
                    Snippet::source(other.file.text.as_str())
                        .path(other.file.path.to_string_lossy().into_owned())
                        .annotation(mark),
                );
            }
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.decor_style(DecorStyle::Ascii).render(&[group])
    }

    fn snippet<'a>(&'a self, span: &'a Span) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let mut mark = AnnotationKind::Primary.span(range(span));
        if let Some(label) = &self.label {
            mark = mark.label(label.as_str());
        }
        let mut snippet = Snippet::source(span.file.text.as_str())
            .path(span.file.path.to_string_lossy().into_owned())
            .annotation(mark);
        if let Some((other, label)) = self.other.as_deref().filter(|(other, _)| other.file == span.file) {
            snippet = snippet.annotation(AnnotationKind::Context.span(range(other)).label(label.as_str()));
        }
        snippet
    }
}

/// The marked range: never empty, on one line, on character boundaries.
fn range(span: &Span) -> std::ops::Range<usize> {
    let text = &span.file.text;
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let line_end = text[start..].find('\n').map_or(text.len(), |offset| start + offset);
    let mut end = span.end.clamp(start, line_end);
    while !text.is_char_boundary(end) {
        end += 1;
    }
    if end == start {
        end = text[start..line_end].chars().next().map_or(start, |c| start + c.len_utf8());
    }
    start..end
}

/// All problems found so far; `Ok` only when there are none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub fn push(&mut self, problem: Problem) {
        // Text that several cases share is read once for each.
        let known = |p: &Problem| p.message == problem.message && p.span == problem.span;
        if !self.0.iter().any(known) {
            self.0.push(problem);
        }
    }

    pub fn extend(&mut self, others: Problems) {
        others.0.into_iter().for_each(|problem| self.push(problem));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// `value` when nothing was wrong, all problems otherwise.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }

    /// All problems in the order of files and lines.
    pub fn sorted(&self) -> Vec<&Problem> {
        let mut sorted: Vec<&Problem> = self.0.iter().collect();
        sorted.sort_by(|a, b| place(a).cmp(&place(b)));
        sorted
    }

    /// All problems as printed, sorted, with a count at the end.
    pub fn render(&self, color: bool) -> String {
        let sorted = self.sorted();
        let mut text = sorted.iter().map(|p| p.render(color)).collect::<Vec<_>>().join("\n\n");
        let count =
            if sorted.len() == 1 { "1 problem".to_owned() } else { format!("{} problems", sorted.len()) };
        text.push_str(&format!("\n\n{count} found; nothing was run"));
        text
    }
}

fn place(problem: &Problem) -> Option<(&std::path::Path, usize)> {
    problem.span.as_ref().map(|span| (span.file.path.as_path(), span.start))
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceFile;

    #[test]
    fn a_problem_quotes_its_line_and_says_what_to_do() {
        let file = SourceFile::inline("suites/base.yaml", "name: base\nroots: [infrence]\n");
        let span = Span { file, start: 19, end: 27 };
        let problem = Problem::new("no such folder: infrence").at(&span).help("did you mean `inference`?");
        let want = "\
error: no such folder: infrence
 --> suites/base.yaml:2:9
  |
2 | roots: [infrence]
  |         ^^^^^^^^
  |
  = help: did you mean `inference`?";
        assert_eq!(problem.render(false), want);
    }

    #[test]
    fn marks_stay_on_character_boundaries_and_inside_the_file() {
        let file = SourceFile::inline("x.yaml", "é: ü\n");
        for start in 0..8 {
            for end in 0..12 {
                Problem::new("m").at(&Span { file: file.clone(), start, end }).render(false);
            }
        }
    }
}
