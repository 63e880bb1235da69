# Completions of gatehound(1) for fish.
# The words are kept by hand, and `cargo test --lib completions` holds them against the program.

# Whether the command that is being completed is this one, by all its words.
function __gatehound_is
    set -l words (commandline -opc)
    set -l command
    set -l skip 1
    for word in $words
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case --profile --set --since --for --keep --max-size --folder
                set skip 1
            case '-*'
            case '*'
                # Whatever follows a command that has none below it is an argument of it.
                if contains -- "$command" '' settings snapshot alert
                    set -a command $word
                end
        end
    end
    test "$command" = "$argv"
end

complete -c gatehound -f
complete -c gatehound -l profile -x -d 'Watch the gateway of this profile'
complete -c gatehound -l set -x -d 'Set a key of gatehound.toml(5)'
complete -c gatehound -s h -l help -d 'Print help'
complete -c gatehound -n __gatehound_is -s V -l version -d 'Print version'

complete -c gatehound -n __gatehound_is -a run -d 'Watch the gateway; what gatehound.service runs'
complete -c gatehound -n __gatehound_is -a check -d 'Look once and change nothing'
complete -c gatehound -n __gatehound_is -a status -d 'Show what the running Gatehound is doing'
complete -c gatehound -n __gatehound_is -a history -d 'List what became of the gateway'
complete -c gatehound -n __gatehound_is -a incident -d 'Show one incident with its evidence'
complete -c gatehound -n __gatehound_is -a doctor -d 'Find what is missing or wrong'
complete -c gatehound -n __gatehound_is -a pause -d 'Leave the gateway alone for a while'
complete -c gatehound -n __gatehound_is -a resume -d 'End a pause'
complete -c gatehound -n __gatehound_is -a reset -d 'Count attempts from 1 again; try again after giving up'
complete -c gatehound -n __gatehound_is -a emergency-stop -d 'Stop Gatehound and gateway at once'
complete -c gatehound -n __gatehound_is -a tidy -d 'Delete old log files of the gateway and empty large ones'
complete -c gatehound -n __gatehound_is -a settings -d 'The settings of gatehound.toml(5)'
complete -c gatehound -n __gatehound_is -a snapshot -d 'The kept snapshots of openclaw.json'
complete -c gatehound -n __gatehound_is -a alert -d 'Where alerts go when the gateway is down'
complete -c gatehound -n __gatehound_is -a install -d 'Put everything into place for this user, and start watching'
complete -c gatehound -n __gatehound_is -a uninstall -d 'Stop watching and remove what install put into place'

complete -c gatehound -n '__gatehound_is settings' -a show -d 'Print every effective value and where it comes from'
complete -c gatehound -n '__gatehound_is settings' -a check -d 'Check the settings without starting'
complete -c gatehound -n '__gatehound_is snapshot' -a list -d 'List the kept snapshots of openclaw.json'
complete -c gatehound -n '__gatehound_is snapshot' -a diff -d 'Show what differs between a snapshot and openclaw.json'
complete -c gatehound -n '__gatehound_is snapshot' -a restore -d 'Put a snapshot of openclaw.json back'
complete -c gatehound -n '__gatehound_is snapshot restore' -l yes -d 'Do not ask'

complete -c gatehound -n '__gatehound_is alert' -a test -d 'Send a test through every channel at once'
complete -c gatehound -n '__gatehound_is alert' -a send -d 'Deliver the alerts that wait'
complete -c gatehound -n '__gatehound_is alert' -a ping -d 'Send a ping'
complete -c gatehound -n '__gatehound_is alert test' -l ping -d 'Send a ping as well'

for command in check status history incident doctor
    complete -c gatehound -n "__gatehound_is $command" -l json -d 'Print JSON'
end
for command in tidy install
    complete -c gatehound -n "__gatehound_is $command" -l dry-run -d 'Say what would be done and do nothing'
end
complete -c gatehound -n '__gatehound_is install' -l replace-cron -d 'Remove the old watchdog from your crontab'
complete -c gatehound -n '__gatehound_is install' -l side-by-side -d 'Watch even beside another watchdog'
complete -c gatehound -n '__gatehound_is status' -l watch -d 'Show it anew every two seconds'
complete -c gatehound -n '__gatehound_is history' -l since -x -d 'From when on, such as 7d'
complete -c gatehound -n '__gatehound_is pause' -l for -x -d 'For how long, such as 30min'
complete -c gatehound -n '__gatehound_is emergency-stop' -l disable -d 'Keep both from starting at the next boot or login'
complete -c gatehound -n '__gatehound_is tidy' -l keep -x -d 'Delete files that were last written to longer ago'
complete -c gatehound -n '__gatehound_is tidy' -l max-size -x -d 'Empty files that are larger, in megabytes'
complete -c gatehound -n '__gatehound_is tidy' -l folder -x -a '(__fish_complete_directories)' -d 'A folder of logs'
