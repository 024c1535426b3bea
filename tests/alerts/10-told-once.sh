#!/usr/bin/env bash
# Step:  a problem reaches mail, a webhook, a chat, Alertmanager and a program once each, also over kill -9, and so does its end
# Limit: 240
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/alerts/receivers.sh"

receivers_start
world_new "$SUITE_DIR/once" "${RECEIVERS_CONFIGURATION[@]}"
server_start

for channel in mail hook chat alerts page; do
    check "$channel takes a test" admin notify test "$channel"
done
refused "a channel that nobody configured is named as such" any "no channel is named" admin notify test nobody
equal "each of them got one message" "1 1 1 1" "$(counts)"
contains "the mail came over TLS, with the addresses that were configured" \
    "X-Took: from=dockwarden@fleet.internal to=ops@fleet.internal,boss@fleet.internal tls=True" "$(cat "$(nth mail 1)")"

host_that_waits web-1.fleet.internal
look
look
contains "the problem is listed" "approval-waiting" "$(admin problem ls)"
settles 30 "everybody was told" told 2
for kind in hook chat mail page; do
    contains "$kind says what to do" "dockwarden host approve" "$(unfolded "$(nth "$kind" 2)")"
done
equal "the webhook got a CloudEvents event" dockwarden.problem.opened "$(field type <"$(nth hook 2)")"
settles 20 "Alertmanager shows it at its severity alone" equal_alerts warning

server_kill
server_start
look
look
equal "after kill -9 nobody is told again" "2 2 2 2" "$(counts)"

check "an operator approves" admin host approve web-1.fleet.internal
look
settles 30 "everybody is told that it is over" told 3
equal "the webhook got its end" dockwarden.problem.resolved "$(field type <"$(nth hook 3)")"
settles 20 "Alertmanager shows nothing any more" equal_alerts
equal "nothing is open" 0 "$(admin problem ls -q | wc -l)"
equal "and nothing waits" 0 "$(admin notify ls --waiting -q | wc -l)"
