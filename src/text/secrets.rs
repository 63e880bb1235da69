//! What is taken for a secret by its name.
//!
//! Owns the one list of such names, for command lines and for openclaw.json; it errs towards hiding, and looks at no value.

/// What a name with a secret behind it has in it, written in lower case and without `_` and `-`.
const WORDS: [&str; 12] = [
    "token",
    "pass",
    "pwd",
    "otp",
    "secret",
    "key",
    "credential",
    "cookie",
    "bearer",
    "authorization",
    "webhook",
    "jwt",
];

/// Whether an option, a variable, a header or a key of this name may hold a secret.
pub fn names_one(name: &str) -> bool {
    let plain = name.replace(['_', '-'], "").to_lowercase();
    WORDS.iter().any(|word| plain.contains(word)) || has_pin(name)
}

/// Whether `pin` is a word of the name, and not part of one such as `ping` or `mapping`.
fn has_pin(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let mut found = lower.match_indices("pin");
    found.any(|(at, _)| {
        let (before, word) = name.split_at_checked(at).unwrap_or(("", name));
        let begins = word.starts_with('P') || !before.ends_with(char::is_alphabetic);
        begins && !word.chars().nth(3).is_some_and(char::is_lowercase)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_name() {
        for name in [
            "encryptKey",
            "masterKey",
            "pass",
            "smtpPass",
            "PGPASSWORD",
            "passphrase",
            "pwd",
            "db_pwd",
            "otp",
            "mfaOtp",
            "pin",
            "cardPin",
            "pinCode",
            "SIM_PIN",
            "jwt",
            "clientSecret",
            "verificationToken",
            "--signing-key",
            "cookies",
            "X-Api-Key",
            "access_token",
        ] {
            assert!(names_one(name), "{name}");
        }
        for name in [
            "ping", "mapping", "spinner", "pinned", "mode", "--port", "é",
        ] {
            assert!(!names_one(name), "{name}");
        }
    }
}
