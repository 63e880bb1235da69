//! Why a gateway fails, in Chinese: the sentences that checks and attempts make, for whoever reads alerts in that language.
//!
//! Owns the translations. What it does not know stays in English, as what is quoted does.

/// What is said, with `{}` for what differs, and below it the same in Chinese with as many.
///
/// One text, because a table of them is as long again in the program.
const SENTENCES: &str = r#"no answer within {}
{}内没有应答
no connection within {}
{}内没能建立连接
no TLS handshake within {}
{}内没有完成 TLS 握手
request not taken within {}
{}内没有收下请求
body stopped after {} bytes, not complete within {}
应答在 {} 字节后停住，{}内没有收完
connection refused
连接被拒绝
closed without an answer
没有应答就断开了连接
closed after {} bytes of the body
应答只有 {} 字节就断开了
answer larger than 64 KiB
应答超过 64 KiB
empty answer
应答是空的
HTML instead of JSON
应答是网页，不是 JSON
not JSON
应答不是 JSON
no "ok" in the answer
应答里没有 "ok"
status {}
返回状态码 {}
nothing listens on port {}
端口 {} 没有监听
a run ended before it was healthy: {}
尚未健康就退出了：{}
exit status {}
退出状态 {}
signal {}
信号 {}
the event loop is deadlocked: it has not run for {} and nothing it waits for is running
主线程死锁：已有 {}没有运行，它等待的东西也都没有在运行
the event loop waits for pid {} ({}), started {} ago
主线程在等待进程 {}（{}），它在 {}前启动
the disk does not answer: {} in I/O wait
磁盘没有应答：已等待 I/O {}
the gateway is starved: CPUQuota={} held it up for {} of {}
网关资源不足：CPUQuota={} 让它停了 {}（共 {}）
the gateway is starved: MemoryHigh={} kept it waiting for memory for {} of {}
网关资源不足：MemoryHigh={} 让它等待内存 {}（共 {}）
the gateway is starved: it waited for memory for {} of {}
网关资源不足：等待内存 {}（共 {}）
the gateway is starved: it was ready to run, and other work had the CPU for {} of {}
网关资源不足：它本可运行，CPU 却被其他任务占用 {}（共 {}）
1 restart did not help
重启 1 次无效
{} restarts did not help
重启 {} 次无效
this run of the gateway was already stopped once and still runs
网关的这次运行已经停止过一次，却仍在运行
somebody cancelled the stop of the gateway
有人取消了对网关的停止
systemd did not stop the gateway
systemd 没能停止网关
SIGKILL does not end the gateway's processes, which wait for a disk or another device
SIGKILL 也结束不了网关的进程，它们在等待磁盘或其他设备
systemd was asked {} times to start it, and no run began: {}
已请 systemd 启动 {} 次，都没有启动成功：{}
systemd takes no stop of the gateway (RefuseManualStop=yes), so it is not restarted; what ends it now: {}
systemd 不接受停止网关的请求（RefuseManualStop=yes），所以不重启它；现在要结束它：{}
systemd would not start the gateway again (RefuseManualStart=yes), so it is not stopped
systemd 不会再启动网关（RefuseManualStart=yes），所以不停止它
systemd would not start the gateway again, because its unit file is gone ({}), so it is not stopped; mend the file, then: {}
systemd 不会再启动网关，因为它的 unit 文件不见了（{}），所以不停止它；请修好文件，然后运行：{}
systemd would not start the gateway again, because its unit file has an error ({}), so it is not stopped; mend the file, then: {}
systemd 不会再启动网关，因为它的 unit 文件有错误（{}），所以不停止它；请修好文件，然后运行：{}"#;

/// Each sentence with the Chinese one.
fn sentences() -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut lines = SENTENCES.lines();
    std::iter::from_fn(move || Some((lines.next()?, lines.next()?)))
}

/// The same in Chinese, as far as it is known.
pub(super) fn in_chinese(said: &str) -> String {
    let known = sentences().find_map(|(english, chinese)| {
        let parts = parts(english, said)?;
        Some(filled(chinese, &parts))
    });
    known.unwrap_or_else(|| said.to_owned())
}

/// What stands for each `{}`, if this is that sentence.
fn parts<'a>(sentence: &str, said: &'a str) -> Option<Vec<&'a str>> {
    let mut fixed = sentence.split("{}");
    let mut rest = said.strip_prefix(fixed.next()?)?;
    let mut parts = Vec::new();
    for next in fixed {
        let at = match next {
            "" => rest.len(),
            next => rest.find(next)?,
        };
        let (part, behind) = rest.split_at_checked(at)?;
        parts.push(part);
        rest = behind.strip_prefix(next)?;
    }
    rest.is_empty().then_some(parts)
}

