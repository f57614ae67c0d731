//! The reader gives what the library's parser gives, or nothing.

use async_graphql::parser::parse_query;
use proptest::prelude::*;

use super::super::invariants::detail;
use super::*;

fn read_by_library(text: &str) -> Option<Vec<String>> {
    parse_query(text).ok().map(|document| detail(&document))
}

#[test]
fn what_clients_send_is_read_as_the_library_reads_it() {
    for text in [
        "{ tenant { spaceAllocation { allocated total utilization } } }",
        "query { a }",
        "query($id: ID) { tenant(id: $id) { id } }",
        "query Q($id:ID!,$ids:[ID!]!=[\"a\",\"b\"] $where: TenantFilter = { ids: [\"x\"], share: -1.5e+3, unit: TB, no: null })@live{a}",
        "mutation M { refreshSpaceAllocation(tenantId: \"acme\") { allocated } }",
        "subscription { spaceAllocationChanged(since: \"2026-11-24T16:00:00Z\") { recordedAt } }",
        "query A { a } query B { ...F } fragment F on Query { b { c } }",
        "{ ...F ... on Query { a } ... @include(if: true) { b } ... { c } ... on Query @skip(if: $no) { d } ...G @include(if: $x) }",
        "fragment on on Query @a @b(c: 1) { on } query fragment { fragment query: on(on: on, true: false) }",
        "{ a: b(c: [], d: {}, e: [[1 2] [{ f: $g, h: TRUE }]], i: 0, j: -0, k: 1.0, l: 9e9, m: 123456789012345678901234567890) }",
        "\u{feff}{ a # a comment, with \u{e9}\u{1d11e} } and \"quotes\"\r\n\tb\r c(d: \"\u{e9}\u{1d11e}\t\") , e }\n#end",
        "{ a(b: \"\") c(d: \" x # y { } \") }",
        "query Q ( ) { a }",
        "query Q($ v: Int) { a(b: $ v) }",
        "{ a(b: { c: 1, c: 2 }) }",
        "query($v: Int @a(b: 1) = 2) { a }",
    ] {
        let read = read(text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(Some(detail(&read)), read_by_library(text), "{text}");
    }
}

#[test]
fn what_graphiql_asks_first_is_read() {
    let text = include_str!("introspection.graphql");
    assert_eq!(read(text).as_ref().map(detail), read_by_library(text));
    assert!(read(text).is_some());
}

#[test]
fn what_is_wrong_or_odd_is_left_to_the_library() {
    let nested =
        |open: &str, inner: &str, close: &str, times: usize| format!("{}{inner}{}", open.repeat(times), close.repeat(times));
    for text in [
        "",
        " ",
        "{",
        "}",
        "{}",
        "{ a",
        "{ a() }",
        "{ a(b) }",
        "{ a(b: ) }",
        "{ a: }",
        "{ a } b",
        "{ a } { b }",
        "{ a } query Q { b }",
        "query Q { a } query Q { b }",
        "fragment F on Q { a }",
        "{ ...F } fragment F on Q { a } fragment F on Q { b }",
        "queryQ { a }",
        "fragmentF on Q { a } { b }",
        "{ ...on }",
        "{ ... on }",
        "{ ... on#\nQ { a } }",
        "{ ... on { a } }",
        "{ ....F }",
        "{ .. F }",
        "{ a(b: \"\\n\") }",
        "{ a(b: \"\"\"c\"\"\") }",
        "{ a(b: \"c) }",
        "{ a(b: \"c\n\") }",
        "{ a(b: 00) }",
        "{ a(b: 1.) }",
        "{ a(b: .1) }",
        "{ a(b: 1e) }",
        "{ a(b: 1x) }",
        "{ a(b: -) }",
        "{ a(b: [1-2]) }",
        "{ a(b: truely) }",
        "{ a(b: nulls) }",
        "{ a(b: falsey: 1) }",
        "query($a: [ID) { b }",
        "query($a: ID]) { b }",
        "query($a: [ ID ]) { b }",
        "query($a: ID!!) { b }",
        "query($a: 1D) { b }",
        "query($a: ID = $b) { b }",
        "query($a: ID = [{ c: $b }]) { b }",
        "query($a) { b }",
        "{ a @ }",
        "{ a @b() }",
        "{ a ! }",
        "{ \u{e9} }",
        "extend type A { b: C }",
        "{ a\0 }",
        "{ a & b }",
    ] {
        assert!(read(text).is_none(), "{text}");
    }
    let deepest = nested("{a", "", "}", DEPTH + 1);
    let of_values = |times| format!("{{ a(b: {}) }}", nested("[", "", "]", times));
    for text in [deepest.as_str(), &of_values(DEPTH)] {
        assert_eq!(read(text).as_ref().map(detail), read_by_library(text), "{text}");
        assert!(read(text).is_some());
    }
    for text in [
        nested("{a", "", "}", DEPTH + 2),
        nested("{...", "{a}", "}", DEPTH + 2),
        nested("{a", "", "}", 100_000),
        of_values(DEPTH + 1),
        of_values(100_000),
    ] {
        assert!(read(&text).is_none());
    }
    assert!(read(&format!("query($a: {}) {{ b }}", nested("[", "ID", "]", 100_000))).is_none());
}

const SIGNS: [&str; 48] = [
    "{",
    "}",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ":",
    "!",
    "=",
    "@",
    "$",
    "...",
    "a",
    "b",
    "on",
    "query",
    "mutation",
    "fragment",
    "true",
    "null",
    "ID",
    "1",
    "-2",
    "0",
    "1.5",
    "2e3",
    "\"s\"",
    "\"\"",
    "\"\u{e9}\"",
    "\"\\u0041\"",
    "\"\"\"t\"\"\"",
    " ",
    ",",
    "\n",
    "\r\n",
    "\r",
    "\t",
    "\u{feff}",
    "#c\n",
    "# \u{e9}\r",
    "...on Q",
    "a:",
    "a(b:1)",
    "{a}",
    "@d",
    "$v:ID",
];

fn concat(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().concat()
}

fn value() -> impl Strategy<Value = String> + Clone {
    let leaf =
        prop::sample::select(vec!["$v", "1", "-2.5e-3", "\"s \u{e9}\"", "true", "null", "TB", "[]", "{}"]).prop_map(str::to_owned);
    leaf.prop_recursive(4, 16, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4).prop_map(|values| format!("[{}]", values.join(" ")));
        let object = prop::collection::vec(("[a-c]", inner), 0..4)
            .prop_map(|fields| format!("{{{}}}", concat(fields.into_iter().map(|(name, value)| format!("{name}: {value},")))));
        prop_oneof![list, object]
    })
}

