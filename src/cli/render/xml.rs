//! XML: objects are elements, their values attributes.

use std::fmt::Write;

use super::document::{Object, Value};

/// The whole document, its root called `crossroads`.
pub(super) fn write(document: &Object) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    element(&mut out, "crossroads", document, 0);
    out
}

fn element(out: &mut String, name: &str, object: &Object, depth: usize) {
    let indent = "  ".repeat(depth);
    out.push_str(&indent);
    out.push('<');
    out.push_str(name);
    for (attribute, value) in &object.0 {
        if let Some(line) = value.to_line() {
            // Writing to a String cannot fail.
            let _ = write!(out, " {attribute}=\"");
            line.chars().for_each(|c| escape(out, c));
            out.push('"');
        }
    }
    let children: Vec<_> = object
        .0
        .iter()
        .flat_map(|(_, value)| parts(value))
        .collect();
    if children.is_empty() {
        out.push_str("/>\n");
        return;
    }
    out.push_str(">\n");
    for (child, object) in children {
        element(out, child, object, depth + 1);
    }
    let _ = writeln!(out, "{indent}</{name}>");
}

fn parts(value: &Value) -> impl Iterator<Item = (&'static str, &Object)> {
    let (name, objects) = match value {
        Value::Objects(name, objects) => (*name, objects.as_slice()),
        _ => ("", Default::default()),
    };
    objects.iter().map(move |object| (name, object))
}

/// White space but the blank would be made a blank by a reader; characters
/// that XML does not allow at all become U+FFFD.
fn escape(out: &mut String, c: char) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
        '\t' => out.push_str("&#9;"),
        '\n' => out.push_str("&#10;"),
        '\r' => out.push_str("&#13;"),
        '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
        other => out.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_become_elements_and_null_is_left_out() {
        let inner = Object(vec![("n", Value::Decimal(0.5)), ("none", Value::Null)]);
        let list = vec!["10/8".to_owned(), "192.0.2.1".to_owned()];
        let document = Object(vec![
            ("on", true.into()),
            ("list", list.into()),
            ("inners", Value::Objects("inner", vec![inner])),
        ]);

        assert_eq!(
            write(&document),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <crossroads on=\"true\" list=\"10/8&#10;192.0.2.1\">\n  \
             <inner n=\"0.500000\"/>\n\
             </crossroads>\n"
        );
    }

    #[test]
    fn no_text_breaks_out_of_its_attribute() {
        let text = "<a b=\"c\" d='e'>&\t\r\u{1}\u{e9}";
        let document = Object(vec![("text", text.into())]);

        let written = write(&document);

        let expected = "text=\"&lt;a b=&quot;c&quot; d='e'&gt;&amp;&#9;&#13;\u{fffd}\u{e9}\"/>\n";
        assert!(written.ends_with(expected), "{written}");
    }
}
