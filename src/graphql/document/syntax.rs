//! What is wrong with a document that does not parse, in one sentence. The library's parser draws it over several lines, and names the rules
//! of its grammar.

use async_graphql::ServerError;

use crate::graphql::error::{code, coded_error};

/// The library's error, in one sentence and with a code.
pub(in crate::graphql) fn explain_syntax(error: ServerError) -> ServerError {
    let sentence = find_sentence(&error.message).unwrap_or_else(|| error.message.clone());
    ServerError { locations: error.locations, ..coded_error(sentence, code::BAD_USER_INPUT) }
}

/// ` --> 1:15`, the line, a mark under it, and then `= expected selection_set, selection, or arguments`.
fn find_sentence(drawing: &str) -> Option<String> {
    let place = drawing.lines().next()?.trim().strip_prefix("-->")?.trim();
    let reason = drawing.lines().last()?.trim().strip_prefix("= ")?;
    let (before, expected) = reason.split_once("expected ")?;
    let expected: Vec<String> = expected.split(' ').map(name_rule).collect();
    let expected = expected.join(" ");
    let article = match expected.split([' ', ',']).next()? {
        "the" => "",
        word if word.ends_with('s') => "",
        word if word.starts_with(['a', 'e', 'i', 'o', 'u']) => "an ",
        _ => "a ",
    };
    Some(format!("syntax error at {place}: {before}expected {article}{expected}"))
}

/// A rule's name in words, with the comma after it.
fn name_rule(rule: &str) -> String {
    let (name, comma) = rule.strip_suffix(',').map_or((rule, ""), |name| (name, ","));
    let words = match name {
        "EOI" => "the end of the document".to_owned(),
        "executable_definition" => "operation or fragment".to_owned(),
        "const_value" => "value without variables".to_owned(),
        name => name.trim_end_matches('_').replace('_', " "),
    };
    words + comma
}

#[cfg(test)]
mod tests {
    use async_graphql::Request;

    use super::*;

    #[test]
    fn a_syntax_error_is_one_sentence() {
        for (document, sentence) in [
            ("{ tenant { id ", "syntax error at 1:15: expected a selection set, selection, directive, or arguments"),
            ("query {\n  tenant(id: ) { id } }", "syntax error at 2:14: expected a value"),
            ("{ a } }", "syntax error at 1:7: expected the end of the document or operation or fragment"),
            ("", "syntax error at 1:1: expected an operation or fragment"),
            ("query ($a: ) { a }", "syntax error at 1:12: expected a type"),
        ] {
            let error = explain_syntax(Request::new(document).parsed_query().unwrap_err());
            assert_eq!(error.message, sentence, "{document}");
            assert_eq!(error.locations.len(), 1, "{document}");
        }
    }

    #[test]
    fn errors_of_other_kinds_stay_as_they_are() {
        let error = explain_syntax(Request::new("query A { a } query A { a }").parsed_query().unwrap_err());
        assert_eq!(error.message, "operation A is defined twice");
    }
}
