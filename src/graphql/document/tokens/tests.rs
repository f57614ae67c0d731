use std::fmt::Write as _;
use std::time::{Duration, Instant};

use async_graphql::Value;
use async_graphql::parser::parse_query;
use async_graphql::parser::types::Selection;
use jiff::Timestamp;
use proptest::prelude::*;

use super::super::invariants::{check_document, check_json};
use super::*;
use crate::graphql::DocumentLimits;

const LIMITS: TextLimits = TextLimits { tokens: 5000, nesting: 64 };

fn tokens(document: &str) -> usize {
    measure_text(document).unwrap().tokens
}

#[test]
fn tokens_are_counted_as_the_specification_tells_them_apart() {
    for (document, count) in [
        ("", 0),
        (" ,,\n\t# a comment { }\n", 0),
        ("\u{feff}{ a }", 3),
        ("{a(b:1,c:-2.5e+3)}", 11),
        ("query Q($id: ID! = \"x y\") { ...F @skip(if: $no) }", 23),
        (r#"{ a(b: "\" } {", c: "") }"#, 11),
        (r#"{ a(b: """ a "quoted" \""" block { """) }"#, 8),
    ] {
        assert_eq!(tokens(document), count, "{document}");
    }
}

/// The parser takes what no lexer would: values in a row without a blank between them. Each is one to the limit.
#[test]
fn values_without_blanks_between_them_are_counted_each() {
    for (values, count) in [
        ("000", 3),
        ("1-2", 2),
        ("-1-1-1", 3),
        ("-0.5e+3-1E2", 2),
        ("1.5.", 2),
        ("10e", 2),
        ("1true", 2),
        ("truefalsenullx", 4),
        ("true", 1),
        ("truth nulla", 3),
        ("true00", 3),
        ("nullfalse0012", 5),
        ("true1.5", 4),
        ("x00", 1),
        ("0x1F", 2),
    ] {
        assert_eq!(tokens(values), count, "{values}");
    }
    for (values, count) in [("000", 3), ("1-2", 2), ("-1-1-1", 3), ("-0.5e+3-1E2", 2), ("truefalsenullx", 4), ("nullfalse0012", 5)]
    {
        let document = parse_query(format!("{{ a(b: [{values}]) }}")).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        let Selection::Field(field) = &operation.node.selection_set.node.items[0].node else { panic!("a field") };
        let Some(Value::List(found)) = field.node.arguments[0].1.node.clone().into_const() else { panic!("a list") };
        assert_eq!(found.len(), count, "{values}");
    }
    for values in [
        "0".repeat(5001),
        "1-".repeat(5001),
        "true".repeat(200) + " " + &"null1 ".repeat(2500),
        ("true".to_owned() + &"0".repeat(900) + ",").repeat(6),
    ] {
        let document = format!("{{ a(b: [{values}]) }}");
        let refused = LIMITS.check(&document).unwrap_err().extensions.unwrap();
        assert_eq!(refused.get("code"), Some(&code::QUERY_TOO_COMPLEX.into()));
    }
}

#[test]
fn strings_without_an_end_are_told_by_where_they_begin() {
    for (document, line, column) in [
        ("{ a(b: \"not closed\n c: 1) }", 1, 8),
        ("{\r\n é: a(b: \"\"\"not closed \" } }", 2, 10),
        (r#"{ a(b: "\"#, 1, 8),
        ("{ a(b: \"\\\n\")", 1, 8),
        (r#"{ a(b: ["""not closed " [[ "])"#, 1, 9),
        (r#"{ a(b: """\""""#, 1, 8),
    ] {
        assert_eq!(measure_text(document), Err(Unclosed { line, column }), "{document}");
        assert!(parse_query(document).is_err(), "{document}");
    }
}

#[test]
fn brackets_of_every_kind_are_counted_outside_of_strings_and_comments() {
    for (document, nesting) in [
        ("", 0),
        ("{ a { b } c { d } }", 2),
        ("{a(b:[[{c:[1]}]])}", 6),
        ("query($a: [[Int!]!] = [[1]]) @d(a: {b: 1}) { a }", 3),
        ("{ a(b: \"{[(\", c: \"\"\" {{{ \\\"\"\" {{{ \"\"\") # {{{\n }", 2),
        ("}}}}{{", 2),
        ("((((", 4),
    ] {
        assert_eq!(measure_text(document).unwrap().nesting, nesting, "{document}");
    }
    for (json, nesting) in
        [("1", 0), (r#"{"a":[{}],"b":"[[[\"[[\\"}"#, 3), (r"[[],[[]]]", 3), ("[[[", 3), (r#"["\"#, 1), (r#"["[["#, 1), ("]]][", 1)]
    {
        assert_eq!(json_nesting(json.as_bytes()), nesting, "{json}");
    }
}

#[test]
fn what_is_over_a_limit_is_told_by_the_limit() {
    let limits = TextLimits { tokens: 10, nesting: 3 };
    for (document, sentence) in [
        ("{ a(b: [1]) }", None),
        ("{ a(b: [[]]) }", Some("the document has 11 tokens; the limit is 10")),
        ("[[[[", Some("the document has 4 brackets within each other; the limit is 3")),
    ] {
        assert_eq!(limits.check(document).map_err(|error| error.message).err().as_deref(), sentence, "{document}");
    }
    let name = "a".repeat(1001);
    assert!(LIMITS.check(&name[1..]).is_ok());
    assert_eq!(LIMITS.check(&name).unwrap_err().message, "the document has a name of 1001 characters; the limit is 1000");
    assert!(limits.check_json("it", br#"[[[]],[],[],"[[[["]"#).is_ok());
    let sentence = "it has 4 brackets within each other; the limit is 3";
    assert_eq!(limits.check_json("it", br"[[[{}]]]"), Err(sentence.to_owned()));
}

/// Texts of a body's size that are awkward to parse. Each either is refused by the scan or parsed (with or without success).
fn awkward_texts() -> Vec<(&'static str, String)> {
    let size = 256 * 1024;
    let fill = |start: &str, part: &str, end: &str| format!("{start}{}{end}", part.repeat(size / part.len()));
    let nested = |open: &str, part: &str| format!("{}{}", open.repeat(60), part.repeat(size / part.len()));
    vec![
        ("blanks", fill("{a", " ", "}")),
        ("commas", fill("{a", ",", "}")),
        ("line ends", fill("{a", "\r\n", "}")),
        ("byte order marks", fill("{a", "\u{feff}", "}")),
        ("comments", fill("{a", "#\n", "}")),
        ("one comment", fill("{a #", "x", "\n}")),
        ("blanks in vain", nested("{a", " ")),
        ("comments in vain", nested("{a(b:[", "#\n")),
        ("lists in vain", nested("{a(b:[[[", " ")),
        ("a number", fill("{a(b:", "1", ")}")),
        ("a fraction", fill("{a(b:0.", "1", "e)}")),
        ("a string", fill("{a(b:\"", "x", "\")}")),
        ("escapes", fill("{a(b:\"", "\\n", "\")}")),
        ("a block string", fill("{a(b:\"\"\"", "\n ", "\"\"\")}")),
        ("escaped block ends", fill("{a(b:\"\"\"", "\\\"\"\"", "\"\"\")}")),
        ("block strings in vain", fill("{a(b:[", r#""\\""""y" "#, "])}")),
        ("blocks in vain and blanks", {
            let start = format!("{{a(b:[{}", r#""\\""""y" "#.repeat(1000));
            fill(&start, " ", "])}")
        }),
        ("open strings", fill("{a(b:[", "\"\n", "])}")),
        ("quotes", fill("{a(b:[", "\"", "])}")),
        ("a name", fill("{", "a", "}")),
        ("control characters", fill("{a", "\u{0}", "}")),
    ]
}

#[test]
fn no_text_takes_long_to_be_looked_at_and_to_be_parsed() {
    for (name, text) in awkward_texts() {
        let started = Instant::now();
        if LIMITS.check(&text).is_ok() {
            let _ = parse_query(&text);
        }
        // A build without optimization takes up to 0.3 s on an idle machine; what is not linear takes minutes.
        let took = started.elapsed();
        assert!(took < Duration::from_secs(10), "{name}: {took:?}");
    }
}

/// The lists and objects within each other in a value.
fn depth(value: &Value) -> usize {
    match value {
        Value::List(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// What the parser finds in a document: at least so many tokens, and so many brackets within each other.
#[derive(Default)]
struct Found {
    tokens: usize,
    nesting: usize,
}

/// A value, written down. The strategy keeps account of what a parser must find in it.
fn value() -> impl Strategy<Value = (String, usize, usize)> {
    let leaf = prop::sample::select(vec![
        "1",
        "-2.5e+3",
        "\"\"",
        "\"a \\\" [{( \\\\\"",
        "\"\"\" [ { \\\"\"\" ( \"\"\"",
        "\"\"\"\"\"\"",
        "true",
        "null",
        "ENUM",
        "# ]})\n7",
        "\u{feff}8",
    ])
    .prop_map(|text| (text.to_owned(), 1, 0));
    leaf.prop_recursive(6, 40, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4).prop_map(|values| {
            let texts: Vec<_> = values.iter().map(|(text, ..)| text.as_str()).collect();
            let tokens: usize = values.iter().map(|(_, tokens, _)| tokens).sum();
            let nesting = values.iter().map(|(.., nesting)| *nesting).max().unwrap_or(0);
            (format!("[{}]", texts.join(" ,")), tokens + 2, nesting + 1)
        });
        let object = inner.prop_map(|(text, tokens, nesting)| (format!("{{a:{text}}}"), tokens + 4, nesting + 1));
        prop_oneof![list, object]
    })
}

/// A selection set, written down, with what must be found in it.
fn selection_set() -> impl Strategy<Value = (String, usize, usize)> {
    let leaf = value().prop_map(|(text, tokens, nesting)| (format!("{{a(b:{text})}}"), tokens + 7, nesting + 2));
    leaf.prop_recursive(6, 30, 3, |inner| {
        let way = prop::sample::select(vec![("x: a ", 3), ("...", 1), ("... on T @d ", 5), ("a @d(b: \"(\") ", 8)]);
        prop::collection::vec((way, inner), 1..3).prop_map(|parts| {
            let mut found = Found { tokens: 2, nesting: 0 };
            let mut text = String::from("{");
            for ((start, start_tokens), (set, tokens, nesting)) in parts {
                write!(text, "{start}{set} ").unwrap();
                found.tokens += start_tokens + tokens;
                found.nesting = found.nesting.max(nesting);
            }
            (text + "}", found.tokens, found.nesting + 1)
        })
    })
}

proptest! {
    #[test]
    fn any_text_is_looked_at_and_has_no_more_of_anything_than_bytes(document in r#"[ ,a-c0-9".\\{}()#\n-]{0,40}|\PC{0,20}"#) {
        if let Ok(size) = measure_text(&document) {
            prop_assert!(size.tokens <= document.len() && size.nesting <= size.tokens);
        }
        prop_assert!(json_nesting(document.as_bytes()) <= document.len());
    }

    #[test]
    fn tokens_in_a_row_add_up(tokens in prop::collection::vec(
        prop::sample::select(vec!["{", "}", "...", "name", "$", "-1.5", "\"a b\"", "\"\"\"c \" d\"\"\"", "@", "!", "|"]), 0..40
    )) {
        prop_assert_eq!(measure_text(&tokens.join(" ")).unwrap().tokens, tokens.len());
    }

    #[test]
    fn nothing_that_a_parser_finds_is_missed((document, tokens, nesting) in selection_set()) {
        prop_assert!(parse_query(&document).is_ok(), "{document}");
        let size = measure_text(&document).unwrap();
        prop_assert_eq!((size.tokens, size.nesting), (tokens, nesting), "{}", document);
    }

    /// The parser is lenient where quotes meet. Whatever it makes of them, it never stands within more brackets than the scan found.
    #[test]
    fn what_parses_in_spite_of_damage_is_no_deeper_than_was_found(
        document in r#"\{a\(b:\[(\[|\]|\{|\}|"|"""|\\"""|\\"|\\\\| |c|:|#|\n|1){0,12}\]\)\}"#
    ) {
        if let (Ok(parsed), Ok(size)) = (parse_query(&document), measure_text(&document)) {
            for (_, operation) in parsed.operations.iter() {
                let Selection::Field(field) = &operation.node.selection_set.node.items[0].node else { continue };
                let deepest = field.node.arguments.iter().filter_map(|(_, value)| value.node.clone().into_const()).map(|value| depth(&value)).max().unwrap_or(0);
                prop_assert!(size.nesting >= 2 + deepest, "{}", document);
            }
        }
    }

    /// Whatever parses has no more of anything than was found, and costs the same each time.
    #[test]
    fn what_must_hold_of_every_document_holds(
        document in r#"\{a\(b:\[(\[|\]|\{|\}|"|"""|\\"""|0|-1|true|null|x|\$v| |c|:|#|\n|1\.5e2){0,16}\]\)@d(\{b\}|\{\.\.\.on[ ]?Q\{c\}\})?\}"#
    ) {
        let most = 1000;
        let limits = DocumentLimits {
            depth: 20, complexity: most, aliases: most, root_fields: most, directives: most, text: LIMITS, introspection: true,
        };
        let held = check_document(&document, serde_json::Value::Null, limits, Timestamp::UNIX_EPOCH);
        prop_assert_eq!(held, Ok(()), "{}", document);
        prop_assert_eq!(check_json(document.as_bytes()), Ok(()));
    }

    #[test]
    fn json_is_as_deep_as_its_reader_finds(depth in 0_usize..100, text in r#"[a\[\]{}"\\]{0,12}"#) {
        let mut value = serde_json::Value::String(text.clone());
        for level in 0..depth {
            value = if level % 2 == 0 { serde_json::json!([1, value]) } else { serde_json::json!({ text.clone(): value }) };
        }
        prop_assert_eq!(json_nesting(value.to_string().as_bytes()), depth);
    }
}
