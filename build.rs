//! How the release binary is linked: without the tables that unwinding needs.
//!
//! A release aborts on a panic, so nothing ever unwinds, yet the tables would be a tenth of the binary.
//! What is lost: the call stack in a backtrace and in a core dump; the panic's message and place are still told.

use std::{env, error::Error, fs, path::PathBuf};

/// Discards the tables; the linker's own script stays in force (ld(1), INSERT).
const WITHOUT_TABLES: &str = "SECTIONS { /DISCARD/ : { *(.eh_frame) } } INSERT AFTER .text;\n";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("PROFILE")? == "release" {
        let script = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("discard.ld");
        fs::write(&script, WITHOUT_TABLES)?;
        println!(
            "cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr,-T,{}",
            script.display()
        );
    }
    Ok(())
}
