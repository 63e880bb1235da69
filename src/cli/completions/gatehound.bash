# Completions of gatehound(1) for bash: it is asked itself what may stand here.

_gatehound() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("${line%% *}")
    done < <("$1" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    case ${COMPREPLY[0]-} in
    :folder)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$2")
        ;;
    *=) compopt -o nospace 2>/dev/null ;;
    esac
}

complete -F _gatehound gatehound
