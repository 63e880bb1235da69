//! Which proxy a request goes through, as curl(1) finds it in the environment.
//!
//! Owns the names of the variables and their order. Knows nothing of how a proxy is spoken to.

use std::net::IpAddr;

use crate::text::line::Line;

/// The proxy for a URL, where `variable` says what the environment has; none for a direct way.
///
/// # Errors
///
/// It is of a kind that is not spoken here, which is refused: going without would leave a way that somebody chose.
pub fn proxy_for(
    url: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<String>, Line> {
    let set = |name: &&str| variable(name).filter(|value| !value.trim().is_empty());
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    // Not HTTP_PROXY: under CGI that is a header field of whoever asks.
    let names: [&str; 4] = if scheme == "https" {
        ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    } else {
        ["http_proxy", "http_proxy", "all_proxy", "ALL_PROXY"]
    };
    let found = names.iter().find_map(|name| Some((*name, set(name)?)));
    let Some((name, proxy)) = found else {
        return Ok(None);
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let place = authority
        .rsplit_once('@')
        .map_or(authority, |(_, place)| place);
    let host = match place.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => place.split(':').next().unwrap_or_default(),
    };
    let except = ["no_proxy", "NO_PROXY"].iter().find_map(set);
    if except.is_some_and(|list| is_excepted(host, &list)) {
        return Ok(None);
    }
    let proxy = proxy.trim();
    match proxy.split_once("://") {
        None => Ok(Some(format!("http://{proxy}"))),
        Some(("http" | "https", _)) => Ok(Some(proxy.to_owned())),
        Some((scheme, _)) => Err(Line::new(&format!(
            "{name} has a proxy of the kind {scheme}, which Gatehound does not speak; \
             set an HTTP proxy, or have curl send it: type = \"command\""
        ))),
    }
}

/// Whether a host is in a list of hosts, domains and networks.
fn is_excepted(host: &str, list: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    list.split([',', ' ']).map(str::trim).any(|entry| {
        let entry = entry.trim_end_matches('.').to_ascii_lowercase();
        let entry = entry.strip_prefix("*.").unwrap_or(&entry);
        let domain = entry.trim_start_matches('.');
        let entry = entry.trim_start_matches('[').trim_end_matches(']');
        match entry {
            "" => false,
            "*" => true,
            entry if entry == host || domain == host => true,
            entry => match (entry.split_once('/'), host.parse::<IpAddr>()) {
                (Some((network, bits)), Ok(address)) => is_within(address, network, bits),
                (None, Ok(_)) | (Some(_), Err(_)) => false,
                (None, Err(_)) => {
                    let rest = host.strip_suffix(domain);
                    !domain.is_empty() && rest.is_some_and(|rest| rest.ends_with('.'))
                }
            },
        }
    })
}

fn is_within(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    let (address, network, size) = match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits().into(), other.to_bits().into(), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits(), other.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    let differing: u128 = address ^ network;
    bits <= size && differing.checked_shr(size - bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str, environment: &[(&str, &str)]) -> Result<Option<String>, Line> {
        proxy_for(url, |name| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_scheme_of_the_url_chooses_the_proxy_as_with_curl() {
        let all = [
            ("https_proxy", "http://secure:1"),
            ("http_proxy", "plain:2"),
            ("HTTP_PROXY", "http://never:3"),
            ("ALL_PROXY", "http://other:4"),
        ];
        let some = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(of("https://a/b", &all), some("http://secure:1"));
        assert_eq!(of("http://a/b", &all), some("http://plain:2"));
        assert_eq!(of("https://a", &all[1..]), some("http://other:4"));
        assert_eq!(of("http://a", &all[2..3]), Ok(None));
        assert_eq!(of("https://a", &[("https_proxy", " ")]), Ok(None));
        assert_eq!(of("https://a", &[]), Ok(None));
    }

    #[test]
    fn socks_is_refused_and_never_ignored() {
        for scheme in ["socks5", "socks5h", "socks4a", "socks"] {
            let proxy = format!("{scheme}://127.0.0.1:9050");
            let why = of("https://a", &[("all_proxy", &proxy)]).unwrap_err();
            let begin = format!("all_proxy has a proxy of the kind {scheme}, ");
            assert!(why.as_str().starts_with(&begin), "{why}");
        }
    }

    #[test]
    fn a_host_that_is_excepted_is_asked_directly() {
        let direct = |url: &str, list: &str| {
            of(url, &[("https_proxy", "http://p"), ("no_proxy", list)]) == Ok(None)
        };
        for (host, list) in [
            ("a.example.com:8443", "example.com"),
            ("a.example.com", "x, .example.com"),
            ("a.example.com", "*.EXAMPLE.com"),
            ("example.com", ".example.com"),
            ("me:secret@example.com", "example.com"),
            ("127.0.0.1", "127.0.0.1"),
            ("10.1.2.3", "10.0.0.0/8"),
            ("[::1]:80", "::1"),
            ("[fd00::7]", "fd00::/8"),
            ("a", "*"),
        ] {
            assert!(direct(&format!("https://{host}/x"), list), "{host} {list}");
        }
        for (host, list) in [
            ("badexample.com", "example.com"),
            ("example.com", "a.example.com"),
            ("11.1.2.3", "10.0.0.0/8"),
            ("10.1.2.3", "10.0.0.0/33"),
            ("10.1.2.3", "10.1"),
            ("a", ""),
        ] {
            assert!(!direct(&format!("https://{host}/x"), list), "{host} {list}");
        }
    }
}
