# SPDX-License-Identifier: MIT
#
# fish completes verbs, options, their values, and the caller's own leases by any of their names.

# Prints leases, labels and taps that the line does not have. Prints nothing if the service does not answer. The client
# has no terminal here, so polkit asks for no password.
function __qemu_tapctl_names
    set -l words (commandline -opc)
    timeout 2 qemu-tapctl list 2>/dev/null </dev/null |
        awk 'NR > 1 && NF > 4 { print $1 "\tlease"; print $5 "\ttap"; if ($2 != "-") print $2 "\tlabel" }' | sort -u |
        while read -d \t -l name kind
            contains -- $name $words
            or printf '%s\t%s\n' $name $kind
        end
end

# Prints the number of the word that begins another program's command or arguments: the word after `--`, or the first
# one that is neither an option nor the value of one. Returns 1 if the cursor is before it.
function __qemu_tapctl_rest
    set -l words (commandline -opc)
    contains -- "$words[2]" run runqemu
    or return 1
    set -l at 3
    while set -q words[$at]
        switch $words[$at]
            case --
                math $at + 1
                return
            case --count --queues --label --first-nic --device --hold --vnet --vhost --user
                set at (math $at + 1)
            case '-*'
            case '*'
                echo $at
                return
        end
        set at (math $at + 1)
    end
    # The word at the cursor is next, unless it is the value of the last option.
    test $at -eq (math (count $words) + 1)
    and not string match -q -- '-*' (commandline -ct)
    and echo $at
end

# Returns 0 if the verb is one of VERB..., or without VERB if the line has no verb. Returns 1 in the words of another
# program.
function __qemu_tapctl_at
    set -l words (commandline -opc)
    not contains -- -- $words
    and not __qemu_tapctl_rest >/dev/null
    and if set -q argv[1]
        contains -- "$words[2]" $argv
    else
        not set -q words[2]
    end
end

# `down` takes any number of names or --all, `args` one name.
function __qemu_tapctl_at_name
    set -l words (commandline -opc)
    if __qemu_tapctl_at args
        for at in (seq 3 (count $words))
            string match -q -- '-*' $words[$at]
            or contains -- $words[(math $at - 1)] --device --first-nic --format
            or return 1
        end
    else
        __qemu_tapctl_at down
        and not contains -- --all $words
    end
end

function __qemu_tapctl_at_help
    __qemu_tapctl_at help
    and test (count (commandline -opc)) -eq 2
end

function __qemu_tapctl_in_command
    set -l words (commandline -opc)
    test "$words[2]" = run
    and __qemu_tapctl_rest >/dev/null
end

function __qemu_tapctl_in_runqemu
    set -l words (commandline -opc)
    test "$words[2]" = runqemu
    and __qemu_tapctl_rest >/dev/null
end

# Completes the command of `run` by the command's own completion.
function __qemu_tapctl_command
    set -l words (commandline -opc)
    set -l first (__qemu_tapctl_rest)
    complete -C (string join ' ' -- (string escape -- $words[$first..]) (commandline -ct | string collect -a))
end

complete -c qemu-tapctl -f
complete -c qemu-tapctl -n __qemu_tapctl_at -l help -d 'Print a help message and exit'
complete -c qemu-tapctl -n __qemu_tapctl_at -l version -d 'Print the version and exit'
complete -c qemu-tapctl -n __qemu_tapctl_at -a run -d 'Start QEMU with taps that are gone when it ends'
complete -c qemu-tapctl -n __qemu_tapctl_at -a runqemu -d "Start Yocto's runqemu with taps that are gone when it ends"
complete -c qemu-tapctl -n __qemu_tapctl_at -a up -d 'Get taps and print what to start QEMU with'
complete -c qemu-tapctl -n __qemu_tapctl_at -a down -d 'End leases'
complete -c qemu-tapctl -n __qemu_tapctl_at -a list -d 'Show leases'
complete -c qemu-tapctl -n __qemu_tapctl_at -a args -d 'Print again what to start QEMU with'
complete -c qemu-tapctl -n __qemu_tapctl_at -a help -d 'Open the manual page'

complete -c qemu-tapctl -n '__qemu_tapctl_at run runqemu up down list args help' -l help -d 'Print a help message and exit'
complete -c qemu-tapctl -n '__qemu_tapctl_at run runqemu up' -x -l count -d 'How many taps'
complete -c qemu-tapctl -n '__qemu_tapctl_at run up' -x -l queues -d 'Queues of each tap'
complete -c qemu-tapctl -n '__qemu_tapctl_at run runqemu up' -x -l label -d 'Your name for the lease'
complete -c qemu-tapctl -n '__qemu_tapctl_at run runqemu up args' -x -l first-nic \
    -d "Number of the guest's ethN that is ours"
complete -c qemu-tapctl -n '__qemu_tapctl_at run runqemu up args' -x -l device -d "QEMU's NIC model" \
    -a 'virtio-net-pci virtio-net-device e1000 e1000e rtl8139 vmxnet3'
complete -c qemu-tapctl -n '__qemu_tapctl_at run' -x -l hold -d 'How the taps are given to the program' -a 'fd name'
complete -c qemu-tapctl -n '__qemu_tapctl_at run' -x -l vnet -d 'Virtio header before frames' -a 'on off'
complete -c qemu-tapctl -n '__qemu_tapctl_at run' -x -l vhost -d 'Move packets in the kernel' -a 'no auto yes'
complete -c qemu-tapctl -n '__qemu_tapctl_at run up' -x -l user -d 'Be this user; for root' -a '(__fish_complete_users)'
complete -c qemu-tapctl -n '__qemu_tapctl_at run' -l keep-environment -d 'Let this user have root\'s environment'
complete -c qemu-tapctl -n '__qemu_tapctl_at run runqemu up list' -l no-ask-password -d 'Never ask for a password'
complete -c qemu-tapctl -n '__qemu_tapctl_at up' -x -l idle-timeout \
    -d 'End the lease when no program has it open for so long'
complete -c qemu-tapctl -n '__qemu_tapctl_at up args' -x -l format -d 'Form of what is printed' \
    -a 'text json qemu cmdline env yocto'
complete -c qemu-tapctl -n '__qemu_tapctl_at up' -l json -d 'The same as --format json'
complete -c qemu-tapctl -n '__qemu_tapctl_at list' -l json -d 'As JSON'
complete -c qemu-tapctl -n '__qemu_tapctl_at down' -l all -d 'All leases of yours'
complete -c qemu-tapctl -n '__qemu_tapctl_at list' -l all -d "Everyone's"
complete -c qemu-tapctl -n __qemu_tapctl_at_help -a 'run runqemu up down list args help'
complete -c qemu-tapctl -n __qemu_tapctl_at_name -a '(__qemu_tapctl_names)'
complete -c qemu-tapctl -n __qemu_tapctl_in_command -a '(__qemu_tapctl_command)'
complete -c qemu-tapctl -n __qemu_tapctl_in_runqemu -F
