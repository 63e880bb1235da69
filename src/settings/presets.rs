//! What each service takes that alerts can go to: one row for one preset.
//!
//! Owns the form of each request, as the service's documents have it. Knows nothing of alerts, settings or the network.
//! What stands between `{{` and `}}` is filled in by `alerts::delivery`.

/// A service that alerts or pings can go to.
#[derive(Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name in the settings.
    pub name: &'static str,
    /// The settings of a channel that it cannot do without.
    pub needs: &'static [&'static str],
    /// What follows the URL, or is added to its query.
    pub path: &'static str,
    /// Header fields besides the type of the body.
    pub headers: &'static [(&'static str, &'static str)],
    /// The body; one that does not begin with `{"` is text, and no JSON.
    pub body: &'static str,
    /// What the setting `secret` adds.
    pub signature: Signature,
    /// What of a foreign text would be more than text.
    pub danger: Danger,
}

/// Where a signature goes, and how it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// Nowhere.
    None,
    /// Into the query of the URL. Source: DingTalk, "Custom robot security settings".
    DingTalk,
    /// Into the body. Source: Feishu, "Custom bot usage guide".
    Feishu,
}

/// What of a foreign text would be more than text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Danger {
    /// Nothing.
    Nothing,
    /// An `@everyone` wakes everybody.
    Mention,
    /// That, and `<!channel>`; there is a way to escape it. Source: docs.slack.dev, "Formatting message text".
    Entity,
    /// That, and `<at user_id="all">`; there is no way to escape it.
    Tag,
}

/// What most have.
const PLAIN: Preset = Preset {
    name: "json",
    needs: &[],
    path: "",
    headers: &[],
    body: r#"{"text":"{{text}}","title":"{{title}}","kind":"{{kind}}","unit":"{{unit}}","host":"{{host}}","incident":"{{incident}}","phase":"{{phase}}","reason":"{{reason}}","time":"{{time}}"}"#,
    signature: Signature::None,
    danger: Danger::Nothing,
};

/// DingTalk and WeCom take the same.
const TEXT: Preset = Preset {
    body: r#"{"msgtype":"text","text":{"content":"{{line}}"}}"#,
    danger: Danger::Mention,
    ..PLAIN
};

/// Every preset of a webhook.
pub const WEBHOOKS: [Preset; 18] = [
    PLAIN,
    Preset {
        name: "ntfy",
        // A header field is ASCII; ntfy decodes RFC 2047.
        headers: &[
            ("Title", "{{header-title}}"),
            ("Priority", "{{ntfy}}"),
            ("Tags", "{{tag}}"),
        ],
        body: "{{text}}",
        ..PLAIN
    },
    Preset {
        name: "slack",
        body: r#"{"text":"{{line}}"}"#,
        danger: Danger::Entity,
        ..PLAIN
    },
    Preset {
        name: "mattermost",
        body: r#"{"text":"{{line}}"}"#,
        danger: Danger::Mention,
        ..PLAIN
    },
    Preset {
        name: "discord",
        body: r#"{"content":"{{line}}","allowed_mentions":{"parse":[]}}"#,
        danger: Danger::Mention,
        ..PLAIN
    },
    Preset {
        name: "telegram",
        needs: &["to"],
        // Without parse_mode the text is taken as it is.
        body: r#"{"chat_id":"{{to}}","text":"{{line}}"}"#,
        danger: Danger::Mention,
        ..PLAIN
    },
    Preset {
        name: "feishu",
        body: r#"{"msg_type":"text","content":{"text":"{{line}}"}}"#,
        signature: Signature::Feishu,
        danger: Danger::Tag,
        ..PLAIN
    },
    Preset {
        name: "dingtalk",
        signature: Signature::DingTalk,
        ..TEXT
    },
    Preset {
        name: "wecom",
        ..TEXT
    },
    Preset {
        name: "serverchan",
        body: r#"{"title":"{{title}}","desp":"{{text}}"}"#,
        ..PLAIN
    },
    Preset {
        name: "pushplus",
        needs: &["token"],
        body: r#"{"token":"{{token}}","title":"{{title}}","content":"{{text}}","template":"txt"}"#,
        ..PLAIN
    },
    Preset {
        name: "bark",
        body: r#"{"title":"{{title}}","body":"{{text}}","level":"{{bark}}","group":"Gatehound"}"#,
        ..PLAIN
    },
    Preset {
        name: "gotify",
        needs: &["token"],
        path: "/message",
        headers: &[("X-Gotify-Key", "{{token}}")],
        body: r#"{"title":"{{title}}","message":"{{text}}","priority":{{gotify}}}"#,
        ..PLAIN
    },
    Preset {
        name: "pushover",
        needs: &["token", "to"],
        body: r#"{"token":"{{token}}","user":"{{to}}","title":"{{title}}","message":"{{text}}","priority":{{pushover}}}"#,
        ..PLAIN
    },
    Preset {
        name: "teams",
        body: r#"{"type":"message","attachments":[{"contentType":"application/vnd.microsoft.card.adaptive","content":{"type":"AdaptiveCard","version":"1.4","body":[{"type":"TextBlock","weight":"bolder","wrap":true,"text":"{{title}}"},{"type":"TextBlock","wrap":true,"text":"{{text}}"}]}}]}"#,
        danger: Danger::Tag,
        ..PLAIN
    },
    Preset {
        name: "matrix",
        needs: &["token", "to"],
        // The same id for the same alert: a second try is no second message.
        path: "/_matrix/client/v3/rooms/{{url-to}}/send/m.room.message/{{id}}",
        headers: &[("Authorization", "Bearer {{token}}")],
        body: r#"{"msgtype":"m.text","body":"{{line}}","m.mentions":{}}"#,
        danger: Danger::Mention,
        ..PLAIN
    },
    Preset {
        name: "pagerduty",
        needs: &["token"],
        body: r#"{"routing_key":"{{token}}","event_action":"{{action}}","dedup_key":"gatehound {{host}} {{unit}} {{topic}}","payload":{"summary":"{{line}}","source":"{{host}}","severity":"{{severity}}"}}"#,
        ..PLAIN
    },
    // What sendmail(8) reads.
    Preset {
        name: "mail",
        needs: &["to"],
        body: "To: {{to}}\nSubject: {{header-title}}\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{{text}}\n\n{{time}}\n",
        ..PLAIN
    },
];

/// What a ping goes to that knows more than one word.
pub const PINGS: [&str; 2] = ["healthchecks", "uptime-kuma"];

/// The row of a name.
pub fn webhook(name: &str) -> Option<&'static Preset> {
    // A table, and no match: each name stands in one place.
    static TABLE: [Preset; 18] = WEBHOOKS;
    TABLE.iter().find(|row| row.name == name)
}
