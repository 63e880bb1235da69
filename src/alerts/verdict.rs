//! What the answer of a service means: taken, or when it is to be asked again.
//!
//! Owns the forms in which services say no with a status that says yes. Knows nothing of the network.

use std::time::Duration;

use serde_json::Value;

/// When whoever did not take an alert is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// At the next run: it may pass.
    Soon,
    /// Not before this long, whatever else there is to say: it was asked for.
    After(Duration),
    /// Nothing changes until somebody corrects a setting.
    Hourly,
}

/// From one try to the next where only a human can help, and the longest that a service is given its way.
pub const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Codes in a body that mean "too often": DingTalk, WeCom, Feishu (twice).
const TOO_OFTEN: [i64; 4] = [130_101, 45009, 11232, 9499];

/// Whether an answer is a success; else when the next try is. `date` is now, since the Unix epoch.
///
/// A service that is not known errs towards taken where its words say nothing.
///
/// # Errors
///
/// The alert was not taken.
pub fn judge(
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
    date: Duration,
) -> Result<(), Again> {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    match status {
        200..300 => match &json {
            Some(Value::Object(_)) => said_in(json.as_ref().unwrap_or(&Value::Null)),
            Some(_) => Ok(()),
            None if is_refusal(&String::from_utf8_lossy(body)) => Err(Again::Hourly),
            None => Ok(()),
        },
        429 | 503 => {
            let asked = retry_after
                .and_then(|text| seconds(text, date))
                .or_else(|| in_body(json.as_ref()?));
            Err(asked.map_or(Again::Soon, |span| Again::After(span.min(LONGEST))))
        }
        300..500 if status != 408 && status != 425 => Err(Again::Hourly),
        _ => Err(Again::Soon),
    }
}

/// What an object says of itself.
fn said_in(answer: &Value) -> Result<(), Again> {
    if ["ok", "success"]
        .iter()
        .any(|key| answer.get(key) == Some(&Value::Bool(false)))
    {
        return Err(Again::Hourly);
    }
    let says = |key: &str| answer.get(key).and_then(Value::as_str);
    let words = ["msg", "message", "errmsg", "StatusMessage"];
    let fine = words.into_iter().filter_map(says).any(|text| {
        ["ok", "success"]
            .iter()
            .any(|fine| text.eq_ignore_ascii_case(fine))
    });
    for key in ["errcode", "code", "StatusCode"] {
        match answer.get(key).map(|code| (number(code), code)) {
            None | Some((Some(0 | 200..300), _)) => {}
            Some((Some(code), _)) if TOO_OFTEN.contains(&code) => return Err(Again::Soon),
            // Matrix has words in it, and others write such a one as "SUCCESS" under `code`.
            Some((None, Value::String(_))) if key == "errcode" => return Err(Again::Hourly),
            Some((Some(_), _)) if !fine || key == "errcode" => return Err(Again::Hourly),
            Some(_) => {}
        }
    }
    match answer.get("error") {
        Some(Value::Object(error)) if !error.is_empty() => Err(Again::Hourly),
        Some(Value::String(text)) if !text.is_empty() && !fine => Err(Again::Hourly),
        Some(_) | None => Ok(()),
    }
}

fn number(code: &Value) -> Option<i64> {
    let spelled = || code.as_str()?.parse().ok();
    code.as_i64().or_else(spelled)
}

/// Slack says why in one word with an underscore, Teams in a sentence; both with whatever status.
fn is_refusal(text: &str) -> bool {
    let text = text.trim();
    let is_word = text.contains('_') && text.chars().all(|c| c == '_' || c.is_ascii_lowercase());
    is_word || text.contains("delivery failed")
}

/// Telegram and Discord say it in the body as well.
fn in_body(answer: &Value) -> Option<Duration> {
    let at = |value: &Value| value.get("retry_after")?.as_f64();
    let seconds = at(answer).or_else(|| at(answer.get("parameters")?))?;
    Duration::try_from_secs_f64(seconds.ceil()).ok()
}

