//! `-k EXPR`: substrings of trial ids joined by `and`, `or`, `not` and parentheses, as in pytest.

/// A parsed expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keyword {
    /// Lower-case text that must occur in the lower-case id.
    Part(String),
    Not(Box<Keyword>),
    And(Box<Keyword>, Box<Keyword>),
    Or(Box<Keyword>, Box<Keyword>),
}

/// What is wrong with an expression, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeywordError {
    pub message: String,
    pub at: usize,
}

impl std::fmt::Display for KeywordError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "-k: {} at character {}", self.message, self.at + 1)
    }
}

impl Keyword {
    pub fn parse(text: &str) -> Result<Self, KeywordError> {
        let mut parser = Parser { tokens: tokens(text), next: 0, end: text.len() };
        let parsed = parser.either()?;
        match parser.tokens.get(parser.next) {
            None => Ok(parsed),
            Some((at, token)) => Err(KeywordError { message: format!("unexpected `{token}`"), at: *at }),
        }
    }

    pub fn matches(&self, id: &str) -> bool {
        self.holds(&id.to_lowercase())
    }

    fn holds(&self, id: &str) -> bool {
        match self {
            Self::Part(part) => id.contains(part),
            Self::Not(inner) => !inner.holds(id),
            Self::And(a, b) => a.holds(id) && b.holds(id),
            Self::Or(a, b) => a.holds(id) || b.holds(id),
        }
    }
}

fn tokens(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices() {
        if c.is_whitespace() || c == '(' || c == ')' {
            if let Some(from) = start.take() {
                found.push((from, &text[from..at]));
            }
            if !c.is_whitespace() {
                found.push((at, &text[at..=at]));
            }
        } else if start.is_none() {
            start = Some(at);
        }
    }
    found.extend(start.map(|from| (from, &text[from..])));
    found
}

struct Parser<'a> {
    tokens: Vec<(usize, &'a str)>,
    next: usize,
    end: usize,
}

impl Parser<'_> {
    fn take(&mut self, word: &str) -> bool {
        let found = self.tokens.get(self.next).is_some_and(|(_, token)| *token == word);
        self.next += usize::from(found);
        found
    }

    fn either(&mut self) -> Result<Keyword, KeywordError> {
        let mut left = self.both()?;
        while self.take("or") {
            left = Keyword::Or(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Keyword, KeywordError> {
        let mut left = self.one()?;
        while self.take("and") {
            left = Keyword::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Keyword, KeywordError> {
        if self.take("not") {
            return Ok(Keyword::Not(Box::new(self.one()?)));
        }
        if self.take("(") {
            let inner = self.either()?;
            let at = self.tokens.get(self.next).map_or(self.end, |(at, _)| *at);
            return if self.take(")") {
                Ok(inner)
            } else {
                Err(KeywordError { message: "`)` expected".to_owned(), at })
            };
        }
        match self.tokens.get(self.next) {
            Some((_, part)) if !["and", "or", ")"].contains(part) => {
                self.next += 1;
                Ok(Keyword::Part(part.to_lowercase()))
            }
            Some((at, token)) => Err(KeywordError { message: format!("unexpected `{token}`"), at: *at }),
            None => Err(KeywordError { message: "a word is missing".to_owned(), at: self.end }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(expression: &str, id: &str, want: bool) {
        assert_eq!(Keyword::parse(expression).map(|k| k.matches(id)), Ok(want), "{expression}");
    }

    #[test]
    fn and_binds_tighter_than_or_and_case_does_not_matter() {
        let id = "inference/chat::streaming[txt=Ollama/x]";
        check("chat", id, true);
        check("ollama and not vision", id, true);
        check("vision or chat and streaming", id, true);
        check("(vision or chat) and embeddings", id, false);
        check("not( builtin_tool or test_rag )", id, true);
        check("txt=ollama/x", id, true);
    }

    #[test]
    fn mistakes_say_where() {
        let error = |text: &str| Keyword::parse(text).expect_err("is wrong").to_string();
        assert_eq!(error("a and"), "-k: a word is missing at character 6");
        assert_eq!(error("(a or b"), "-k: `)` expected at character 8");
        assert_eq!(error("a b"), "-k: unexpected `b` at character 3");
        assert_eq!(error("or a"), "-k: unexpected `or` at character 1");
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_an_error(text in "[a-z()é ]{0,24}|(and|or|not|\\(|\\)| ){0,8}") {
            let _ = Keyword::parse(&text).map(|k| k.matches("some/id"));
        }
    }
}
