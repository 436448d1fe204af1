//! Objects as their authors write them, from the text of one place in them to the judgement.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};
use weighbridge::kinds::object as reader;
use weighbridge::surroundings::{Keys, Surroundings};

use super::sound;

/// An object of every kind.
pub static KINDS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let text = include_str!("../objects.yaml");
    let documents = text.split("\n---\n").map(serde_saphyr::from_str);
    documents.collect::<Result<_, _>>().unwrap_or_else(|error| panic!("objects.yaml: {error}"))
});

/// The laws must hold for an object.
fn judge(object: &Value, around: &Surroundings) {
    if let Err(broken) = sound::check(object, around) {
        panic!("{broken}");
    }
}

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// A Job of two pods with eight GPUs each.
fn job(command: &Value, annotations: &Value) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job", "annotations": annotations},
        "spec": {"parallelism": 2, "completions": 2, "completionMode": "Indexed", "template": {"spec": {
            "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
            "containers": [{"name": "main", "image": "image", "command": command,
                            "resources": {"limits": {"nvidia.com/gpu": 8, "memory": "1Ti"}}}],
        }}},
    })
}

/// A file that the container has, under every ending by which readers choose a format.
fn with_file(content: &str) -> Surroundings {
    let content: Arc<str> = content.into();
    let names =
        ["/f.yaml", "/f.json", "/f.toml", "/f.py", "/f.sh", "/f/config.json", "/f/adapter_config.json"];
    let files: Keys = names.iter().map(|name| ((*name).to_owned(), content.clone())).collect();
    Surroundings { files: Arc::new(files), ..Surroundings::default() }
}

/// A script in a container.
pub fn shell(data: &[u8]) {
    let Some(script) = text(data) else { return };
    judge(&job(&json!(["bash", "-c", script, "x", "y"]), &Value::Null), &Surroundings::default());
}

/// A program in a file.
pub fn python(data: &[u8]) {
    let Some(program) = text(data) else { return };
    judge(&job(&json!(["torchrun", "--nproc-per-node=8", "/f.py"]), &Value::Null), &with_file(program));
}

/// A command in the first line, and the file that it names: `/f.yaml`, `/f.json`, `/f.toml` or `/f/config.json`.
pub fn configuration(data: &[u8]) {
    let Some((command, content)) = text(data).and_then(|text| text.split_once('\n')) else { return };
    let words: Vec<&str> = command.split_whitespace().collect();
    judge(&job(&json!(words), &Value::Null), &with_file(content));
}

/// An annotation: its key in the first line, then its value.
pub fn annotation(data: &[u8]) {
    let Some((key, value)) = text(data).and_then(|text| text.split_once('\n')) else { return };
    let annotations = json!({"weighbridge.dev/parameters": "7B", format!("weighbridge.dev/{key}"): value});
    judge(&job(&json!(["python", "train.py"]), &annotations), &Surroundings::default());
}

/// Either the JSON of an object, or changes to an object of a kind. The first byte chooses the kind. Each further line
/// is a JSON pointer, a blank, and the JSON that is put there.
pub fn object(data: &[u8]) {
    if data.first() == Some(&b'{') {
        if let Ok(object) = reader::read(data) {
            judge(&object, &Surroundings::default());
        }
        return;
    }
    let Some((kind, changes)) = text(data).and_then(|text| text.split_once('\n')) else { return };
    let number = kind.bytes().next().unwrap_or_default();
    let Some(mut object) = KINDS.get(usize::from(number) % KINDS.len()).cloned() else { return };
    for (pointer, value) in changes.lines().filter_map(|line| line.split_once(' ')) {
        if let Ok(value) = reader::read(value.as_bytes()) {
            put(&mut object, pointer, value);
        }
    }
    judge(&object, &Surroundings { workloads: vec![object.clone()], ..Surroundings::default() });
}

/// Puts a value at a pointer. The last name may be new.
fn put(object: &mut Value, pointer: &str, value: Value) {
    if let Some(place) = object.pointer_mut(pointer) {
        *place = value;
        return;
    }
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    match object.pointer_mut(parent) {
        Some(Value::Object(fields)) => drop(fields.insert(name.replace("~1", "/"), value)),
        Some(Value::Array(items)) => items.push(value),
        _ => {}
    }
}
