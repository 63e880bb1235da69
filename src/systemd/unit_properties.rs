//! From a unit's D-Bus properties to [`UnitFacts`].
//!
//! Owns which properties are read and how much foreign text is kept of them.
//! It asks nobody.

use std::time::Duration;

use zbus::{DeserializeDict, OwnedObjectPath, Type};

use crate::policy::facts::{Invocation, Job, Monotonic, UnitFacts};

/// All text of one look together, in bytes; a unit's environment is a few hundred.
const MAX_TEXT: usize = 64 * 1024;

/// A command line: path, arguments, whether failure is ignored, and seven facts about its last run.
type Command = (String, Vec<String>, bool, u64, u64, u64, u64, u32, i32, i32);

/// A condition or assertion: its setting, whether it is a trigger, whether it is negated, its argument,
/// and its outcome, which is below zero where it was not met.
type Check = (String, bool, bool, String, i32);

/// The properties of the interface `Unit` that are looked at.
///
/// All others are skipped, and any of these may be missing.
#[derive(Default, DeserializeDict, Type)]
#[zbus(signature = "a{sv}", rename_all = "PascalCase")]
pub struct UnitProperties {
    load_state: Option<String>,
    active_state: Option<String>,
    sub_state: Option<String>,
    #[zbus(rename = "InvocationID")]
    invocation_id: Option<Vec<u8>>,
    active_enter_timestamp: Option<u64>,
    active_enter_timestamp_monotonic: Option<u64>,
    active_exit_timestamp_monotonic: Option<u64>,
    inactive_exit_timestamp_monotonic: Option<u64>,
    state_change_timestamp_monotonic: Option<u64>,
    job: Option<(u32, OwnedObjectPath)>,
    fragment_path: Option<String>,
    freezer_state: Option<String>,
    can_start: Option<bool>,
    can_stop: Option<bool>,
    condition_result: Option<bool>,
    condition_timestamp_monotonic: Option<u64>,
    conditions: Option<Vec<Check>>,
    assert_result: Option<bool>,
    assert_timestamp_monotonic: Option<u64>,
    asserts: Option<Vec<Check>>,
    requires: Option<Vec<String>>,
    requisite: Option<Vec<String>>,
    binds_to: Option<Vec<String>>,
}

/// The properties of the interface `Service` that are looked at, likewise.
#[derive(Default, DeserializeDict, Type)]
#[zbus(signature = "a{sv}", rename_all = "PascalCase")]
pub struct ServiceProperties {
    result: Option<String>,
    exec_main_status: Option<i32>,
    exec_main_code: Option<i32>,
    #[zbus(rename = "MainPID")]
    main_pid: Option<u32>,
    exec_main_exit_timestamp: Option<u64>,
    exec_main_exit_timestamp_monotonic: Option<u64>,
    control_group: Option<String>,
    exec_start: Option<Vec<Command>>,
    environment: Option<Vec<String>>,
    restart: Option<String>,
    #[zbus(rename = "NRestarts")]
    n_restarts: Option<u32>,
    exit_type: Option<String>,
    exec_stop: Option<Vec<Command>>,
    #[zbus(rename = "TimeoutStopUSec")]
    timeout_stop_usec: Option<u64>,
    /// Exit statuses, then signals.
    restart_prevent_exit_status: Option<(Vec<i32>, Vec<i32>)>,
}

/// The properties of the interface `Service` that name its credentials, likewise.
#[derive(Default, DeserializeDict, Type)]
#[zbus(signature = "a{sv}", rename_all = "PascalCase")]
pub struct CredentialProperties {
    load_credential: Option<Vec<(String, String)>>,
    load_credential_encrypted: Option<Vec<(String, String)>>,
    set_credential: Option<Vec<(String, Vec<u8>)>>,
    set_credential_encrypted: Option<Vec<(String, Vec<u8>)>>,
}

impl CredentialProperties {
    /// The name of each, with the file it is loaded from; what is set in the unit itself is from none.
    pub fn all(self) -> Vec<(String, String)> {
        let loaded = [self.load_credential, self.load_credential_encrypted];
        let set = [self.set_credential, self.set_credential_encrypted];
        let set = set.into_iter().flatten().flatten();
        let set = set.map(|(name, _)| (name, String::new()));
        loaded.into_iter().flatten().flatten().chain(set).collect()
    }
}

impl UnitProperties {
    /// Whether it runs and nothing is about to change that.
    pub fn is_settled(&self) -> bool {
        self.active_state.as_deref() == Some("active")
            && self.sub_state.as_deref() == Some("running")
            && self.job().is_none()
    }

    /// Whether it does not run.
    pub fn is_down(&self) -> bool {
        matches!(self.active_state.as_deref(), Some("inactive" | "failed"))
    }

    /// The units without which it does not start.
    pub fn needed(&self) -> impl Iterator<Item = &str> {
        let lists = [&self.binds_to, &self.requires, &self.requisite];
        lists.into_iter().flatten().flatten().map(String::as_str)
    }