/// A sentence with its parts in their order, each in Chinese too.
fn filled(sentence: &str, parts: &[&str]) -> String {
    let fill = |text: String, part: &&str| text.replacen("{}", &spans(&in_chinese(part)), 1);
    parts.iter().fold(sentence.to_owned(), fill)
}

/// A span such as `5 min 20 s` in Chinese; any other text is none, and stays.
pub(super) fn spans(text: &str) -> String {
    const UNITS: [(&str, &str); 5] = [
        ("ms", "毫秒"),
        ("s", "秒"),
        ("min", "分钟"),
        ("h", "小时"),
        ("d", "天"),
    ];
    let words: Vec<&str> = text.split(' ').collect();
    let in_chinese = words.chunks(2).map(|pair| {
        let [number, unit] = pair else { return None };
        let (_, unit) = UNITS.iter().find(|(known, _)| known == unit)?;
        number.parse::<f64>().ok()?;
        Some(format!("{number} {unit}"))
    });
    let in_chinese: Option<Vec<String>> = in_chinese.collect();
    in_chinese.map_or_else(|| text.to_owned(), |spans| spans.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::words::ENDED_EARLY;

    #[test]
    fn a_sentence_is_told_with_what_stands_in_it() {
        let ended = format!("{ENDED_EARLY}: exit status 1");
        for (said, expected) in [
            ("no answer within 10 s", "10 秒内没有应答"),
            ("status 502", "返回状态码 502"),
            (ended.as_str(), "尚未健康就退出了：退出状态 1"),
            (
                "the event loop waits for pid 7 (ffmpeg (x)), started 1 min 2 s ago",
                "主线程在等待进程 7（ffmpeg (x)），它在 1 分钟 2 秒前启动",
            ),
            (
                "the gateway is starved: CPUQuota=5% held it up for 4 s of 5 s",
                "网关资源不足：CPUQuota=5% 让它停了 4 秒（共 5 秒）",
            ),
            ("something else", "something else"),
            ("no answer within", "no answer within"),
        ] {
            assert_eq!(in_chinese(said), expected, "{said}");
        }
    }

    /// Sentences that the program puts together from parts, as they stand in it.
    const IN_PARTS: [(&str, &str); 9] = [
        ("no connection within {}", "no {} within {}"),
        ("no TLS handshake within {}", "no {} within {}"),
        ("a run ended before it was healthy: {}", "{}: {}"),
        ("signal {}", "{} {}"),
        ("1 restart did not help", "{} {} did not help"),
        ("{} restarts did not help", "{} {} did not help"),
        (
            "the gateway is starved: MemoryHigh={} kept it waiting for memory for {} of {}",
            "MemoryHigh={}M kept it waiting for memory for {} of {}",
        ),
        (
            "systemd would not start the gateway again, because its unit file is gone ({}), so it is not stopped; mend the file, then: {}",
            "because its unit file {} ({}), so it is not stopped; mend the file, then: systemctl",
        ),
        (
            "systemd would not start the gateway again, because its unit file has an error ({}), so it is not stopped; mend the file, then: {}",
            "because its unit file {} ({}), so it is not stopped; mend the file, then: systemctl",
        ),
    ];

    /// The source with `{}` for each name in braces, and quotation marks as they are said.
    fn plain(source: &str) -> String {
        let mut plain = String::new();
        let mut rest = source;
        while let Some((before, behind)) = rest.split_once('{') {
            plain += before;
            let name = behind.split_once('}').filter(|(name, _)| {
                name.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            });
            (plain, rest) = match name {
                Some((_, behind)) => (plain + "{}", behind),
                None => (plain + "{", behind),
            };
        }
        (plain + rest).replace("\\\"", "\"")
    }

    /// A sentence that is changed where it is made would be told in English.
    #[test]
    fn each_sentence_is_one_that_the_program_says() {
        let source = plain(concat!(
            include_str!("../probe/http.rs"),
            include_str!("../probe/stall.rs"),
            include_str!("../daemon/probing.rs"),
            include_str!("../policy/attempts.rs"),
            include_str!("../policy/intent.rs"),
            include_str!("../policy/restart.rs"),
        ));
        for (english, chinese) in sentences() {
            let in_parts = IN_PARTS.iter().find(|(sentence, _)| *sentence == english);
            let said = in_parts.map_or(english, |(_, said)| said);
            assert!(source.contains(said), "{english}");
            assert_eq!(
                english.matches("{}").count(),
                chinese.matches("{}").count(),
                "{chinese}"
            );
        }
    }
}