fn selections() -> impl Strategy<Value = String> {
    let arguments = prop::option::of(value()).prop_map(|value| value.map(|value| format!("(b: {value})")).unwrap_or_default());
    let directive = prop::sample::select(vec!["", " @d", "@include(if: $v)\n@skip(if: false)"]);
    let field = (prop::sample::select(vec!["a", "_b1: on", "c :\r\nd"]), arguments, directive.clone());
    let field = field.prop_map(|(name, arguments, directive)| format!("{name}{arguments}{directive}")).boxed();
    let leaf = prop_oneof![3 => field.clone(), 1 => directive.clone().prop_map(|directive| format!("...F{directive}"))];
    let leaf = leaf.prop_map(|selection| format!("{{ {selection} }}"));
    leaf.prop_recursive(5, 24, 4, move |inner| {
        let head = prop_oneof![
            2 => field.clone(),
            1 => (prop::sample::select(vec!["...", "... on Q", "...on\tQ"]), directive.clone()).prop_map(|(head, directive)| format!("{head}{directive}")),
        ];
        prop::collection::vec((head, inner), 1..4)
            .prop_map(|parts| format!("{{{}}}", concat(parts.into_iter().map(|(head, set)| format!("{head}{set}# {{\n")))))
    })
}

proptest! {
    #[test]
    fn documents_are_read_as_the_library_reads_them(sets in prop::collection::vec(selections(), 1..4), default in value()) {
        let text = concat(sets.iter().enumerate().map(|(place, set)| match place {
            0 if default.contains('$') => format!("query Q($v: [ID!]) {set}"),
            0 => format!("query Q($v: [ID!] = {default}) {set}"),
            1 => format!("mutation M {set}\r\n"),
            _ => format!("fragment F on Q @d {set}"),
        }));
        prop_assert_eq!(read(&text).as_ref().map(detail), read_by_library(&text), "{}", text);
        prop_assert!(read(&text).is_some(), "{}", text);
    }

    #[test]
    fn whatever_is_read_the_library_reads_too(signs in prop::collection::vec(prop::sample::select(SIGNS.to_vec()), 0..24)) {
        for text in [signs.concat(), format!("{{{}}}", signs.concat()), format!("query Q($v: ID) {{ a(b: {}) }}", signs.join(" "))] {
            if let Some(document) = read(&text) {
                prop_assert_eq!(Some(detail(&document)), read_by_library(&text), "{}", text);
            }
        }
    }
}
