# bash completion for zubi

_zubi() {
    local line="${COMP_LINE:0:COMP_POINT}" current candidate reply prefix="" words
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current="${words[${#words[@]}-1]}"
    COMPREPLY=()
    # bash takes : and = for ends of words, so it wants only what stands behind the last one.
    if [[ $current == *[:=]* && $COMP_WORDBREAKS == *[:=]* ]]; then
        prefix="${current%"${current##*[:=]}"}"
    fi
    while IFS=$'\t' read -r candidate _; do
        case "$candidate" in
            :files) compopt -o filenames; while IFS= read -r reply; do COMPREPLY+=("$reply"); done < <(compgen -f -- "$current") ;;
            :folders) compopt -o filenames; while IFS= read -r reply; do COMPREPLY+=("$reply"); done < <(compgen -d -- "$current") ;;
            :programs) while IFS= read -r reply; do COMPREPLY+=("$reply"); done < <(compgen -c -- "$current") ;;
            *) COMPREPLY+=("${candidate#"$prefix"}") ;;
        esac
    done < <(command zubi __complete -- "${words[@]:1}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[:=] ]]; then
        compopt -o nospace
    fi
}

complete -F _zubi zubi
