//! snapshot list, diff and restore.

use crate::home::*;

#[test]
fn snapshots_are_listed_with_the_one_that_is_current() {
    let home = Home::new();
    let none = home.run(&["snapshot", "list"]);
    assert!(stdout(&none).contains("is kept yet"), "{none:?}");
    failed_saying(
        &home.run(&["snapshot", "diff"]),
        1,
        &["no snapshot is kept yet"],
    );
    let (home, config) = with_snapshot(GOOD);
    let listed = stdout(&home.run(&["snapshot", "list"]));
    assert!(
        listed.contains("known good") && listed.contains("c0ffee"),
        "{listed}"
    );
    assert!(listed.contains("  current\n"), "{listed}");
    assert!(listed.contains("  known good  2026.9.6      "), "{listed}");
    let snapshot = home
        .0
        .path()
        .join(".local/state/gatehound/snapshots/1.json");
    let text = fs::read_to_string(&snapshot).unwrap();
    fs::write(&snapshot, text.replace(r#""version":"2026.9.6","#, "")).unwrap();
    let older = stdout(&home.run(&["snapshot", "list"]));
    assert!(older.contains("  known good  -             "), "{older}");
    fs::write(config, BAD).unwrap();
    assert!(!stdout(&home.run(&["snapshot", "list"])).contains("current"));
    failed_saying(
        &home.run(&["snapshot", "diff", "7"]),
        1,
        &["there is no snapshot 7"],
    );
}

#[test]
fn a_diff_shows_what_differs_and_no_secret() {
    let (home, config) = with_snapshot(GOOD);
    let same = stdout(&home.run(&["snapshot", "diff"]));
    assert_eq!(same, "the configuration is that of snapshot 1\n");
    fs::write(&config, BAD).unwrap();
    let shown = stdout(&home.run(&["snapshot", "diff", "1"]));
    let expected = [
        "- gateway.auth.token = (hidden, 7 characters)",
        "+ gateway.auth.token = (hidden, 7 characters)",
        "- gateway.port = 18789",
        "+ gateway.port = 18790",
        "- x = (hidden, 19 characters)",
        "+ x = (hidden, 19 characters)",
    ];
    assert_eq!(shown.lines().skip(1).collect::<Vec<_>>(), expected);
    fs::write(&config, "{gateway: {auth: {token: hunter3").unwrap();
    let shown = home.run(&["snapshot", "diff"]);
    assert!(stdout(&shown).contains("is not JSON5 now"), "{shown:?}");
    fs::write(&config, "{\n  gateway: {port: 1},\n  bind \"lan\",\n}\n").unwrap();
    let broken = stdout(&home.run(&["snapshot", "diff"]));
    assert!(
        broken.ends_with("broken in line 3, or just above:\n  bind \"lan\",\n"),
        "{broken}"
    );
    assert!(!format!("{shown:?}").contains("hunter"), "{shown:?}");
}

#[test]
fn a_restore_needs_a_yes_keeps_what_it_replaces_and_says_how_to_start() {
    let (home, config) = with_snapshot(GOOD);
    fs::write(&config, b"\xff{ hunter3").unwrap();
    failed_saying(&home.run(&["snapshot", "restore"]), 1, &["give --yes"]);
    assert_eq!(fs::read(&config).unwrap(), b"\xff{ hunter3");
    let said = stdout(&home.run(&["snapshot", "restore", "--yes"]));
    for part in [
        "kept what was there as snapshot 2",
        "restored snapshot 1",
        "if openclaw-gateway.service is down, this starts it: gatehound snapshot restore 1 --start",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("hunter"), "{said}");
    assert_eq!(fs::read_to_string(&config).unwrap(), GOOD);
    let again = stdout(&home.run(&["snapshot", "restore", "--yes"]));
    assert!(again.contains("snapshot 1 already"), "{again}");
    home.run(&["snapshot", "restore", "2", "--yes"]);
    assert_eq!(fs::read(&config).unwrap(), b"\xff{ hunter3");
}

#[test]
fn a_read_only_configuration_is_not_restored() {
    let (home, config) = with_snapshot(GOOD);
    fs::write(&config, BAD).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o400)).unwrap();
    let output = home.run(&["snapshot", "restore", "--yes"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("is read-only; nothing is restored: chmod u+w"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(fs::read_to_string(&config).unwrap(), BAD);
}

#[test]
fn at_a_terminal_a_restore_asks_and_only_a_yes_is_one() {
    let (home, config) = with_snapshot(GOOD);
    fs::write(&config, BAD).unwrap();
    for (typed, status, expected) in [
        ("\n", 1, BAD),
        ("n\n", 1, BAD),
        ("\u{4}", 1, BAD),
        ("Yes\n", 0, GOOD),
    ] {
        let (code, shown) = at_terminal(home.gatehound(&["snapshot", "restore"]), typed);
        assert_eq!(code, Some(status), "{typed:?}: {shown}");
        assert!(shown.contains("? [y/N] "), "{shown}");
        assert_eq!(fs::read_to_string(&config).unwrap(), expected, "{typed:?}");
    }
}

#[test]
fn what_is_written_while_a_restore_asks_is_left_as_it_is() {
    let (home, config) = with_snapshot(GOOD);
    fs::write(&config, BAD).unwrap();
    let restore = home.gatehound(&["snapshot", "restore"]);
    let write = || fs::write(&config, "{fixed: true}").unwrap();
    let (code, shown) = at_terminal_after(restore, "? [y/N] ", write, "y\n");
    assert_eq!(code, Some(1), "{shown}");
    for part in ["meanwhile; nothing is restored", "gatehound snapshot diff"] {
        assert!(shown.contains(part), "{shown}");
    }
    assert_eq!(fs::read_to_string(&config).unwrap(), "{fixed: true}");
    let list = stdout(&home.run(&["snapshot", "list"]));
    assert!(!list.contains("replaced"), "{list}");
}

#[test]
fn a_folder_of_included_files_that_is_gone_is_made_anew() {
    let main = "{$include: 'parts/deep/more.json'}";
    let (home, config) =
        with_snapshot_of(&[("openclaw.json", main), ("parts/deep/more.json", "{a: 1}")]);
    let parts = config.with_file_name("parts");
    fs::remove_dir_all(&parts).unwrap();
    let said = stdout(&home.run(&["snapshot", "restore", "--yes"]));
    assert!(said.contains("restored snapshot 1"), "{said}");
    let more = parts.join("deep/more.json");
    assert_eq!(fs::read_to_string(&more).unwrap(), "{a: 1}");
    for folder in [&parts, &parts.join("deep")] {
        let mode = fs::metadata(folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", folder.display());
    }
}

#[test]
fn a_restore_makes_no_folder_but_below_the_configurations_own() {
    let (home, config) = with_snapshot(GOOD);
    fs::remove_dir_all(config.parent().unwrap()).unwrap();
    failed_saying(
        &home.run(&["snapshot", "restore", "--yes"]),
        1,
        &[
            "there is no folder ",
            "/.openclaw; nothing is restored",
            "make it",
        ],
    );
    assert!(!config.parent().unwrap().exists());
}

#[test]
fn a_snapshot_that_makes_no_sense_is_not_said_to_be_missing() {
    let (home, config) = with_snapshot(GOOD);
    fs::write(&config, BAD).unwrap();
    let snapshot = home
        .0
        .path()
        .join(".local/state/gatehound/snapshots/1.json");
    fs::write(&snapshot, "{").unwrap();
    for arguments in [
        &["snapshot", "diff", "1"][..],
        &["snapshot", "restore", "1", "--yes"],
    ] {
        failed_saying(
            &home.run(arguments),
            1,
            &[
                "cannot use snapshot 1",
                "/snapshots/1.json: not a snapshot",
                "gatehound snapshot list",
            ],
        );
    }
    assert_eq!(fs::read_to_string(&config).unwrap(), BAD);
    let list = home.run(&["snapshot", "list"]);
    failed_saying(&list, 1, &["not a snapshot", "no snapshot can be used"]);
    let restore = home.run(&["snapshot", "restore", "--yes"]);
    failed_saying(&restore, 1, &["not a snapshot", "no snapshot can be used"]);
}

#[test]
fn snapshots_that_cannot_be_looked_at_are_not_said_to_be_none() {
    let (home, _) = with_snapshot(GOOD);
    let folder = home.0.path().join(".local/state/gatehound/snapshots");
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "no folder").unwrap();
    for arguments in [
        &["snapshot", "list"][..],
        &["snapshot", "diff"],
        &["snapshot", "diff", "1"],
        &["snapshot", "restore", "--yes"],
    ] {
        let said = ["cannot read ", "Not a directory", "is not known: make it"];
        failed_saying(&home.run(arguments), 1, &said);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_what_to_do_about_it() {
    let (home, config) = with_snapshot(GOOD);
    fs::remove_file(&config).unwrap();
    fs::create_dir(&config).unwrap();
    for arguments in [&["snapshot", "diff"][..], &["snapshot", "restore", "--yes"]] {
        let message = failed(&home.run(arguments), 1);
        for part in [
            "openclaw.json: not a regular file",
            "nothing is done",
            "make it",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }
}

#[test]
fn a_configuration_is_restored_whatever_else_is_wrong_with_the_settings() {
    for wrong in ["interval = 7\n", "interval = \n", "[snapshots]\nkeep = 0\n"] {
        let (home, config) = with_snapshot(GOOD);
        fs::write(home.config(), wrong).unwrap();
        fs::write(&config, BAD).unwrap();
        for arguments in [
            &["snapshot", "list"][..],
            &["snapshot", "diff"],
            &["snapshot", "restore", "--yes"],
        ] {
            let output = home.run(arguments);
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(said.lines().count(), 1, "{said}");
            let file = home.config().display().to_string();
            for part in [&file, "going on with the unit openclaw-gateway.service"] {
                assert!(said.contains(part), "{said}");
            }
        }
        assert_eq!(fs::read_to_string(&config).unwrap(), GOOD);
    }
}

#[test]
fn what_a_restore_needs_of_the_settings_is_used_or_refused() {
    let (home, config) = with_snapshot(GOOD);
    fs::write(&config, BAD).unwrap();
    let restore = |text: &str| {
        fs::write(home.config(), text).unwrap();
        home.run(&["snapshot", "restore", "--yes"])
    };
    for wrong in ["5", "\"no unit\""] {
        let text = format!("interval = 7\n[gateway]\nunit = {wrong}\n");
        let message = failed(&restore(&text), 78);
        assert!(message.contains("gateway.unit = "), "{message}");
        assert_eq!(fs::read_to_string(&config).unwrap(), BAD);
    }
    let output = restore("interval = 7\n[gateway]\nunit = \"mine.service\"\n");
    let said = stdout(&output);
    assert!(
        said.contains("if mine.service is down, this starts it"),
        "{output:?}"
    );
}
