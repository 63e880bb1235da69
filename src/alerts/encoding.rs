//! Texts in the forms that services want them in: a header field, a part of a URL, a signature, and what calls nobody.
//!
//! Knows nothing of alerts.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::settings::presets::Danger;

/// A text for a header field, which has to be ASCII. Source: RFC 2047, section 2: a word has 75 characters at most.
pub(super) fn header(text: &str) -> String {
    const MAX: usize = 45;
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut words = vec![String::new()];
    for c in text.chars() {
        match words.last_mut() {
            Some(word) if word.len() + c.len_utf8() <= MAX => word.push(c),
            _ => words.push(c.to_string()),
        }
    }
    let words = words
        .iter()
        .map(|word| format!("=?UTF-8?B?{}?=", STANDARD.encode(word)));
    words.collect::<Vec<_>>().join(" ")
}

/// HMAC-SHA256 in base64.
pub(super) fn signed(key: &str, text: &str) -> String {
    // A key of any length will do.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else {
        return String::new();
    };
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// A text as a part of a URL. Source: RFC 3986, 2.3.
pub(super) fn percent(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped += &format!("%{byte:02X}");
        }
    }
    escaped
}

/// A foreign text that is only text to a service.
pub(super) fn harmless(text: &str, danger: Danger) -> String {
    let text = match danger {
        Danger::Nothing => return text.to_owned(),
        Danger::Mention => text.to_owned(),
        Danger::Entity => {
            let text = text.replace('&', "&amp;");
            text.replace('<', "&lt;").replace('>', "&gt;")
        }
        Danger::Tag => text.replace('<', "\u{2039}").replace('>', "\u{203a}"),
    };
    // With a space of no width behind it, it calls nobody.
    text.replace('@', "@\u{200b}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_for_a_header_keeps_every_letter() {
        assert_eq!(header("box: gateway down"), "box: gateway down");
        let text = "bücher: 网关需要人工处理，网关需要人工处理，网关需要人工处理";
        let mut decoded = Vec::new();
        for word in header(text).split(' ') {
            assert!(word.len() <= 75, "{word}");
            let inner = word
                .strip_prefix("=?UTF-8?B?")
                .unwrap()
                .strip_suffix("?=")
                .unwrap();
            let bytes = STANDARD.decode(inner).unwrap();
            // Each word is whole characters.
            decoded.push(String::from_utf8(bytes).unwrap());
        }
        assert_eq!(decoded.concat(), text);
    }

    #[test]
    fn what_is_signed_is_what_the_services_compute() {
        // Computed with Python's hmac, as their documents do.
        assert_eq!(
            signed("SECxyz", "1700000000000\nSECxyz"),
            "0PUR1j8g85Xg3vlFV/UrEcxXfF5HpCAGzcjrNfyJoyg="
        );
        assert_eq!(
            signed("1700000000\nSECxyz", ""),
            "GnU9dobz1WousiKlH0LX6FYP8yrWNCgoJOvRhpMc8HY="
        );
    }

    #[test]
    fn a_part_of_a_url_is_escaped() {
        assert_eq!(percent("!a:b.c~é/+="), "%21a%3Ab.c~%C3%A9%2F%2B%3D");
    }
}
