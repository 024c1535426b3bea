# shellcheck shell=bash
# What every step of every suite stands on: asserts that print a sentence, waiting with a bound, and an end that always
# comes.
#
# A step is a bash script run by tests/run with these in its environment:
#   REPO       the checkout                      SUITE_DIR  what the whole suite shares (ends with its teardown)
#   STEP_DIR   this step's own, empty directory   STEP_MARK  a mark in the environment of all it starts

set -euo pipefail
export LC_ALL=C

# shellcheck source=tests/lib/processes.sh
source "$REPO/tests/lib/processes.sh"

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
    printf '%s\n' "$(<"$STEP_DIR/check.out")"
    ((status == 0)) || fail "$sentence" "exit $status from: $*" "$(tail -n 5 "$STEP_DIR/check.out")"
    ok "$sentence"
}

# refused SENTENCE CODE TEXT COMMAND...: the command must fail with CODE (`any` for any but 0; a list such as 1,2 for
# one of several) and its output must contain TEXT (an extended regular expression, case ignored).
refused() {
    local sentence=$1 code=$2 text=$3 status=0
    shift 3
    "$@" >"$STEP_DIR/check.out" 2>&1 </dev/null || status=$?
    printf '%s\n' "$(<"$STEP_DIR/check.out")"
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
# A command that failed outside an assert ends the step, too, and is named.
set -E
trap 'printf "  FAIL  %s line %s: %s\n" "${BASH_SOURCE[0]##*/}" "$LINENO" "$BASH_COMMAND" >&3' ERR
trap 'exit 143' TERM
trap 'exit 130' INT

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
