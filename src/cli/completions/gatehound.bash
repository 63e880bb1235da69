# Completions of gatehound(1) for bash.
# The words are kept by hand, and `cargo test --lib completions` holds them against the program.

_gatehound() {
    local word=$2 previous=$3 command='' index
    local -A commands=(
        [gatehound]='run check status history incident doctor pause resume reset emergency-stop tidy settings snapshot alert install uninstall'
        [settings]='show check'
        [snapshot]='list diff restore'
        [alert]='test send ping'
    )
    local -A options=(
        [gatehound]='-V --version'
        [check]='--json'
        [status]='--json --watch'
        [history]='--since --json'
        [incident]='--json'
        [doctor]='--json'
        [pause]='--for'
        [emergency-stop]='--disable'
        [tidy]='--keep --max-size --folder --dry-run'
        [snapshot restore]='--yes'
        [alert test]='--ping'
        [install]='--dry-run --replace-cron --side-by-side'
    )
    COMPREPLY=()
    case $previous in
    --folder)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
        return
        ;;
    --profile | --set | --since | --for | --keep | --max-size | =) return ;;
    esac
    for ((index = 1; index < COMP_CWORD; index++)); do
        # An equals sign is a word of its own.
        case ${COMP_WORDS[index]} in
        --profile | --set | --since | --for | --keep | --max-size | --folder)
            ((index++))
            [[ ${COMP_WORDS[index]} != = ]] || ((index++))
            ;;
        =) ((index++)) ;;
        -*) ;;
        *)
            # Whatever follows a command that has none below it is an argument of it.
            case $command in
            '' | settings | snapshot | alert) command=${command:+$command }${COMP_WORDS[index]} ;;
            esac
            ;;
        esac
    done
    command=${command:-gatehound}
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${options[$command]-} --profile --set -h --help" -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -W "${commands[$command]-}" -- "$word")
    fi
}

complete -F _gatehound gatehound
