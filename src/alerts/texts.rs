//! What an alert says, in each language: one table.
//!
//! Owns the words; knows nothing of when they are said. What is quoted stays as it is.

use std::{convert::Infallible, time::Duration};

use crate::{
    alerts::chinese,
    policy::{
        facts::{Failure, Monotonic},
        state::State,
    },
    settings::{Kind, Language, Settings},
    text::{
        line::Line,
        template::fill,
        words::{self, ENDED_EARLY, words},
    },
};

/// One text, in English and in Chinese; `{{name}}` stands for something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text(&'static str, &'static str);

impl Text {
    /// The text as it is.
    pub(super) fn plain(self, language: Language) -> &'static str {
        match language {
            Language::En => self.0,
            Language::Zh => self.1,
        }
    }

    /// The text with what its names stand for.
    pub(super) fn with(self, language: Language, values: &[(&str, &str)]) -> String {
        let filled = fill(self.plain(language), false, &mut |name| {
            let value = values.iter().find(|(known, _)| *known == name);
            Ok::<_, Infallible>(value.map_or_else(String::new, |(_, value)| (*value).to_owned()))
        });
        filled.unwrap_or_else(|never| match never {})
    }
}

/// The title of each kind.
pub(super) fn title(kind: Kind) -> Text {
    match kind {
        Kind::Down => Text("gateway down", "网关不可用"),
        Kind::NeedsHuman => Text("gateway needs a human", "网关需要人工处理"),
        Kind::StillDown => Text("gateway still down", "网关仍不可用"),
        Kind::RolledBack => Text("gateway configuration rolled back", "网关配置已回滚"),
        Kind::Back => Text("gateway back", "网关已恢复"),
        Kind::Flapping => Text("gateway comes and goes", "网关时好时坏"),
        Kind::Degraded => Text("gateway degraded", "网关功能降级"),
        Kind::NoLongerDegraded => Text("gateway no longer degraded", "网关功能已恢复"),
        Kind::Paused => Text("watchdog paused for long", "看门狗已暂停很久"),
        Kind::Test => Text("test alert", "测试告警"),
    }
}

/// On buttons of a desktop.
pub(super) const SHOW_INCIDENT: Text = Text("Show incident", "查看故障");
pub(super) const PAUSE: Text = Text("Pause 30 min", "暂停 30 分钟");

