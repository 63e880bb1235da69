//! The man pages as the program carries them, and how the release binary is linked.
//!
//! man(1) reads compressed pages, and a third of their size is enough to carry.
//!
//! The binary is linked without the tables that unwinding needs: a release aborts on a panic, so nothing ever unwinds, yet the tables would be a tenth of the binary.
//! What is lost: the call stack in a backtrace and in a core dump; the panic's message and place are still told.

use std::{env, error::Error, fs, io::Write as _, path::PathBuf};

use flate2::{Compression, write::GzEncoder};

/// Discards the tables; the linker's own script stays in force (ld(1), INSERT).
const WITHOUT_TABLES: &str = "SECTIONS { /DISCARD/ : { *(.eh_frame) *(.gcc_except_table .gcc_except_table.*) } } INSERT AFTER .text;\n";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=man");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    for page in ["gatehound.1", "gatehound.toml.5", "gatehound.service.8"] {
        // The header has no time, so the same page is the same bytes.
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&fs::read(format!("man/{page}"))?)?;
        fs::write(out.join(format!("{page}.gz")), encoder.finish()?)?;
    }
    if env::var("PROFILE")? == "release" {
        let script = out.join("discard.ld");
        fs::write(&script, WITHOUT_TABLES)?;
        println!(
            "cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr,-T,{}",
            script.display()
        );
    }
    Ok(())
}
