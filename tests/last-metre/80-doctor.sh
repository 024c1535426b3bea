#!/usr/bin/env bash
# Step:  dockwarden doctor finds an exposed port, TLS that asks for nothing, and a certificate that is not the one served
# Limit: 240
# Needs: 05
# A host's STEP_DIR is its subshell's own, on purpose; what stands in single quotes is expanded on the host.
# shellcheck disable=SC2030,SC2031,SC2016
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/hosts.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/metre.sh"
world_use "$SUITE_DIR/days"

# doctor NAME [FORMAT]: what it says, and as last line its exit code.
doctor() {
    local status=0
    on "$1" dockwarden doctor --verbose --format "${2:-table}" || status=$?
    printf 'exit %s\n' "$status"
}

is_well() { doctor "$1" | grep -qE '^exit [01]$'; }

examine() {
    local name=$1 said
    # Nothing of the steps before: a host that never heard of dockwarden.
    on "$name" rm -rf /etc/dockwarden
    install -m 0755 "$SUITE_DIR/dockwarden" "$(host_root "$name")/usr/local/bin/dockwarden"
    said=$(doctor "$name")
    printf '%s\n' "$said"
    contains "$name: Docker as it is shipped is in no danger, and old" "exit 1" "$said"

    case $name in
        lab-old)
            # Root for everybody: as so many guides have it.
            echo 'DOCKER_OPTS="-H tcp://0.0.0.0:2375"' >>"$(host_root "$name")/etc/default/docker"
            on "$name" systemctl restart docker.service
            said=$(doctor "$name")
            contains "$name: port 2375 is found" 2375 "$said"
            contains "as critical" "exit 3" "$said"
            ;;
        lab-now)
            (cd "$REPO"/tests/last-metre/matrix/*-json-tls-without-verify/root && cp -r . "$(host_root "$name")/")
            on_host "$name" sh -e <"$(echo "$REPO"/tests/last-metre/matrix/*-json-tls-without-verify/setup)"
            # Without the last key a dockerd from 23.0 on asks for certificates all the same.
            echo '{"tls": true, "tlscert": "/srv/pki/cert.pem", "tlskey": "/srv/pki/key.pem", "tlsverify": false}' \
                >"$(host_root "$name")/etc/docker/daemon.json"
            on "$name" systemctl restart docker.service
            said=$(doctor "$name")
            contains "$name: TLS without verification is found" "asks nobody for a certificate" "$said"
            contains "as critical" "exit 3" "$said"
            ;;
        lab-new)
            agent_put "$name"
            on "$name" systemctl start dockwarden-agent
            settles 60 "$name: the agent serves" serves_on "$name"
            contains "$name: that nobody refuses who is revoked is found" "does not ask dockwarden" "$(doctor "$name")"
            authz_enable "$name"
            settles 30 "$name: with the agent, asked by dockerd, all is well" is_well "$name"
            # A certificate was renewed, and nobody told dockerd; nor is an agent there to mend it.
            authz_disable "$name"
            sh_on "$name" 'cd /etc/docker/dockwarden/current && rm -f cert.pem && openssl req -x509 -key key.pem -days 3 -subj /CN=newer -out cert.pem'
            said=$(doctor "$name")
            printf '%s\n' "$said"
            contains "$name: a certificate that is not the one served is found" "served" "$said"
            check "not as all is well" grep -qE '^exit [23]$' <<<"$said"
            contains "for programs, too" '"severity"' "$(doctor "$name" json)"
            on "$name" dockwarden agent uninstall --yes
            ;;
    esac
    docker_as_kept "$name"
}

side_by_side examine "${METRE_LAB[@]}"
