//! Completions of the command line for bash, zsh and fish.
//!
//! Owns their files, which are written by hand because a generator would make the program larger than they are.
//! What they offer is what the program takes, held by the tests below, in which the shells themselves are asked.

/// Where each is below a folder of shared data such as ~/.local/share, and what it is.
pub(crate) const FILES: [(&str, &str); 3] = [
    (
        "bash-completion/completions/gatehound",
        include_str!("completions/gatehound.bash"),
    ),
    (
        "zsh/site-functions/_gatehound",
        include_str!("completions/_gatehound"),
    ),
    (
        "fish/vendor_completions.d/gatehound.fish",
        include_str!("completions/gatehound.fish"),
    ),
];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path, process::Command};

    use clap::{Arg, CommandFactory};

    use super::{super::Cli, FILES};

    type Words = BTreeSet<String>;

    /// A command as it is typed up to the word that is completed, and what may stand there.
    struct Case {
        typed: Vec<String>,
        begun: &'static str,
        offered: Words,
    }

    /// What the program takes after each of its commands, hidden ones included.
    fn cases() -> Vec<Case> {
        let mut program = Cli::command();
        program.build();
        let mut cases = Vec::new();
        collect(&program, &["gatehound".to_owned()], &mut cases);
        // Values, in both spellings and before the command, are nothing to be completed as a command.
        for (typed, offered) in [
            ("--profile snapshot", "gatehound"),
            ("--set interval=9s", "gatehound"),
            ("--profile work snapshot", "gatehound snapshot"),
            ("--set=interval=9s alert", "gatehound alert"),
        ] {
            let typed = format!("gatehound {typed}");
            let same = |case: &&Case| case.typed.join(" ") == offered && case.begun.is_empty();
            let offered = cases.iter().find(same).unwrap().offered.clone();
            cases.push(Case {
                typed: typed.split(' ').map(str::to_owned).collect(),
                begun: "",
                offered,
            });
        }
        cases
    }

    fn collect(command: &clap::Command, typed: &[String], cases: &mut Vec<Case>) {
        let mut add = |further: Option<&str>, begun, offered| {
            let mut typed = typed.to_vec();
            typed.extend(further.map(str::to_owned));
            cases.push(Case {
                typed,
                begun,
                offered,
            });
        };
        let below = command.get_subcommands().map(|it| it.get_name().to_owned());
        add(None, "", below.collect());
        let named = |arg: &&Arg| !arg.is_positional();
        let options = command.get_arguments().filter(named).flat_map(|arg| {
            let long = arg.get_long().map(|long| format!("--{long}"));
            let short = arg.get_short().map(|short| format!("-{short}"));
            long.into_iter().chain(short)
        });
        add(None, "-", options.collect());
        for arg in command.get_arguments().filter(named) {
            let long = format!("--{}", arg.get_long().unwrap());
            // What is in folders is no word of ours.
            if arg.get_action().takes_values() && long != "--folder" {
                let values = arg.get_possible_values();
                let values = values.iter().map(|value| value.get_name().to_owned());
                add(Some(&long), "", values.collect());
            }
        }
        for one in command.get_subcommands() {
            let deeper = [typed, &[one.get_name().to_owned()]].concat();
            collect(one, &deeper, cases);
        }
    }

    /// Asks a shell for all cases at once: `script` prints the words of a case, each on a line,and then a mark.
    #[track_caller]
    fn check(shell: &str, arguments: &[&str], script: impl Fn(&Case) -> String, prelude: &str) {
        let cases = cases();
        assert!(60 < cases.len(), "{}", cases.len());
        let mut text = prelude.to_owned();
        for case in &cases {
            text.push_str(&script(case));
            text.push_str("\necho @@@@@\n");
        }
        let folder = tempfile::tempdir().unwrap();
        for (name, completions) in FILES {
            let name = Path::new(name).file_name().unwrap();
            fs::write(folder.path().join(name), completions).unwrap();
        }
        let asked = Command::new(shell)
            .args(arguments)
            .args(["-c", &text])
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .output();
        let asked = asked.unwrap_or_else(|e| panic!("{shell}: {e}; apt-get install {shell}"));
        let stderr = String::from_utf8_lossy(&asked.stderr);
        assert!(stderr.is_empty(), "{stderr}");
        let stdout = String::from_utf8(asked.stdout).unwrap();
        let answers: Vec<&str> = stdout.split("@@@@@\n").collect();
        assert_eq!(answers.len(), cases.len() + 1, "{stdout}");
        for (case, answer) in cases.iter().zip(answers) {
            let word = |line: &str| {
                line.split(['\t', ':'])
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            };
            let offered: Words = answer.lines().map(word).collect();
            assert_eq!(offered, case.offered, "{shell}: {:?}", case.typed);
        }
    }

    #[test]
    fn bash_offers_every_command_and_option_and_nothing_else() {
        let script = |case: &Case| {
            // bash has an equals sign as a word of its own.
            let typed = case.typed.join(" ").replace('=', " = ");
            let previous = typed.rsplit(' ').next().unwrap_or_default();
            format!(
                "COMP_WORDS=({typed} '{begun}'); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
                 _gatehound gatehound '{begun}' '{previous}'; printf '%s\\n' \"${{COMPREPLY[@]}}\" | grep .",
                begun = case.begun
            )
        };
        check("bash", &["--norc"], script, ". ./gatehound\n");
    }

    #[test]
    fn zsh_offers_every_command_and_option_and_nothing_else() {
        // What zsh has for offering words prints them.
        let prelude = "_describe() { print -rl -- \"${(@P)${@[-1]}}\" | grep .; }; _message() { :; }; _files() { :; }\n";
        let script = |case: &Case| {
            let (typed, begun) = (case.typed.join(" "), case.begun);
            format!("words=({typed} '{begun}'); CURRENT=$#words; source ./_gatehound")
        };
        check("zsh", &["-f"], script, prelude);
    }

    #[test]
    fn fish_offers_every_command_and_option_and_nothing_else() {
        let script = |case: &Case| {
            let (typed, begun) = (case.typed.join(" "), case.begun);
            format!("complete -C '{typed} {begun}'")
        };
        check("fish", &["--no-config"], script, "source gatehound.fish\n");
    }
}
