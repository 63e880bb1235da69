//! A text of commands, taken apart into statements and words: shell above all, Python and JavaScript as far as they
//! start programs.
//!
//! Owns quotes, comments, redirections, here-documents and where a statement ends; knows no program.
//! What it cannot take apart stays together, so that less is seen rather than something that is not there.

/// One word, without its quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Whether any of it stood in quotes.
    pub(super) quoted: bool,
}

impl Word {
    /// Whether it is a text of its own, which somebody else may take apart.
    pub(super) fn is_text(&self) -> bool {
        self.quoted && self.text.trim().contains(char::is_whitespace)
    }
}

/// What is open, and what its end brings back.
enum Open {
    /// `{`: statements of their own.
    Braces,
    /// `(` behind a name, of a call: its arguments belong to the statement.
    Call,
    /// `(`: statements of their own.
    Group,
    /// `$(` or a backtick: statements of their own, within this one.
    Within(Vec<Word>, Word, char),
}

/// What a text is made of so far.
struct Taken<'a> {
    chars: &'a [char],
    at: usize,
    done: Vec<Vec<Word>>,
    statement: Vec<Word>,
    word: Word,
    /// Whether the next word is where a redirection goes.
    is_target: bool,
    open: Vec<Open>,
    /// The last character that is no blank.
    last: char,
    /// What ends a here-document that begins at the next line.
    here: Option<String>,
}

/// More that is open within each other than anybody writes.
const MAX_OPEN: usize = 64;

/// Programs whose here-document is shown or written, and not carried out.
const SHOWN: [&str; 6] = ["cat", "tee", "mail", "sendmail", "read", "logger"];

/// The statements of a text, each as its words without redirections and comments.
pub(super) fn statements(text: &str) -> Vec<Vec<Word>> {
    let chars: Vec<char> = text.chars().collect();
    let mut taken = Taken {
        chars: &chars,
        at: 0,
        done: Vec::new(),
        statement: Vec::new(),
        word: Word::default(),
        is_target: false,
        open: Vec::new(),
        last: '\n',
        here: None,
    };
    while let Some(c) = taken.next() {
        taken.take(c);
        if !c.is_whitespace() {
            taken.last = c;
        }
    }
    while taken.open.pop().map(|open| taken.close(open)).is_some() {}
    taken.end_statement();
    taken.done
}

