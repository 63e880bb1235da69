//! What is written and read: printable lines, spans and failures in words, templates, what is taken for a secret, what was said already.

pub mod line;
pub mod near_miss;
pub mod once;
pub mod secrets;
pub mod template;
pub mod words;
