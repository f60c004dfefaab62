# fish completion for zubi

function __zubi_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -e words[1]
    for line in (command zubi __complete -- $words "$current" 2>/dev/null)
        switch $line
            case ':files*'
                __fish_complete_path "$current"
            case ':folders*'
                __fish_complete_directories "$current" ''
            case ':programs*'
                __fish_complete_command
            case '*'
                echo $line
        end
    end
end

complete -c zubi -f -a '(__zubi_complete)'
