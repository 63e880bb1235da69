//! "Did you mean": which of some dotted names was probably meant by one that is none of them.
//!
//! Errs on the side of no guess. Knows nothing of what the names are for.

/// The name that differs from the one written by a slip or two in each of its parts; else the one below a table that was left out.
pub fn meant<'a>(written: &str, names: &[&'a str]) -> Option<&'a str> {
    // Longer than any name that could be meant.
    if 100 < written.len() {
        return None;
    }
    let by_a_slip = names
        .iter()
        .filter_map(|name| Some((slips(written, name)?, *name)))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, name)| name);
    by_a_slip.or_else(|| {
        let is_below = |name: &&&str| name.rsplit_once('.').is_some_and(|(_, key)| key == written);
        let mut same = names.iter().filter(is_below);
        let one = same.next();
        one.filter(|_| same.next().is_none()).copied()
    })
}

/// How many slips lie between two dotted names, if few enough to be slips.
fn slips(written: &str, name: &str) -> Option<usize> {
    let (written, name): (Vec<&str>, Vec<&str>) =
        (written.split('.').collect(), name.split('.').collect());
    if written.len() != name.len() {
        return None;
    }
    written
        .iter()
        .zip(name)
        .try_fold(0, |sum, (written, name)| {
            let slips = distance(written, name);
            (slips <= (name.len() / 3).clamp(1, 2)).then_some(sum + slips)
        })
}

/// Letters to add, drop, change or swap with their neighbour to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    let mut letter_before = None;
    for (i, letter) in from.chars().enumerate() {
        let mut next = vec![i + 1];
        let mut other_before = None;
        for (j, other) in to.iter().copied().enumerate() {
            let at = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX);
            let changed = at(&row, j) + usize::from(letter != other);
            let mut least = changed.min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            if letter_before == Some(other) && other_before == Some(letter) && 0 < j {
                least = least.min(at(&before, j - 1).saturating_add(1));
            }
            next.push(least);
            other_before = Some(other);
        }
        letter_before = Some(letter);
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 6] = [
        "interval",
        "gateway",
        "gateway.port",
        "grace.interval",
        "probe.http_timeout",
        "snapshots.keep",
    ];

    #[test]
    fn a_slip_is_understood_and_nothing_else_is_guessed() {
        for (written, expected) in [
            ("intervall", Some("interval")),
            ("intreval", Some("interval")),
            ("gateway.prot", Some("gateway.port")),
            ("gatewya.port", Some("gateway.port")),
            ("grace.intervl", Some("grace.interval")),
            ("probe.htp_timeout", Some("probe.http_timeout")),
            ("keep", Some("snapshots.keep")),
            ("gateway.host", None),
            ("timeout", None),
            ("alert.keep", None),
            ("", None),
            ("gateway.port.x", None),
        ] {
            assert_eq!(meant(written, &NAMES), expected, "{written}");
        }
        assert_eq!(meant(&"a.".repeat(100_000), &NAMES), None);
    }

    #[test]
    fn a_distance_counts_single_slips() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("ab", "", 2),
            ("abc", "abc", 0),
            ("abc", "acb", 1),
            ("abc", "abd", 1),
            ("abc", "xyz", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }
}
