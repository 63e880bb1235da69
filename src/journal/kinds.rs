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
        subject: "Something is not as it should be",
        explained: "\
Gatehound goes on; the record says what was seen and what is done about it.",
    }
}