impl Taken<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn take(&mut self, c: char) {
        let at_start = self.word.text.is_empty() && !self.word.quoted;
        match c {
            '\\' => match self.next() {
                Some('\n') | None => self.end_word(),
                Some(escaped) => self.word.text.push(escaped),
            },
            '\'' | '"' => self.quoted(c),
            '#' if at_start && self.peek() != Some('!') || c == '#' && self.at == 1 => {
                self.skip_line()
            }
            '/' if at_start && self.peek() == Some('/') => self.skip_line(),
            '/' if at_start && self.begins_block() => self.skip_block(),
            '\n' => self.end_line(),
            '$' if self.peek() == Some('(') => {
                self.at += 1;
                self.word.text.push('$');
                self.open_within(')');
            }
            '$' if self.peek() == Some('{') => self.braced(),
            '`' => match self.open.last() {
                Some(Open::Within(_, _, '`')) => self.close_last(),
                _ => {
                    self.word.text.push('$');
                    self.open_within('`');
                }
            },
            '(' if self
                .word
                .text
                .ends_with(|c: char| c.is_alphanumeric() || c == '_') =>
            {
                self.end_word();
                self.push_open(Open::Call);
            }
            '(' => {
                self.end_statement();
                self.push_open(Open::Group);
            }
            ')' => match self.open.last() {
                Some(Open::Within(_, _, '`') | Open::Braces) | None => self.end_statement(),
                Some(Open::Call | Open::Group | Open::Within(..)) => self.close_last(),
            },
            '{' => {
                self.end_statement();
                self.push_open(Open::Braces);
            }
            '}' => {
                self.end_statement();
                if matches!(self.open.last(), Some(Open::Braces)) {
                    self.close_last();
                }
            }
            '>' if self.last == '=' => {
                self.word = Word::default();
                self.end_statement();
            }
            '>' | '<' => self.redirection(c),
            '&' if self.peek() == Some('>') => self.end_word(),
            ';' | '|' | '&' => self.end_statement(),
            '[' if at_start && self.is_test() => self.word.text.push(c),
            '[' | ']' | ',' => self.end_word(),
            c if c.is_whitespace() => self.end_word(),
            c => self.word.text.push(c),
        }
    }

    /// Whether `[` is the command, and begins no list.
    fn is_test(&self) -> bool {
        let in_call = matches!(self.open.last(), Some(Open::Call));
        !in_call && self.peek().is_some_and(|c| "[ \t".contains(c))
    }

    fn push_open(&mut self, open: Open) {
        if self.open.len() < MAX_OPEN {
            self.open.push(open);
        }
    }

    fn open_within(&mut self, end: char) {
        if self.open.len() < MAX_OPEN {
            let statement = std::mem::take(&mut self.statement);
            let word = std::mem::take(&mut self.word);
            self.open.push(Open::Within(statement, word, end));
        }
    }

    fn close_last(&mut self) {
        if let Some(open) = self.open.pop() {
            self.close(open);
        }
    }

    fn close(&mut self, open: Open) {
        match open {
            Open::Call => self.end_word(),
            Open::Group | Open::Braces => self.end_statement(),
            Open::Within(statement, word, _) => {
                self.end_statement();
                self.statement = statement;
                self.word = word;
            }
        }
    }

    fn end_word(&mut self) {
        let word = std::mem::take(&mut self.word);
        if word.text.is_empty() && !word.quoted {
            return;
        }
        if std::mem::take(&mut self.is_target) {
            return;
        }
        self.statement.push(word);
    }

    fn end_statement(&mut self) {
        self.end_word();
        self.is_target = false;
        let statement = std::mem::take(&mut self.statement);
        if !statement.is_empty() {
            self.done.push(statement);
        }
    }

    fn end_line(&mut self) {
        let goes_on = matches!(self.open.last(), Some(Open::Call)) || ",[".contains(self.last);
        if goes_on {
            return self.end_word();
        }
        self.end_statement();
        let Some(tag) = self.here.take() else { return };
        let shows = |statement: &Vec<Word>| {
            statement
                .iter()
                .any(|word| SHOWN.contains(&word.text.as_str()))
        };
        if !self.done.last().is_some_and(shows) {
            return;
        }
        loop {
            let line: String = self.line();
            if line.trim() == tag || self.peek().is_none() {
                return;
            }
        }
    }

    /// The rest of the line, which is over after that.
    fn line(&mut self) -> String {
        let mut line = String::new();
        while let Some(c) = self.next().filter(|c| *c != '\n') {
            line.push(c);
        }
        line
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|c| c != '\n') {
            self.at += 1;
        }
    }

    /// Whether `/` begins a comment of JavaScript, and not a path with a star.
    fn begins_block(&self) -> bool {
        let after = self.chars.get(self.at + 1);
        self.peek() == Some('*') && after.is_none_or(|c| *c == '*' || c.is_whitespace())
    }

    fn skip_block(&mut self) {
        while let Some(c) = self.next() {
            if c == '*' && self.peek() == Some('/') {
                self.at += 1;
                return;
            }
        }
    }

    /// `${…}` stays as it is, a part of the word.
    fn braced(&mut self) {
        self.word.text.push('$');
        while let Some(c) = self.next() {
            self.word.text.push(c);
            if c == '}' || c == '\n' {
                return;
            }
        }
    }

    fn redirection(&mut self, c: char) {
        if self.word.text.chars().all(|c| c.is_ascii_digit()) && !self.word.quoted {
            self.word = Word::default();
        }
        self.end_word();
        if c == '<' && self.peek() == Some('<') && self.chars.get(self.at + 1) != Some(&'<') {
            self.at += 1;
            return self.here_document();
        }
        while self.peek().is_some_and(|next| "<>&|".contains(next)) {
            self.at += 1;
        }
        self.is_target = self.peek() != Some('(');
    }

    fn here_document(&mut self) {
        let mut tag = String::new();
        while let Some(c) = self
            .peek()
            .filter(|c| !c.is_whitespace() && !";|&)".contains(*c))
        {
            self.at += 1;
            tag.extend(Some(c).filter(|c| c.is_alphanumeric() || *c == '_'));
        }
        self.here = Some(tag).filter(|tag| !tag.is_empty());
    }

    /// What stands in quotes, of which `quote` was the first; one without an end is a character like others.
    fn quoted(&mut self, quote: char) {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        let is_triple = rest.starts_with(&[quote, quote]);
        let end: &[char] = if is_triple { &[quote; 3] } else { &[quote] };
        let mut from = if is_triple { 2 } else { 0 };
        let mut text = String::new();
        let mut depth = 0_usize;
        while let Some(c) = rest.get(from).copied() {
            let ahead = rest.get(from..).unwrap_or_default();
            if depth == 0 && ahead.starts_with(end) {
                self.at += from + end.len();
                // A prefix of Python's.
                if ["f", "r", "b", "u", "fr", "rf"].contains(&self.word.text.as_str()) {
                    self.word.text.clear();
                }
                self.word.quoted = true;
                self.word.text.push_str(&text);
                return;
            }
            from += 1;
            match c {
                '\\' if quote == '"' => {
                    let escaped = rest.get(from).copied();
                    from += 1;
                    text.extend(escaped.map(|c| if c == 'n' || c == '\n' { ' ' } else { c }));
                }
                '$' if quote == '"' && rest.get(from) == Some(&'(') => {
                    depth += 1;
                    from += 1;
                    text.push_str("$(");
                }
                '(' if 0 < depth => {
                    depth += 1;
                    text.push(c);
                }
                ')' if 0 < depth => {
                    depth -= 1;
                    text.push(c);
                }
                c => text.push(c),
            }
        }
        if is_triple {
            // Two quotes without anything in them, and another.
            self.at += 1;
            self.word.quoted = true;
        } else if !self.word.text.is_empty() {
            self.word.text.push(quote);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&[&str]]) {
        let found = statements(text);
        let found: Vec<Vec<&str>> = found
            .iter()
            .map(|words| words.iter().map(|word| word.text.as_str()).collect())
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_shell_script_is_taken_apart_into_its_commands() {
        check(
            "a b; c && d || e | f & g",
            &[&["a", "b"], &["c"], &["d"], &["e"], &["f"], &["g"]],
        );
        check("a >/dev/null 2>&1 b &> x < y c", &[&["a", "b", "c"]]);
        check(
            "a 'b; c' \"d && e\" f\\ g",
            &[&["a", "b; c", "d && e", "f g"]],
        );
        check("a # b\n# c\nd", &[&["a"], &["d"]]);
        check("#!/bin/sh\na", &[&["a"]]);
        check("a \\\n b", &[&["a", "b"]]);
        check(
            "kill -9 $(pgrep -f x) now",
            &[&["pgrep", "-f", "x"], &["kill", "-9", "$", "now"]],
        );
        check("kill `cat x`", &[&["cat", "x"], &["kill", "$"]]);
        check("f() { a; }\n(b)", &[&["f"], &["a"], &["b"]]);
        check(
            "X=\"$(dirname \"$0\")\" a",
            &[&["X=$(dirname \"$0\")", "a"]],
        );
        check("a ${B:-c d}/e", &[&["a", "${B:-c d}/e"]]);
        check("[ -f x ] && a", &[&["[", "-f", "x"], &["a"]]);
        check(
            "case $1 in\nstart) a ;;\nesac\nb",
            &[&["case", "$1", "in"], &["start"], &["a"], &["esac"], &["b"]],
        );
    }

    #[test]
    fn what_is_only_shown_is_left_out() {
        check("cat <<EOF\na b\nEOF\nc", &[&["cat"], &["c"]]);
        check("sh <<'EOF'\na b\nEOF", &[&["sh"], &["a", "b"], &["EOF"]]);
        check("cat <<EOF", &[&["cat"]]);
    }

    #[test]
    fn a_call_keeps_its_arguments_over_lines() {
        check(
            "run([\n 'a', \"b\",\n 'c d',\n])\nx()",
            &[&["run", "a", "b", "c d"], &["x"]],
        );
        check(
            "exec(`a b`) // c\nd",
            &[&["a", "b"], &["exec", "$"], &["d"]],
        );
        check("t(() => {\n a()\n b()\n})", &[&["t"], &["a"], &["b"]]);
        check("/* a\n b */ c /tmp/*", &[&["c", "/tmp/*"]]);
        check("f\"a {b}\" '''c\nd''' e", &[&["a {b}", "c\nd", "e"]]);
    }

    #[test]
    fn what_has_no_end_is_taken_as_it_is() {
        check("don't a", &[&["don't", "a"]]);
        check("'a", &[&["a"]]);
        check("\"\"\"a", &[&["a"]]);
        check("$(a", &[&["a"], &["$"]]);
        check(&"(".repeat(1000), &[]);
        check("${a", &[&["${a"]]);
    }
}
