//! How a launch is read, for every framework: settings from arguments, files and environment, and the claims they make.

pub(crate) mod adapters;
pub(crate) mod claims;
pub(crate) mod complete;
pub(crate) mod config;
pub(crate) mod flags;
pub(crate) mod host;
pub(crate) mod hydra;
pub(crate) mod launchers;
pub(crate) mod model_config;
pub(crate) mod options;
pub(crate) mod rendezvous;
pub(crate) mod roles;
pub(crate) mod settings;
pub(crate) mod stored;
pub(crate) mod subjects;
pub(crate) mod torchrun;
pub(crate) mod unread;
