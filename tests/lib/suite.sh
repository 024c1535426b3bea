# shellcheck shell=bash
# Runs a suite that is a folder of numbered steps, `tests/SUITE/NN-name.sh`, and its `teardown.sh`, which always runs.
#
# The head of a step says what it is:
#   # Step:  the sentence it proves           # Limit: seconds it may take (300 without one)
#   # Needs: numbers of steps that must have passed before, or it is skipped

# header FILE KEY
header() { sed -n "s/^# $2: *//p" "$1" | head -n 1; }

# suite_run SUITE [NUMBER,...]: all steps, or only the named ones. Adds to PASSED, FAILED and SKIPPED.
suite_run() {
    local suite=$1 only=${2:-} step number
    suite_begin "$suite"
    for step in "$REPO/tests/$suite"/[0-9]*.sh; do
        number=$(basename "$step")
        number=${number%%-*}
        [[ -z $only || ",$only," == *",$number,"* ]] || continue
        suite_step "$step" "$number"
    done
    suite_end
}

suite_begin() {
    SUITE=$1
    export SUITE_DIR=$WORK/$SUITE SUITE_MARK=$SUITE.$$
    # Sockets want a short path.
    RUN_DIR=$(mktemp -d "/tmp/dockwarden-test.XXXXXX")
    export RUN_DIR
    rm -rf --one-file-system "$SUITE_DIR"
    mkdir -p "$SUITE_DIR/steps"
    PASSED_STEPS=,
    STEP_PID=
    SUITE_OPEN=yes
}

suite_step() {
    local step=$1 number=$2 sentence limit status=0 began=$SECONDS log needed left
    sentence=$(header "$step" Step)
    limit=$(header "$step" Limit)
    for needed in $(header "$step" Needs); do
        if [[ $PASSED_STEPS != *",$needed,"* ]]; then
            printf '  skip  %s %s (needs step %s)\n' "$number" "$sentence" "$needed"
            ((SKIPPED += 1))
            return
        fi
    done
    export STEP_DIR=$SUITE_DIR/steps/$number STEP_MARK=$SUITE_MARK.$number
    mkdir -p "$STEP_DIR"
    log=$SUITE_DIR/$number.log
    timeout --kill-after=60 "${limit:-300}" bash "$step" >"$log" 2>&1 </dev/null 9>&- &
    STEP_PID=$!
    wait "$STEP_PID" || status=$?
    STEP_PID=
    left=$(leftovers "$STEP_MARK")
    printf '  %s  %s %s (%s s)\n' "$( ((status == 0)) && [[ -z $left ]] && echo 'ok  ' || echo FAIL)" "$number" "$sentence" "$((SECONDS - began))"
    grep -E '^  (ok|skip|note)  ' "$log" | sed 's/^/      /' || true
    if ((status == 0)) && [[ -z $left ]]; then
        ((PASSED += 1))
        PASSED_STEPS+=$number,
        return
    fi
    ((FAILED += 1))
    suite_explain "$log" "$status" "${limit:-300}" "$left"
}

# suite_explain LOG STATUS LIMIT LEFTOVERS: why a step failed.
suite_explain() {
    if (($2 == 124 || $2 == 137)); then printf '      took longer than %s s\n' "$3"; fi
    if [[ $4 ]]; then printf '      left running (ended now):\n%s\n' "$4" | sed '2,$s/^/        /'; fi
    printf '      the end of %s:\n' "$1"
    tail -n 40 "$1" | sed 's/^/      | /'
}

# leftovers MARK: processes with that mark that are still there a moment later; they are listed and killed.
leftovers() {
    local left pid _rest try
    for try in 1 2 3 4 5 6 7 8 9 10; do
        left=$(marked_processes "$1")
        [[ $left ]] || return 0
        sleep 0.2
    done
    : "$try"
    printf '%s\n' "$left"
    while read -r pid _rest; do kill -s KILL "$pid" 2>/dev/null || true; done <<<"$left"
}

# suite_end: the teardown, then what it must not leave behind.
suite_end() {
    [[ ${SUITE_OPEN:-} ]] || return 0
    SUITE_OPEN=
    local log=$SUITE_DIR/teardown.log left status=0 began=$SECONDS sentence
    sentence="-- nothing is left of it: no process, mount or network"
    export STEP_DIR=$SUITE_DIR/steps/teardown STEP_MARK=$SUITE_MARK.teardown
    mkdir -p "$STEP_DIR"
    if [[ $STEP_PID ]]; then
        kill -s TERM "$STEP_PID" 2>/dev/null || true
        wait "$STEP_PID" || true
    fi
    timeout --kill-after=30 300 bash "$REPO/tests/$SUITE/teardown.sh" >"$log" 2>&1 </dev/null 9>&- || status=$?
    left=$(
        leftovers "$SUITE_MARK"
        findmnt --raw --noheadings --output TARGET | grep -F -e "$SUITE_DIR" -e "$RUN_DIR" | sed 's/^/mount /' || true
    )
    rm -rf --one-file-system "$RUN_DIR"
    if ((status == 0)) && [[ -z $left ]]; then
        printf '  ok    %s (%s s)\n' "$sentence" "$((SECONDS - began))"
        ((PASSED += 1))
        return
    fi
    printf '  FAIL  %s (%s s)\n' "$sentence" "$((SECONDS - began))"
    ((FAILED += 1))
    suite_explain "$log" "$status" 300 "$left"
}
