# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Jobs of tools/check that run in the background while rings wait: builds, images and root file systems. To be sourced.
# One job runs at a time, in the order in which the caller adds them (add_job), with a lower priority, so that a ring
# in the foreground gets the processors first. A ring awaits the jobs that it needs (await_job), and then their output
# appears. The caller calls start_jobs once, and end_jobs when it ends, however it ends.

jobs_folder=
job_names=()
declare -A job_commands=() job_reported=()
jobs_pid=

add_job() { # NAME COMMAND [WORD...]; no word may hold a space
    job_names+=("$1")
    job_commands[$1]=${*:2}
}

run_jobs() {
    local name status started
    renice -n 5 "$BASHPID" >/dev/null
    for name in "${job_names[@]}"; do
        started=$SECONDS status=0
        # A process of its own that is waited for: bash ignores `set -e` left of `||`.
        # shellcheck disable=SC2086 # the command's words
        (set -e; ${job_commands[$name]}) >"$jobs_folder/$name.log" 2>&1 &
        wait $! || status=$?
        echo "$status $((SECONDS - started))" >"$jobs_folder/$name.new"
        # In one step, so that the file is whole for its reader.
        mv "$jobs_folder/$name.new" "$jobs_folder/$name.done"
    done
}

start_jobs() { # FOLDER
    jobs_folder=$1
    rm -rf "$jobs_folder"
    mkdir -p "$jobs_folder"
    ((${#job_names[@]})) || return 0
    # With job control the jobs get a process group of their own, which one signal ends.
    set -m
    run_jobs </dev/null &
    jobs_pid=$!
    set +m
}

# Waits for the job and prints its output once. The status is the job's; 0 if no such job was added.
await_job() { # NAME
    local status seconds
    [[ -n ${job_commands[$1]:-} ]] || return 0
    until [[ -e $jobs_folder/$1.done ]]; do
        if ! kill -0 "$jobs_pid" 2>/dev/null && [[ ! -e $jobs_folder/$1.done ]]; then
            echo "the background ended before this job did" >>"$jobs_folder/$1.log"
            echo "1 0" >"$jobs_folder/$1.done"
        fi
        sleep 0.2
    done
    read -r status seconds <"$jobs_folder/$1.done"
    if [[ -z ${job_reported[$1]:-} ]]; then
        job_reported[$1]=1
        printf '\n-- %s (in the background, %s s)\n' "$1" "$seconds"
        cat "$jobs_folder/$1.log"
    fi
    return "$status"
}

end_jobs() {
    local waited=0
    [[ -n $jobs_pid ]] && kill -TERM -- "-$jobs_pid" 2>/dev/null || return 0
    # A job that has something to unmount or to remove does so at SIGTERM.
    while kill -0 -- "-$jobs_pid" 2>/dev/null && ((waited++ < 50)); do
        sleep 0.1
    done
    kill -KILL -- "-$jobs_pid" 2>/dev/null || true
}
