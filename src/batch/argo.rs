//! What an Argo workflow starts: a pod for each template with a container or a script, and the objects that a template
//! creates.
//!
//! ```text
//! container | script, with podSpecPatch ─► a pod
//! resource.manifest                     ─► objects, judged as the gate sees them when the workflow creates them
//! ```
//!
//! `{{workflow.parameters.NAME}}` has the value of the workflow's argument. `{{inputs.parameters.NAME}}` has the value that
//! the first step or task gives which calls the template, or the default of the template's input. A text that a caller gives
//! may have placeholders, too. Any other placeholder is unknown, and so is an expression: `{{=sprig.lower(name)}}`.
//! Source: argoproj/argo-workflows pkg/apis/workflow/v1alpha1 `workflow_types.go`.

use serde_json::{Map, Value, json};

use super::other_kinds::template as pod_template;

/// The most templates, and the most objects of all templates, that are read.
const MOST: usize = 64;
/// The most bytes of a manifest or a patch.
const MOST_BYTES: usize = 1 << 20;
/// The arguments of a workflow, a step or a task.
const ARGUMENTS: &str = "/arguments/parameters";

fn list<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

fn is(value: &Value, field: &str, text: &str) -> bool {
    value.get(field).and_then(Value::as_str) == Some(text)
}

/// The pods of a workflow, each with `metadata` and `spec`.
pub(super) fn pods(object: &Value) -> Vec<Value> {
    let Some((_, workflow)) = workflow(object) else { return Vec::new() };
    templates(workflow).filter_map(|template| pod(workflow, template)).collect()
}

/// The objects that a workflow creates. A manifest that cannot be read creates none.
pub(super) fn created(object: &Value) -> Vec<Value> {
    let Some((_, workflow)) = workflow(object) else { return Vec::new() };
    templates(workflow).filter_map(|template| manifest(workflow, template)).flatten().take(MOST).collect()
}

/// Changes every template with a container or a script, and every object that one creates, where they stand.
pub(super) fn each_started(object: &mut Value, change: &mut impl FnMut(&mut Value)) {
    let Some((place, workflow)) = workflow(object).map(|(place, workflow)| (place, workflow.clone())) else {
        return;
    };
    let templates = object.pointer_mut(&format!("{place}/templates")).and_then(Value::as_array_mut);
    for template in templates.into_iter().flatten().take(MOST) {
        if template.get("container").or_else(|| template.get("script")).is_some() {
            change(template);
        }
        let Some(mut objects) = manifest(&workflow, template) else { continue };
        objects.iter_mut().for_each(&mut *change);
        // JSON is YAML.
        let text = objects.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
        if let Some(manifest) = template.pointer_mut("/resource/manifest") {
            *manifest = text.into();
        }
    }
}

/// The objects in the manifest of a template. None if it has no manifest, or one that cannot be read.
fn manifest(workflow: &Value, template: &Value) -> Option<Vec<Value>> {
    let text = filled(template.pointer("/resource/manifest")?.as_str()?, workflow, template);
    let objects = (text.len() <= MOST_BYTES).then(|| serde_saphyr::from_multiple::<Value>(&text).ok())??;
    Some(objects.into_iter().filter(Value::is_object).take(MOST).collect())
}

/// The specification of a workflow, and its place.
fn workflow(object: &Value) -> Option<(&'static str, &Value)> {
    let specs = ["/spec/workflowSpec", "/spec"].map(|place| (place, object.pointer(place)));
    let mut specs = specs.into_iter().filter_map(|(place, spec)| Some((place, spec?)));
    specs.find(|(_, spec)| spec.get("templates").is_some_and(Value::is_array))
}

fn templates(workflow: &Value) -> impl Iterator<Item = &Value> {
    list(workflow, "templates").take(MOST)
}

