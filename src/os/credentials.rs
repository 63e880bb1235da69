//! systemd's credentials: what a unit's `LoadCredential=` hands to this process.
//!
//! Owns how one is read, and that what is in it reaches no message; knows nothing of what it is for.

use std::io::Read as _;

use libsystemd::credentials::CredentialsLoader;

use crate::text::line::Line;

/// The largest credential: a URL or a token.
const MAX: u64 = 8 * 1024;

/// One credential, without the white space around it.
///
/// # Errors
///
/// This process was given no credentials, or none of that name, or one that is no text; the line says what to do.
pub fn read(name: &str) -> Result<String, Line> {
    let missing = format!(
        "no credential {name:?} here; only the unit has it, by LoadCredential={name}:PATH in a drop-in, \
         see gatehound.toml(5)"
    );
    let loader = CredentialsLoader::open().map_err(|_| Line::new(&missing))?;
    let file = loader.get(name).map_err(|_| Line::new(&missing))?;
    let mut text = String::new();
    file.take(MAX)
        .read_to_string(&mut text)
        .map_err(|e| Line::new(&format!("credential {name:?} cannot be read: {e}")))?;
    Ok(text.trim().to_owned())
}