pub(super) const DOWN: Text = Text(
    "down, {{reason}}; restarted in {{wait}} unless it recovers (attempt {{attempt}} of {{of}}){{window}}",
    "不可用：{{reason}}；若不自行恢复，{{wait}}后重启（第 {{attempt}} 次，共 {{of}} 次）{{window}}",
);
pub(super) const CRASHED: Text = Text(
    "down, it ended before it was healthy: {{reason}}; systemd starts it again{{times}}",
    "不可用：尚未健康就退出了：{{reason}}；systemd 会再次启动它{{times}}",
);
pub(super) const ENDED: Text = Text(
    "down, {{reason}}; systemd starts it again{{times}}",
    "不可用：{{reason}}；systemd 会再次启动它{{times}}",
);
/// Behind what systemd does: how often it did.
const SO_FAR: Text = Text(", {{count}} times so far", "（已 {{count}} 次）");
const SO_FAR_ONCE: Text = Text(", once so far", "（已 1 次）");
/// Why an attempt waits for longer than its delay.
const WINDOW: Text = Text(
    "; not sooner, because one more stop with SIGKILL within {{window}} would turn its channels off",
    "；不能更早：{{window}}内再用一次 SIGKILL 停止，网关就会关闭频道",
);
pub(super) const LOOPS: Text = Text(
    "one run after the other ends: {{reason}}; systemd starts it again each time",
    "反复退出：{{reason}}；systemd 每次都会再次启动它",
);
pub(super) const DOWN_ALONE: Text = Text(
    "down, {{reason}}; see gatehound status{{profile}}",
    "不可用：{{reason}}；请运行 gatehound status{{profile}}",
);
pub(super) const DOWN_PAUSED: Text = Text(
    "down, and nothing is done about it during the pause: {{reason}}; \
     to end the pause: gatehound resume{{profile}}",
    "不可用，暂停期间不会处理：{{reason}}；结束暂停：gatehound resume{{profile}}",
);
pub(super) const PORT_TAKEN: Text = Text(
    "somebody else has its port: {{detail}}",
    "端口被占用：{{detail}}",
);
pub(super) const HUMAN: Text = Text(
    "a human is needed: {{reason}}{{cause}}{{tries}}{{next}}; see gatehound status{{profile}}",
    "需要人工处理：{{reason}}{{cause}}{{tries}}{{next}}；请运行 gatehound status{{profile}}",
);
pub(super) const REFUSED: Text = Text(
    "it refuses its configuration: {{detail}}",
    "网关拒绝其配置：{{detail}}",
);
pub(super) const CAUSE: Text = Text("; it began with {{cause}}", "；起因：{{cause}}");
pub(super) const RESTARTS: Text = Text(
    "; {{count}} restarts did not help",
    "；重启 {{count}} 次无效",
);
pub(super) const RESTART: Text = Text("; a restart did not help", "；重启 1 次无效");
pub(super) const RUNS: Text = Text(
    "; {{count}} of its runs ended before one was healthy",
    "；已有 {{count}} 次运行在健康之前结束",
);
const IN_VAIN: Text = Text("did not help", "无效");
const NEXT: Text = Text("; the next try is in {{wait}}", "；{{wait}}后再次尝试");
const NEVER: Text = Text(
    "; Gatehound does not try again by itself",
    "；Gatehound 不会自行再试",
);
pub(super) const WHEN_FREE: Text = Text(
    "; Gatehound goes on when the port is free",
    "；端口空闲后 Gatehound 会继续",
);
pub(super) const STILL: Text = Text(
    "still down, for {{time}} now{{tries}}; {{phase}}; see gatehound status{{profile}}",
    "仍不可用，已持续 {{time}}{{tries}}；{{phase}}；请运行 gatehound status{{profile}}",
);
pub(super) const ROLLED_BACK: Text = Text(
    "it refused its configuration, and snapshot {{snapshot}}, which worked before, was put in its place; \
     what it refused is kept in {{kept}}, see gatehound snapshot diff{{profile}}",
    "网关拒绝其配置，已换回之前可用的快照 {{snapshot}}；被拒绝的配置保存在 {{kept}}，\
     请运行 gatehound snapshot diff{{profile}}",
);
pub(super) const REFUSED_REASON: Text = Text("it refused its configuration", "网关拒绝其配置");
pub(super) const PART: Text = Text(
    "part of it does not work: {{what}}; {{means}}",
    "部分功能不可用：{{what}}；{{means}}",
);
pub(super) const BACK: Text = Text("healthy again after {{time}}", "已恢复健康，中断 {{time}}");
pub(super) const BUT: Text = Text("{{text}}, but {{what}}", "{{text}}，但{{what}}");
pub(super) const DEGRADED: Text = Text("healthy, but {{what}}", "健康，但{{what}}");
pub(super) const WORKS: Text = Text(
    "all of it works again; it was: {{what}}",
    "全部功能已恢复；之前：{{what}}",
);
pub(super) const FLAPS: Text = Text(
    "{{what}}; it is not restarted as long as it comes back within its grace; \
     see: gatehound incident{{profile}}",
    "{{what}}；只要它在宽限时间内恢复，就不会重启；请运行 gatehound incident{{profile}}",
);
pub(super) const STEADY: Text = Text(
    "healthy without a break for a while again",
    "已恢复稳定运行",
);
pub(super) const PAUSED: Text = Text(
    "not watched, paused for {{time}} now; gatehound resume{{profile}} ends it or says what does",
    "未受监视，已暂停 {{time}}；运行 gatehound resume{{profile}} 可结束暂停，或查看如何结束",
);
pub(super) const TEST: Text = Text(
    "this is a test, alerts arrive",
    "这是一条测试，告警可以送达",
);
pub(super) const LATE: Text = Text(
    "{{text}} (reported {{time}} late)",
    "{{text}}（迟报 {{time}}）",
);
pub(super) const SAID: Text = Text(
    "{{text}}; the last that it said: {{words}}",
    "{{text}}；它最后的输出：{{words}}",
);

