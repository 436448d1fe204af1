//! A value of one field, read as the field's type has it.

use serde_json::{Map, Value};

use super::provenance::{for_each_leaf, put};
use super::{TrainingJob, ranges};

/// Whether the spec has such a field, or group of fields.
pub(crate) fn is_known(path: &str, value: &Value) -> bool {
    let mut spec = Map::new();
    put(&mut spec, path, value.clone());
    let mut known = true;
    let job: Result<TrainingJob, _> = serde_ignored::deserialize(Value::Object(spec), |_| known = false);
    known && job.is_ok()
}

/// A field's value as the spec's type has it; nothing where the spec has no such field.
pub(crate) fn read_field(path: &str, value: &Value) -> Result<Option<Value>, String> {
    let mut spec = Map::new();
    put(&mut spec, path, value.clone());
    let mut unknown = false;
    let job: TrainingJob = serde_ignored::deserialize(Value::Object(spec), |_| unknown = true)
        .map_err(|error| error.to_string())?;
    let mut read = None;
    if !unknown {
        let spec = serde_json::to_value(job).unwrap_or_default();
        for_each_leaf(&spec, &mut |_, value| read = Some(value.clone()));
    }
    match read.as_ref().and_then(|value| ranges::out_of_range(path, value)) {
        Some(problem) => Err(problem),
        None => Ok(read),
    }
}
