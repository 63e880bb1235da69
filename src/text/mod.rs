//! What is written and read: printable lines, spans and failures in words, templates, what is taken for a secret.

pub mod line;
pub mod near_miss;
pub mod secrets;
pub mod template;
pub mod words;
