//! The journal, or standard error where no journal listens.
//!
//! Owns how records get there; their words and fields are `decide::record`'s.

use std::io::IsTerminal;

use log::{LevelFilter, Log, Metadata};
use systemd_journal_logger::{JournalLog, connected_to_journal};

use crate::{
    decide::State,
    decide::record::{Entry, Level, Record},
    line::Line,
};

/// Only records of this target are ours; ureq and zbus speak through the same facade.
const TARGET: &str = "gatehound";

/// Sends records to the journal when this process's standard error is connected to it, else prints them there.
///
/// # Errors
/// Another logger is installed already, or the journal's socket cannot be opened.
pub fn install() -> Result<(), Line> {
    let logger: Box<dyn Log> = if connected_to_journal() {
        let journal =
            JournalLog::new().map_err(|e| Line::new(&format!("cannot open the journal: {e}")))?;
        Box::new(Ours(journal.with_syslog_identifier("gatehound".to_owned())))
    } else {
        Box::new(Ours(StandardError { colour: colour() }))
    };
    log::set_boxed_logger(logger).map_err(|e| Line::new(&e.to_string()))?;
    log::set_max_level(LevelFilter::Info);
    Ok(())
}

/// Writes one record. `USER_UNIT=` makes it appear in the gateway's own log as well.
pub fn write(record: &Record, state: &State, unit: &str) {
    let Entry {
        level,
        text,
        mut fields,
    } = record.entry(state);
    fields.push(("USER_UNIT", unit.to_owned()));
    let level = match level {
        Level::Error => log::Level::Error,
        Level::Warning => log::Level::Warn,
        Level::Notice => log::Level::Info,
    };
    let fields: &[(&str, String)] = &fields;
    log::logger().log(
        &log::Record::builder()
            .args(format_args!("{text}"))
            .level(level)
            .target(TARGET)
            .key_values(&fields)
            .build(),
    );
}

fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Lets only our own records through.
struct Ours<L>(L);

impl<L: Log> Log for Ours<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET && self.0.enabled(metadata)
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// One line a record, for a run in a terminal.
struct StandardError {
    colour: bool,
}

impl Log for StandardError {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let (on, off) = match (self.colour, record.level()) {
            (true, log::Level::Error) => ("\x1b[1;31m", "\x1b[0m"),
            (true, log::Level::Warn) => ("\x1b[33m", "\x1b[0m"),
            (true, _) | (false, _) => ("", ""),
        };
        eprintln!("{on}{}{off}", record.args());
    }

    fn flush(&self) {}
}
