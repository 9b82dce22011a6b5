# SPDX-License-Identifier: MIT
#
# What bash completes of qemu-tapctl: verbs, options, their values, and the caller's own leases by any of their
# names. It needs no bash-completion, but with it the command behind `run -- ` is completed as it is elsewhere. Behind
# `runqemu -- ` stand files, among others.

# One a line: the caller's leases, labels and taps. Nothing, and no word, where the service does not answer; and with
# no terminal to read from nobody is asked for a password.
_qemu_tapctl_names() {
    timeout 2 qemu-tapctl list 2>/dev/null </dev/null |
        awk 'NR > 1 && NF > 4 { print $1; print $5; if ($2 != "-") print $2 }' | sort -u
}

_qemu_tapctl_options() { # VERB
    case $1 in
        '') echo --help --version ;;
        run) echo --count --queues --hold --vhost --vnet --device --first-nic --label --user --keep-environment --no-ask-password --help ;;
        runqemu) echo --count --device --first-nic --label --no-ask-password --help ;;
        up) echo --count --queues --device --first-nic --label --user --idle-timeout --format --json --no-ask-password --help ;;
        down) echo --all --help ;;
        list) echo --all --json --no-ask-password --help ;;
        args) echo --device --first-nic --format --help ;;
        help) echo --help ;;
    esac
}

# One a line: what the value of an option may be. Status 1: what stands behind OPTION is no value.
_qemu_tapctl_values() { # OPTION
    case $1 in
        --format) printf '%s\n' text json qemu cmdline env yocto ;;
        --hold) printf '%s\n' fd name ;;
        --vnet) printf '%s\n' on off ;;
        --vhost) printf '%s\n' no auto yes ;;
        --device) printf '%s\n' virtio-net-pci virtio-net-device e1000 e1000e rtl8139 vmxnet3 ;;
        --user) compgen -u ;;
        --count | --first-nic | --queues | --label | --idle-timeout) ;;
        *) return 1 ;;
    esac
}

# Whether one of WORDs, which follow the verb, is neither an option nor the value of one.
_qemu_tapctl_named() { # WORD...
    local word before=
    for word in "$@"; do
        [[ $word == -* ]] || _qemu_tapctl_values "$before" >/dev/null || return 0
        before=$word
    done
    return 1
}

# One a line: what can stand behind WORDs, which are the verb and what follows it.
_qemu_tapctl_choices() { # CURRENT WORD...
    local current=$1 verb=${2:-} choice
    shift
    (($#)) && _qemu_tapctl_values "${!#}" && return
    if [[ $current == -* ]]; then
        printf '%s\n' $(_qemu_tapctl_options "$verb")
    elif (($# == 0)); then
        printf '%s\n' run runqemu up down list args help
    elif [[ $verb == help ]]; then
        (($# > 1)) || printf '%s\n' run runqemu up down list args help
    elif [[ $verb == down && " $* " != *" --all "* ]] || { [[ $verb == args ]] && ! _qemu_tapctl_named "${@:2}"; }; then
        # What is named already need not be named again.
        while read -r choice; do
            [[ " $* " == *" $choice "* ]] || printf '%s\n' "$choice"
        done < <(_qemu_tapctl_names)
    fi
}

# The command of `run`, from word number FIRST on.
_qemu_tapctl_command() { # FIRST
    if declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$1"
    elif declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif ((COMP_CWORD == $1)); then
        mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
    else
        compopt -o bashdefault -o default
    fi
}

_qemu_tapctl() {
    local line=${COMP_LINE:0:COMP_POINT} words current choice i
    COMPREPLY=()
    for ((i = 2; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == -- ]] || continue
        case ${COMP_WORDS[1]} in
            run)
                _qemu_tapctl_command $((i + 1))
                return
                ;;
            runqemu)
                compopt -o bashdefault -o default
                return
                ;;
        esac
    done
    # The words as the program gets them: bash's own end at every "=" and ":".
    read -ra words <<<"$line"
    [[ $line == *[[:blank:]] ]] && words+=("")
    current=${words[-1]}
    unset 'words[-1]' 'words[0]'
    if [[ $current == --*=* ]]; then
        words+=("${current%%=*}")
        current=${current#*=}
        # After this no option can stand here.
        _qemu_tapctl_values "${words[-1]}" >/dev/null || return
    fi
    while read -r choice; do
        # Of what is typed, bash replaces what stands behind the last ":" alone.
        [[ $choice == "$current"* ]] && COMPREPLY+=("${choice#"${current%"$2"}"}")
    done < <(_qemu_tapctl_choices "$current" "${words[@]}")
}

complete -F _qemu_tapctl qemu-tapctl
