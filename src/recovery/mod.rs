//! What a recovery does to processes, and what it keeps of them: cleanup, evidence, incident files.

pub mod cleanup;
pub mod evidence;
pub mod incident_files;
