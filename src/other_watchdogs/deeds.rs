//! What one command does to the gateway: whether it restarts, starts, stops or kills it.
//!
//! Owns the programs by which that is done and their arguments; follows no script and reads no file.
//! A command whose object cannot be told counts where the text around it speaks of the gateway.

use super::shell_words::Word;

/// The names that the gateway has had.
const NAMES: [&str; 3] = ["openclaw", "clawdbot", "moltbot"];

/// Its port, where nobody sets another.
const PORT: &str = "18789";

/// What a service manager is asked to do with a unit.
const VERBS: [&str; 9] = [
    "restart",
    "start",
    "stop",
    "kill",
    "try-restart",
    "reload-or-restart",
    "try-reload-or-restart",
    "force-restart",
    "condrestart",
];

/// The same as methods of the user manager.
const METHODS: [&str; 6] = [
    "RestartUnit",
    "StartUnit",
    "StopUnit",
    "KillUnit",
    "TryRestartUnit",
    "ReloadOrRestartUnit",
];

/// What the gateway's own program is asked to do with it; `run` and options alone start it in the foreground.
const OF_GATEWAY: [&str; 7] = [
    "restart",
    "start",
    "stop",
    "install",
    "uninstall",
    "run",
    "kill",
];

/// Programs that find a process, so that what is killed afterwards is what they found.
const FINDERS: [&str; 9] = [
    "pgrep", "pidof", "lsof", "fuser", "ps", "ss", "netstat", "psutil", "pidfile",
];

/// What a watchdog is called where it cannot be looked into.
const CALLED: [&str; 14] = [
    "watchdog",
    "healthcheck",
    "selfheal",
    "autoheal",
    "gatewayheal",
    "openclawheal",
    "healer",
    "guardian",
    "sentinel",
    "keepalive",
    "restart",
    "revive",
    "supervis",
    "respawn",
];

/// Names and port of the gateway that is watched.
#[derive(Clone, Debug)]
pub struct Gateway {
    names: Vec<String>,
    ports: Vec<String>,
}

impl Gateway {
    /// The gateway of this unit, on this port if one is set.
    pub fn new(unit: &str, port: Option<u16>) -> Self {
        let mut names: Vec<String> = NAMES.map(str::to_owned).to_vec();
        let stem = unit.trim_end_matches(".service").to_lowercase();
        // A shorter one would be in many other words.
        if 4 < stem.len() && stem != "gateway" {
            names.push(stem);
        }
        let mut ports = vec![PORT.to_owned()];
        ports.extend(port.map(|port| port.to_string()));
        Self { names, ports }
    }

    /// Whether a text speaks of the gateway, by name or by port.
    pub(super) fn is_named_in(&self, text: &str) -> bool {
        let lower = text.to_lowercase();
        self.has_name(&lower) || self.has_port(&lower)
    }

    fn has_name(&self, lower: &str) -> bool {
        self.names.iter().any(|name| lower.contains(name.as_str()))
    }

    /// Whether a word is the gateway's unit, and not another of the same project's.
    fn is_unit(&self, word: &str) -> bool {
        let lower = word.to_lowercase();
        let stem = lower.trim_end_matches(".service");
        let is_gateways = |name: &str| {
            stem == name || stem.contains(name) && (stem.contains("gateway") || stem.contains('*'))
        };
        self.names.iter().any(|name| is_gateways(name))
    }

    fn has_port(&self, text: &str) -> bool {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit());
        numbers.any(|number| self.ports.iter().any(|port| port == number))
    }

    /// Whether the words of a command that nobody can look into are those of a watchdog of the gateway.
    pub(super) fn sounds_like_a_watchdog(&self, text: &str) -> bool {
        let lower = text.to_lowercase();
        let joined: String = lower.chars().filter(|c| !"-_ ./".contains(*c)).collect();
        self.has_name(&lower) && CALLED.iter().any(|called| joined.contains(called))
    }
}

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// It restarts, starts, stops or kills the gateway.
    Acts,
    /// It is the gateway itself, in the foreground.
    IsGateway,
}

/// What is known of the text in which a command stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    /// It speaks of the gateway.
    pub(super) names_gateway: bool,
    /// It looks for processes.
    pub(super) finds: bool,
    /// It is a human's sentence perhaps, in which only a command from the first word on counts.
    pub(super) is_quoted: bool,
}

/// Whether a text looks for processes, so that a `kill` in it may be the gateway's.
pub(super) fn finds(text: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| FINDERS.contains(&word))
}