/// What a phase is called.
const PHASES: [Text; 7] = [
    Text("starting", "启动中"),
    Text("healthy", "健康"),
    Text("failing", "异常"),
    Text("backing-off", "等待重启"),
    Text("restarting", "重启中"),
    Text("gave-up", "已放弃"),
    Text("standing-by", "待命"),
];

/// What a process that fails is doing.
const STALLS: [(&str, Text); 9] = [
    ("gone", Text("port closed", "端口已关闭")),
    ("stopped", Text("process stopped", "进程被暂停")),
    ("deadlocked", Text("deadlocked", "死锁")),
    ("waiting", Text("waits for a child", "等待子进程")),
    ("disk", Text("waits for the disk", "等待磁盘")),
    ("starved", Text("starved", "资源不足")),
    ("blocked", Text("event loop blocked", "主线程阻塞")),
    ("busy", Text("event loop busy", "CPU 占满")),
    ("answering", Text("wrong answers", "应答异常")),
];

/// The name of a phase.
pub(super) fn phase(name: &str, language: Language) -> &str {
    let found = PHASES.iter().find(|text| text.0 == name);
    found.map_or(name, |text| text.plain(language))
}

/// A failure, as in `health: no answer within 10 s (event loop blocked)`; how a run ended says enough by itself.
pub(super) fn failure(failure: &Failure, language: Language) -> String {
    if failure.reason.as_str().starts_with(ENDED_EARLY) {
        return said(&failure.reason, language);
    }
    let stall = failure.stall.name();
    let found = STALLS.iter().find(|(name, _)| *name == stall);
    let found = found.map_or(stall, |(_, text)| text.plain(language));
    match language {
        Language::En => words(failure).replacen(&format!("({stall})"), &format!("({found})"), 1),
        Language::Zh => {
            let (probe, reason) = (failure.probe.name(), said(&failure.reason, language));
            let detail = said(&failure.detail, language);
            let detail = if detail.is_empty() {
                detail
            } else {
                format!("；{detail}")
            };
            format!("{probe}：{reason}（{found}）{detail}")
        }
    }
}

/// Why, in a sentence of a check or an attempt.
pub(super) fn said(reason: &Line, language: Language) -> String {
    match language {
        Language::En => reason.to_string(),
        Language::Zh => chinese::in_chinese(reason.as_str()),
    }
}

/// A text of at most so many characters: what it begins and what it ends with say most.
pub(super) fn without_middle(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let begin: String = text.chars().take(most / 2).collect();
    let rest = most.saturating_sub(most / 2 + 1);
    let end: String = text.chars().skip(count - rest).collect();
    format!("{begin}…{end}")
}

/// A span, as in `5 min 20 s`.
pub(super) fn span(time: Duration, language: Language) -> String {
    let text = words::span(time);
    match language {
        Language::En => text,
        Language::Zh => chinese::spans(&text),
    }
}

/// How often systemd has started it again.
pub(super) fn so_far(count: u32, language: Language) -> String {
    match count {
        0 => String::new(),
        1 => SO_FAR_ONCE.plain(language).to_owned(),
        more => SO_FAR.with(language, &[("count", &more.to_string())]),
    }
}

/// Why an attempt waits for longer than its delay, where it does.
pub(super) fn window(
    settings: &Settings,
    state: &State,
    until: Monotonic,
    language: Language,
) -> String {
    let budget = &settings.forced_stops;
    match state.forced_stop_allowed_from(budget) == Some(until) {
        true => WINDOW.with(language, &[("window", &span(budget.window, language))]),
        false => String::new(),
    }
}

