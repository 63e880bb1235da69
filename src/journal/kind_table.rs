//! What the table of record kinds consists of: the columns of a row, and what may be asked of a kind.
//!
//! Owns that no record can be without a row. Knows no row.
//! Each column is a match of its own, so that what only pages and tests ask for is not in the program.

/// How much a record matters, in the journal's priorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// An action is taken or Gatehound gives up: priority 3.
    Error,
    /// Something is wrong: priority 4.
    Warning,
    /// The state changed: priority 5.
    Notice,
}

/// Makes the kinds from the table: a record without a row does not compile, nor does a row without a record.
macro_rules! kinds {
    ($($kind:ident {
        event: $event:literal,
        message_id: $message_id:literal,
        level: $level:ident,
        own_fields: [$($field:ident),*],
        about: $about:literal,
        in_chinese: $in_chinese:literal,
        subject: $subject:literal,
        explained: $explained:literal,
    })*) => {
        /// A kind of record.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $(#[doc = concat!("`", $event, "`")] $kind,)*
        }

        impl Kind {
            /// All kinds, in the order of the manual page.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The kind of a record.
            pub fn of(record: &$crate::policy::record::Record) -> Self {
                match record {
                    $($crate::policy::record::Record::$kind { .. } => Self::$kind,)*
                }
            }

            /// Its name, as in `GATEHOUND_EVENT=`.
            pub fn event(self) -> &'static str {
                match self {
                    $(Self::$kind => $event,)*
                }
            }

            /// The constant that finds all records of it: `journalctl MESSAGE_ID=`.
            pub fn message_id(self) -> &'static str {
                match self {
                    $(Self::$kind => $message_id,)*
                }
            }

            /// How much it matters.
            pub fn level(self) -> $crate::journal::kind_table::Level {
                match self {
                    $(Self::$kind => $crate::journal::kind_table::Level::$level,)*
                }
            }

            /// The fields that its records may have beside those that every record may have; the evidence's are its own.
            pub fn own_fields(self) -> &'static [&'static str] {
                match self {
                    $(Self::$kind => &[$($field),*],)*
                }
            }

            /// What it is, for the manual page: a line a sentence, and `names of settings and commands` as here.
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$kind => $about,)*
                }
            }

            /// The same, for the manual page in Chinese.
            pub fn in_chinese(self) -> &'static str {
                match self {
                    $(Self::$kind => $in_chinese,)*
                }
            }

            /// Its title in the catalog.
            pub fn subject(self) -> &'static str {
                match self {
                    $(Self::$kind => $subject,)*
                }
            }

            /// What it means and what to do about it, for the catalog.
            pub fn explained(self) -> &'static str {
                match self {
                    $(Self::$kind => $explained,)*
                }
            }
        }
    };
}

pub(super) use kinds;
