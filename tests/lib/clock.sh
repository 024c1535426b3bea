# shellcheck shell=bash
# Clocks that are wrong, for programs of ours: libfaketime between them and the system. Time that is counted (CLOCK_MONOTONIC)
# goes on as it does.

FAKETIME_LIBRARY=$(find /usr/lib -name libfaketimeMT.so.1 2>/dev/null | head -n 1)

# clock_of FILE: what a program is started through so that its clock is off by what FILE says, from one moment to the
# next: in the array `through_clock`.
clock_of() {
    [[ $FAKETIME_LIBRARY ]] || fail "there is no libfaketime" "apt-get install faketime"
    clock_set "$1" +0
    # shellcheck disable=SC2034 # for the caller
    through_clock=(env LD_PRELOAD="$FAKETIME_LIBRARY" FAKETIME_TIMESTAMP_FILE="$1" FAKETIME_NO_CACHE=1
        FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_DONT_RESET=1 NO_FAKE_STAT=1)
}

# clock_set FILE OFFSET: +1d, -1d, +0.
clock_set() {
    printf '%s\n' "$2" >"$1.new"
    mv "$1.new" "$1"
}
