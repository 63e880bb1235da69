//! A webhook: one request to somebody who is to know, or who expects it.
//!
//! Owns the HTTP client for the internet, its limits, and that the URL, which is a secret, reaches no message.
//! What is sent is `alerts::delivery`'s business. No type of the client leaves this file.

use std::{
    env,
    io::{Cursor, Read as _},
    sync::Arc,
    time::Duration,
};

use ureq::{
    Agent, Body, Error, Proxy, SendBody,
    http::{
        self, Response,
        header::{CONTENT_LENGTH, RETRY_AFTER},
    },
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::{
    alerts::{
        proxy::proxy_for,
        verdict::{Again, judge},
    },
    os::{tls, wall_clock},
    text::line::Line,
};

/// What is no longer than this is a word, such as "api", and no secret.
const SHORT: usize = 5;

/// As much of an answer as is read: a whole one of any service, because half of one says nothing.
const MAX_BODY: u64 = 64 * 1024;

/// Why an alert was not taken, and when the next try is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What was seen.
    pub why: Line,
    /// When it is tried again.
    pub again: Again,
}

impl Refused {
    /// It may pass.
    pub fn soon(why: Line) -> Self {
        Self {
            why,
            again: Again::Soon,
        }
    }

    /// Only a human corrects it.
    pub fn hourly(why: Line) -> Self {
        Self {
            why,
            again: Again::Hourly,
        }
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `POST` or `PUT`.
    pub method: &'static str,
    /// Where it goes to, which is a secret.
    pub url: String,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// The body; none with `GET`.
    pub body: String,
    /// What else no message may have.
    pub secrets: Vec<String>,
}

/// Sends a request, and says what the other side answered: the status and the first line.
///
/// Over as long as `limit` at the most, name resolution included.
/// The proxy is that of the environment, certificates are those of the system.
///
/// # Errors
///
/// Nobody answered, or it was not taken: [`judge`].
pub fn send(request: &Request, limit: Duration) -> Result<Line, Refused> {
    let url = &request.url;
    let agent = agent(url, limit)?;
    let mut builder = http::Request::builder().method(request.method).uri(url);
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    // One type for both, because the client is compiled for each; a reader has no length of its own.
    let body = if request.method == "GET" {
        SendBody::none()
    } else {
        builder = builder.header(CONTENT_LENGTH, request.body.len());
        SendBody::from_owned_reader(Cursor::new(request.body.clone()))
    };
    let sent = builder.body(body).map_err(Error::from);
    let response = sent.and_then(|request| agent.run(request));
    answered(response, request, limit)
}

fn agent(url: &str, limit: Duration) -> Result<Agent, Refused> {
    let proxy = proxy_for(url, |name| env::var(name).ok()).map_err(Refused::hourly)?;
    let proxy = proxy.map(|proxy| Proxy::new(&proxy)).transpose();
    let proxy = proxy.map_err(|_| {
        // Not quoted: it may have a password in it.
        Refused::hourly("the proxy in the environment is no URL that can be used".into())
    })?;
    let config = Agent::config_builder()
        .timeout_global(Some(limit))
        // The client's own choice looks at the scheme of no URL.
        .proxy(proxy)
        // What is sent on somewhere else is more likely a wrong URL than a right one.
        .max_redirects(0)
        .http_status_as_error(false)
        .user_agent(concat!("gatehound/", env!("CARGO_PKG_VERSION")))
        .tls_config(trust(url).map_err(Refused::hourly)?)
        .build();
    Ok(Agent::from(config))
}

/// What came of a request.
fn answered(
    response: Result<Response<Body>, Error>,
    request: &Request,
    limit: Duration,
) -> Result<Line, Refused> {
    let quoted = |text: &str| without(&without_url(text, &request.url), &request.secrets);
    let response = response.map_err(|error| failed(&error, &quoted, limit))?;
    let status = response.status();
    let header = response.headers().get(RETRY_AFTER);
    let retry_after = header.and_then(|value| Some(value.to_str().ok()?.to_owned()));
    let mut body = Vec::new();
    // Whatever came of it until then; the status has said how it went.
    let _ = response
        .into_body()
        .into_reader()
        .take(MAX_BODY)
        .read_to_end(&mut body);
    let why = answer(status.as_u16(), &body, &quoted);
    let verdict = judge(
        status.as_u16(),
        retry_after.as_deref(),
        &body,
        wall_clock::now(),
    );
    match verdict {
        Ok(()) => Ok(why),
        Err(again) if status.is_redirection() => {
            let next = "redirects are not followed, set the URL that it leads to";
            let why = Line::new(&format!("{why}; {next}"));
            Err(Refused { why, again })
        }
        Err(again) => Err(Refused { why, again }),
    }
}

/// Trust in whom the system trusts, which costs reading a file and so is left out where there is no TLS.
fn trust(url: &str) -> Result<TlsConfig, Line> {
    let builder =
        TlsConfig::builder().unversioned_rustls_crypto_provider(Arc::new(tls::provider()));
    if !url.starts_with("https:") {
        return Ok(builder.build());
    }
    let found = rustls_native_certs::load_native_certs();
    let roots: Vec<Certificate<'static>> = found
        .certs
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    if roots.is_empty() {
        return Err(
            "no certificates of this system found; install the package ca-certificates".into(),
        );
    }
    let roots = RootCerts::new_with_certs(&roots);
    Ok(builder.root_certs(roots).build())
}

/// The status and the first line of an answer, which may quote the URL.
fn answer(status: u16, body: &[u8], quoted: &dyn Fn(&str) -> String) -> Line {
    let text = String::from_utf8_lossy(body);
    let first = text.trim().lines().next().unwrap_or_default();
    Line::new(&format!("status {status} {}", quoted(first)))
}

/// Why there was no answer.
fn failed(error: &Error, quoted: &dyn Fn(&str) -> String, limit: Duration) -> Refused {
    Refused::soon(match error {
        Error::Timeout(_) => {
            let limit = crate::settings::values::spelled(limit);
            Line::new(&format!("no answer within {limit}"))
        }
        Error::HostNotFound => "the host has no address, or there is no network".into(),
        Error::BadUri(_) | Error::Http(_) => "not a URL that can be asked for".into(),
        Error::Io(error) if tls::is_none(error) => {
            "no TLS is spoken there; correct the port, or write http:// for https:// in the URL"
                .into()
        }
        Error::ConnectProxyFailed(why) => Line::new(&quoted(&format!("the proxy refuses: {why}"))),
        Error::Io(error) => match tls::distrust(error) {
            Some(why) => return Refused::hourly(why.into()),
            None => Line::new(&quoted(&error.to_string())),
        },
        other => Line::new(&quoted(&other.to_string())),
    })
}

/// A text without some secrets.
pub fn without(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret.as_str(), "…");
        // Of `Bearer TOKEN` either may be quoted.
        for part in secret.split(' ').filter(|part| SHORT < part.len()) {
            text = text.replace(part, "…");
        }
    }
    text
}

