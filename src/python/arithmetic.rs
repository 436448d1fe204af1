//! What follows from plain values: truth, numbers, arithmetic, comparisons, and the bounds of a value's size.

use ruff_python_ast::{CmpOp, Operator};
use serde_json::Value as Json;

use super::Value;

/// The most bytes of a text, of a list and of a dictionary.
pub(super) const MOST_TEXT: usize = 4 << 10;

pub(super) fn text_of<'t>(parts: impl Iterator<Item = &'t str>) -> Option<Json> {
    let mut whole = String::new();
    for part in parts {
        whole.push_str(part);
        if whole.len() > MOST_TEXT {
            return None;
        }
    }
    Some(whole.into())
}

/// Python's truth of a value.
pub(super) fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Plain(Json::Bool(truth)) => Some(*truth),
        Value::Plain(Json::Null) => Some(false),
        Value::Plain(Json::String(text)) => Some(!text.is_empty()),
        Value::Plain(Json::Number(number)) => Some(number.as_f64() != Some(0.0)),
        Value::Plain(Json::Array(list)) => Some(!list.is_empty()),
        Value::Plain(Json::Object(keys)) => Some(!keys.is_empty()),
        // An object that a call makes.
        Value::Call(_) | Value::Unknown => None,
    }
}

/// A value as a number: also a text, as `int("8")`.
pub(super) fn number(value: &Value) -> Option<Json> {
    match value {
        Value::Plain(Json::Number(number)) => Some(number.clone().into()),
        Value::Plain(Json::String(text)) => {
            let text = text.trim();
            let float = || serde_json::Number::from_f64(text.parse().ok()?).map(Json::from);
            text.parse::<i64>().ok().map(Json::from).or_else(float)
        }
        _ => None,
    }
}

pub(super) fn arithmetic(op: Operator, left: Value, right: Value) -> Option<Json> {
    let (Value::Plain(left), Value::Plain(right)) = (left, right) else { return None };
    if let (Some(left), Some(right)) = (left.as_i64(), right.as_i64()) {
        let whole = match op {
            Operator::Add => left.checked_add(right),
            Operator::Sub => left.checked_sub(right),
            Operator::Mult => left.checked_mul(right),
            Operator::FloorDiv => left.checked_div_euclid(right).filter(|_| right > 0),
            Operator::Mod => left.checked_rem_euclid(right).filter(|_| right > 0),
            Operator::Pow => u32::try_from(right).ok().and_then(|right| left.checked_pow(right)),
            Operator::Div => return real(left as f64 / right as f64),
            _ => None,
        };
        return whole.map(Json::from);
    }
    if let (Some(left), Some(right)) = (left.as_f64(), right.as_f64()) {
        return real(match op {
            Operator::Add => left + right,
            Operator::Sub => left - right,
            Operator::Mult => left * right,
            Operator::Div => left / right,
            _ => return None,
        });
    }
    match (op, left, right) {
        (Operator::Add, Json::String(left), Json::String(right)) => bounded((left + &right).into()),
        (Operator::Add, Json::Array(mut left), Json::Array(right)) => {
            left.extend(right);
            bounded(left.into())
        }
        (Operator::BitOr, Json::Object(mut left), Json::Object(right)) => {
            left.extend(right);
            bounded(left.into())
        }
        _ => None,
    }
}

fn real(value: f64) -> Option<Json> {
    serde_json::Number::from_f64(value).map(Json::from)
}

pub(super) fn compared(op: CmpOp, left: &Value, right: &Value) -> Option<bool> {
    let (Value::Plain(left), Value::Plain(right)) = (left, right) else { return None };
    match op {
        CmpOp::Eq | CmpOp::Is => Some(left == right),
        CmpOp::NotEq | CmpOp::IsNot => Some(left != right),
        CmpOp::In => contains(right, left),
        CmpOp::NotIn => contains(right, left).map(|is_in| !is_in),
        CmpOp::Lt => Some(left.as_f64()? < right.as_f64()?),
        CmpOp::LtE => Some(left.as_f64()? <= right.as_f64()?),
        CmpOp::Gt => Some(left.as_f64()? > right.as_f64()?),
        CmpOp::GtE => Some(left.as_f64()? >= right.as_f64()?),
    }
}

fn contains(whole: &Json, part: &Json) -> Option<bool> {
    match (whole, part) {
        (Json::Array(list), part) => Some(list.contains(part)),
        (Json::String(text), Json::String(part)) => Some(text.contains(part.as_str())),
        (Json::Object(keys), Json::String(part)) => Some(keys.contains_key(part)),
        _ => None,
    }
}

/// The value, if it is not too large.
pub(super) fn bounded(value: Json) -> Option<Json> {
    (size(&value) <= MOST_TEXT).then_some(value)
}

/// The size of a value, about in bytes.
pub(super) fn size(value: &Json) -> usize {
    match value {
        Json::String(text) => text.len() + 1,
        Json::Array(list) => list.iter().map(size).sum::<usize>() + 1,
        Json::Object(keys) => keys.iter().map(|(key, value)| key.len() + size(value)).sum::<usize>() + 1,
        _ => 1,
    }
}
