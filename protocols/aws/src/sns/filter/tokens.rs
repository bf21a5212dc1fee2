//! JSON in pieces that know where they are: SNS's complaints say line and column as the parser behind it (Jackson) counts them.

use serde_json::Value as Json;

/// Deepest nesting.
const DEPTH_MAX: usize = 100;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    ObjectStart,
    ObjectEnd,
    ArrayStart,
    ArrayEnd,
    Field(String),
    /// Text, a number, a truth or null.
    Scalar(Json),
}

/// One piece.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub kind: Kind,
    /// Where the parser is when it has seen it: texts are only begun.
    pub seen_at: Place,
    /// Where it is when it has read it.
    pub read_at: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub line: usize,
    pub column: usize,
}

/// Takes the text apart.
///
/// # Errors
/// It is no JSON: what Jackson says.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut reader = Reader { rest: text, place: Place { line: 1, column: 1 }, tokens: Vec::new() };
    reader.value(0)?;
    // The place of a field is that of its value: the parser looks ahead.
    let places: Vec<Place> = reader.tokens.iter().map(|token| token.seen_at).collect();
    for (token, next) in reader.tokens.iter_mut().zip(places.into_iter().skip(1)) {
        if matches!(token.kind, Kind::Field(_)) {
            (token.seen_at, token.read_at) = (next, next);
        }
    }
    Ok(reader.tokens)
}

struct Reader<'a> {
    rest: &'a str,
    place: Place,
    tokens: Vec<Token>,
}

impl Reader<'_> {
    fn advance(&mut self, bytes: usize) {
        for character in self.rest[..bytes].chars() {
            match character {
                '\n' => self.place = Place { line: self.place.line + 1, column: 1 },
                _ => self.place.column += 1,
            }
        }
        self.rest = &self.rest[bytes..];
    }

    fn peek(&mut self) -> Option<char> {
        let blank = self.rest.len() - self.rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        self.advance(blank);
        self.rest.chars().next()
    }

    fn push(&mut self, kind: Kind, seen_at: Place) {
        self.tokens.push(Token { kind, seen_at, read_at: self.place });
    }

    fn mark(&mut self, kind: Kind) {
        self.advance(1);
        self.push(kind, self.place);
    }

    fn complain(&self, text: &str) -> String {
        let Place { line, column } = self.place;
        format!(
            "failed to parse JSON. {text}\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` \
             disabled); line: {line}, column: {column}]"
        )
    }

    fn unexpected(&self, found: Option<char>, expected: &str) -> String {
        match found {
            None => self.complain("Unexpected end-of-input"),
            Some(found) => {
                self.complain(&format!("Unexpected character ('{found}' (code {})): {expected}", u32::from(found)))
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(self.complain("Document nesting is too deep"));
        }
        match self.peek() {
            Some('{') => self.object(depth),
            Some('[') => self.array(depth),
            Some('"') => {
                let seen_at = Place { column: self.place.column + 1, ..self.place };
                let text = self.text()?;
                self.push(Kind::Scalar(Json::String(text)), seen_at);
                Ok(())
            }
            Some(_) => self.word(),
            None => Err(self.unexpected(None, "")),
        }
    }

    fn text(&mut self) -> Result<String, String> {
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find(|(_, character)| {
            let is_end = *character == '"' && !escaped;
            escaped = *character == '\\' && !escaped;
            is_end
        });
        let Some((end, _)) = end else { return Err(self.complain("Unexpected end-of-input in VALUE_STRING")) };
        let parsed = serde_json::from_str(&self.rest[..=end]);
        let parsed = parsed.map_err(|_| self.complain("Unrecognized character escape"))?;
        self.advance(end + 1);
        Ok(parsed)
    }

    /// A number, a truth, null, or nothing that there is.
    fn word(&mut self) -> Result<(), String> {
        let is_part = |character: char| character.is_alphanumeric() || ['+', '-', '.', '_', '$'].contains(&character);
        let end = self.rest.find(|character| !is_part(character)).unwrap_or(self.rest.len());
        let word = self.rest[..end].to_owned();
        if word.is_empty() {
            let found = self.rest.chars().next();
            return Err(self.unexpected(
                found,
                "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')",
            ));
        }
        self.advance(end);
        match serde_json::from_str::<Json>(&word) {
            Ok(scalar) => {
                self.push(Kind::Scalar(scalar), self.place);
                Ok(())
            }
            Err(_) => Err(self.complain(&format!(
                "Unrecognized token '{word}': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or \
                 'false')"
            ))),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), String> {
        self.mark(Kind::ObjectStart);
        let mut is_first = true;
        loop {
            match self.peek() {
                Some('}') => {
                    self.mark(Kind::ObjectEnd);
                    return Ok(());
                }
                Some(',') if !is_first => {
                    self.advance(1);
                    self.peek();
                }
                found if !is_first => {
                    return Err(self.unexpected(found, "was expecting comma to separate Object entries"));
                }
                _ => {}
            }
            is_first = false;
            match self.peek() {
                Some('"') => {}
                found => return Err(self.unexpected(found, "was expecting double-quote to start field name")),
            }
            let name = self.text()?;
            self.push(Kind::Field(name), self.place);
            match self.peek() {
                Some(':') => self.advance(1),
                found => return Err(self.unexpected(found, "was expecting a colon to separate field name and value")),
            }
            self.value(depth + 1)?;
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), String> {
        self.mark(Kind::ArrayStart);
        let mut is_first = true;
        loop {
            match self.peek() {
                Some(']') => {
                    self.mark(Kind::ArrayEnd);
                    return Ok(());
                }
                Some(',') if !is_first => self.advance(1),
                found if !is_first => {
                    return Err(self.unexpected(found, "was expecting comma to separate Array entries"));
                }
                _ => {}
            }
            is_first = false;
            self.value(depth + 1)?;
        }
    }
}