/// A text without the URL, and without what of it is secret.
fn without_url(text: &str, url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let user = host.rsplit_once('@').map_or("", |(user, _)| user);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    // Whole ones first, because there is more to be told of what is left of them than of one mark.
    let mut parts = vec![url, path, query, user];
    parts.extend(path.split('/'));
    for part in [path, query, user] {
        parts.extend(part.split(['/', '?', '&', '=', ':', '@', '#']));
    }
    let mut text = text.to_owned();
    for part in parts.into_iter().filter(|part| SHORT < part.len()) {
        text = text.replace(part, "…");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str =
        "https://me:hunter22@api.example.com/bot123456:AbCdEf/sendMessage?key=topsecret";

    #[test]
    fn no_part_of_a_url_that_may_be_secret_is_told() {
        for text in [
            URL,
            "cannot POST /bot123456:AbCdEf/sendMessage",
            "bad token bot123456:AbCdEf",
            "key=topsecret is wrong",
            "me:hunter22",
            "invalid key topsecret",
            "bad password hunter22",
            "no bot 123456:AbCdEf",
        ] {
            let told = without_url(text, URL);
            for secret in ["AbCdEf", "topsecret", "hunter22"] {
                assert!(!told.contains(secret), "{told}");
            }
        }
        assert_eq!(without_url("Not Found", URL), "Not Found");
        for url in ["http://a?key=topsecret", "http://a/#topsecret"] {
            assert_eq!(without_url("no topsecret", url), "no …");
        }
    }

    #[test]
    fn errors_of_the_client_do_not_quote_the_url() {
        let limit = Duration::from_secs(1);
        for error in [
            Error::BadUri(URL.to_owned()),
            Error::RequireHttpsOnly(URL.to_owned()),
            Error::ConnectProxyFailed(URL.to_owned()),
            Error::Io(std::io::Error::other(URL)),
        ] {
            let told = failed(&error, &|text| without_url(text, URL), limit).why;
            assert!(!told.as_str().contains("AbCdEf"), "{told}");
        }
    }
}