    /// The condition or assertion for which the last start was not made.
    fn unmet(&self) -> Option<String> {
        let checks = [
            (
                self.condition_result,
                self.condition_timestamp_monotonic,
                &self.conditions,
                "a condition",
            ),
            (
                self.assert_result,
                self.assert_timestamp_monotonic,
                &self.asserts,
                "an assertion",
            ),
        ];
        checks.into_iter().find_map(|(result, at, checks, name)| {
            let failed = result == Some(false) && at.unwrap_or_default() != 0;
            let first = checks.iter().flatten().find(|check| check.4 < 0);
            failed.then(|| first.map_or_else(|| name.to_owned(), as_in_a_unit_file))
        })
    }

    /// The number of the unit's job, if it has one.
    pub fn job(&self) -> Option<u32> {
        let (id, _) = self.job.as_ref()?;
        Some(*id).filter(|id| *id != 0)
    }
}

fn as_in_a_unit_file((setting, trigger, negated, argument, _): &Check) -> String {
    let trigger = if *trigger { "|" } else { "" };
    let negated = if *negated { "!" } else { "" };
    format!("{setting}={trigger}{negated}{argument}")
}

/// Puts together what was seen; `job` is the one of [`UnitProperties::job`].
pub fn facts(unit: &UnitProperties, service: ServiceProperties, job: Option<Job>) -> UnitFacts {
    let mut text = TextBudget(MAX_TEXT);
    let command = service.exec_start.unwrap_or_default().into_iter().next();
    let stop = service.exec_stop.unwrap_or_default().into_iter().next();
    UnitFacts {
        load_state: text.cut(unit.load_state.clone()),
        active_state: text.cut(unit.active_state.clone()),
        sub_state: text.cut(unit.sub_state.clone()),
        result: text.cut(service.result),
        exec_main_status: service.exec_main_status.unwrap_or_default(),
        exec_main_code: service.exec_main_code.unwrap_or_default(),
        invocation_id: invocation(unit.invocation_id.as_deref().unwrap_or_default()),
        main_pid: service.main_pid.unwrap_or_default(),
        active_since: Monotonic(unit.active_enter_timestamp_monotonic.unwrap_or_default()),
        active_since_wall: Duration::from_micros(unit.active_enter_timestamp.unwrap_or_default()),
        exited_wall: Duration::from_micros(service.exec_main_exit_timestamp.unwrap_or_default()),
        exited: Monotonic(
            service
                .exec_main_exit_timestamp_monotonic
                .unwrap_or_default(),
        ),
        left_inactive: Monotonic(unit.inactive_exit_timestamp_monotonic.unwrap_or_default()),
        left_active: Monotonic(unit.active_exit_timestamp_monotonic.unwrap_or_default()),
        state_changed: Monotonic(unit.state_change_timestamp_monotonic.unwrap_or_default()),
        control_group: text.cut(service.control_group),
        restart: text.cut(service.restart),
        restarts: service.n_restarts.unwrap_or_default(),
        exit_type: text.cut(service.exit_type),
        timeout_stop: service
            .timeout_stop_usec
            .filter(|usec| *usec != u64::MAX)
            .map(Duration::from_micros),
        cannot_start: unit.can_start == Some(false),
        cannot_stop: unit.can_stop == Some(false),
        unmet: text.cut(unit.unmet()),
        failed_dependency: String::new(),
        fragment_path: text.cut(unit.fragment_path.clone()),
        freezer_state: text.cut(unit.freezer_state.clone()),
        exec_stop: text.whole(stop.map(|command| command.1).unwrap_or_default()),
        exec_start: text.whole(command.map(|command| command.1).unwrap_or_default()),
        environment: text.whole(service.environment.unwrap_or_default()),
        restart_prevent_exit_status: service.restart_prevent_exit_status.unwrap_or_default().0,
        job,
    }
}

/// Bounds a list of texts by itself.
pub fn bounded(texts: Vec<String>) -> Vec<String> {
    TextBudget(MAX_TEXT).whole(texts)
}

/// The InvocationID as systemctl spells it; a unit that never ran has none.
fn invocation(id: &[u8]) -> Option<Invocation> {
    let ran = id.len() == 16 && id.iter().any(|byte| *byte != 0);
    ran.then(|| Invocation(id.iter().map(|byte| format!("{byte:02x}")).collect()))
}

/// How many bytes of foreign text may still be kept.
struct TextBudget(usize);

impl TextBudget {
    /// As much of a text as fits.
    fn cut(&mut self, text: Option<String>) -> String {
        let mut text = text.unwrap_or_default();
        while self.0 < text.len() {
            text.pop();
        }
        self.0 -= text.len();
        text
    }