/// The name of a program or of the variable that has it.
pub(super) fn base(program: &str) -> String {
    let name = program.rsplit('/').next().unwrap_or_default();
    let bare = name.trim_matches(['$', '{', '}', '"']);
    let bare = if bare.len() == name.len() {
        bare.to_owned()
    } else {
        bare.to_lowercase()
    };
    let script = [".mjs", ".cjs", ".js"].iter();
    let stem = script.filter_map(|end| bare.strip_suffix(end)).next();
    stem.map_or_else(|| bare.clone(), str::to_owned)
}

/// Whether a program is the gateway's own.
pub(super) fn is_gateway_program(base: &str) -> bool {
    NAMES.contains(&base) || base == "openclaw_bin" || base == "openclaw_cmd"
}

/// Whether a word is a value that only a run gives.
fn is_unknown(word: &str) -> bool {
    word.contains('$') || word.starts_with('%')
}

/// What a command does whose first word is its program.
pub(super) fn deed(gateway: &Gateway, words: &[Word], setting: Setting) -> Option<Deed> {
    let (first, rest) = words.split_first()?;
    let base = base(&first.text);
    let texts: Vec<&str> = rest.iter().map(|word| word.text.as_str()).collect();
    let names = |text: &&str| gateway.is_named_in(text);
    let is_option = |text: &&str| text.starts_with('-');
    let objects = || texts.iter().copied().filter(|text| !is_option(text));
    let vague = setting.names_gateway && (objects().next().is_none() || objects().any(is_unknown));
    let named = objects().any(|text| names(&text));
    let acts = |is: bool| is.then_some(Deed::Acts);
    if is_gateway_program(&base) {
        return of_its_own_program(&texts);
    }
    match base.as_str() {
        "systemctl" | "sc" => {
            let verb = texts.iter().position(|text| VERBS.contains(text))?;
            let after = texts.get(verb + 1..).unwrap_or_default();
            let mut after = after
                .iter()
                .copied()
                .filter(|text| !is_option(text))
                .peekable();
            let vague = setting.names_gateway && after.peek().is_none();
            let means =
                |text: &str| gateway.is_unit(text) || setting.names_gateway && is_unknown(text);
            acts(vague || after.any(means))
        }
        "service" | "rc-service" | "invoke-rc.d" | "supervisorctl" | "pm2" | "monit" | "docker"
        | "podman" | "docker-compose" | "podman-compose" => {
            acts(named && texts.iter().any(|text| VERBS.contains(text)))
        }
        "pkill" | "killall" | "skill" => {
            let only_asks = texts.iter().any(|text| ["-0", "-l"].contains(text));
            acts(!only_asks && (named || vague))
        }
        "kill" | "process.kill" | "os.kill" | "os.killpg" => {
            let only_asks = texts.iter().any(|text| ["-0", "0", "-l"].contains(text));
            acts(!only_asks && setting.finds && setting.names_gateway)
        }
        "fuser" => acts(named && texts.iter().any(|text| is_kill_of_fuser(text))),
        _ if setting.is_quoted => None,
        _ => acts(asked(gateway, words, setting)),
    }
}

fn is_kill_of_fuser(option: &str) -> bool {
    let letters = option
        .strip_prefix('-')
        .filter(|rest| !rest.starts_with('-'));
    option == "--kill" || letters.is_some_and(|letters| letters.contains('k'))
}

/// What `openclaw …` does.
fn of_its_own_program(texts: &[&str]) -> Option<Deed> {
    let command = |text: &&str| ["gateway", "daemon"].contains(text);
    let Some(at) = texts.iter().take(6).position(command) else {
        let first = texts.iter().find(|text| !text.starts_with('-'))?;
        let acts = ["restart", "start", "stop"].contains(first);
        return acts.then_some(Deed::Acts);
    };
    let after = texts.get(at + 1..).unwrap_or_default();
    let what = after.iter().copied().find(|text| !text.starts_with('-'));
    let helps = |text: &&str| ["--help", "-h", "--version", "--json"].contains(text);
    if after.iter().any(helps) {
        return None;
    }
    match what {
        Some("run") | None => Some(Deed::IsGateway),
        Some("start") if after.contains(&"--foreground") => Some(Deed::IsGateway),
        Some(what) if OF_GATEWAY.contains(&what) => Some(Deed::Acts),
        // The value of an option, with which it is started.
        Some(_) if after.first().is_some_and(|text| text.starts_with('-')) => Some(Deed::IsGateway),
        Some(_) => None,
    }
}

