# Completions of gatehound(1) for fish: it is asked itself what may stand here.

function __gatehound
    set -l words (commandline -opc)
    set -l begun (commandline -ct)
    set -l offers ($words[1] complete -- $words[2..-1] "$begun" 2>/dev/null)
    if test "$offers[1]" = :folder
        __fish_complete_directories "$begun"
    else if set -q offers[1]
        # The first space is before the description, where fish takes a tab.
        string replace -- ' ' \t $offers
    end
end

complete -c gatehound -f -a '(__gatehound)'
