//! A member of a JSON text that is somebody else's: found, put in, taken out. Every other byte stays, be it white space or what nobody knows.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MemberError {
    #[error("is no JSON object ({0})")]
    NoObject(String),
    #[error("has {0} twice")]
    Twice(String),
}

/// The member's value, if it is there.
pub fn get(text: &str, way: &[String]) -> Result<Option<Value>, MemberError> {
    let steps = find(text, way)?;
    let found = steps.last().filter(|_| steps.len() == way.len());
    Ok(found.and_then(|step| serde_json::from_str(&text[step.value.clone()]).ok()))
}

/// How many of the way's names are there.
pub fn depth(text: &str, way: &[String]) -> Result<usize, MemberError> {
    Ok(find(text, way)?.len())
}

/// The text with the member, in the place of one that is there or else as the last of its object.
pub fn set(text: &str, way: &[String], value: &Value) -> Result<String, MemberError> {
    let steps = find(text, way)?;
    let unit = Object::of(text, whole(text))?.unit(text);
    let missing = &way[steps.len()..];
    let Some((name, below)) = missing.split_first() else {
        let range = steps.last().map_or(whole(text), |step| step.value.clone());
        let indent = indent_of_line(text, range.start);
        let shown = rendered(value, unit.as_deref(), indent);
        return Ok(replaced(text, range, &shown));
    };
    let value = below
        .iter()
        .rev()
        .fold(value.clone(), |value, name| Value::Object([(name.clone(), value)].into_iter().collect()));
    let object = Object::of(text, steps.last().map_or(whole(text), |step| step.value.clone()))?;
    Ok(object.with(text, name, &value, unit.as_deref()))
}

/// The text without the member, and without the objects above it that are empty then, unless their names are among the first `had` of the way.
pub fn remove(text: &str, way: &[String], had: usize) -> Result<String, MemberError> {
    let mut text = text.to_owned();
    for length in (1..=way.len()).rev() {
        let steps = find(&text, &way[..length])?;
        let Some(last) = steps.get(length - 1) else { return Ok(text) };
        let object = Object::of(&text, last.object.clone())?;
        let left = object.members.len() - 1;
        text = object.without(&text, last.index);
        if left > 0 || length - 1 <= had {
            break;
        }
    }
    Ok(text)
}

/// Is it an object without members?
pub fn is_empty(text: &str) -> bool {
    Object::of(text, whole(text)).is_ok_and(|object| object.members.is_empty())
}

fn whole(text: &str) -> Range<usize> {
    let start = text.len() - text.trim_start().len();
    start..text.trim_end().len().max(start)
}

/// A name of a way that is there.
struct Step {
    /// The object that has it, and which of its members it is.
    object: Range<usize>,
    index: usize,
    value: Range<usize>,
}

/// As far as the way is there. An object must be wherever it goes on.
fn find(text: &str, way: &[String]) -> Result<Vec<Step>, MemberError> {
    let (mut steps, mut range) = (Vec::new(), whole(text));
    for name in way {
        let object = Object::of(text, range.clone())?;
        let mut found = object.members.iter().enumerate().filter(|(_, member)| member.name == *name);
        let Some((index, member)) = found.next() else { break };
        if found.next().is_some() {
            return Err(MemberError::Twice(name.clone()));
        }
        let value = member.value.clone();
        steps.push(Step { object: range, index, value: value.clone() });
        range = value;
    }
    Ok(steps)
}

/// An object by the places of its members' values.
struct Object {
    /// What is between its braces.
    inside: Range<usize>,
    members: Vec<Member>,
}

struct Member {
    name: String,
    value: Range<usize>,
}

impl Object {
    fn of(text: &str, range: Range<usize>) -> Result<Self, MemberError> {
        let begin = range.start;
        let part = &text[range.clone()];
        let mut parser = serde_json::Deserializer::from_str(part);
        let members = parser.deserialize_map(Members).and_then(|members| parser.end().map(|()| members));
        let members = members.map_err(|error| MemberError::NoObject(error.to_string()))?;
        let place = |(name, raw): (String, &RawValue)| {
            // It is borrowed from the text.
            let start = begin + (raw.get().as_ptr().addr() - part.as_ptr().addr());
            Member { name, value: start..start + raw.get().len() }
        };
        let members = members.into_iter().map(place).collect();
        Ok(Self { inside: range.start + 1..range.end - 1, members })
    }

    /// White space before its first name.
    fn lead<'a>(&self, text: &'a str) -> &'a str {
        let inside = &text[self.inside.clone()];
        &inside[..inside.len() - inside.trim_start().len()]
    }

    /// What its members are indented by, if each has a line of its own. An empty one takes the usual.
    fn unit(&self, text: &str) -> Option<String> {
        if self.members.is_empty() {
            return Some("  ".to_owned());
        }
        self.lead(text).rsplit_once('\n').map(|(_, indent)| indent.to_owned())
    }

    fn with(&self, text: &str, name: &str, value: &Value, unit: Option<&str>) -> String {
        let name = Value::from(name).to_string();
        if let Some(last) = self.members.last() {
            let lead = self.lead(text);
            let added = match lead.rsplit_once('\n') {
                Some((_, indent)) => format!(",{lead}{name}: {}", rendered(value, unit, indent)),
                None => format!(", {name}: {value}"),
            };
            return replaced(text, last.value.end..last.value.end, &added);
        }
        let Some(unit) = unit else {
            return replaced(text, self.inside.clone(), &format!("{name}: {value}"));
        };
        let outer = indent_of_line(text, self.inside.start);
        let indent = format!("{outer}{unit}");
        let shown = rendered(value, Some(unit), &indent);
        replaced(text, self.inside.clone(), &format!("\n{indent}{name}: {shown}\n{outer}"))
    }

    fn without(&self, text: &str, index: usize) -> String {
        let end = self.members[index].value.end;
        let range = match (index.checked_sub(1), self.members.get(index + 1)) {
            (Some(before), _) => self.members[before].value.end..end,
            // The first of several: up to the next one's name.
            (None, Some(_)) => {
                let rest = text[end..].trim_start().trim_start_matches(',').trim_start();
                self.inside.start + self.lead(text).len()..text.len() - rest.len()
            }
            (None, None) => self.inside.clone(),
        };
        replaced(text, range, "")
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

fn replaced(text: &str, range: Range<usize>, by: &str) -> String {
    format!("{}{by}{}", &text[..range.start], &text[range.end..])
}

/// The white space at the begin of the line of a place.
fn indent_of_line(text: &str, at: usize) -> &str {
    let line = text[..at].rsplit_once('\n').map_or(&text[..at], |(_, line)| line);
    &line[..line.len() - line.trim_start().len()]
}

fn rendered(value: &Value, unit: Option<&str>, indent: &str) -> String {
    let Some(unit) = unit else { return value.to_string() };
    let mut text = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(unit.as_bytes());
    let mut to = serde_json::Serializer::with_formatter(&mut text, format);
    match serde::Serialize::serialize(value, &mut to) {
        Ok(()) => String::from_utf8_lossy(&text).replace('\n', &format!("\n{indent}")),
        Err(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests;