/// `Retry-After`: seconds, or a date of which there is one form. Source: RFC 9110, 10.2.3 and 5.6.7.
fn seconds(text: &str, date: Duration) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut parts = text.split_once(", ")?.1.split([' ', ':']);
    let mut next = || parts.next();
    let day: i64 = next()?.parse().ok()?;
    let month = i64::try_from(MONTHS.find(next()?)?).ok()? / 3 + 1;
    let year: i64 = next()?
        .parse()
        .ok()
        .filter(|year| (1970..9999).contains(year))?;
    let mut of_day = 0;
    for _ in 0..3 {
        of_day = of_day * 60
            + next()?
                .parse::<i64>()
                .ok()
                .filter(|part| (0..=60).contains(part))?;
    }
    // Days since the epoch, with the year beginning in March, so that the leap day is its last.
    let (year, shifted) = (year - i64::from(month < 3), (month + 9) % 12);
    let leaps = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leaps + (shifted * 153 + 2) / 5 + day - 1 - 719_468;
    let then = u64::try_from(days * 86400 + of_day).ok()?;
    Some(Duration::from_secs(then).saturating_sub(date))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> Result<(), Again> {
        judge(status, None, body.as_bytes(), Duration::ZERO)
    }

    #[test]
    fn a_service_that_says_no_with_status_200_did_not_take_it() {
        for body in [
            r#"{"errcode":310000,"errmsg":"keywords not in content"}"#,
            r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#,
            r#"{"code":40001,"message":"[AUTH]错误的Key"}"#,
            r#"{"code":903,"msg":"无效的用户token"}"#,
            r#"{"code":19021,"msg":"sign match fail","data":{}}"#,
            r#"{"StatusCode":9499,"code":1}"#,
            r#"{"ok":false,"error_code":400,"description":"chat not found"}"#,
            r#"{"ok":false,"error":"invalid_auth"}"#,
            r#"{"success":false,"error":"Invalid integration id or token provided."}"#,
            r#"{"errcode":"M_FORBIDDEN","error":"no"}"#,
            r#"{"code":"903"}"#,
            "invalid_token",
            "no_service\n",
            "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429",
        ] {
            assert_eq!(of(200, body), Err(Again::Hourly), "{body}");
        }
        for body in [
            r#"{"errcode":130101,"errmsg":"send too fast"}"#,
            r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#,
            r#"{"code":11232,"msg":"frequency limited psm"}"#,
        ] {
            assert_eq!(of(200, body), Err(Again::Soon), "{body}");
        }
    }

    #[test]
    fn a_service_that_says_yes_took_it() {
        for body in [
            "",
            "ok",
            "1",
            "taken\nand more",
            "<html>",
            "[]",
            r#"{"errcode":0,"errmsg":"ok"}"#,
            r#"{"code":0,"message":"","data":{"pushid":"1","error":"SUCCESS","errno":0}}"#,
            r#"{"code":200,"msg":"请求成功","data":"f6"}"#,
            r#"{"code":200,"message":"success","timestamp":1699}"#,
            r#"{"Extra":null,"StatusCode":0,"StatusMessage":"success"}"#,
            r#"{"ok":true,"result":{"text":"code 7"}}"#,
            r#"{"code":1,"msg":"success"}"#,
            r#"{"code":"SUCCESS"}"#,
            r#"{"status":1,"request":"647d2300"}"#,
            r#"{"success":true}"#,
            r#"{"event_id":"$abc"}"#,
            r#"{"id":25,"appid":5,"message":"down","title":"box","priority":5}"#,
        ] {
            assert_eq!(of(200, body), Ok(()), "{body}");
        }
        assert_eq!(of(204, ""), Ok(()));
    }

    #[test]
    fn what_only_a_human_corrects_is_asked_hourly_and_what_may_pass_soon() {
        for status in [301, 302, 400, 401, 403, 404, 405, 410, 422] {
            assert_eq!(of(status, ""), Err(Again::Hourly), "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(of(status, ""), Err(Again::Soon), "{status}");
        }
    }

    #[test]
    fn a_service_that_says_when_is_heeded_within_bounds() {
        let of = |status, header, body: &str| {
            let date = Duration::from_secs(784_111_700);
            judge(status, header, body.as_bytes(), date)
        };
        let after = |seconds| Err(Again::After(Duration::from_secs(seconds)));
        assert_eq!(of(429, Some("120"), ""), after(120));
        assert_eq!(of(503, Some(" 7 "), ""), after(7));
        // The example of RFC 9110: 784111777 since the epoch.
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(of(503, Some(date), ""), after(77));
        assert_eq!(of(429, Some("86400"), ""), after(3600));
        let telegram = r#"{"ok":false,"error_code":429,"parameters":{"retry_after":35}}"#;
        assert_eq!(of(429, None, telegram), after(35));
        assert_eq!(of(429, None, r#"{"retry_after":0.65}"#), after(1));
        for foul in [
            "",
            "-1",
            "soon",
            "Sun, 99 Foo 1994",
            "Sun, 06 Nov 99999999999 08:49:37 GMT",
        ] {
            assert_eq!(of(503, Some(foul), ""), Err(Again::Soon), "{foul}");
        }
        assert_eq!(
            of(500, Some("120"), ""),
            Err(Again::Soon),
            "it has no meaning there"
        );
    }
}
