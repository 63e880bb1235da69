//! What else keeps programs running and may act on the gateway: Monit and supervisord.
//!
//! Owns where their files are; what their commands come to is `judge.rs`'s. Reads only.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    judge::{Judge, Verdict},
    system_cron::files,
};
use crate::os::files::{Links, read_limited};

/// A file of more is nobody's.
const MAX: u64 = 256 * 1024;

/// The files of Monit that act on the gateway, each with the command that does.
pub(super) fn of_monit(etc: &Path, home: &Path, judge: &mut Judge<'_>) -> Vec<(PathBuf, String)> {
    let mut paths = vec![home.join(".monitrc")];
    paths.extend(["monitrc", "monit.conf", "monit/monitrc"].map(|name| etc.join(name)));
    let folders = ["monit.d", "monit/conf.d", "monit/conf-enabled"];
    paths.extend(folders.iter().flat_map(|folder| files(&etc.join(folder))));
    acting(paths, judge, |text| vec![text.to_owned()])
}

/// The files of supervisord that act on the gateway; a gateway that it runs is none of them.
pub(super) fn of_supervisord(etc: &Path, judge: &mut Judge<'_>) -> Vec<(PathBuf, String)> {
    let mut paths = vec![
        etc.join("supervisord.conf"),
        etc.join("supervisor/supervisord.conf"),
    ];
    let folders = ["supervisor/conf.d", "supervisord.d"];
    paths.extend(folders.iter().flat_map(|folder| files(&etc.join(folder))));
    acting(paths, judge, |text| {
        let lines = text.lines().filter_map(|line| line.trim().split_once('='));
        let commands = lines.filter(|(key, _)| key.trim() == "command");
        commands
            .map(|(_, command)| command.trim().to_owned())
            .collect()
    })
}

fn acting(
    paths: Vec<PathBuf>,
    judge: &mut Judge<'_>,
    commands: fn(&str) -> Vec<String>,
) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for path in paths {
        let Ok(Some(contents)) = read_limited(&path, MAX, Links::Follow) else {
            continue;
        };
        let text = String::from_utf8_lossy(&contents.bytes);
        let mut verdicts = commands(&text)
            .into_iter()
            .map(|command| judge.command(&command, &text, &BTreeMap::new()));
        let how = verdicts.find_map(|verdict| match verdict {
            Verdict::Acts(how) => Some(how),
            Verdict::Nothing | Verdict::Perhaps | Verdict::Runs(_) => None,
        });
        found.extend(how.map(|how| (path, how)));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::deeds::Gateway, *};

    #[test]
    fn a_file_that_restarts_the_gateway_is_found_and_one_of_something_else_is_not() {
        let etc = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = etc.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put(
            "monit/conf.d/gateway",
            "check process gw matching openclaw\n  start program = \"/bin/su - claw -c 'systemctl --user start openclaw-gateway'\"\n  if failed port 18789 then restart\n",
        );
        put(
            "monit/conf.d/nginx",
            "check process nginx\n  start program = \"/bin/systemctl start nginx\"\n",
        );
        put("fix", "#!/bin/sh\npkill -f openclaw\n");
        let fix = etc.path().join("fix");
        let exec = format!(
            "check host gw with address ::1\n  if failed port 18789 then exec {:?}\n",
            fix
        );
        put("monit/conf-enabled/host", &exec);
        put(
            "supervisor/conf.d/a.conf",
            &format!("[program:a]\ncommand={}\n", fix.display()),
        );
        put(
            "supervisor/conf.d/b.conf",
            "[program:b]\ncommand=openclaw gateway run\n",
        );
        let gateway = Gateway::new("openclaw-gateway.service", None);
        let mut judge = Judge::new(&gateway, etc.path());
        let found = of_monit(etc.path(), etc.path(), &mut judge);
        let found = found
            .into_iter()
            .chain(of_supervisord(etc.path(), &mut judge));
        let named: Vec<(String, String)> = found
            .map(|(path, how)| {
                let name = path.strip_prefix(etc.path()).unwrap().display().to_string();
                (name, how)
            })
            .collect();
        let expected = [
            (
                "monit/conf.d/gateway",
                "systemctl --user start openclaw-gateway",
            ),
            ("monit/conf-enabled/host", "pkill -f openclaw"),
            ("supervisor/conf.d/a.conf", "pkill -f openclaw"),
        ];
        assert_eq!(
            named,
            expected.map(|(name, how)| (name.to_owned(), how.to_owned()))
        );
    }
}