    /// As many texts as fit, none of them cut: half an assignment would be a wrong one.
    fn whole(&mut self, texts: Vec<String>) -> Vec<String> {
        let fits = |text: &String| match self.0.checked_sub(text.len()) {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        };
        texts.into_iter().take_while(fits).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_properties_are_empty_facts() {
        let facts = facts(
            &UnitProperties::default(),
            ServiceProperties::default(),
            None,
        );
        assert_eq!(facts, UnitFacts::default());
    }

    #[test]
    fn a_unit_that_never_ran_has_no_invocation() {
        assert_eq!(invocation(&[]), None);
        assert_eq!(invocation(&[0; 16]), None);
        assert_eq!(invocation(&[7; 15]), None);
        assert_eq!(invocation(&[0xe4; 16]), Some(Invocation("e4".repeat(16))));
    }

    #[test]
    fn text_is_cut_at_the_budget_and_between_characters() {
        let mut text = TextBudget(6);
        assert_eq!(text.cut(Some("äöüß".to_owned())), "äöü");
        assert_eq!(text.cut(Some("x".to_owned())), "");
    }

    #[test]
    fn an_assignment_is_kept_whole_or_not_at_all() {
        let texts = ["A=1", "B=12345", "C=1"].map(str::to_owned).to_vec();
        assert_eq!(TextBudget(8).whole(texts), ["A=1"]);
    }

    #[test]
    fn a_unit_is_settled_only_while_it_runs_and_has_no_job() {
        let unit = |active: &str, sub: &str, job: u32| UnitProperties {
            active_state: Some(active.to_owned()),
            sub_state: Some(sub.to_owned()),
            job: Some((job, OwnedObjectPath::try_from("/").unwrap())),
            ..UnitProperties::default()
        };
        assert!(unit("active", "running", 0).is_settled());
        for (active, sub, job) in [
            ("active", "running", 7),
            ("active", "exited", 0),
            ("activating", "running", 0),
            ("failed", "failed", 0),
        ] {
            assert!(!unit(active, sub, job).is_settled(), "{active} {sub} {job}");
        }
        assert_eq!(unit("active", "running", 7).job(), Some(7));
        for (active, down) in [
            ("inactive", true),
            ("failed", true),
            ("active", false),
            ("activating", false),
            ("deactivating", false),
        ] {
            assert_eq!(unit(active, "", 0).is_down(), down, "{active}");
        }
        assert!(!UnitProperties::default().is_down());
    }

    #[test]
    fn what_kept_a_unit_from_starting_is_said_as_its_file_has_it() {
        let check = |setting: &str, trigger, negated, outcome| -> Check {
            (
                setting.to_owned(),
                trigger,
                negated,
                "/a".to_owned(),
                outcome,
            )
        };
        let path = |outcome| check("ConditionPathExists", false, false, outcome);
        let conditions = |result, at, checks: Vec<Check>| UnitProperties {
            condition_result: Some(result),
            condition_timestamp_monotonic: Some(at),
            conditions: Some(checks),
            ..UnitProperties::default()
        };
        let unmet = |unit: UnitProperties| facts(&unit, ServiceProperties::default(), None).unmet;
        // The first that was not met; those that were not looked at have the outcome 0.
        let checks = vec![
            check("ConditionUser", false, false, 1),
            check("ConditionHost", false, false, 0),
            check("ConditionPathExists", true, true, -1),
            path(-1),
        ];
        assert_eq!(
            unmet(conditions(false, 5, checks)),
            "ConditionPathExists=|!/a"
        );
        assert_eq!(
            unmet(conditions(false, 5, vec![path(-1)])),
            "ConditionPathExists=/a"
        );
        assert_eq!(unmet(conditions(false, 5, vec![])), "a condition");
        // Met, or never looked at.
        assert_eq!(unmet(conditions(true, 5, vec![path(-1)])), "");
        assert_eq!(unmet(conditions(false, 0, vec![path(-1)])), "");
        let asserted = UnitProperties {
            assert_result: Some(false),
            assert_timestamp_monotonic: Some(5),
            ..conditions(true, 5, vec![])
        };
        assert_eq!(unmet(asserted), "an assertion");
    }

    #[test]
    fn a_unit_that_may_stop_for_ever_has_no_stop_timeout() {
        let stop = |usec| {
            let service = ServiceProperties {
                timeout_stop_usec: Some(usec),
                ..ServiceProperties::default()
            };
            facts(&UnitProperties::default(), service, None).timeout_stop
        };
        assert_eq!(stop(90_000_000), Some(Duration::from_secs(90)));
        assert_eq!(stop(u64::MAX), None);
    }

    #[test]
    fn a_credential_is_named_with_its_file_or_without_one() {
        let named = |name: &str| (name.to_owned(), format!("/{name}"));
        let set = |name: &str| (name.to_owned(), b"secret".to_vec());
        let found = CredentialProperties {
            load_credential: Some(vec![named("a")]),
            load_credential_encrypted: Some(vec![named("b")]),
            set_credential: Some(vec![set("c")]),
            set_credential_encrypted: Some(vec![set("d")]),
        };
        let expected = [("a", "/a"), ("b", "/b"), ("c", ""), ("d", "")];
        let expected = expected.map(|(name, file)| (name.to_owned(), file.to_owned()));
        assert_eq!(found.all(), expected);
    }
}
