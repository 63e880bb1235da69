//! The names of profiles and of units: the gateway's, Gatehound's own, and those that it starts.
//!
//! Owns how they are made of each other; knows nothing of where a name was set.

/// What the gateway's units begin with.
const GATEWAY: &str = "openclaw-gateway";

/// What Gatehound's own units begin with.
pub const OWN: &str = "gatehound";

/// Whether the name can be part of a file's and a unit's name as it stands.
pub fn is_profile(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// The unit of the gateway of a profile; `default` is no profile.
pub fn gateway(profile: Option<&str>) -> String {
    match profile {
        None | Some("default") => format!("{GATEWAY}.service"),
        Some(profile) => format!("{GATEWAY}-{profile}.service"),
    }
}

/// The profile that the name of a gateway's unit names.
pub fn profile_of_gateway(unit: &str) -> Option<&str> {
    unit.strip_prefix(GATEWAY)?
        .strip_prefix('-')?
        .strip_suffix(".service")
}

/// Gatehound's own unit for a profile, as it is shipped.
pub fn own(profile: Option<&str>) -> String {
    match profile {
        Some(profile) => format!("{OWN}@{profile}.service"),
        None => format!("{OWN}.service"),
    }
}

/// The unit that does something, `alert` or `ping`, for the Gatehound whose own unit this is.
pub fn helper(own: &str, what: &str) -> String {
    own.replacen(OWN, &format!("{OWN}-{what}"), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_profile_has_units_of_its_own() {
        assert_eq!(gateway(None), "openclaw-gateway.service");
        assert_eq!(gateway(Some("default")), "openclaw-gateway.service");
        assert_eq!(gateway(Some("work")), "openclaw-gateway-work.service");
        assert_eq!(profile_of_gateway(&gateway(Some("work"))), Some("work"));
        assert_eq!(profile_of_gateway(&gateway(None)), None);
        assert_eq!(own(None), "gatehound.service");
        assert_eq!(own(Some("work")), "gatehound@work.service");
        assert_eq!(helper(&own(None), "alert"), "gatehound-alert.service");
        assert_eq!(
            helper(&own(Some("work")), "ping"),
            "gatehound-ping@work.service"
        );
    }
}
