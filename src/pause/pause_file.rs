//! Whether a human has paused Gatehound: pause.json in the runtime folder, or the old flag file.
//!
//! Owns what these files mean and which way a doubtful one errs; changes neither.
//! The times it goes by are given to it.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::{
    os::files::{Links, line, read_limited},
    policy::facts::Pause,
    settings::MAX_SPAN,
    text::line::Line,
};

/// Room for the longest reason; anything larger is not ours.
const MAX_FILE: u64 = 16 * 1024;

/// pause.json. Moments are microseconds by CLOCK_BOOTTIME, which counts suspends and which nobody sets:
/// a pause of two hours lasts two hours, also on a laptop that slept through one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseFile {
    pub(crate) boot_id: String,
    pub(crate) since: u64,
    pub(crate) until: u64,
    pub(crate) reason: Line,
    /// Who gave it; nobody in a file of before that was kept.
    #[serde(default)]
    pub(crate) by: Line,
}

/// The path of the pause in a runtime folder.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join("pause.json")
}

/// Where a pause is looked for, and by which rules.
#[derive(Clone, Debug)]
pub struct Places<'a> {
    /// The runtime folder.
    pub dir: &'a Path,
    /// The flag file of the old shell watchdog.
    pub flag_file: &'a Path,
    /// The id of this boot.
    pub boot_id: &'a str,
    /// The user whose flag file counts, besides root's.
    pub uid: u32,
    /// How long a pause.json that makes no sense counts as a pause.
    pub doubtful: Duration,
    /// The option that names the profile, for commands.
    pub profile: &'a str,
}

/// The time, by the two clocks that matter here.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// CLOCK_BOOTTIME.
    pub boottime: Duration,
    /// The wall clock, only to tell the age of a file that names no moment itself.
    pub wall: SystemTime,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The pause that is in force.
    pub pause: Option<Pause>,
    /// How long ago `gatehound pause` was given it, and by whom, as far as it is known.
    pub given: Option<(Duration, Line)>,
    /// What was refused or doubted.
    pub warnings: Vec<Line>,
}

/// Looks for a pause in both places.
///
/// With both in force the flag file's end counts, which is open, and both reasons are named.
pub fn look(places: &Places, now: Now) -> Found {
    let mut warnings = Vec::new();
    let (commanded, given) = commanded(places, now, &mut warnings).unzip();
    let flagged = flagged(places, &mut warnings);
    let pause = match (commanded, flagged) {
        (Some(commanded), Some(flagged)) => Some(Pause {
            reason: Line::new(&format!("{}; {}", commanded.reason, flagged.reason)),
            remaining: flagged.remaining,
        }),
        (commanded, flagged) => commanded.or(flagged),
    };
    Found {
        pause,
        given: given.flatten(),
        warnings,
    }
}

/// A pause, with how long ago it was given and by whom.
type Given = (Pause, Option<(Duration, Line)>);

fn commanded(places: &Places, now: Now, warnings: &mut Vec<Line>) -> Option<Given> {
    let doubt = match parse(places, now) {
        Ok(pause) => return pause,
        Err(doubt) => doubt,
    };
    let path = path(places.dir);
    let remaining = doubtful_remaining(&path, places.doubtful, now.wall);
    let consequence = if remaining.is_some() {
        format!(
            "paused until it is {} old",
            crate::settings::values::spelled(places.doubtful)
        )
    } else {
        "not paused".to_owned()
    };
    warnings.push(Line::new(&format!(
        "{}: {doubt}; {consequence}; end it with: rm {0}",
        path.display()
    )));
    let pause = Pause {
        reason: "a pause.json that makes no sense".into(),
        remaining: Some(remaining?),
    };
    Some((pause, None))
}

/// The pause the file names, or why it makes no sense.
fn parse(places: &Places, now: Now) -> Result<Option<Given>, Line> {
    let Some(contents) = read_limited(&path(places.dir), MAX_FILE, Links::Refuse)? else {
        return Ok(None);
    };
    let file: PauseFile = serde_json::from_slice(&contents.bytes)
        .map_err(|e| Line::new(&format!("not a pause: {e}")))?;
    if file.boot_id != places.boot_id {
        // Its moments mean nothing in this boot; a reboot ends a pause, as it ends the runtime folder.
        return Ok(None);
    }
    let [since, until] = [file.since, file.until].map(Duration::from_micros);
    if until < since || MAX_SPAN < until - since || now.boottime < since {
        return Err("not a pause: its times cannot be".into());
    }
    let remaining = until.saturating_sub(now.boottime);
    if remaining.is_zero() {
        return Ok(None);
    }
    let pause = Pause {
        reason: file.reason,
        remaining: Some(remaining),
    };
    Ok(Some((pause, Some((now.boottime - since, file.by)))))
}

