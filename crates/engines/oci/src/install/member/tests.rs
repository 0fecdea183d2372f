use serde_json::json;

use super::*;

fn way() -> Vec<String> {
    ["runtimes", "nicdock"].map(str::to_owned).to_vec()
}

fn with(text: &str) -> String {
    set(text, &way(), &json!({ "path": "/n" })).unwrap()
}

/// Puts it in and takes it out again: the same bytes. Gives what is between.
fn there_and_back(text: &str) -> String {
    let had = depth(text, &way()).unwrap();
    let between = with(text);
    assert_eq!(get(&between, &way()).unwrap(), Some(json!({ "path": "/n" })), "{between}");
    assert_eq!(remove(&between, &way(), had).unwrap(), text, "{between}");
    // All else is as before, and in the order in which it was.
    let mut wanted: Value = serde_json::from_str(text).unwrap();
    wanted["runtimes"]["nicdock"] = json!({ "path": "/n" });
    assert_eq!(serde_json::from_str::<Value>(&between).unwrap(), wanted);
    between
}

#[test]
fn it_is_written_as_the_text_around_it_is() {
    assert_eq!(
        there_and_back("{}"),
        "{\n  \"runtimes\": {\n    \"nicdock\": {\n      \"path\": \"/n\"\n    }\n  }\n}"
    );
    assert_eq!(there_and_back(r#"{"a":1}"#), r#"{"a":1, "runtimes": {"nicdock":{"path":"/n"}}}"#);
    assert_eq!(
        there_and_back("{\n\t\"z\": 1,\n\t\"a\" : [ 1,2 ]\n}\n"),
        "{\n\t\"z\": 1,\n\t\"a\" : [ 1,2 ],\n\t\"runtimes\": {\n\t\t\"nicdock\": {\n\t\t\t\"path\": \"/n\"\n\t\t}\n\t}\n}\n"
    );
    assert_eq!(
        there_and_back("{\n    \"runtimes\": {\n        \"x\": {}\n    },\n    \"a\": 1\n}"),
        "{\n    \"runtimes\": {\n        \"x\": {},\n        \"nicdock\": {\n            \"path\": \"/n\"\n        }\n    },\n    \"a\": 1\n}"
    );
}

#[test]
fn what_nobody_knows_stays_to_the_byte() {
    for text in [
        "\n { \"n\" : 1.10e+3, \"big\": 123456789012345678901234567890, \"s\": \"\\u00e9,}{\" } \n",
        "{\"runtimes\":{}}",
        "{\"runtimes\":{},\"runtime\":{\"nicdock\":1}}",
        "{\"a\":{\"runtimes\":{\"nicdock\":{\"path\":\"no\"}}}}",
        "{\r\n  \"a\": true\r\n}\r\n",
        "{\n  \"runtimes\": {\n  }\n}".replace("{\n  }", "{}").as_str(),
    ] {
        there_and_back(text);
    }
}

#[test]
fn what_others_added_meanwhile_stays() {
    let between = with("{}");
    let edited = between.replace("\"nicdock\"", "\"later\": {},\n    \"nicdock\"");
    let left = remove(&edited, &way(), 0).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&left).unwrap(), json!({ "runtimes": { "later": {} } }));
    let edited = between.replacen('{', "{\n  \"first\": 1,", 1);
    assert_eq!(
        serde_json::from_str::<Value>(&remove(&edited, &way(), 0).unwrap()).unwrap(),
        json!({"first": 1})
    );
    let edited = between.trim_end_matches('}').to_owned() + ",\"last\": 1}";
    assert_eq!(
        serde_json::from_str::<Value>(&remove(&edited, &way(), 0).unwrap()).unwrap(),
        json!({"last": 1})
    );
    assert!(is_empty(&remove(&between, &way(), 0).unwrap()));
    assert_eq!(remove("{\"a\":1}", &way(), 0).unwrap(), "{\"a\":1}");
}

#[test]
fn a_value_that_is_there_is_replaced_in_its_place() {
    let text =
        "{\n  \"runtimes\": {\n    \"nicdock\": {\n      \"path\": \"/old\"\n    },\n    \"x\": 1\n  }\n}";
    assert_eq!(with(text), text.replace("/old", "/n"));
    assert_eq!(
        with(r#"{"runtimes":{"nicdock":null,"x":1}}"#),
        r#"{"runtimes":{"nicdock":{"path":"/n"},"x":1}}"#
    );
}

#[test]
fn what_is_no_object_is_refused() {
    for text in
        ["", "[]", "1", "{", "{\"a\":1,}", "{} x", "{\"runtimes\":[]}", "{\"runtimes\":null}", "\u{feff}{}"]
    {
        assert!(matches!(set(text, &way(), &json!(1)), Err(MemberError::NoObject(_))), "{text}");
    }
    let twice = r#"{"runtimes":{},"runtimes":{}}"#;
    assert_eq!(get(twice, &way()), Err(MemberError::Twice("runtimes".to_owned())));
}
