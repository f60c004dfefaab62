#compdef zubi
# zsh completion for zubi

_zubi() {
    local line word help
    local -a candidates open
    for line in "${(@f)$(command zubi __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        [[ -n "$line" ]] || continue
        word="${line%%$'\t'*}"
        help="${line#*$'\t'}"
        case "$word" in
            :files) _files ;;
            :folders) _files -/ ;;
            :programs) _command_names -e ;;
            # These want more to be typed at once.
            *[:=]) open+=("$word") ;;
            *) candidates+=("${word//:/\\:}${help:+:$help}") ;;
        esac
    done
    (( ${#open} )) && compadd -S '' -- "${open[@]}"
    (( ${#candidates} )) && _describe 'zubi' candidates
}

if [[ "${funcstack[1]}" == _zubi ]]; then
    _zubi "$@"
else
    compdef _zubi zubi
fi