fn pod(workflow: &Value, template: &Value) -> Option<Value> {
    let mut container = template.get("container").cloned().or_else(|| script(template.get("script")?))?;
    let patch = [template, workflow].into_iter().find_map(|object| object.get("podSpecPatch")?.as_str());
    if let Some(resources) = patch.and_then(|patch| patched(&filled(patch, workflow, template))) {
        container.as_object_mut()?.insert("resources".into(), resources);
    }
    let mut spec = Map::new();
    for field in ["nodeSelector", "affinity", "volumes"] {
        let value = template.get(field).or_else(|| workflow.get(field));
        spec.extend(value.map(|value| (field.to_owned(), value.clone())));
    }
    spec.insert("containers".into(), json!([container]));
    let mut pod = pod_template(template.get("metadata"), &Value::Object(spec));
    fill(&mut pod, &|text| filled(text, workflow, template));
    Some(pod)
}

/// Fills every text of a value.
fn fill(value: &mut Value, filled: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) if text.contains("{{") => *text = filled(text),
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, filled)),
        Value::Object(map) => map.values_mut().for_each(|inner| fill(inner, filled)),
        _ => {}
    }
}

/// The container of a script: Argo runs its command with the source as a file.
fn script(script: &Value) -> Option<Value> {
    let mut container = script.clone();
    let source = script.get("source")?.clone();
    let mut command = script.get("command").and_then(Value::as_array).cloned().unwrap_or_default();
    command.extend([json!("-c"), source]);
    container.as_object_mut()?.insert("command".into(), Value::Array(command));
    Some(container)
}

/// The resources that a patch gives to the container of a template, which Argo calls `main`.
fn patched(patch: &str) -> Option<Value> {
    let patch: Value = (patch.len() <= MOST_BYTES).then(|| serde_saphyr::from_str(patch).ok())??;
    let main = list(&patch, "containers").find(|container| is(container, "name", "main"))?;
    main.get("resources").cloned()
}

/// A text with the values of the workflow's and the template's parameters. What has no value becomes a variable of a
/// command, `$(workflow.name)`, which has no value either.
fn filled(text: &str, workflow: &Value, template: &Value) -> String {
    let known = |placeholder: &str| {
        if let Some(name) = placeholder.strip_prefix("workflow.parameters.") {
            return value_of(workflow.pointer(ARGUMENTS), name);
        }
        let name = placeholder.strip_prefix("inputs.parameters.")?;
        let given = callers(workflow, template).find_map(|step| value_of(step.pointer(ARGUMENTS), name));
        // A caller passes on arguments of the workflow.
        let of_workflow = |placeholder: &str| {
            value_of(workflow.pointer(ARGUMENTS), placeholder.strip_prefix("workflow.parameters.")?)
        };
        let passed_on = |given: String| match next_placeholder(given.trim()) {
            Some(("", placeholder, "")) => of_workflow(placeholder),
            _ => Some(replaced(&given, &of_workflow)),
        };
        given.and_then(passed_on).or_else(|| value_of(template.pointer("/inputs/parameters"), name))
    };
    replaced(text, &known)
}

