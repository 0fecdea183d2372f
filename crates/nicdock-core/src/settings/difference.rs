//! What differs between the settings before and after: by their serialised form, so that nothing can be forgotten.

use serde_json::Value;

use super::Settings;

/// Every difference, as `link.group is 7 instead of 0`.
pub fn differences(before: &Settings, now: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    let now = &Settings { ethtool: now.ethtool.as_far_as_known(&before.ethtool), ..now.clone() };
    let value = |settings: &Settings| {
        let settings = Settings { qdiscs: settings.qdiscs.comparable(), ..settings.clone() };
        serde_json::to_value(settings).unwrap_or_default()
    };
    compare(&mut Vec::new(), &value(before), &value(now), &mut found);
    found
}

fn compare<'a>(path: &mut Vec<&'a str>, before: &'a Value, now: &'a Value, found: &mut Vec<String>) {
    if let (Value::Object(before), Value::Object(now)) = (before, now) {
        for (key, value) in before {
            path.push(key);
            compare(path, value, now.get(key).unwrap_or(&Value::Null), found);
            path.pop();
        }
        for (key, value) in now.iter().filter(|(key, _)| !before.contains_key(*key)) {
            path.push(key);
            compare(path, &Value::Null, value, found);
            path.pop();
        }
    } else if before != now {
        found.push(format!("{} is {} instead of {}", path.join("."), words(now), words(before)));
    }
}

fn words(value: &Value) -> String {
    match value {
        Value::Null => "not there".into(),
        Value::String(text) => format!("'{text}'"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_appeared_or_went_is_named_by_its_place() {
        let before = serde_json::json!({"link": {"group": 0, "alias": "a"}, "vfs": [1]});
        let now = serde_json::json!({"link": {"group": 7, "new": 1}, "vfs": [2]});
        let mut found = Vec::new();
        compare(&mut Vec::new(), &before, &now, &mut found);
        assert_eq!(
            found,
            [
                "link.alias is not there instead of 'a'",
                "link.group is 7 instead of 0",
                "link.new is 1 instead of not there",
                "vfs is [2] instead of [1]"
            ]
        );
    }
}
