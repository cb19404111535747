//! Enough of Rust's lexical structure to read code without its comments and strings: tokens with their lines.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ident,
    Punct,
    Text,
    Other,
}

/// A token. `::` is one token, every other punctuation mark stands alone.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    pub(crate) line: usize,
}

impl Token {
    pub(crate) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Text && self.text == text
    }
}

/// The tokens of `source`; comments are dropped, strings keep their content.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut lexer = Lexer { chars: source.chars().collect(), at: 0, line: 1, out: Vec::new() };
    while lexer.at < lexer.chars.len() {
        lexer.step();
    }
    lexer.out
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    out: Vec<Token>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn bump(&mut self) -> char {
        let c = self.peek(0);
        self.at += 1;
        if c == '\n' {
            self.line += 1;
        }
        c
    }

    fn push(&mut self, kind: Kind, text: String, line: usize) {
        self.out.push(Token { kind, text, line });
    }

    fn step(&mut self) {
        let (c, next, line) = (self.peek(0), self.peek(1), self.line);
        match c {
            _ if c.is_whitespace() => {
                self.bump();
            }
            '/' if next == '/' => {
                while self.at < self.chars.len() && self.peek(0) != '\n' {
                    self.bump();
                }
            }
            '/' if next == '*' => self.block_comment(),
            '"' => self.string(line),
            '\'' => self.quote(line),
            _ if c == '_' || c.is_alphabetic() => self.word(line),
            _ if c.is_ascii_digit() => {
                let mut text = String::new();
                while self.peek(0) == '_' || self.peek(0).is_alphanumeric() {
                    text.push(self.bump());
                }
                self.push(Kind::Other, text, line);
            }
            ':' if next == ':' => {
                self.bump();
                self.bump();
                self.push(Kind::Punct, "::".into(), line);
            }
            _ => {
                self.bump();
                self.push(Kind::Punct, c.into(), line);
            }
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    self.bump();
                    continue;
                }
            }
            self.bump();
            self.bump();
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self, line: usize) {
        self.bump();
        let mut text = String::new();
        while self.at < self.chars.len() {
            match self.bump() {
                '"' => break,
                '\\' => text.push(self.bump()),
                c => text.push(c),
            }
        }
        self.push(Kind::Text, text, line);
    }

    fn raw_string(&mut self, hashes: usize, line: usize) {
        for _ in 0..=hashes {
            self.bump();
        }
        let mut text = String::new();
        while self.at < self.chars.len() {
            if self.peek(0) == '"' && (1..=hashes).all(|ahead| self.peek(ahead) == '#') {
                for _ in 0..=hashes {
                    self.bump();
                }
                break;
            }
            text.push(self.bump());
        }
        self.push(Kind::Text, text, line);
    }

    /// A character literal or a lifetime.
    fn quote(&mut self, line: usize) {
        self.bump();
        if self.peek(0) == '\\' {
            self.bump();
            self.bump();
            while self.at < self.chars.len() && self.bump() != '\'' {}
        } else if self.peek(1) == '\'' {
            self.bump();
            self.bump();
        } else {
            while self.peek(0) == '_' || self.peek(0).is_alphanumeric() {
                self.bump();
            }
        }
        self.push(Kind::Other, "'".into(), line);
    }

    fn word(&mut self, line: usize) {
        let mut text = String::new();
        while self.peek(0) == '_' || self.peek(0).is_alphanumeric() {
            text.push(self.bump());
        }
        let raw = matches!(text.as_str(), "r" | "br" | "cr");
        let hashes = (0..).take_while(|ahead| self.peek(*ahead) == '#').count();
        match self.peek(0) {
            '"' if raw => self.raw_string(0, line),
            '"' if matches!(text.as_str(), "b" | "c") => self.string(line),
            '\'' if text == "b" => self.quote(line),
            '#' if raw && self.peek(hashes) == '"' => self.raw_string(hashes, line),
            '#' if text == "r" => {
                self.bump();
                self.word(line);
            }
            _ => self.push(Kind::Ident, text, line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        tokens(source).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_are_dropped_and_strings_are_one_token() {
        assert_eq!(texts("a /* b /* c */ d */ \"e // f\" // g\nh"), ["a", "e // f", "h"]);
        assert_eq!(texts(r##"r#"x " y"# b"z" r#type"##), ["x \" y", "z", "type"]);
    }

    #[test]
    fn lifetimes_and_characters_do_not_open_strings() {
        assert_eq!(texts("&'a str '\"' b'\\'' '\\u{1F}' x"), ["&", "'", "str", "'", "'", "'", "x"]);
    }

    #[test]
    fn lines_are_counted_through_strings() {
        let lines: Vec<usize> = tokens("a \"\n\n\" b\nc").iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 1, 3, 4]);
    }
}
