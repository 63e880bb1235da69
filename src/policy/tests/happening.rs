//! What can befall the toy world: everything that misbehaves, wants something or breaks in it.
//!
//! Shared by the random histories and the exhaustive exploration, so that both mean the same.

use crate::policy::{
    Event,
    tests::world::{Fault, Mood, World, secs},
};

/// Something that happens between two looks, or befalls the next actions.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Happening {
    Checks(u8),
    Passes(u16),
    Mood(Mood),
    Fresh(Mood),
    Progress(Option<bool>),
    Exits(i32),
    /// The main process ends with status 0, and systemd does not start the unit again.
    EndsByItself,
    StartLimit(u8),
    HumanStops,
    HumanStarts,
    HumanRestarts,
    HumanStopsBeforeAction,
    /// A human writes this into openclaw.json.
    Edits(u8),
    /// And has the gateway read it.
    EditsAndRestarts(u8),
    HumanEditsBeforeAction,
    RefusesAll(bool),
    Paused(bool),
    Updating(bool),
    Debugged(bool),
    PortHolder(bool),
    /// What is left of an earlier run has the port.
    LeftOver,
    /// The unit's `ExecStop=` asks systemd for a stop.
    ExecStop(bool),
    NoBus(bool),
    NoUnit(bool),
    OtherServes(bool),
    /// Part of the gateway does not work, and it is healthy or not.
    Degraded(bool),
    IgnoresSigterm(bool),
    IgnoresSigkill(bool),
    UnmetCondition(bool),
    Leftovers(u8),
    StartTakes(u8),
    LookTakes(u8),
    Faults(Vec<Fault>),
    Resumed,
    /// The pulse found something suspicious.
    Suspected,
    Reset,
    /// Gatehound is killed, and that many writes of its state file before it are lost.
    Killed(usize),
    /// Gatehound is killed, and the settings of its successor, which stays that many seconds at most, are wrong.
    WrongSettings(u16),
    /// Somebody cancels the job that stops the gateway.
    StopCancelled,
    Leave,
    /// Half of the time to the next look.
    TimePasses,
}

impl Happening {
    pub(super) fn befalls(self, world: &mut World) {
        use Happening as H;
        match self {
            H::Checks(checks) => (0..checks).for_each(|_| world.next_check()),
            H::Passes(seconds) => world.run_for(secs(seconds.into())),
            H::Mood(mood) => world.mood = mood,
            H::Fresh(mood) => world.fresh = mood,
            H::Progress(progress) => world.progress = progress,
            H::Exits(status) => world.exits(status),
            H::EndsByItself => world.ends_by_itself(),
            H::StartLimit(crashes) => world.start_limit_hit(crashes.into()),
            H::HumanStops => world.human_stops(),
            H::HumanStarts => world.human_starts(),
            H::HumanRestarts => world.human_restarts(),
            H::HumanStopsBeforeAction => world.human_stop_before_action = true,
            H::Edits(content) => world.human_edits(content),
            H::EditsAndRestarts(content) => {
                world.human_edits(content);
                world.human_restarts();
            }
            H::HumanEditsBeforeAction => world.human_edit_before_action = true,
            H::RefusesAll(on) => world.refuses_all = on,
            H::Paused(on) => world.paused = on,
            H::Updating(on) => world.updating = on,
            H::Debugged(on) => world.debugged = on,
            H::PortHolder(on) => world.port_holder = on,
            H::LeftOver => world.left_over = true,
            H::ExecStop(on) => world.exec_stop = on,
            H::NoBus(on) => world.no_bus = on,
            H::NoUnit(on) => world.no_unit = on,
            H::OtherServes(on) => world.other_serves = on,
            H::Degraded(on) => world.degraded = on.then(|| "channel telegram".into()),
            H::IgnoresSigterm(on) => world.ignores_sigterm = on,
            H::IgnoresSigkill(on) => world.ignores_sigkill = on,
            H::UnmetCondition(on) => world.unmet_condition = on,
            H::Leftovers(passes) => world.leftovers = passes,
            H::StartTakes(seconds) => world.start_takes = secs(seconds.into()),
            H::LookTakes(seconds) => world.look_takes = secs(seconds.into()),
            H::Faults(faults) => world.faults = faults,
            H::Resumed | H::Suspected | H::Reset | H::Leave | H::TimePasses if world.left => {}
            H::Suspected => world.happens(Event::Suspected),
            H::Resumed => world.happens(Event::Resumed),
            H::Reset => world.happens(Event::Reset),
            H::Killed(lost) => world.succeed_from(lost),
            H::WrongSettings(seconds) => world.succeed_with_wrong_settings(secs(seconds.into())),
            H::StopCancelled => world.cancel_stop(),
            H::Leave => world.happens(Event::Leave),
            H::TimePasses => world.passes(),
        }
    }
}
