# fish completion of allocdump: source it, or keep it as ~/.config/fish/completions/allocdump.fish

function __allocdump_complete
    set -l last (commandline -ct)
    set -l words (commandline -opc) "$last"
    set -lx _ALLOCDUMP_COMPLETE words
    set -lx _ALLOCDUMP_WORDS (string join \x1f -- $words)
    for line in ($words[1] 2>/dev/null)
        set -l parts (string split \t -- $line)
        switch $parts[1]
            case file
                __fish_complete_path "$last"
            case plain
                printf '%s\t%s\n' $parts[2] "$parts[3]"
        end
    end
end

complete -c allocdump -f -a '(__allocdump_complete)'
