#!/usr/bin/env bash
# Step:  receivers that are broken, then gone, lose nothing: told when they are back, once, in order, and named meanwhile
# Limit: 240
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/alerts/receivers.sh"

receivers_start
world_new "$SUITE_DIR/broken" "${RECEIVERS_CONFIGURATION[@]}"
server_start

touch "$R/broken"
refused "a test of a mail server that cannot says what it said" any "451|come back later" admin notify test mail
refused "and of a webhook, its status" any "answered 500" admin notify test hook
host_that_waits web-2.fleet.internal
look
settles 20 "who waits, and why, is listed" waits_because 451
check "an operator approves" admin host approve web-2.fleet.internal
look
settles 20 "only the program, which is not broken, took both" counted "0 0 0 2"
rm "$R/broken"
stop receivers
server_kill
server_start
sleep 3
receivers_start_again
# The test, the beginning and the end; the chat was not tested.
settles 120 "once they are back they get everything" counted "3 3 2 2"
sleep 3
equal "once" "3 3 2 2" "$(counts)"
equal "in order" "dockwarden.problem.opened dockwarden.problem.resolved" \
    "$(for number in 1 2 3; do field type <"$(nth hook "$number")"; done | grep -v test | paste -sd ' ')"
equal "and nothing waits" 0 "$(admin notify ls --waiting -q | wc -l)"
equal "both mails of the problem are in one thread" 2 "$(grep -l "^References: <problem-" "$R"/mail-* | wc -l)"
