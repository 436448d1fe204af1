//! Models that a command downloads before it trains: their names, by the folder in which they then lie.
//!
//! ```text
//! hf download ID --local-dir FOLDER, huggingface-cli download ID --local-dir FOLDER
//! modelscope download --model ID --local_dir FOLDER
//! git clone https://huggingface.co/ID FOLDER
//! snapshot_download("ID", local_dir="FOLDER")                     in a Python program
//! ```
//!
//! Other containers of the object may train with what one downloads, so all of an object's downloads count together.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::files::absolute;
use super::{Arguments, Launch, Word};
use crate::python::{Call, Value};

/// The most downloads of an object that are kept.
const MOST: usize = 32;
const FOLDERS: &[&str] = &["local-dir", "local_dir"];
/// The hosts of repositories of models.
const HOSTS: &[&str] = &["https://huggingface.co/", "https://hf.co/", "https://www.modelscope.cn/"];

/// Models by the folder that they are downloaded to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Downloads(BTreeMap<String, String>);

impl Downloads {
    /// The model in a folder.
    pub(crate) fn model_in(&self, folder: &str) -> Option<&str> {
        self.0.get(folder.trim_end_matches('/')).map(String::as_str)
    }

    /// Adds a model. A folder with two models has neither for certain.
    pub(crate) fn add(&mut self, folder: &str, model: &str) {
        let folder = folder.trim_end_matches('/');
        let other = self.0.get(folder).is_some_and(|known| known != model);
        if other {
            self.0.remove(folder);
        } else if self.0.len() < MOST && !folder.is_empty() {
            self.0.insert(folder.to_owned(), model.to_owned());
        }
    }

    /// Adds what a command downloads.
    pub(crate) fn of_command(&mut self, words: &[Word], directory: Option<&str>) {
        let text = |at: usize| words.get(at).filter(|word| word.known).map_or("", |word| word.text.as_str());
        let rest = |from: usize| Arguments::of(words.get(from..).unwrap_or_default().to_vec());
        if text(1) == "download" {
            let arguments = rest(2);
            let folder = FOLDERS.iter().find_map(|option| arguments.value(option));
            let model = Some(text(2)).filter(|id| is_id(id)).or_else(|| arguments.value("model"));
            if let (Some(model), Some(folder)) = (model.filter(|id| is_id(id)), folder) {
                self.add(&absolute(directory, folder), model);
            }
        } else if text(0) == "git" && text(1) == "clone" {
            let free = words.iter().skip(2).filter(|word| word.known && !word.text.starts_with('-'));
            let free: Vec<&str> = free.map(|word| word.text.as_str()).collect();
            let id = |url: &str| {
                let id = HOSTS.iter().find_map(|host| url.strip_prefix(host))?;
                Some(id.trim_end_matches('/').trim_end_matches(".git").to_owned())
            };
            let at = free.iter().position(|word| id(word).is_some_and(|id| is_id(&id)));
            if let Some((at, model)) = at.and_then(|at| Some((at, id(free.get(at)?)?))) {
                let name = model.rsplit('/').next().unwrap_or_default();
                self.add(&absolute(directory, free.get(at + 1).copied().unwrap_or(name)), &model);
            }
        }
    }

    /// Adds what the Python program of a launch downloads.
    pub(crate) fn of_program(&mut self, launch: &Launch) {
        let program = launch.script.as_ref().and_then(|script| script.program.as_ref());
        let calls = program.into_iter().flat_map(|program| &program.calls);
        for call in calls.filter(|call| call.name() == "snapshot_download" && call.runs != Some(false)) {
            let model =
                argument(call, &["repo_id", "model_id"]).or_else(|| call.positional.first().and_then(text));
            if let (Some(model), Some(folder)) = (model, argument(call, &["local_dir"]))
                && is_id(model)
            {
                self.add(folder, model);
            }
        }
    }
}

fn argument<'c>(call: &'c Call, names: &[&str]) -> Option<&'c str> {
    names.iter().find_map(|name| text(call.named.get(*name)?))
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Plain(Json::String(text)) => Some(text),
        _ => None,
    }
}

/// Whether a text is the name of a model in a repository of models: `meta-llama/Llama-3.1-8B`.
pub(crate) fn is_id(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    text.len() <= 128 && text.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(command: &str) -> Downloads {
        let words: Vec<Word> = command.split(' ').map(Word::known).collect();
        let mut downloads = Downloads::default();
        downloads.of_command(&words, Some("/work"));
        downloads
    }

    #[test]
    fn a_model_is_known_by_the_folder_that_it_is_downloaded_to() {
        for command in [
            "hf download meta-llama/Llama-3.1-8B --exclude original/* --local-dir /work/m",
            "huggingface-cli download meta-llama/Llama-3.1-8B --local-dir m/",
            "modelscope download --model meta-llama/Llama-3.1-8B --local_dir /work/m",
            "git clone --depth 1 https://huggingface.co/meta-llama/Llama-3.1-8B m",
        ] {
            assert_eq!(of(command).model_in("/work/m/"), Some("meta-llama/Llama-3.1-8B"), "{command}");
        }
        assert_eq!(of("git clone https://huggingface.co/a/b").model_in("/work/b"), Some("a/b"));
        for command in
            ["hf download meta-llama/Llama-3.1-8B", "git clone https://github.com/a/b", "hf download"]
        {
            assert_eq!(of(command), Downloads::default(), "{command}");
        }
    }

    #[test]
    fn a_folder_with_two_models_has_neither() {
        let mut downloads = Downloads::default();
        downloads.add("/m", "a/b");
        downloads.add("/m/", "a/c");
        assert_eq!(downloads.model_in("/m"), None);
    }
}
