//! A human's pause: the file that holds it, and the commands that set and lift it.

pub mod pause_command;
pub mod pause_file;
pub mod pause_write;
