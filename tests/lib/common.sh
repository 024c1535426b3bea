# shellcheck shell=bash
# What every step of every suite stands on: asserts that print a sentence, waiting with a bound, and processes that
# are started by name and ended by id.
#
# A step is a bash script run by tests/run with these in its environment:
#   REPO       the checkout                      SUITE_DIR  what the whole suite shares (ends with its teardown)
#   STEP_DIR   this step's own, empty directory   STEP_MARK  a mark in the environment of all it starts

set -euo pipefail
export LC_ALL=C

# -- asserts ---------------------------------------------------------------------------------------------------------

# Sentences go to where the step's output goes, also from inside `$(...)`.
exec 3>&1

ok() { printf '  ok    %s\n' "$1" >&3; }
note() { printf '  note  %s\n' "$1" >&3; }
skip() { printf '  skip  %s\n' "$1" >&3; }

# fail SENTENCE [DETAIL...]: says so and ends the step.
fail() {
    printf '  FAIL  %s\n' "$1" >&3
    shift
    if (($#)); then printf '        %s\n' "$@" >&3; fi
    exit 1
}

# check SENTENCE COMMAND...: the command must succeed.
check() {
    local sentence=$1 status=0
    shift
    "$@" >"$STEP_DIR/check.out" 2>&1 || status=$?
    cat "$STEP_DIR/check.out"
    ((status == 0)) || fail "$sentence" "exit $status from: $*" "$(tail -n 5 "$STEP_DIR/check.out")"
    ok "$sentence"
}

# refused SENTENCE CODE TEXT COMMAND...: the command must fail with CODE (`any` for any but 0; a list such as 1,2 for
# one of several) and its output must contain TEXT (an extended regular expression, case ignored).
refused() {
    local sentence=$1 code=$2 text=$3 status=0
    shift 3
    "$@" >"$STEP_DIR/check.out" 2>&1 </dev/null || status=$?
    cat "$STEP_DIR/check.out"
    ((status != 0)) || fail "$sentence" "exit 0 from: $*" "$(tail -n 5 "$STEP_DIR/check.out")"
    ((status != 101 && status < 124)) || fail "$sentence" "crashed or hung (exit $status): $*" "$(tail -n 5 "$STEP_DIR/check.out")"
    if [[ $code != any && ",$code," != *",$status,"* ]]; then
        fail "$sentence" "exit $status, not $code, from: $*" "$(tail -n 5 "$STEP_DIR/check.out")"
    fi
    if grep -q "panicked at" "$STEP_DIR/check.out"; then fail "$sentence" "panicked: $*"; fi
    grep -Eqi -- "$text" "$STEP_DIR/check.out" ||
        fail "$sentence" "the answer does not say /$text/:" "$(tail -n 5 "$STEP_DIR/check.out")"
    ok "$sentence"
}

# equal SENTENCE EXPECTED ACTUAL
equal() {
    [[ $2 == "$3" ]] || fail "$1" "expected: $2" "actual:   $3"
    ok "$1"
}

# contains SENTENCE TEXT ACTUAL: ACTUAL has TEXT in it, as it stands.
contains() {
    [[ $3 == *"$2"* ]] || fail "$1" "expected to contain: $2" "actual: $3"
    ok "$1"
}

# differs SENTENCE A B
differs() {
    [[ $2 != "$3" ]] || fail "$1" "both are: $2"
    ok "$1"
}

# wait_for SECONDS WHAT COMMAND...: tries the command five times a second until it succeeds; fails after SECONDS.
wait_for() {
    local seconds=$1 what=$2 deadline
    shift 2
    deadline=$((SECONDS + seconds))
    until "$@" >"$STEP_DIR/wait.out" 2>&1; do
        if ((SECONDS >= deadline)); then
            cat "$STEP_DIR/wait.out"
            fail "$what within $seconds s" "last try of: $*" "$(tail -n 3 "$STEP_DIR/wait.out")"
        fi
        sleep 0.2
    done
}

# settles SECONDS SENTENCE COMMAND...: an assert that may need a moment.
settles() {
    wait_for "$@"
    ok "$2"
}

# -- what must happen at the end of a step, however it ends ------------------------------------------------------------

_at_exit=()
at_exit() { _at_exit+=("$(printf '%q ' "$@")"); }

_run_at_exit() {
    local status=$? index
    trap - EXIT
    set +e
    for ((index = ${#_at_exit[@]} - 1; index >= 0; index--)); do
        eval "${_at_exit[index]}"
    done
    stop_all "$STEP_DIR/processes"
    exit "$status"
}
trap _run_at_exit EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

# -- processes ---------------------------------------------------------------------------------------------------------

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

# -- small things ------------------------------------------------------------------------------------------------------

# free_port: a TCP port of loopback that nobody listens on now.
free_port() {
    python3 - <<'PYTHON'
import socket
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    print(s.getsockname()[1])
PYTHON
}

# listens ADDRESS PORT
listens() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }
