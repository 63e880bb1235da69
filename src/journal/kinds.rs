//! The kinds of records: one table of what every record of a kind has in common.
//!
//! Owns the MESSAGE_IDs, the events' names, how much each matters, which fields it has of its own, and what the manual
//! page and `journalctl -x` say of it: both are made from here. The words of one record are `entry`'s.
//! It must not know the journal, nor when a record is made.

use crate::journal::{
    fields::{ACTION, DETAIL, DOWNTIME, PROBE, REASON, STALL, STALL_DETAIL},
    kind_table::kinds,
};

kinds! {
    Watching {
        event: "watching",
        message_id: "5252ed90e72c44c28d4b3b4a680df226",
        level: Notice,
        own_fields: [],
        about: "Gatehound started; the text says whether it goes on where an earlier run of Gatehound stopped.",
        in_chinese: "Gatehound 启动了；如果它接着上一次运行停下的地方继续，文字里会写明。",
        subject: "Gatehound watches @USER_UNIT@",
        explained: "\
Gatehound has started and looks at the gateway from now on.
If it says \"again\", an earlier run of Gatehound ended in the middle of something, and this one goes on from there.
Nothing has to be done.",
    }
    Leaving {
        event: "leaving",
        message_id: "2d1c80d4627945768af0f3ac07361ee3",
        level: Notice,
        own_fields: [],
        about: "Gatehound ends.",
        in_chinese: "Gatehound 结束。",
        subject: "Gatehound no longer watches @USER_UNIT@",
        explained: "\
Gatehound was stopped.
Until it runs again nobody notices a gateway that hangs:

    systemctl --user start @_SYSTEMD_USER_UNIT@",
    }
    Healthy {
        event: "healthy",
        message_id: "17045854f6e6450c8d773b632f3b3ffb",
        level: Notice,
        own_fields: [],
        about: "The gateway works, and no incident was open.",
        in_chinese: "网关正常，此前没有故障。",
        subject: "@USER_UNIT@ is healthy",
        explained: "\
The gateway's port listens, HTTP answers, and /health says \"ok\".",
    }
    NewInvocation {
        event: "new-invocation",
        message_id: "04f07a9a53a74aeab15f09c0296ebd0e",
        level: Notice,
        own_fields: [],
        about: "A new run of the gateway has begun, whoever started it.",
        in_chinese: "网关开始了新的一次运行，不管是谁启动的。",
        subject: "@USER_UNIT@ was started",
        explained: "\
A new run of the gateway has begun, whoever started it.
It has the grace for a start before it counts as failing.",
    }
    Failing {
        event: "failing",
        message_id: "571f9110cce24311927f6a8f13b389fa",
        level: Warning,
        own_fields: [PROBE, REASON, STALL, STALL_DETAIL],
        about: "\
The first failing check of an incident, with the grace that is given,
or a run of the gateway that failed before it was healthy and that systemd is about to restart, with the grace for a start.",
        in_chinese: "一次故障中第一次失败的检查，以及给它的宽限期；或者网关的一次运行还没健康过就失败了，systemd 马上会重启它，这时是启动的宽限期。",
        subject: "@USER_UNIT@ fails",
        explained: "\
The probe @GATEHOUND_PROBE@ failed: @GATEHOUND_REASON@.
The gateway's process is @GATEHOUND_STALL@, and has the grace for that to recover before it is restarted.
This begins the incident @GATEHOUND_INCIDENT@; to see what became of it:

    gatehound incident @GATEHOUND_INCIDENT@",
    }
    FailingOtherwise {
        event: "failing-otherwise",
        message_id: "9bcc69ab6a26477da501b0cace6260ff",
        level: Warning,
        own_fields: [PROBE, REASON, STALL, STALL_DETAIL],
        about: "It still fails, in another way.",
        in_chinese: "仍然失败，但样子变了。",
        subject: "@USER_UNIT@ fails in another way",
        explained: "\
The gateway still fails, now with: @GATEHOUND_REASON@ (@GATEHOUND_PROBE@, @GATEHOUND_STALL@).
Each way to fail has a grace of its own.",
    }
    Recovered {
        event: "recovered",
        message_id: "f803a11ecbfb4714987eed88c95c434d",
        level: Notice,
        own_fields: [REASON, DOWNTIME],
        about: "The incident is over; the reason says how.",
        in_chinese: "故障结束；原因里写明怎样结束的。",
        subject: "The failure of @USER_UNIT@ is over",
        explained: "\
The incident @GATEHOUND_INCIDENT@ ended: @GATEHOUND_REASON@.
What was seen while it lasted, the evidence included:

    gatehound incident @GATEHOUND_INCIDENT@",
    }
    BackingOff {
        event: "backing-off",
        message_id: "c16dc7ef91d6474b91542a9c0c737fbe",
        level: Warning,
        own_fields: [PROBE, REASON, STALL, STALL_DETAIL],
        about: "\
The grace is used up; the restart follows after the delay of this attempt, unless the gateway recovers.",
        in_chinese: "宽限期用完了；等待本次尝试的延时之后重启，除非网关先恢复。",
        subject: "@USER_UNIT@ is about to be restarted",
        explained: "\
The grace is used up; attempt @GATEHOUND_ATTEMPT@ to restart it follows after a delay, unless the gateway recovers.
To keep Gatehound from restarting it:

    gatehound pause --for 30min",
    }
    Evidence {
        event: "evidence",
        message_id: "3d09db59c46441b8beceb34a2968a6ee",
        level: Notice,
        own_fields: [],
        about: "What the failing gateway looked like was saved before the restart; the text says where.",
        in_chinese: "重启之前，已经保存了网关出故障时的样子；文字里写明存在哪里。",
        subject: "What the failing @USER_UNIT@ looked like was saved",
        explained: "\
A restart destroys what a developer would want to see, so it was saved before:

    gatehound incident @GATEHOUND_INCIDENT@",
    }
    Stopping {
        event: "stopping",
        message_id: "aadc2d5129e945529678d96cfdae026a",
        level: Error,
        own_fields: [PROBE, REASON, STALL, STALL_DETAIL, ACTION],
        about: "systemd is asked to stop the gateway.",
        in_chinese: "请 systemd 停止网关。",
        subject: "Gatehound stops @USER_UNIT@",
        explained: "\
The gateway still fails: @GATEHOUND_REASON@.
systemd was asked to stop it; Gatehound then starts it again.",
    }
    RestartJoined {
        event: "restart-joined",
        message_id: "b1b2b9a6e0b54c0e9e0a5f4c7d0f3a66",
        level: Warning,
        own_fields: [],
        about: "\
Somebody else has a gateway restarted that hangs; its stop ends after `stop_timeout` as Gatehound's own would.",
        in_chinese: "别人正在重启一个卡住的网关；它的停止最多等 `stop_timeout`，和 Gatehound 自己的停止一样。",
        subject: "@USER_UNIT@ hangs and is restarted by somebody else",
        explained: "\
Somebody asked systemd to restart the gateway while it hung.
A gateway that hangs does not stop by itself, so Gatehound sends SIGKILL after its own stop_timeout
instead of waiting for the unit's TimeoutStopSec=. systemd starts the gateway then, as it was asked to.",
    }
    Killing {
        event: "killing",
        message_id: "9485985e1b484028838ee14a8b12a1bc",
        level: Error,
        own_fields: [ACTION],
        about: "The stop took too long: systemd is asked to send SIGKILL to all processes of the unit.",
        in_chinese: "停止用的时间太长：请 systemd 向单元的所有进程发送 SIGKILL。",
        subject: "Gatehound kills @USER_UNIT@",
        explained: "\
The stop took longer than stop_timeout allows, so SIGKILL was sent to the whole unit.
Gatehound does so at most twice in five minutes, because the gateway turns its channels off at the third.",
    }
    CleanedUp {
        event: "cleaned-up",
        message_id: "24d5dd0528bd41c7b397869fc2b86d69",
        level: Error,
        own_fields: [ACTION],
        about: "\
Processes that were left, or that held the port, were sent SIGTERM or SIGKILL; the text names them.",
        in_chinese: "向残留的、或占着端口的进程发送了 SIGTERM 或 SIGKILL；文字里写明是哪些。",
        subject: "What was left of @USER_UNIT@ was ended",
        explained: "\
Processes that held the gateway's port, or belonged to its last run, were ended before the start.",
    }
    Starting {
        event: "starting",
        message_id: "5925b005d4e74d1ba8dd7c79395a21ac",
        level: Error,
        own_fields: [ACTION],
        about: "systemd is asked to start the gateway.",
        in_chinese: "请 systemd 启动网关。",
        subject: "Gatehound starts @USER_UNIT@",
        explained: "\
The start follows Gatehound's own stop, or a rollback of the configuration that the gateway refused;
a gateway that a human stopped is never started.",
    }
    ActionFailed {
        event: "action-failed",
        message_id: "ddeb2ba31bda4eefa87c56edfabef2aa",
        level: Warning,
        own_fields: [REASON],
        about: "Something that was to be done did not succeed; Gatehound looks again.",
        in_chinese: "要做的事没有成功；Gatehound 会再看一次。",
        subject: "Gatehound could not do what it set out to do",
        explained: "\
An action on @USER_UNIT@ did not succeed: @GATEHOUND_REASON@.
Gatehound tries again. If this goes on, look at what systemd says:

    systemctl --user status @USER_UNIT@",
    }
    GaveUp {
        event: "gave-up",
        message_id: "5fa4ea4a196e4bf79ad18f155132ac1e",
        level: Error,
        own_fields: [REASON],
        about: "Restarts do not help; Gatehound tries again after `retry_after` in gatehound.toml(5).",
        in_chinese: "重启没有用；过了 gatehound.toml(5) 的 `retry_after` 再试。",
        subject: "Gatehound gave up on @USER_UNIT@ for now",
        explained: "\
Restarting does not help, or cannot: @GATEHOUND_REASON@.
Gatehound tries again after \"retry_after\" of gatehound.toml(5). What was seen so far:

    gatehound incident @GATEHOUND_INCIDENT@

To try again at once, when you have fixed what is wrong:

    gatehound reset",
    }
    Retrying {
        event: "retrying",
        message_id: "567e93acb06345cc909c34e930b7e548",
        level: Warning,
        own_fields: [],
        about: "Gatehound tries again after it gave up; attempts count from 1 again.",
        in_chinese: "放弃之后再试；尝试从 1 数起。",
        subject: "Gatehound tries again with @USER_UNIT@",
        explained: "\
The time of \"retry_after\" is over, and the gateway still fails. Attempts count from 1 again.",
    }
    StandingBy {
        event: "standing-by",
        message_id: "88ffd60b61164f05810e52acda53833f",
        level: Notice,
        own_fields: [REASON, DETAIL],
        about: "There is nothing to do; the reason is one of those under PHASES.",
        in_chinese: "没有可做的事；原因是“阶段”一节里的某一个。",
        subject: "Gatehound stands by for @USER_UNIT@",
        explained: "\
The reason is: @GATEHOUND_REASON@; gatehound.service(8) says what each means.
\"stopped\" ends with \"systemctl --user start @USER_UNIT@\", \"paused\" with \"gatehound resume\",
with \"--profile NAME\" where the gateway has a profile;
\"config-error\" has to be fixed in the gateway's configuration, unless the setting \"rollback\" does that.",
    }
    WatchingAgain {
        event: "watching-again",
        message_id: "c6feefa795b24a368e10aa8184f0e0ac",
        level: Notice,
        own_fields: [],
        about: "The reason to stand by is over; the text says which.",
        in_chinese: "待命的原因没有了；文字里写明是哪一个。",
        subject: "Gatehound watches @USER_UNIT@ again",
        explained: "\
The reason to stand by is over.",
    }
    Unknown {
        event: "unknown",
        message_id: "11d11b8bbb3e44d8bf33a4162a7882e5",
        level: Warning,
        own_fields: [REASON],
        about: "\
Trouble of Gatehound's own keeps it from checking the gateway; nothing is done until a check succeeds.",
        in_chinese: "Gatehound 自己遇到了麻烦，无法检查网关；能够检查之前什么也不做。",
        subject: "Gatehound cannot check @USER_UNIT@",
        explained: "\
Something on Gatehound's side is in the way: @GATEHOUND_REASON@.
This counts neither as health nor as a failure; nothing is done until a check succeeds.",
    }
    AttemptsReset {
        event: "attempts-reset",
        message_id: "a24e1ff07fbf40a78eee5680fa5b4fbc",
        level: Notice,
        own_fields: [],
        about: "The gateway stayed healthy; attempts count from 1 again.",
        in_chinese: "网关一直健康；尝试重新从 1 数起。",
        subject: "@USER_UNIT@ has stayed healthy",
        explained: "\
It stayed healthy for \"reset_after\" of gatehound.toml(5), so attempts count from 1 again.",
    }
    Resumed {
        event: "resumed",
        message_id: "50402af3033543f48f27cb64a4d88728",
        level: Notice,
        own_fields: [],
        about: "The machine was asleep; every grace starts again.",
        in_chinese: "机器睡眠过；所有宽限期重新开始。",
        subject: "The machine was asleep",
        explained: "\
The time in which nothing could run does not count against @USER_UNIT@: every grace starts again.",
    }
    HeldUp {
        event: "held-up",
        message_id: "320b4831935341719d1fa363c7371efc",
        level: Notice,
        own_fields: [],
        about: "\
Gatehound itself was held up for longer than 5 seconds, by a machine that is too busy for example.
That time does not count against the gateway, and what it had used of its grace before stays used.",
        in_chinese: "Gatehound 自己被耽搁了 5 秒以上，例如机器太忙。这段时间不算在网关头上，之前用掉的宽限期仍然算。",
        subject: "Gatehound was held up",
        explained: "\
The machine was so busy, or stood still for so long, that Gatehound could not look at @USER_UNIT@.
That time does not count against the gateway. What a machine is busy with:

    systemd-cgtop --user-unit
    cat /proc/pressure/cpu /proc/pressure/io /proc/pressure/memory",
    }
    Flapping {
        event: "flapping",
        message_id: "1f8a80113cb1429a8fa10e8a9a5f51ed",
        level: Warning,
        own_fields: [REASON],
        about: "The gateway failed three times within 10 minutes and recovered by itself each time.",
        in_chinese: "10 分钟内网关出了三次故障，每次都自己恢复。",
        subject: "@USER_UNIT@ comes and goes",
        explained: "\
The gateway failed again and again and recovered by itself each time, so that no restart was due.
For whoever uses it, it is down for a part of the time all the same. What it was doing:

    gatehound history
    gatehound incident",
    }
    NoLongerFlapping {
        event: "no-longer-flapping",
        message_id: "6020c99b372543baaca96e715f5bea31",
        level: Notice,
        own_fields: [],
        about: "It has stayed healthy for `reset_after` since.",
        in_chinese: "此后已经连续健康 `reset_after`。",
        subject: "@USER_UNIT@ is steady again",
        explained: "\
It has stayed healthy for \"reset_after\" of gatehound.toml(5).",
    }
    EmergencyStop {
        event: "emergency-stop",
        message_id: "f57d2f70edd4491b8ceb26f49d90f944",
        level: Warning,
        own_fields: [DETAIL],
        about: "A human ran `gatehound emergency-stop`.",
        in_chinese: "有人运行了 `gatehound emergency-stop`。",
        subject: "A human stopped Gatehound and @USER_UNIT@ at once",
        explained: "\
Both stay down until somebody starts them:

    systemctl --user start @USER_UNIT@ gatehound",
    }
    Reset {
        event: "reset",
        message_id: "d7d77a0c1a93450a9e23ac62afdcd997",
        level: Notice,
        own_fields: [],
        about: "A human ran `gatehound reset`; attempts count from 1 again.",
        in_chinese: "有人运行了 `gatehound reset`；尝试从 1 数起。",
        subject: "A human reset the attempts for @USER_UNIT@",
        explained: "\
Attempts count from 1 again. If Gatehound had given up, it tries again now.",
    }
    Degraded {
        event: "degraded",
        message_id: "22035b910ee74734b689454d66bac686",
        level: Warning,
        own_fields: [REASON],
        about: "\
The gateway is healthy, and part of it has not worked for `degraded_after`, or its crash-loop breaker tripped; that is never a reason for a restart.",
        in_chinese: "网关健康，但有一部分已经 `degraded_after` 不工作，或者它的崩溃循环保护启动了；这从来不是重启的理由。",
        subject: "Part of @USER_UNIT@ does not work",
        explained: "\
The gateway is healthy, and part of it has not worked for \"degraded_after\" of gatehound.toml(5),
or its crash-loop breaker tripped: @GATEHOUND_REASON@.
A restart would not fix it, so Gatehound does nothing. The gateway says more:

    openclaw status
    openclaw channels status --probe",
    }
    NoLongerDegraded {
        event: "no-longer-degraded",
        message_id: "ffa8923a453d4988a3c3ad8967d6628a",
        level: Notice,
        own_fields: [],
        about: "All of it works again.",
        in_chinese: "全部恢复正常。",
        subject: "All of @USER_UNIT@ works again",
        explained: "\
What did not work before works now.",
    }
    Reloaded {
        event: "reloaded",
        message_id: "ff863b6c074c44c09d72fe9a5bb3a017",
        level: Notice,
        own_fields: [],
        about: "The settings were read again.",
        in_chinese: "设置已重新读取。",
        subject: "Gatehound read its settings again",
        explained: "\
The settings that are in force now:

    gatehound settings show",
    }
    SnapshotKept {
        event: "snapshot-kept",
        message_id: "d55f393bc92a47499c48b55a044c46b5",
        level: Notice,
        own_fields: [],
        about: "\
The configuration that a healthy run of the gateway was started with is new, and was kept as a snapshot; see `snapshot list` in gatehound(1).",
        in_chinese: "网关健康的这次运行用的是新配置，已存为快照；见 gatehound(1) 的 `snapshot list`。",
        subject: "The configuration of @USER_UNIT@ was kept",
        explained: "\
The gateway was started with this configuration and is healthy, so it is one to go back to:

    gatehound snapshot list
    gatehound snapshot diff",
    }
    RolledBack {
        event: "rolled-back",
        message_id: "ce1d2ddc91894c549dadde60d8c5c138",
        level: Error,
        own_fields: [ACTION],
        about: "\
The gateway refused its configuration, and the snapshot that is the last known good was put in its place, as `rollback` in gatehound.toml(5) asks for.
The record names the file in which the refused configuration is kept.",
        in_chinese: "\
网关拒绝了自己的配置；按 gatehound.toml(5) 的 `rollback`，已换回最近一份可用的快照。记录里写明被拒绝的配置存在哪个文件。",
        subject: "The configuration of @USER_UNIT@ was rolled back",
        explained: "\
The gateway refused its configuration, and the last known good one is in its place,
because the setting \"rollback\" of gatehound.toml(5) asks for that. The record names the file
in which the refused one is kept. What differs, and all that is kept:

    gatehound snapshot diff N
    gatehound snapshot list",
    }
    NotRolledBack {
        event: "not-rolled-back",
        message_id: "cf0ffd5d50884ebca27cec89b74c1ede",
        level: Error,
        own_fields: [REASON],
        about: "\
The refused configuration could not be rolled back, for example because a file is read-only; it is not tried again.",
        in_chinese: "被拒绝的配置无法换回，例如文件是只读的；不会再试。",
        subject: "The configuration of @USER_UNIT@ could not be rolled back",
        explained: "\
It is still the one that the gateway refused, and the gateway stays down: @GATEHOUND_REASON@.
Fix that, then fix openclaw.json or restore it, and start the gateway:

    gatehound snapshot diff
    gatehound snapshot restore --start",
    }
    Warning {
        event: "warning",
        message_id: "7bb8dfa2417d478e9194daf607465a8d",
        level: Warning,
        own_fields: [],
        about: "Something is not as it should be, and Gatehound goes on.",
        in_chinese: "有什么地方不对，Gatehound 继续运行。",
        subject: "Something is not as it should be",
        explained: "\
Gatehound goes on; the record says what was seen and what is done about it.",
    }
}
