use std::fmt::Write as _;

use async_graphql::parser::parse_query;
use proptest::prelude::*;

use super::*;

fn measured(document: &str) -> Result<Size, Endless> {
    measure(&parse_query(document).unwrap(), 20)
}

#[test]
fn fragments_count_where_they_are_put_in() {
    let size = measured(
        "query A($v: Int @d) @d { x: a @d { ...F } y: b ...F ... on Q @d { c { z: c } } }
         query B { a b c } fragment F on Q @d { f: f @d g }",
    );
    let size = size.unwrap();
    assert_eq!((size.selections, size.aliases, size.directives), (14, 5, 8));
    assert_eq!((size.root_fields, size.nesting, size.introspects), (5, 3, false));
}

#[test]
fn doubling_fragments_are_measured_at_once() {
    let mut document = "{ ...F0 }".to_owned();
    for level in 0..18 {
        let next = level + 1;
        write!(document, "fragment F{level} on Q {{ ...F{next} ...F{next} }}").unwrap();
    }
    document += "fragment F18 on Q { x: a }";
    let size = measured(&document).unwrap();
    assert_eq!((size.aliases, size.root_fields, size.nesting), (1 << 18, 1 << 18, 20));
    assert_eq!(measure(&parse_query(&document).unwrap(), 19), Err(Endless::Nested));
}

#[test]
fn the_nesting_of_a_fragment_counts_on_top_of_where_it_is_put_in() {
    let document = "{ ...F a { a { ...F } } } fragment F on Q { a { a } }";
    assert_eq!(measured(document).unwrap().nesting, 5);
    assert_eq!(measure(&parse_query(document).unwrap(), 4), Err(Endless::Nested));
}

#[test]
fn fragments_that_contain_themselves_are_told() {
    let cycle = measured("{ a { ...F } } fragment F on Q { ...G ...G } fragment G on Q { b { ...F ...F } }");
    assert_eq!(cycle, Err(Endless::Cycle("F".to_owned())));
}

#[test]
fn asking_for_the_schema_is_seen_behind_aliases_and_fragments() {
    for (document, introspects) in [
        ("{ __typename a { __typename } }", false),
        ("{ x: __schema { a } }", true),
        ("{ ...F } fragment F on Q { ... { __type(name: \"Q\") { name } } }", true),
    ] {
        assert_eq!(measured(document).unwrap().introspects, introspects, "{document}");
    }
}

/// A part of a document, as it is written.
#[derive(Clone, Debug)]
enum Part {
    Field {
        alias: bool,
        directives: usize,
        within: Vec<Part>,
    },
    Inline {
        directives: usize,
        within: Vec<Part>,
    },
    /// A spread of the fragment that comes so many after the one that this stands in.
    Spread {
        further: usize,
        directives: usize,
    },
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let leaf = prop_oneof![
        (any::<bool>(), 0_usize..2).prop_map(|(alias, directives)| Part::Field { alias, directives, within: Vec::new() }),
        (1_usize..3, 0_usize..2).prop_map(|(further, directives)| Part::Spread { further, directives }),
    ];
    let part = leaf.prop_recursive(3, 12, 3, |inner| {
        let within = prop::collection::vec(inner, 1..4);
        prop_oneof![
            (any::<bool>(), 0_usize..2, within.clone()).prop_map(|(alias, directives, within)| Part::Field {
                alias,
                directives,
                within
            }),
            (0_usize..2, within).prop_map(|(directives, within)| Part::Inline { directives, within }),
        ]
    });
    prop::collection::vec(part, 1..4)
}

fn write(parts: &[Part], place: usize) -> String {
    let block = |parts: &[Part]| if parts.is_empty() { String::new() } else { format!("{{ {} }}", write(parts, place)) };
    let written = parts.iter().map(|part| match part {
        Part::Field { alias, directives, within } => {
            format!("{}f{} {}", if *alias { "x: " } else { "" }, " @d".repeat(*directives), block(within))
        }
        Part::Inline { directives, within } => format!("...{} {}", " @d".repeat(*directives), block(within)),
        Part::Spread { further, directives } => format!("...F{}{}", place + further, " @d".repeat(*directives)),
    });
    written.collect::<Vec<_>>().join(" ")
}

/// Selections, aliases, directives, fields at the root and nesting, by putting every fragment in.
fn put_in(parts: &[Part], place: usize, fragments: &[Vec<Part>]) -> [usize; 5] {
    let mut total = [0; 5];
    for part in parts {
        let (own, within) = match part {
            Part::Field { alias, directives, within } if within.is_empty() => ([1, usize::from(*alias), *directives, 1, 0], [0; 5]),
            Part::Field { alias, directives, within } => {
                let mut within = put_in(within, place, fragments);
                within[3] = 0;
                ([1, usize::from(*alias), *directives, 1, 0], within)
            }
            Part::Inline { directives, within } => ([1, 0, *directives, 0, 0], put_in(within, place, fragments)),
            Part::Spread { further, directives } => {
                let place = place + further;
                let within = fragments.get(place).map_or([0; 5], |parts| put_in(parts, place, fragments));
                ([1, 0, *directives, 0, 0], within)
            }
        };
        for (index, sum) in total.iter_mut().enumerate().take(4) {
            *sum += own[index] + within[index];
        }
        total[4] = total[4].max(within[4]);
    }
    total[4] += 1;
    total
}

proptest! {
    #[test]
    fn measuring_fragments_once_gives_what_putting_them_in_gives(fragments in prop::collection::vec(parts(), 1..6)) {
        // The first one is the operation. Spreads of what lies behind the last one are of fragments that do not exist.
        let mut document = format!("{{ {} }}", write(&fragments[0], 0));
        for (place, parts) in fragments.iter().enumerate().skip(1) {
            write!(document, " fragment F{place} on Q {{ {} }}", write(parts, place)).unwrap();
        }
        let document = parse_query(&document).unwrap();
        let [selections, aliases, directives, root_fields, nesting] = put_in(&fragments[0], 0, &fragments);
        let expected = Size { selections, aliases, directives, root_fields, nesting, introspects: false };
        // Fragments that the operation does not use may be deeper.
        let deepest = fragments.iter().enumerate().map(|(place, parts)| put_in(parts, place, &fragments)[4]).max().unwrap_or(0);
        prop_assert_eq!(measure(&document, deepest), Ok(expected));
        prop_assert_eq!(measure(&document, deepest - 1), Err(Endless::Nested));
    }
}
