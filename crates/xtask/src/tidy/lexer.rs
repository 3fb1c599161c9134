//! Enough of Rust's lexical structure to tell code from comments and literals, and to cut code into tokens.

/// The same text twice, line for line and byte for byte: once only its code, once only its comments.
///
/// Delimiters of literals stay in the code and their contents become blanks, so that nothing in a string looks like code.
#[derive(Debug, PartialEq, Eq)]
pub struct Masked {
    pub code: String,
    pub comments: String,
}

/// An identifier, keyword or number, or one character of punctuation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    pub text: &'a str,
    /// From 1.
    pub line: usize,
}

pub fn mask(text: &str) -> Masked {
    let mut masker = Masker { text: text.as_bytes(), at: 0, code: Vec::new(), comments: Vec::new() };
    while masker.at < masker.text.len() {
        masker.step();
    }
    Masked {
        code: String::from_utf8_lossy(&masker.code).into_owned(),
        comments: String::from_utf8_lossy(&masker.comments).into_owned(),
    }
}

pub fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let word = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            let (text, tail) = rest.split_at(if word == 0 { first.len_utf8() } else { word });
            tokens.push(Token { text, line: number + 1 });
            rest = tail.trim_start();
        }
    }
    tokens
}

pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

struct Masker<'a> {
    text: &'a [u8],
    at: usize,
    code: Vec<u8>,
    comments: Vec<u8>,
}

impl Masker<'_> {
    fn step(&mut self) {
        let rest = &self.text[self.at..];
        if rest.starts_with(b"//") {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            self.comment(end);
        } else if rest.starts_with(b"/*") {
            self.comment(block_comment(rest));
        } else if let Some(hashes) = self.raw_string_hashes() {
            self.literal(2 + hashes, raw_string(rest, hashes), 1 + hashes);
        } else if rest[0] == b'"' {
            self.literal(1, quoted(rest, b'"'), 1);
        } else if rest[0] == b'\'' && is_char(rest) {
            self.literal(1, quoted(rest, b'\''), 1);
        } else {
            self.code.push(rest[0]);
            self.comments.push(blank(rest[0]));
            self.at += 1;
        }
    }

    fn comment(&mut self, len: usize) {
        let bytes = &self.text[self.at..self.at + len];
        self.comments.extend_from_slice(bytes);
        self.code.extend(bytes.iter().map(|byte| blank(*byte)));
        self.at += len;
    }

    /// Keeps `open` bytes at the front and `close` at the end, and blanks what is between.
    fn literal(&mut self, open: usize, len: usize, close: usize) {
        let bytes = &self.text[self.at..self.at + len];
        let kept = |index: usize| index < open || index + close >= len;
        let code =
            bytes.iter().enumerate().map(|(index, byte)| if kept(index) { *byte } else { blank(*byte) });
        self.code.extend(code);
        self.comments.extend(bytes.iter().map(|byte| blank(*byte)));
        self.at += len;
    }

    /// The number of `#` if a raw string begins here: `r"`, `r#"`, also after a `b` or `c`.
    fn raw_string_hashes(&self) -> Option<usize> {
        let rest = self.text[self.at..].strip_prefix(b"r")?;
        let hashes = rest.iter().take_while(|byte| **byte == b'#').count();
        let prefix = match self.text[..self.at] {
            [.., before, b'b' | b'c'] => before,
            [b'b' | b'c'] | [] => b' ',
            [.., before] => before,
        };
        (rest.get(hashes) == Some(&b'"') && !is_word(char::from(prefix))).then_some(hashes)
    }
}

fn blank(byte: u8) -> u8 {
    if byte == b'\n' { b'\n' } else { b' ' }
}

/// The length of a block comment, which may hold others.
fn block_comment(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        match rest[at..].get(..2) {
            Some(b"/*") => (at, depth) = (at + 2, depth + 1),
            Some(b"*/") => (at, depth) = (at + 2, depth - 1),
            Some(_) | None => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn raw_string(rest: &[u8], hashes: usize) -> usize {
    let close = [&b"\""[..], &b"#".repeat(hashes)].concat();
    let open = 2 + hashes;
    let inside = rest[open..].windows(close.len()).position(|window| window == close);
    inside.map_or(rest.len(), |inside| open + inside + close.len())
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Tells `'a'` and `'\n'` from the lifetime `'a`.
fn is_char(rest: &[u8]) -> bool {
    let width = match rest.get(1) {
        Some(b'\\') => return true,
        Some(byte) => match byte.leading_ones() {
            0 => 1,
            more => more as usize,
        },
        None => return false,
    };
    rest.get(1 + width) == Some(&b'\'')
}

#[cfg(test)]
mod tests {
    use super::{mask, tokens};

    /// The words and marks that remain of `given` as code.
    fn check(given: &str, then: &str) {
        let masked = mask(given);
        assert_eq!(masked.code.len(), given.len(), "the mask moved a byte");
        assert_eq!(masked.comments.len(), given.len(), "the mask moved a byte");
        let left: Vec<&str> = tokens(&masked.code).into_iter().map(|token| token.text).collect();
        assert_eq!(left.join(" "), then);
    }

    #[test]
    fn comments_are_not_code() {
        check("a // b {\nc", "a c");
        check("a /* b /* c */ d */ e", "a e");
        check("a /* never closed", "a");
    }

    #[test]
    fn contents_of_strings_are_not_code() {
        check(r#"f("a { \" }", b"{")"#, r#"f ( " " , b " " )"#);
        check(r##"f(r#"" { //"#, r"\", 1)"##, r##"f ( r # " " # , r " " , 1 )"##);
        check(r##"f(br#"{"#)"##, r##"f ( br # " " # )"##);
        check("f(\"two\nlines {\")", "f ( \" \" )");
    }

    #[test]
    fn characters_are_told_from_lifetimes() {
        check("f::<'a>('{', '\\'', '\\u{7d}', 'é', b'}')", "f : : < ' a > ( ' ' , ' ' , ' ' , ' ' , b ' ' )");
    }

    #[test]
    fn names_that_end_in_r_begin_no_raw_string() {
        check("for\"{\"; r#type", "for \" \" ; r # type");
    }

    #[test]
    fn comments_keep_their_lines() {
        assert_eq!(mask("a\n// b\n\"// c\"").comments, "  \n// b\n      ".replacen("  ", " ", 1));
    }
}
