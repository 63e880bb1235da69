//! `gatehound complete` and what bash, zsh and fish make of it.

use crate::home::*;

/// What is typed after `gatehound `, and what is offered for its last word.
const CASES: [(&str, &[&str]); 9] = [
    ("snapshot ", &["diff", "list", "restore"]),
    ("snapshot diff ", &["3", "12"]),
    ("--profile work snapshot diff ", &["40"]),
    ("--profile ", &["home", "work"]),
    ("incident 0123", &["0123456789ab"]),
    ("status --w", &["--watch"]),
    ("--set pause.def", &["pause.default="]),
    ("pause --for ", &[]),
    ("tidy --folder lo", &["logs/"]),
];

/// A home with a profile, snapshots, evidence of an incident, and a folder that is called `logs`.
fn home() -> Home {
    let home = Home::new();
    for name in ["home", "work"] {
        fs::write(home.config().with_file_name(format!("{name}.toml")), "").unwrap();
    }
    for file in [
        "gatehound/snapshots/3.json",
        "gatehound/snapshots/12.json",
        "gatehound/incidents/0123456789ab-1.json",
        "gatehound/incidents/0123456789ab-2.json",
        "gatehound-work/snapshots/40.json",
    ] {
        let file = home.0.path().join(".local/state").join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }
    fs::create_dir(home.0.path().join("logs")).unwrap();
    home
}

/// Holds what a shell offers; `script` prints what it does for what is typed, a word on each line.
#[track_caller]
fn check(shell: &str, arguments: &[&str], prelude: &str, script: impl Fn(&str) -> String) {
    let home = home();
    let completions = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/completions");
    let program = Path::new(env!("CARGO_BIN_EXE_gatehound"));
    let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
    for (typed, expected) in CASES {
        let text = format!("{prelude}\n{}", script(typed));
        let asked = Command::new(shell)
            .args(arguments)
            .args(["-c", &text])
            .current_dir(home.0.path())
            .env_clear()
            .env("PATH", &path)
            .env("COMPLETIONS", completions)
            .env("HOME", home.0.path())
            .env("XDG_CONFIG_HOME", home.0.path().join("config"))
            .env("XDG_RUNTIME_DIR", home.0.path().join("run"))
            .output();
        let asked = asked.unwrap_or_else(|e| panic!("{shell}: {e}; apt-get install {shell}"));
        let stderr = String::from_utf8_lossy(&asked.stderr);
        assert!(stderr.is_empty(), "{shell}: {typed:?}: {stderr}");
        let said = stdout(&asked);
        let mut offered: Vec<&str> = said
            .lines()
            .map(|line| line.split(['\t', ':']).next().unwrap_or_default())
            .filter(|word| !word.is_empty())
            .collect();
        offered.sort_by_key(|word| (word.len(), *word));
        let mut expected = expected.to_vec();
        expected.sort_by_key(|word| (word.len(), *word));
        assert_eq!(offered, expected, "{shell}: {typed:?}");
    }
}

#[test]
fn bash_offers_what_may_stand_there() {
    check(
        "bash",
        &["--norc"],
        ". $COMPLETIONS/gatehound.bash",
        |typed| {
            let (before, begun) = typed.rsplit_once(' ').unwrap();
            // bash itself puts the slash behind a folder.
            format!(
                "COMP_WORDS=(gatehound {before} '{begun}'); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _gatehound gatehound '{begun}' ''; \
             for word in \"${{COMPREPLY[@]}}\"; do [[ ! -d $word ]] || word+=/; echo \"$word\"; done"
            )
        },
    );
}

#[test]
fn zsh_offers_what_may_stand_there() {
    // What zsh has for offering words prints those that fit.
    let prelude = "_describe() { [[ $1 != -o ]] || shift; print -rl -- ${(P)2}; }; \
                   _files() { local one; for one in $words[CURRENT]*(/N); do print -r -- $one/; done }";
    check("zsh", &["-f"], prelude, |typed| {
        let (before, begun) = typed.rsplit_once(' ').unwrap();
        format!(
            "words=(gatehound {before} '{begun}'); CURRENT=$#words; source $COMPLETIONS/_gatehound"
        )
    });
}

#[test]
fn fish_offers_what_may_stand_there() {
    check(
        "fish",
        &["--no-config"],
        "source $COMPLETIONS/gatehound.fish",
        |typed| format!("complete -C 'gatehound {typed}'"),
    );
}

#[test]
fn a_program_that_cannot_read_what_is_kept_offers_the_rest_and_says_nothing() {
    let home = Home::with_config("interval = 3");
    let run = home.run(&["complete", "--", "snapshot", "diff", ""]);
    assert!(
        run.status.success() && run.stdout.is_empty() && run.stderr.is_empty(),
        "{run:?}"
    );
    let run = home.run(&["complete", "--", "status", "--j"]);
    assert_eq!(stdout(&run), "--json Print JSON\n");
}
