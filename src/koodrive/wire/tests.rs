use proptest::prelude::*;

use super::*;

fn allocation(space_type: i32, allocated_gb: i64, total_gb: i64) -> SpaceTypeAllocation {
    SpaceTypeAllocation { space_type, allocated_gb, total_gb }
}

fn decode(body: &str) -> Result<Vec<SpaceTypeAllocation>, Verdict> {
    decode_allocation(body.as_bytes())
}

fn decode_capacity(json: &str) -> Result<Vec<SpaceTypeAllocation>, Verdict> {
    decode(&format!(r#"{{"code":0,"data":{{"type":0,"allocateCapacity":1,"totalCapacity":{json}}}}}"#))
}

#[test]
fn the_documented_form_and_the_examples_form_are_understood() {
    let expected = Ok(vec![allocation(0, 1000, 2000)]);
    for body in [
        r#"{ "data": { "type": "0", "allocateCapacity": "1000", "totalCapacity": "2000" }, "code": 0, "msg": "Operation successful." }"#,
        r#"{"code":"0","msg":"ok","data":[{"type":0,"allocateCapacity":1000,"totalCapacity":2000}]}"#,
        r#"{"code":"0","data":[{"type":"0","allocateCapacity":1000,"totalCapacity":"2000","new":{"a":[1]}}],"extra":null}"#,
        "\n{\"code\":0,\"msg\":null,\"data\":\t{\"totalCapacity\":2000,\"allocateCapacity\":\"1000\",\"type\":0}}\n",
    ] {
        assert_eq!(decode(body), expected, "{body}");
    }
}

#[test]
fn of_a_long_value_in_a_wrong_place_the_beginning_is_told() {
    // What is hidden is written out, and counts as the one character that it is.
    for (long, at_most) in [("xy".repeat(100_000), 350), ("\u{202e}x".repeat(100_000), 1500)] {
        let bodies =
            [format!("\"{long}\""), format!(r#"{{"code":0,"data":["{long}"]}}"#), format!(r#"{{"code":"{long}","msg":"{long}"}}"#)];
        for body in bodies {
            let said = decode(&body).unwrap_err().to_string();
            assert!(said.chars().count() < at_most && !said.contains(shown::is_hidden), "{said}");
        }
    }
    assert_eq!(
        decode("\"no object\""),
        Err(Verdict::invalid(
            r#"the body is not as documented: invalid type: string "no object", expected struct Envelope at line 1 column 11"#
        ))
    );
}

#[test]
fn unknown_types_are_kept() {
    let body = r#"{"code":0,"data":[{"type":2147483647,"allocateCapacity":1,"totalCapacity":2},{"type":"-7","allocateCapacity":0,"totalCapacity":0}]}"#;
    assert_eq!(decode(body), Ok(vec![allocation(-7, 0, 0), allocation(i32::MAX, 1, 2)]));
}

#[test]
fn no_number_passes_through_a_double() {
    for gb in [i64::MAX, i64::MAX - 1, (1 << 53) + 1, 0] {
        assert_eq!(decode_capacity(&gb.to_string()), Ok(vec![allocation(0, 1, gb)]));
        assert_eq!(decode_capacity(&format!("\"{gb}\"")), Ok(vec![allocation(0, 1, gb)]));
    }
}

#[test]
fn invalid_capacities_are_refused_with_the_reason() {
    for (json, reason) in [
        ("9223372036854775808", "totalCapacity 9223372036854775808 is out of range"),
        ("\"9223372036854775808\"", "totalCapacity \"9223372036854775808\" is out of range"),
        ("-1", "totalCapacity -1 is negative"),
        ("\"-1\"", "totalCapacity -1 is negative"),
        ("1.0", "totalCapacity 1.0 is not a whole number"),
        ("1e3", "totalCapacity 1e3 is not a whole number"),
        ("1e400", "totalCapacity 1e400 is not a whole number"),
        ("\"1.5\"", "totalCapacity \"1.5\" is not a whole number"),
        ("\"+1\"", "totalCapacity \"+1\" is not a whole number"),
        ("\" 1\"", "totalCapacity \" 1\" is not a whole number"),
        ("\"\"", "totalCapacity \"\" is not a whole number"),
        ("\"many\"", "totalCapacity \"many\" is not a whole number"),
        ("\"١\"", "totalCapacity \"١\" is not a whole number"),
        ("true", "totalCapacity true is not a whole number"),
        ("[1]", "totalCapacity [1] is not a whole number"),
        ("null", "totalCapacity is missing"),
    ] {
        assert_eq!(decode_capacity(json), Err(Verdict::invalid(reason)), "{json}");
    }
}

#[test]
fn invalid_bodies_are_refused_with_the_reason() {
    for (body, reason) in [
        ("", "the body is not JSON"),
        ("<html>Bad gateway</html>", "the body is not JSON"),
        (r#"{"code":0,"data":{"type":0,"alloc"#, "the body is not JSON"),
        (r#"{"code":0} {"#, "the body is not JSON"),
        ("[0,\"ok\",{}]", "the body is not an object"),
        ("null", "the body is not as documented"),
        ("{}", "code is missing"),
        (r#"{"error_code":"APIGW.0301","error_msg":"no"}"#, "code is missing"),
        (r#"{"code":null,"data":{}}"#, "code is missing"),
        (r#"{"code":0.5,"data":{}}"#, "code 0.5 is neither a text nor a whole number"),
        (r#"{"code":"","data":{}}"#, "code \"\" is neither a text nor a whole number"),
        (r#"{"code":{},"data":{}}"#, "code {} is neither a text nor a whole number"),
        (r#"{"code":0,"code":1}"#, "the body is not as documented: duplicate field"),
        (r#"{"code":0}"#, "data is missing"),
        (r#"{"code":0,"data":null}"#, "data is missing"),
        (r#"{"code":0,"data":[]}"#, "data lists no space type"),
        (r#"{"code":0,"data":"1000"}"#, "data is neither an object nor an array"),
        (r#"{"code":0,"data":[[0,1000,2000]]}"#, "data is not an object"),
        (r#"{"code":0,"data":[null]}"#, "data is not as documented"),
        (r#"{"code":0,"data":{}}"#, "type is missing"),
        ("{\"code\":0,\"data\":{\"type\":\"\u{202e}\u{85}\"}}", r#"type "\u{202e}\u{85}" is not a whole number"#),
        (r#"{"code":0,"data":{"type":0}}"#, "allocateCapacity is missing"),
        (r#"{"code":0,"data":{"type":2147483648,"allocateCapacity":1,"totalCapacity":2}}"#, "type 2147483648 is out of range"),
        (
            r#"{"code":0,"data":[{"type":1,"allocateCapacity":1,"totalCapacity":2},{"type":"1","allocateCapacity":1,"totalCapacity":2}]}"#,
            "type 1 is listed twice",
        ),
    ] {
        let Err(Verdict::Invalid(found)) = decode(body) else { panic!("{body} is not invalid") };
        assert!(found.starts_with(reason), "{body}: {found}");
    }
    assert_eq!(decode_allocation(b"{\"code\":\"\xff\"}"), Err(Verdict::invalid("the body is not UTF-8")));
}

#[test]
fn a_code_other_than_zero_is_a_business_error_whatever_the_data() {
    for (body, code, msg) in [
        (r#"{"code":13000301,"msg":"Space missing."}"#, "13000301", "Space missing."),
        (r#"{"code":"13000102","msg":null,"data":null}"#, "13000102", ""),
        (r#"{"code":"00","data":[]}"#, "00", ""),
        (r#"{"code":-1,"msg":"a\nb","data":{"type":0,"allocateCapacity":1,"totalCapacity":2}}"#, "-1", r"a\nb"),
        (r#"{"code":"13\u202e","msg":"m\u2028x\u001b[2J\u0085 y"}"#, r"13\u{202e}", r"m\u{2028}x\u{1b}[2J\u{85} y"),
    ] {
        assert_eq!(decode(body), Err(Verdict::Business { code: code.into(), msg: msg.into() }), "{body}");
    }
}

#[test]
fn the_gateways_code_is_kept_if_there_is_one() {
    let code = |body: &str| decode_gateway(body.as_bytes()).0;
    assert_eq!(code(r#"{"error_code":"APIGW.0301","error_msg":"x","request_id":"y"}"#).as_deref(), Some("APIGW.0301"));
    assert_eq!(code(r#"{"error_code":301}"#), None);
    assert_eq!(code(r#"{"error_code":"A\u202e\n"}"#).as_deref(), Some(r"A\u{202e}"));
    assert_eq!(code("<html>"), None);
    assert_eq!(code(&format!(r#"{{"error_code":"{}"}}"#, "x".repeat(500))).map(|c| c.len()), Some(64));
}

#[test]
fn the_gateways_message_is_kept_in_quotes_and_cut() {
    let message = |body: &str| decode_gateway(body.as_bytes()).1;
    assert_eq!(message(r#"{"error_code":"APIGW.0301","error_msg":" x \"y\" "}"#).as_deref(), Some(r#""x \"y\"""#));
    assert_eq!(message(r#"{"error_msg":"a\u001b[31m\u202e"}"#).as_deref(), Some(r#""a\u{1b}[31m\u{202e}""#));
    for none in [r#"{"error_code":"A"}"#, r#"{"error_msg":" "}"#, r#"{"error_msg":5}"#, "<html>"] {
        assert_eq!(message(none), None, "{none}");
    }
    assert_eq!(message(&format!(r#"{{"error_msg":"{}"}}"#, "ü".repeat(500))).map(|m| m.chars().count()), Some(203));
}

/// One answer in one of the forms that are accepted.
fn write_body(by_type: &[SpaceTypeAllocation], quoted: [bool; 4], object: bool) -> String {
    let text = |number: i64, quoted: bool| if quoted { format!("\"{number}\"") } else { number.to_string() };
    let items: Vec<String> = by_type
        .iter()
        .map(|t| {
            format!(
                r#"{{"type":{},"x":[{{}}],"allocateCapacity":{},"totalCapacity":{}}}"#,
                text(t.space_type.into(), quoted[0]),
                text(t.allocated_gb, quoted[1]),
                text(t.total_gb, quoted[2])
            )
        })
        .collect();
    let data = if object && items.len() == 1 { items[0].clone() } else { format!("[{}]", items.join(",")) };
    format!(r#"{{"data":{data},"code":{}}}"#, text(0, quoted[3]))
}

proptest! {
    #[test]
    fn every_valid_answer_comes_back_in_every_form(
        values in prop::collection::btree_map(any::<i32>(), (0..=i64::MAX, 0..=i64::MAX), 1..5),
        quoted in any::<[bool; 4]>(),
        object in any::<bool>(),
    ) {
        let by_type: Vec<_> = values.iter().map(|(t, (a, b))| allocation(*t, *a, *b)).collect();
        prop_assert_eq!(decode(&write_body(&by_type, quoted, object)), Ok(by_type));
    }

    #[test]
    fn a_truncated_answer_is_never_good(values in (any::<i32>(), 0..=i64::MAX, 0..=i64::MAX), cut in any::<prop::sample::Index>()) {
        let body = write_body(&[allocation(values.0, values.1, values.2)], [false; 4], true);
        prop_assert!(matches!(decode(&body[..cut.index(body.len())]), Err(Verdict::Invalid(_))));
    }

    #[test]
    fn any_bytes_give_a_verdict_and_no_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode_allocation(&body).is_err());
    }

    #[test]
    fn a_number_is_accepted_exactly_when_it_is_a_whole_one_in_range(number in any::<i128>(), shift in 0..128_u32, fraction in prop::option::of(0..100_u8)) {
        let number = number >> shift;
        let text = fraction.map_or_else(|| number.to_string(), |f| format!("{number}.{f}"));
        let accepted = decode_capacity(&text).is_ok();
        prop_assert_eq!(accepted, fraction.is_none() && (0..=i128::from(i64::MAX)).contains(&number), "{}", text);
    }
}

#[test]
fn more_types_than_an_answer_may_have_are_refused_before_they_are_read() {
    let body = |types: usize| {
        let item = |i| format!(r#"{{"type":{i},"allocateCapacity":1,"totalCapacity":2}}"#);
        format!(r#"{{"code":0,"data":[{}]}}"#, (0..types).map(item).collect::<Vec<_>>().join(","))
    };
    assert_eq!(decode(&body(MAX_SPACE_TYPES)).unwrap().len(), 64);
    for types in [65, 10_000] {
        let reason = format!("data lists {types} space types, and more than 64 are not taken");
        assert_eq!(decode(&body(types)), Err(Verdict::Invalid(reason)));
    }
    let garbage = format!(r#"{{"code":0,"data":[{}0]}}"#, "0,".repeat(400_000));
    assert_eq!(decode(&garbage), Err(Verdict::invalid("data lists 400001 space types, and more than 64 are not taken")));
}
