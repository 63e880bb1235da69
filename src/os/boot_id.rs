//! The id of this boot, which state and pauses carry, so that those of an earlier one are known.
//!
//! Owns the one use of libsystemd's id128; knows nothing of what is kept under the id.

use libsystemd::id128;

use crate::text::line::Line;

/// The id of this boot: 32 hexadecimal digits.
pub fn get() -> Result<String, Line> {
    id128::get_boot()
        .map(|id| id.lower_hex())
        .map_err(|e| Line::new(&format!("cannot read the boot id: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_kernels_without_dashes() {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        assert_eq!(get().unwrap(), kernel.trim().replace('-', ""));
    }
}