/// What is left of `limit` since the file was written, if anything.
///
/// A pause.json that makes no sense was most likely made by a human's own hand, so it errs towards their wish;
/// but not for ever, because a gateway that nobody watches is lost in silence.
/// A time of writing ahead of the clock counts the same way, so that twice `limit` bounds it even then.
fn doubtful_remaining(path: &Path, limit: Duration, wall: SystemTime) -> Option<Duration> {
    let written = fs::symlink_metadata(path).ok()?.modified().ok()?;
    let distance = wall
        .duration_since(written)
        .unwrap_or_else(|ahead| ahead.duration());
    limit
        .checked_sub(distance)
        .filter(|remaining| !remaining.is_zero())
}

/// The flag file, which lies where everybody can write: it counts only when its owner may pause this gateway.
fn flagged(places: &Places, warnings: &mut Vec<Line>) -> Option<Pause> {
    let path = places.flag_file;
    let refusal = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => "a symbolic link, not a file".to_owned(),
        Ok(metadata) if !metadata.is_file() => "not a regular file".to_owned(),
        Ok(metadata) if metadata.uid() != 0 && metadata.uid() != places.uid => {
            format!("belongs to uid {}", metadata.uid())
        }
        // A second name may have been given by anybody, where the kernel's protected_hardlinks is off.
        Ok(metadata) if metadata.nlink() != 1 => "has more than one name".to_owned(),
        Ok(_) => {
            return Some(Pause {
                reason: Line::new(&format!("flag file {}", path.display())),
                remaining: None,
            });
        }
        Err(e) if is_absent(&e) => return None,
        Err(e) => format!("cannot be looked at: {}", line(&e)),
    };
    warnings.push(Line::new(&format!(
        "flag file {}: {refusal}; not taken for a pause, use gatehound pause{}",
        path.display(),
        places.profile
    )));
    None
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pause::pause_write;
    use proptest::prelude::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A runtime folder with a pause of an hour, given an hour after boot.
    struct World {
        dir: TempDir,
        flag_file: PathBuf,
        boot_id: &'static str,
        uid: u32,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            Self {
                flag_file: dir.path().join("flag"),
                dir,
                boot_id: "boot",
                uid: nix::unistd::geteuid().as_raw(),
            }
        }

        fn paused() -> Self {
            let world = Self::new();
            pause_write::set(
                world.dir.path(),
                "boot",
                HOUR,
                HOUR,
                "disk swap",
                "ann (bash)".into(),
            )
            .unwrap();
            world
        }

        fn with_file(text: &[u8]) -> Self {
            let world = Self::new();
            fs::write(path(world.dir.path()), text).unwrap();
            world
        }

        fn look_at(&self, boottime: Duration, wall: SystemTime) -> Found {
            let places = Places {
                dir: self.dir.path(),
                flag_file: &self.flag_file,
                boot_id: self.boot_id,
                uid: self.uid,
                doubtful: 2 * HOUR,
                profile: " --profile work",
            };
            look(&places, Now { boottime, wall })
        }

        fn look(&self, boottime: Duration) -> Found {
            self.look_at(boottime, SystemTime::now())
        }

        /// Holds that the flag file is refused for this reason.
        #[track_caller]
        fn check_flag_refused(&self, expected: &str) {
            let found = self.look(HOUR);
            assert_eq!(found.pause, None);
            let expected = format!(
                "flag file {}: {expected}; not taken for a pause, use gatehound pause --profile work",
                self.flag_file.display()
            );
            assert_eq!(found.warnings, [Line::new(&expected)]);
        }
    }

    #[test]
    fn without_any_file_nothing_is_paused() {
        assert_eq!(World::new().look(HOUR), Found::default());
    }

    #[test]
    fn a_pause_lasts_as_long_as_was_said_and_ends_by_itself() {
        let world = World::paused();
        let pause = world.look(HOUR + Duration::from_secs(1)).pause.unwrap();
        assert_eq!(pause.reason.as_str(), "disk swap");
        let given = world.look(HOUR + Duration::from_secs(1)).given;
        assert_eq!(given, Some((Duration::from_secs(1), "ann (bash)".into())));
        assert_eq!(pause.remaining, Some(HOUR - Duration::from_secs(1)));
        let last = world.look(2 * HOUR - Duration::from_micros(1));
        assert_eq!(
            last.pause.unwrap().remaining,
            Some(Duration::from_micros(1))
        );
        assert_eq!(world.look(2 * HOUR), Found::default());
    }

    #[test]
    fn the_wall_clock_does_not_move_the_end_of_a_pause() {
        let world = World::paused();
        for wall in [SystemTime::UNIX_EPOCH, SystemTime::now() + 9999 * HOUR] {
            let pause = world.look_at(HOUR, wall).pause.unwrap();
            assert_eq!(pause.remaining, Some(HOUR));
        }
    }

    #[test]
    fn a_reboot_ends_a_pause() {
        let world = World {
            boot_id: "another boot",
            ..World::paused()
        };
        assert_eq!(world.look(HOUR), Found::default());
    }

    #[test]
    fn a_resume_ends_a_pause() {
        let world = World::paused();
        assert_eq!(pause_write::lift(world.dir.path()), Ok(true));
        assert_eq!(world.look(HOUR), Found::default());
        assert_eq!(pause_write::lift(world.dir.path()), Ok(false));
    }

    #[test]
    fn garbage_counts_as_a_pause_but_not_for_ever() {
        for text in [
            &b""[..],
            b"maintenance",
            b"{}",
            b"\xff\0",
            br#"{"boot_id":"boot","since":0,"until":18446744073709551615,"reason":"for ever"}"#,
            br#"{"boot_id":"boot","since":9,"until":8,"reason":"ends before it begins"}"#,
            br#"{"boot_id":"boot","since":18446744073709551000,"until":18446744073709551615,"reason":"later"}"#,
        ] {
            let world = World::with_file(text);
            let written = fs::metadata(path(world.dir.path())).unwrap().modified().unwrap();
            let found = world.look_at(HOUR, written + HOUR);
            assert_eq!(found.pause.unwrap().remaining, Some(HOUR));
            let [warning] = &found.warnings[..] else { panic!("{:?}", found.warnings) };
            assert!(warning.as_str().contains("; paused until it is 2h old; "), "{warning}");
            let end = format!("; end it with: rm {}", path(world.dir.path()).display());
            assert!(warning.as_str().ends_with(&end), "{warning}");
            let found = world.look_at(HOUR, written + 2 * HOUR);
            assert_eq!(found.pause, None);
            assert!(found.warnings[0].as_str().contains("; not paused; "));
        }
    }

    #[test]
    fn garbage_from_the_future_is_bounded_too() {
        let world = World::with_file(b"garbage");
        let written = fs::metadata(path(world.dir.path()))
            .unwrap()
            .modified()
            .unwrap();
        let before = world.look_at(HOUR, written - HOUR);
        assert_eq!(before.pause.unwrap().remaining, Some(HOUR));
        assert_eq!(world.look_at(HOUR, written - 2 * HOUR).pause, None);
    }

    #[test]
    fn a_link_or_a_folder_in_place_of_the_pause_counts_as_garbage() {
        let world = World::new();
        symlink("/nonexistent", path(world.dir.path())).unwrap();
        assert!(world.look(HOUR).pause.is_some());
        fs::remove_file(path(world.dir.path())).unwrap();
        fs::create_dir(path(world.dir.path())).unwrap();
        assert!(world.look(HOUR).pause.is_some());
    }

    #[test]
    fn the_users_flag_file_is_a_pause_without_end() {
        let world = World::new();
        fs::write(&world.flag_file, b"").unwrap();
        let pause = world.look(HOUR).pause.unwrap();
        assert_eq!(pause.remaining, None);
        assert_eq!(
            pause.reason.as_str(),
            format!("flag file {}", world.flag_file.display())
        );
    }

    #[test]
    fn roots_flag_file_is_a_pause_for_every_user() {
        let world = World {
            flag_file: PathBuf::from("/etc/passwd"),
            uid: 4242,
            ..World::new()
        };
        assert!(world.look(HOUR).pause.is_some());
    }

    #[test]
    fn a_flag_file_of_another_user_is_refused() {
        let world = World::new();
        fs::write(&world.flag_file, b"").unwrap();
        // As root the file has to be given away; everybody else may as well look as another user.
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&world.flag_file, Some(4242), None).unwrap();
            world.check_flag_refused("belongs to uid 4242");
        } else {
            let owner = world.uid;
            let world = World { uid: 4242, ..world };
            world.check_flag_refused(&format!("belongs to uid {owner}"));
        }
    }

    #[test]
    fn a_flag_file_that_is_no_plain_file_is_refused() {
        let world = World::new();
        let target = world.dir.path().join("target");
        fs::write(&target, b"").unwrap();
        symlink(&target, &world.flag_file).unwrap();
        world.check_flag_refused("a symbolic link, not a file");
        fs::remove_file(&world.flag_file).unwrap();
        fs::hard_link(&target, &world.flag_file).unwrap();
        world.check_flag_refused("has more than one name");
        fs::remove_file(&world.flag_file).unwrap();
        fs::create_dir(&world.flag_file).unwrap();
        world.check_flag_refused("not a regular file");
    }

    #[test]
    fn with_both_files_both_reasons_hold_and_the_open_end_counts() {
        let world = World::paused();
        fs::write(&world.flag_file, b"").unwrap();
        let pause = world.look(HOUR).pause.unwrap();
        assert_eq!(pause.remaining, None);
        assert!(pause.reason.as_str().starts_with("disk swap; flag file /"));
    }

    proptest! {
        #[test]
        fn any_bytes_pause_for_a_bounded_time(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let world = World::with_file(&bytes);
            let remaining = world.look(HOUR).pause.unwrap().remaining.unwrap();
            prop_assert!(remaining <= 2 * HOUR);
        }
    }
}
