# shellcheck shell=bash
# Processes that tests start: by name, written down with the time of their birth, ended by id.

# process_birth PID: when the kernel started it, in clock ticks. Tells a process from a later one with its id.
process_birth() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    stat=${stat##*) }
    # shellcheck disable=SC2086 # the fields are words
    set -- $stat
    # A zombie has ended.
    [[ $1 != Z ]] || return 1
    printf '%s\n' "${20}"
}

# alive PIDFILE: the process that the file names is still that process.
alive() {
    local pid birth
    { read -r pid birth <"$1"; } 2>/dev/null || return 1
    [[ $(process_birth "$pid" || true) == "$birth" ]]
}

_start() {
    local registry=$1 mark=$2 name=$3 log=$4 pid
    shift 4
    mkdir -p "$registry"
    DOCKWARDEN_TEST_MARK=$mark setsid "$@" >>"$log" 2>&1 </dev/null 3>&- &
    pid=$!
    printf '%s %s\n' "$pid" "$(process_birth "$pid" || echo gone)" >"$registry/$name"
}

# start NAME COMMAND...: in the background until the step ends. Its output: $STEP_DIR/NAME.log
start() {
    local name=$1
    shift
    _start "$STEP_DIR/processes" "$STEP_MARK" "$name" "$STEP_DIR/$name.log" "$@"
}

# start_for_suite NAME COMMAND...: in the background until the suite's teardown. Its output: $SUITE_DIR/NAME.log
start_for_suite() {
    local name=$1
    shift
    _start "$SUITE_DIR/processes" "$SUITE_MARK" "$name" "$SUITE_DIR/$name.log" "$@"
}

# pid_file NAME: where the process of that name is written down, this step's before the suite's.
pid_file() {
    if [[ -e $STEP_DIR/processes/$1 ]]; then
        printf '%s\n' "$STEP_DIR/processes/$1"
    else
        printf '%s\n' "$SUITE_DIR/processes/$1"
    fi
}

pid_of() {
    local pid _birth
    read -r pid _birth <"$(pid_file "$1")"
    printf '%s\n' "$pid"
}

running() { alive "$(pid_file "$1")"; }

# end_process PIDFILE [SIGNAL] [SECONDS]: asks it, waits, then kills what is left of its process group.
end_process() {
    local file=$1 signal=${2:-TERM} seconds=${3:-15} pid birth deadline
    [[ -e $file ]] || return 0
    read -r pid birth <"$file" || return 0
    if alive "$file"; then kill -s "$signal" "$pid" 2>/dev/null || true; fi
    deadline=$((SECONDS + seconds))
    while alive "$file" && ((SECONDS < deadline)); do sleep 0.05; done
    if alive "$file"; then
        printf 'process %s (%s) did not end on %s within %s s: killed\n' "$pid" "${file##*/}" "$signal" "$seconds"
        kill -s KILL "$pid" 2>/dev/null || true
        while alive "$file"; do sleep 0.05; done
    fi
    # The group is the process's own (setsid): what is left in it is a child that outlived it.
    [[ $birth == gone ]] || kill -s KILL -- "-$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    rm -f "$file"
}

# stop NAME [SIGNAL] [SECONDS]
stop() {
    local name=$1
    shift
    end_process "$(pid_file "$name")" "$@"
}

# stop_all DIRECTORY: every process written down there, the last started first.
stop_all() {
    local file
    [[ -d $1 ]] || return 0
    while read -r file; do
        end_process "$1/$file"
    done < <(ls -t "$1")
}

# marked_processes MARK: ids of all processes with that mark in their environment, in `ps` form.
marked_processes() {
    local directory
    for directory in /proc/[0-9]*; do
        { grep -qzx "DOCKWARDEN_TEST_MARK=$1" "$directory/environ"; } 2>/dev/null || continue
        [[ $(process_birth "${directory#/proc/}" || true) ]] || continue
        printf '%s %s\n' "${directory#/proc/}" "$(tr '\0' ' ' <"$directory/cmdline" 2>/dev/null | cut -c 1-120)"
    done
}

