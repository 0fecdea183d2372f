//! Changes of an XML document that leave everything else in it, byte by byte, as it is.

use std::ops::Range;

use roxmltree::Node;

/// What is to become of parts of a text. No two of them overlap.
pub struct Edits<'a> {
    text: &'a str,
    edits: Vec<(Range<usize>, String)>,
}

impl<'a> Edits<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, edits: Vec::new() }
    }

    /// An element goes, with the space before it.
    pub fn remove(&mut self, node: Node<'_, '_>) {
        let range = node.range();
        let before = self.text[..range.start].trim_end_matches([' ', '\t']);
        let start = if before.ends_with('\n') { before.len() - 1 } else { range.start };
        self.edits.push((start..range.end, String::new()));
    }

    pub fn replace(&mut self, node: Node<'_, '_>, xml: String) {
        self.edits.push((node.range(), xml));
    }

    /// Elements, one a line, after the last one in `parent`.
    pub fn append(&mut self, parent: Node<'_, '_>, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        let range = parent.range();
        let element = &self.text[range.clone()];
        let outer = self.indentation(range.start).to_owned();
        let inner = lines.iter().fold(String::new(), |text, line| format!("{text}\n{outer}  {line}"));
        if let Some(close) = element.rfind("</").filter(|_| !element.ends_with("/>")) {
            let close = range.start + close;
            let at = range.start + self.text[range.start..close].trim_end().len();
            let end = if self.text[at..close].contains('\n') { String::new() } else { format!("\n{outer}") };
            self.edits.push((at..at, inner + &end));
        } else {
            let length = element[1..].find(|c: char| c.is_whitespace() || c == '/' || c == '>');
            let name = &element[1..=length.unwrap_or(0)];
            self.edits.push((range.end - 2..range.end, format!(">{inner}\n{outer}</{name}>")));
        }
    }

    /// The white space between the line's begin and `at`, if there is nothing else.
    pub fn indentation(&self, at: usize) -> &'a str {
        let line = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let space = &self.text[line..at];
        if space.trim().is_empty() { space } else { "" }
    }

    /// The text with all of them.
    pub fn done(mut self) -> String {
        self.edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut text = self.text.to_owned();
        for (range, xml) in self.edits.into_iter().rev() {
            text.replace_range(range, &xml);
        }
        text
    }
}

/// A text as it is written in an element or in an attribute between double quotation marks.
pub fn escape(text: &str) -> String {
    let escaped = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        // Else an attribute's value is normalised (XML 1.0, 3.3.3).
        '\n' | '\r' | '\t' => format!("&#{};", u32::from(c)),
        c => c.to_string(),
    };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use roxmltree::Document;

    use super::*;

    fn edited(text: &str, edit: impl Fn(&mut Edits<'_>, &Document<'_>)) -> String {
        let document = Document::parse(text).unwrap();
        let mut edits = Edits::new(text);
        edit(&mut edits, &document);
        edits.done()
    }

    fn first<'a>(document: &'a Document<'_>, name: &str) -> Node<'a, 'a> {
        document.descendants().find(|node| node.has_tag_name(name)).unwrap()
    }

    #[test]
    fn comments_quotes_and_spaces_of_the_rest_stay() {
        let text = "<!-- a --><d  x='1'>\n  <e/>\n  <f>\n    <g/>\n  </f>\n</d>\n";
        let done = edited(text, |edits, document| {
            edits.append(first(document, "f"), &["<h/>".into()]);
            edits.append(first(document, "e"), &["<i/>".into()]);
            edits.remove(first(document, "g"));
        });
        assert_eq!(done, "<!-- a --><d  x='1'>\n  <e>\n    <i/>\n  </e>\n  <f>\n    <h/>\n  </f>\n</d>\n");
    }

    #[test]
    fn an_element_on_one_line_is_filled_too() {
        let done = edited("<d><f></f></d>", |edits, document| {
            edits.append(first(document, "f"), &["<h/>".into(), "<i/>".into()]);
        });
        assert_eq!(done, "<d><f>\n  <h/>\n  <i/>\n</f></d>");
    }

    #[test]
    fn what_is_escaped_is_read_back() {
        let text = "a\"<&>'\n\tb";
        let document = format!("<d a=\"{}\">{}</d>", escape(text), escape(text));
        let document = Document::parse(&document).unwrap();
        assert_eq!(document.root_element().attribute("a"), Some(text));
        assert_eq!(document.root_element().text(), Some(text));
    }
}