/// A text with the known values of its placeholders.
fn replaced(text: &str, known: &impl Fn(&str) -> Option<String>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, placeholder, after)) = next_placeholder(rest) {
        filled.push_str(before);
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
        let variable = || format!("$({})", placeholder.chars().map(plain).collect::<String>());
        filled.push_str(&known(placeholder).unwrap_or_else(variable));
        if filled.len() > MOST_BYTES {
            return filled;
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// The first placeholder of a text, with what is before it and behind it.
fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{{")?;
    let (placeholder, after) = rest.split_once("}}")?;
    Some((before, placeholder.trim(), after))
}

/// The value of a parameter in a list, or its default.
fn value_of(parameters: Option<&Value>, name: &str) -> Option<String> {
    let parameters = parameters?.as_array()?.iter().take(MOST);
    let parameter = parameters.into_iter().find(|parameter| is(parameter, "name", name))?;
    let value = parameter.get("value").or_else(|| parameter.get("default"))?;
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// The steps and tasks that call a template.
fn callers<'w>(workflow: &'w Value, template: &'w Value) -> impl Iterator<Item = &'w Value> {
    let of_steps = templates(workflow).flat_map(|template| list(template, "steps"));
    let of_steps = of_steps.filter_map(Value::as_array).flatten();
    let tasks =
        templates(workflow).filter_map(|template| template.pointer("/dag/tasks")?.as_array()).flatten();
    let all = of_steps.chain(tasks).take(MOST * MOST);
    let name = template.get("name").and_then(Value::as_str).unwrap_or_default();
    all.filter(move |step| is(step, "template", name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_in_a_template_creates_objects_with_the_workflows_arguments() {
        let manifest = "kind: Job\nmetadata: {name: '{{workflow.parameters.run}}'}\n---\nkind: ConfigMap\n";
        let workflow = json!({"spec": {
            "arguments": {"parameters": [{"name": "run", "value": "a"}, {"name": "gpus", "value": 8}]},
            "templates": [{"name": "t", "resource": {"action": "create", "manifest": manifest}}],
        }});
        assert_eq!(
            created(&workflow),
            [json!({"kind": "Job", "metadata": {"name": "a"}}), json!({"kind": "ConfigMap"})]
        );
        assert_eq!(pods(&workflow), [] as [Value; 0]);
    }

    #[test]
    fn a_patch_gives_the_main_container_its_accelerators() {
        let patch =
            "containers: [{name: main, resources: {limits: {nvidia.com/gpu: '{{inputs.parameters.gpus}}'}}}]";
        let workflow = json!({"spec": {"templates": [{
            "inputs": {"parameters": [{"name": "gpus", "default": "2"}]},
            "container": {"image": "i", "args": ["--gpus={{inputs.parameters.gpus}}"]}, "podSpecPatch": patch,
        }]}});
        let container = json!({
            "image": "i", "args": ["--gpus=2"], "resources": {"limits": {"nvidia.com/gpu": "2"}},
        });
        assert_eq!(pods(&workflow), [json!({"metadata": {}, "spec": {"containers": [container]}})]);
    }

    #[test]
    fn a_step_passes_the_workflows_arguments_on() {
        let manifest = "kind: Job\nmetadata: {name: {{inputs.parameters.config}}, of: {{workflow.name}}}";
        let step = json!({"template": "t", "arguments": {"parameters": [
            {"name": "config", "value": "{{ workflow.parameters.name }}"},
        ]}});
        let workflow = json!({"spec": {
            "arguments": {"parameters": [{"name": "name", "value": "neox"}]},
            "templates": [{"name": "main", "steps": [[step]]}, {"name": "t", "resource": {"manifest": manifest}}],
        }});
        assert_eq!(
            created(&workflow),
            [json!({"kind": "Job", "metadata": {"name": "neox", "of": "$(workflow.name)"}})]
        );
    }

    #[test]
    fn a_step_passes_a_text_with_arguments_and_expressions_on() {
        let step = json!({"template": "t", "arguments": {"parameters": [
            {"name": "options", "value": "--model {{workflow.parameters.name}} --data {{=sprig.lower('A', x)}}.tokens"},
        ]}});
        let workflow = json!({"spec": {
            "arguments": {"parameters": [{"name": "name", "value": "neox"}]},
            "templates": [
                {"name": "main", "steps": [[step]]},
                {"name": "t", "container": {"args": ["train.py {{inputs.parameters.options}}"]}},
            ],
        }});
        let args = json!(["train.py --model neox --data $(_sprig.lower__A___x_).tokens"]);
        assert_eq!(pods(&workflow), [json!({"metadata": {}, "spec": {"containers": [{ "args": args }]}})]);
    }

    #[test]
    fn a_manifest_that_cannot_be_read_creates_nothing() {
        let workflow = |manifest| json!({"spec": {"templates": [{"resource": {"manifest": manifest}}]}});
        for manifest in ["a: {{", "a: [", "text", ""] {
            assert_eq!(created(&workflow(manifest)), [] as [Value; 0], "{manifest}");
        }
    }
}
