# SPDX-License-Identifier: MIT
#
# bash completes verbs, options, their values, and the caller's own leases by any of their names. `run` completes a
# command, with bash-completion by the command's own completion. `runqemu` completes files.

# Prints the caller's leases, labels and taps, one on each line. Prints nothing if the service does not answer. The
# client has no terminal here, so polkit asks for no password.
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

# Prints the possible values of an option, one on each line. Returns 1 if OPTION takes no value.
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

# Returns 0 if one of the WORDs, which follow the verb, is neither an option nor the value of one.
_qemu_tapctl_named() { # WORD...
    local word before=
    for word in "$@"; do
        [[ $word == -* ]] || _qemu_tapctl_values "$before" >/dev/null || return 0
        before=$word
    done
    return 1
}

# Prints the candidates for the word that follows WORDs, the verb and its arguments, one on each line.
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
        # A name that the line has is no candidate.
        while read -r choice; do
            [[ " $* " == *" $choice "* ]] || printf '%s\n' "$choice"
        done < <(_qemu_tapctl_names)
    fi
}

# Prints the number in COMP_WORDS of the word that begins another program's command or arguments: the word after `--`,
# or the first one that is neither an option nor the value of one. Returns 1 if the cursor is before it.
_qemu_tapctl_rest() {
    local rest=$COMP_LINE i
    # The words as the program gets them, and the number of each one's first part: bash splits at "=" and ":" too.
    local -a words=() numbers=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        if ((i == 0)) || [[ $rest == [[:blank:]]* ]]; then
            words+=("")
            numbers+=("$i")
        fi
        words[-1]+=${COMP_WORDS[i]}
        rest=${rest#"${rest%%[![:blank:]]*}"}
        rest=${rest#"${COMP_WORDS[i]}"}
    done
    local last=$((${#words[@]} - 1))
    for ((i = 2; i <= last; i++)); do
        if [[ ${words[i]} == -- ]] && ((i < last)); then
            echo "${numbers[i + 1]}"
            return
        elif [[ ${words[i]} != -* ]]; then
            echo "${numbers[i]}"
            return
        elif _qemu_tapctl_values "${words[i]}" >/dev/null; then
            ((++i))
        fi
    done
    return 1
}

# Completes the command of `run`, which begins with word number FIRST.
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
    local line=${COMP_LINE:0:COMP_POINT} words current choice first
    COMPREPLY=()
    if [[ ${COMP_WORDS[1]} == run ]] && first=$(_qemu_tapctl_rest); then
        _qemu_tapctl_command "$first"
        return
    elif [[ ${COMP_WORDS[1]} == runqemu ]] && _qemu_tapctl_rest >/dev/null; then
        compopt -o bashdefault -o default
        return
    fi
    # The words as the program gets them: bash splits at "=" and ":" too.
    read -ra words <<<"$line"
    [[ $line == *[[:blank:]] ]] && words+=("")
    current=${words[-1]}
    unset 'words[-1]' 'words[0]'
    if [[ $current == --*=* ]]; then
        words+=("${current%%=*}")
        current=${current#*=}
        # An option that takes no value has no candidates after "=".
        _qemu_tapctl_values "${words[-1]}" >/dev/null || return
    fi
    while read -r choice; do
        # bash replaces only the part of the typed word that follows the last ":".
        [[ $choice == "$current"* ]] && COMPREPLY+=("${choice#"${current%"$2"}"}")
    done < <(_qemu_tapctl_choices "$current" "${words[@]}")
}

complete -F _qemu_tapctl qemu-tapctl
