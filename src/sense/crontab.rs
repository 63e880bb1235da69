//! The user's crontab, as crontab(1) lists it.
//!
//! Owns which of its lines may be a watchdog of the gateway; touches none of them.

use std::{path::Path, time::Duration};

use super::child;
use crate::line::Line;

/// A crontab of more is nobody's.
const MAX_OUTPUT: usize = 256 * 1024;

/// The lines that name the gateway, without comments; none where there is no crontab, or no cron.
///
/// crontab(1) fails in the same way when there is no crontab and when it cannot be read.
pub fn lines_about_openclaw(program: &Path, budget: Duration) -> Vec<Line> {
    let listed = child::output(program, &["-l".to_owned()], MAX_OUTPUT, budget);
    about_openclaw(&listed.unwrap_or_default())
}

fn about_openclaw(crontab: &[u8]) -> Vec<Line> {
    crontab
        .split(|byte| *byte == b'\n')
        .map(Line::lossy)
        .filter(|line| {
            let line = line.as_str().to_ascii_lowercase();
            !line.starts_with('#') && line.contains("openclaw")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_name_the_gateway_and_do_something_are_found() {
        let crontab = b"MAILTO=me\n# openclaw watchdog\n* * * * * ~/bin/backup\n\
            * * * * * sleep 30; /home/a/OpenClaw-watchdog.sh >/dev/null\n0 3 * * * rm /tmp/openclaw/*.log\n";
        let found = about_openclaw(crontab);
        let found: Vec<&str> = found.iter().map(Line::as_str).collect();
        assert_eq!(
            found,
            [
                "* * * * * sleep 30; /home/a/OpenClaw-watchdog.sh >/dev/null",
                "0 3 * * * rm /tmp/openclaw/*.log"
            ]
        );
    }

    #[test]
    fn where_there_is_no_cron_there_are_no_lines() {
        let absent = Path::new("/nonexistent/crontab");
        assert_eq!(lines_about_openclaw(absent, Duration::from_secs(5)), []);
        let none = Path::new("/bin/false");
        assert_eq!(lines_about_openclaw(none, Duration::from_secs(5)), []);
    }
}