/// What was tried in vain, unless the reason says already that it did not help.
pub(super) fn unless_said(tries: String, reason: &str, language: Language) -> String {
    let in_vain = IN_VAIN.plain(language);
    match tries.contains(in_vain) && reason.contains(in_vain) {
        true => String::new(),
        false => tries,
    }
}

/// When the next try is.
pub(super) fn next(wait: Option<Duration>, language: Language) -> String {
    match wait {
        Some(wait) => NEXT.with(language, &[("wait", &span(in_minutes(wait), language))]),
        None => NEVER.plain(language).to_owned(),
    }
}

/// Whole minutes of a time that has several.
fn in_minutes(time: Duration) -> Duration {
    match time.as_secs() {
        0..120 => time,
        seconds => Duration::from_secs((seconds + 30) / 60 * 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::{
            facts::{Probe, Stall},
            state::{Phase, Standby},
        },
        text::template::names,
    };

    const TEXTS: [Text; 35] = [
        SHOW_INCIDENT,
        IN_VAIN,
        PAUSE,
        DOWN,
        DOWN_PAUSED,
        WHEN_FREE,
        CRASHED,
        ENDED,
        LOOPS,
        SO_FAR,
        SO_FAR_ONCE,
        WINDOW,
        DOWN_ALONE,
        PORT_TAKEN,
        HUMAN,
        REFUSED,
        CAUSE,
        RESTARTS,
        RESTART,
        RUNS,
        NEXT,
        NEVER,
        STILL,
        ROLLED_BACK,
        REFUSED_REASON,
        PART,
        BACK,
        DEGRADED,
        WORKS,
        FLAPS,
        STEADY,
        PAUSED,
        TEST,
        LATE,
        SAID,
    ];

    #[test]
    fn each_text_exists_in_both_languages_and_has_the_same_names_in_them() {
        let source = include_str!("texts.rs");
        let count = source.matches(": Text = Text(").count();
        // `BUT` joins two others, and the line above is none.
        assert_eq!(count, TEXTS.len() + 2);
        let titles = Kind::ALL.into_iter().chain([Kind::Test]).map(title);
        let titles: Vec<Text> = titles.collect();
        let stalls = STALLS.iter().map(|(_, text)| text);
        for Text(english, chinese) in TEXTS.iter().chain(&titles).chain(&PHASES).chain(stalls) {
            let sorted = |text: &'static str| {
                let mut names: Vec<&str> = names(text).collect();
                names.sort_unstable();
                names
            };
            assert_eq!(sorted(english), sorted(chinese), "{english}");
            assert!(english.is_ascii(), "{english}");
            let is_han = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
            assert!(chinese.contains(is_han), "{chinese}");
        }
    }

    #[test]
    fn phases_stalls_and_spans_have_words_in_chinese() {
        for phase_of in [
            Phase::default(),
            Phase::StandingBy {
                reason: Standby::Paused,
                detail: "".into(),
                since: Default::default(),
            },
        ] {
            assert_ne!(phase(phase_of.name(), Language::Zh), phase_of.name());
        }
        for stall in Stall::ALL {
            let fails = Failure {
                probe: Probe::Health,
                reason: "no answer within 10 s".into(),
                stall,
                detail: "".into(),
            };
            let said = failure(&fails, Language::Zh);
            assert!(!said.contains(stall.name()), "{said}");
            let said = failure(&fails, Language::En);
            let known = STALLS.iter().any(|(name, _)| *name == stall.name());
            assert!(
                known && said.starts_with("health: no answer within 10 s ("),
                "{said}"
            );
        }
        let time = Duration::from_secs(3 * 3600 + 60);
        assert_eq!(span(time, Language::Zh), "3 小时 1 分钟");
        assert_eq!(span(Duration::from_millis(7), Language::Zh), "7 毫秒");
    }
}
