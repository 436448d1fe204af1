//! How a launch is read, whatever its framework: settings from arguments, files and environment, and what they claim.

pub(crate) mod claims;
pub(crate) mod complete;
pub(crate) mod config;
pub(crate) mod facts;
pub(crate) mod flags;
pub(crate) mod rendezvous;
pub(crate) mod settings;
pub(crate) mod unread;
