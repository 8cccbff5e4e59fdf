//! The grammar put to use; the only file that names pest's `Rule`.

use pest::Parser;
use pest::iterators::Pair;

use super::ast::{End, Item, RawText, Span, Statement};

mod generated {
    #![allow(missing_docs, reason = "written by pest's macro")]

    /// The parser that pest makes of the grammar.
    #[derive(pest_derive::Parser)]
    #[grammar = "../grammar/crossroads.pest"]
    pub(super) struct CrossroadsParser;
}

use generated::{CrossroadsParser, Rule};

/// Takes `text` apart into statements and braces. `None` only if the grammar
/// refuses the text, which it is written never to do.
pub(super) fn parse(text: &str) -> Option<Vec<Item>> {
    let mut pairs = CrossroadsParser::parse(Rule::file, text).ok()?;
    let file = pairs.next()?;
    Some(file.into_inner().filter_map(item).collect())
}

fn item(pair: Pair<'_, Rule>) -> Option<Item> {
    let span = span(&pair);
    match pair.as_rule() {
        Rule::open => Some(Item::Open(span)),
        Rule::close => Some(Item::Close(span)),
        Rule::open_comment => Some(Item::OpenComment(span)),
        Rule::text_statement
        | Rule::handler_statement
        | Rule::statement
        | Rule::loose_statement => statement(pair).map(Item::Statement),
        _ => None,
    }
}

fn statement(pair: Pair<'_, Rule>) -> Option<Statement> {
    let mut parts = pair.into_inner();
    let mut statement = Statement {
        word: span(&parts.next()?),
        arguments: Vec::new(),
        text: None,
        end: End::Missing,
    };
    for part in parts {
        let span = span(&part);
        match part.as_rule() {
            Rule::text => {
                statement.text = Some(RawText {
                    span,
                    open_quote: part.into_inner().next().map(|quote| self::span(&quote)),
                });
            }
            Rule::semicolon => statement.end = End::Semicolon,
            Rule::end if part.as_str() == "{" => statement.end = End::Brace(span),
            Rule::end => statement.end = End::Semicolon,
            _ => statement.arguments.push(span),
        }
    }
    Some(statement)
}

fn span(pair: &Pair<'_, Rule>) -> Span {
    let span = pair.as_span();
    Span {
        start: span.start(),
        end: span.end(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::directives::{Argument, DIRECTIVES};

    fn statements(text: &str) -> Vec<(String, Vec<String>, Option<String>)> {
        let items = parse(text).unwrap();
        let statements = items.into_iter().filter_map(|item| match item {
            Item::Statement(statement) => Some(statement),
            _ => None,
        });
        let own = |span: Span| span.of(text).to_owned();
        statements
            .map(|found| {
                (
                    own(found.word),
                    found.arguments.into_iter().map(own).collect(),
                    found.text.map(|text| own(text.span)),
                )
            })
            .collect()
    }

    #[test]
    fn every_directive_of_the_table_is_a_word_of_the_grammar() {
        for row in DIRECTIVES {
            let text = format!("{} a // b\n;", row.word);
            let parsed = CrossroadsParser::parse(Rule::file, &text).unwrap();
            let rule = parsed.flatten().nth(1).unwrap().as_rule();
            let expected = match row.argument {
                Argument::Text => Rule::text_statement,
                _ => Rule::statement,
            };
            assert_eq!(rule, expected, "{}", row.word);
        }
    }

    #[test]
    fn words_of_the_grammar_stand_in_the_table() {
        let grammar = include_str!("../../grammar/crossroads.pest");
        let (_, words) = grammar.split_once("word = @{").unwrap();
        for quoted in words.split("^\"").skip(1) {
            let word = quoted.split('"').next().unwrap();
            assert!(
                word == "externalhandler" || crate::config::directives::is_directive_word(word),
                "{word}"
            );
        }
    }

    #[test]
    fn directive_word_behind_an_argument_begins_a_statement() {
        let found = statements("port 80 type http; maxconnections 5 server h:80;");

        let words: Vec<&str> = found.iter().map(|found| found.0.as_str()).collect();
        assert_eq!(words, ["port", "type", "maxconnections", "server"]);
        assert_eq!(found[3].2.as_deref(), Some(" h:80"));
    }

    #[test]
    fn string_keeps_what_looks_like_a_comment() {
        let found = statements("onstart /opt/log http://a/*; \n # c\n port 1;");

        assert_eq!(found[0].2.as_deref(), Some(" /opt/log http://a/*"));
        assert_eq!(found[1].0, "port");
    }

    #[test]
    fn quoted_semicolon_does_not_end_a_string() {
        let found = statements(r#"onend echo 'a; b' "c; \"d;" e; port 1;"#);

        assert_eq!(found[0].2.as_deref(), Some(r#" echo 'a; b' "c; \"d;" e"#));
    }

    #[test]
    fn unknown_word_takes_all_up_to_the_semicolon() {
        let found = statements("onstrat wget http://h/x; port 1;");

        assert_eq!(found[0].1, ["wget", "http://h/x"]);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn head_of_a_block_ends_a_faulty_statement() {
        let found = statements("prot 80 backend maple { server h:1; }");

        assert_eq!(found[0].1, ["80"]);
        assert_eq!(found[1].0, "backend");
    }

    #[test]
    fn any_characters_match_the_grammar() {
        for text in [
            "",
            "{",
            "}",
            "\"",
            "'",
            "/*",
            "/",
            "#",
            "\u{10FE00}",
            ";;",
            "é",
            "\0",
            "a{{",
        ] {
            assert!(parse(text).is_some(), "{text:?}");
        }
    }
}
