//! What a table of the settings consists of: each field with its rule and its default, in one place.
//!
//! Owns that no field can be without a rule, and the example file that is made of them. Knows no field.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error as _,
};
use serde_json::Value;

use crate::settings::values::Rule;

/// A kind of field.
pub trait Field {
    /// What is kept of it.
    type Kept;
    /// What it is where a file is read.
    type Filed: Serialize + DeserializeOwned;

    /// What was read.
    fn keep(filed: Self::Filed) -> Self::Kept;

    /// As it would be read.
    fn file(kept: &Self::Kept) -> Self::Filed;

    /// Its part of the example file.
    #[cfg(test)]
    fn show(shown: &tests::Shown<'_>, default: &Self::Kept, to: &mut String);
}

/// A value that was read by its rule.
pub struct Filed<R: Rule>(R::Read);

impl<R: Rule> Serialize for Filed<R> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        R::spell(&self.0).serialize(to)
    }
}

impl<'de, R: Rule> Deserialize<'de> for Filed<R> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let read = R::read(&Value::deserialize(from)?);
        read.map(Self).map_err(D::Error::custom)
    }
}

impl<R: Rule> Field for R {
    type Kept = R::Read;
    type Filed = Filed<R>;

    fn keep(filed: Filed<R>) -> R::Read {
        filed.0
    }

    fn file(kept: &R::Read) -> Filed<R> {
        Filed(kept.clone())
    }

    #[cfg(test)]
    fn show(shown: &tests::Shown<'_>, default: &R::Read, to: &mut String) {
        shown.value(R::spell(default), to);
    }
}

/// Defines a table: `field: Kind = default`, and behind `=>` what the example file says where nothing is the default.
///
/// The first line of a field's comment is what the example file says of it; the lines behind follow the setting there.
macro_rules! table {
    (
        $(#[doc = $about:literal])+
        pub struct $table:ident {
            $(
                $(#[doc = $doc:literal])+
                pub $field:ident: $kind:ty = $default:expr $(=> $example:literal)?,
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $table {
            $(
                $(#[doc = $doc])+
                pub $field: <$kind as $crate::settings::definition::Field>::Kept,
            )+
        }

        impl Default for $table {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        const _: () = {
            use $crate::settings::definition::Field;

            #[derive(serde::Serialize, serde::Deserialize)]
            #[serde(deny_unknown_fields, default)]
            struct Filed {
                $($field: <$kind as Field>::Filed,)+
            }

            impl Default for Filed {
                fn default() -> Self {
                    Self::from(&$table::default())
                }
            }

            impl From<&$table> for Filed {
                fn from(table: &$table) -> Self {
                    Self { $($field: <$kind as Field>::file(&table.$field),)+ }
                }
            }

            impl serde::Serialize for $table {
                fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                    Filed::from(self).serialize(to)
                }
            }

            impl<'de> serde::Deserialize<'de> for $table {
                fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    let filed = Filed::deserialize(from)?;
                    Ok(Self { $($field: <$kind as Field>::keep(filed.$field),)+ })
                }
            }

            impl Field for $table {
                type Kept = Self;
                type Filed = Self;

                fn keep(filed: Self) -> Self {
                    filed
                }

                fn file(kept: &Self) -> Self {
                    kept.clone()
                }

                #[cfg(test)]
                fn show(
                    shown: &$crate::settings::definition::tests::Shown<'_>,
                    default: &Self,
                    to: &mut String,
                ) {
                    shown.heading(to);
                    $(
                        let shown = $crate::settings::definition::tests::Shown {
                            key: stringify!($field),
                            about: &[$($doc),+],
                            examples: &[$($example.into())?],
                        };
                        <$kind as Field>::show(&shown, &default.$field, to);
                    )+
                }
            }
        };
    };
}
pub(crate) use table;

#[cfg(test)]
pub(crate) mod tests {
    use std::{env, fs};

    use super::*;
    use crate::settings::Settings;

    /// What the example file says of a field.
    pub struct Shown<'a> {
        pub key: &'a str,
        pub about: &'a [&'a str],
        /// What to write where nothing is the default; empty if it has a default.
        pub examples: &'a [Value],
    }

    impl Shown<'_> {
        pub fn heading(&self, to: &mut String) {
            // All of the settings have no name.
            if !self.key.is_empty() {
                *to += &format!("#[{}]\n", self.key);
            }
        }

        pub fn value(&self, default: Value, to: &mut String) {
            let value = match (default, self.examples) {
                (Value::Null, [example]) => example.clone(),
                (Value::Null, _) => panic!("{} has neither default nor example", self.key),
                (default, _) => default,
            };
            let (first, rest) = self.about.split_first().unwrap();
            *to += &format!("# {}\n#{} = {}\n", plain(first), self.key, toml(&value));
            for line in rest {
                let line = line.trim_end();
                if !line.trim_start().starts_with("```") {
                    let indent = if line.is_empty() { "" } else { "  " };
                    *to += &format!("#{indent}{line}\n");
                }
            }
            to.push('\n');
        }
    }

    /// A comment without its marks: words of more than one are put between quotes.
    fn plain(comment: &str) -> String {
        let mut plain = String::new();
        for (number, part) in comment.trim().split('`').enumerate() {
            match number % 2 == 1 && part.contains(' ') {
                true => plain += &format!("\"{part}\""),
                false => plain += part,
            }
        }
        plain
    }

    fn toml(value: &Value) -> String {
        match value {
            Value::Array(list) => {
                let list: Vec<String> = list.iter().map(toml).collect();
                format!("[{}]", list.join(", "))
            }
            other => other.to_string(),
        }
    }

    const HEAD: &str = r##"# Settings of Gatehound, each with its default; gatehound.toml(5) says more.
#
# Copy what you want to change to ~/.config/gatehound/config.toml and remove the "#" in front of it,
# together with the [table] above it. Then:
#
#   gatehound settings check
#   systemctl --user reload gatehound

"##;

    #[test]
    fn the_example_file_is_what_the_fields_say() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/units/gatehound.example.toml");
        let mut text = HEAD.to_owned();
        let all = Shown {
            key: "",
            about: &[],
            examples: &[],
        };
        Settings::show(&all, &Settings::default(), &mut text);
        let text = format!("{}\n", text.trim_end());
        if env::var_os("GATEHOUND_TEST_WRITE").is_some() {
            fs::write(file, &text).unwrap();
        }
        let kept = fs::read_to_string(file).unwrap();
        let how = "GATEHOUND_TEST_WRITE=1 cargo test --lib settings::definition";
        assert!(kept == text, "{file} differs from the fields: {how}");
    }
}