/// Whether any program is asked, in words that follow each other, to restart the gateway or the like.
fn asked(gateway: &Gateway, words: &[Word], setting: Setting) -> bool {
    let plain: Vec<&str> = words
        .iter()
        .filter(|word| !word.is_text() && !word.text.starts_with('-'))
        .map(|word| word.text.as_str())
        .collect();
    let named = plain.iter().any(|text| gateway.is_named_in(text)) || setting.names_gateway;
    let in_turn = |first: fn(&str) -> bool, second: &dyn Fn(&str) -> bool| {
        let mut pairs = plain.windows(2);
        pairs.any(|pair| matches!(pair, [one, other] if first(one) && second(other)))
    };
    let verb = |text: &str| VERBS.contains(&text);
    let method = |text: &str| METHODS.iter().any(|method| text.ends_with(method));
    let its_verb = |text: &str| ["restart", "start", "stop"].contains(&text);
    in_turn(verb, &|text| gateway.is_named_in(text))
        || named && plain.len() > 2 && in_turn(|text| text == "gateway", &its_verb)
        || named && plain.iter().any(|text| method(text))
}

#[cfg(test)]
mod tests {
    use super::{super::shell_words::statements, *};

    fn of(text: &str, names_gateway: bool) -> Option<Deed> {
        let gateway = Gateway::new("my-bot.service", Some(19001));
        let setting = Setting {
            names_gateway,
            finds: finds(text),
            is_quoted: false,
        };
        let mut found = statements(text).into_iter();
        found.find_map(|words| deed(&gateway, &words, setting))
    }

    #[test]
    fn what_restarts_starts_stops_or_kills_the_gateway_is_a_deed() {
        for text in [
            "systemctl --user restart openclaw-gateway.service",
            "/usr/bin/systemctl --user -q --no-block try-restart clawdbot-gateway",
            "$SYSTEMCTL --user kill -s SIGKILL my-bot",
            "service openclaw restart",
            "openclaw gateway restart",
            "openclaw --profile work gateway stop",
            "clawdbot daemon restart",
            "openclaw gateway install --force",
            "$BIN gateway restart # openclaw",
            "pkill -9 -f 'openclaw.*gateway'",
            "killall openclaw",
            "fuser -k 19001/tcp",
            "docker restart openclaw",
            "pm2 restart openclaw-gateway",
            "busctl --user call a b c RestartUnit ss openclaw-gateway.service replace",
            "spawn(\"x\", [\"restart\", \"openclaw-gateway\"])",
        ] {
            assert_eq!(of(text, text.contains('#')), Some(Deed::Acts), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_told_counts_where_the_text_speaks_of_the_gateway() {
        for text in [
            "systemctl --user restart \"$UNIT\"",
            "systemctl --user restart",
            "pkill -f $NAME",
            "kill -9 $PID; pidof x",
            "lsof -ti :1 | xargs; kill",
        ] {
            assert_eq!(of(text, true), Some(Deed::Acts), "{text}");
            assert_eq!(of(text, false), None, "{text}");
        }
    }

    #[test]
    fn what_only_looks_or_is_about_something_else_is_no_deed() {
        for text in [
            "systemctl --user is-active openclaw-gateway",
            "systemctl --user status openclaw-gateway",
            "systemctl restart nginx",
            "systemctl --user restart openclaw-node.service",
            "systemctl daemon-reload",
            "openclaw gateway status --json",
            "openclaw gateway --help",
            "openclaw skills update",
            "openclaw agent restart",
            "pgrep -f openclaw-gateway",
            "pkill -0 -f openclaw",
            "kill -0 $PID; pgrep openclaw",
            "kill $TAIL",
            "fuser 18789/tcp",
            "docker ps openclaw",
            "tar czf openclaw-restart.tgz .openclaw",
            "start openclaws-backup-of-x || true",
        ] {
            let found = of(text, true).filter(|_| !text.starts_with("start"));
            assert_eq!(found, None, "{text}");
        }
    }

    #[test]
    fn a_gateway_in_the_foreground_is_told_from_what_restarts_one() {
        for text in [
            "openclaw gateway",
            "openclaw gateway run",
            "openclaw gateway start --foreground",
            "openclaw gateway --port 18789",
            "/x/openclaw.mjs gateway --bind lan",
        ] {
            assert_eq!(of(text, false), Some(Deed::IsGateway), "{text}");
        }
    }

    #[test]
    fn a_name_speaks_of_a_watchdog_of_the_gateway_only_where_it_speaks_of_both() {
        let gateway = Gateway::new("openclaw-gateway.service", None);
        for text in [
            "/opt/openclaw/bin/healthcheck.sh --restart",
            "OpenClaw Health Check",
            "openclaw-self-heal.timer",
            "/x/clawdbot_guardian",
        ] {
            assert!(gateway.sounds_like_a_watchdog(text), "{text}");
        }
        for text in [
            "disk-watchdog.service",
            "openclaw-backup",
            "/usr/local/bin/claw-heal",
            "healthcheck 18789",
        ] {
            assert!(!gateway.sounds_like_a_watchdog(text), "{text}");
        }
    }
}
