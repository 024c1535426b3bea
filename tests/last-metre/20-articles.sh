#!/usr/bin/env bash
# Step:  three hosts that were set up as articles say are taken over at the price of one restart, and given back as they were
# Limit: 400
# Needs: 05
# A host's STEP_DIR is its subshell's own, on purpose; what stands in single quotes is expanded on the host.
# shellcheck disable=SC2030,SC2031,SC2016
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/hosts.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/metre.sh"
world_use "$SUITE_DIR/days"
articles=$REPO/tests/last-metre/articles

# -- options in /etc/sysconfig/docker --------------------------------------------------------------------------------

# The article's own test, with the files of that directory.
sysconfig_test() {
    (cd "$2" && timeout 30 docker --tlsverify --tlskey=key.pem --tlscacert=ca.pem \
        --tlscert=cert.pem -H="$(metre_address "$1")":2376 version)
}

sysconfig() {
    local name=$1 root home=$STEP_DIR/client
    root=$(host_root "$name")
    # The system of the article: its unit reads that file, and knows of no socket unit.
    sh_on "$name" 'systemctl stop docker.service docker.socket; systemctl disable docker.socket'
    install -m 0644 "$articles/sysconfig/docker.service" "$root/etc/systemd/system/docker.service"
    on "$name" systemctl daemon-reload
    on_host "$name" sh -s "$(metre_address "$name")" <"$articles/sysconfig/server.sh"
    mkdir -p "$home/.docker"
    (cd "$root/root" && cp .docker/{ca,ca-key}.pem "$home/.docker/")
    HOME=$home sh "$articles/sysconfig/client.sh"

    install -D -m 0644 "$articles/sysconfig/OPTIONS.printed" "$root/etc/sysconfig/docker"
    refused "as printed, dockerd does not start: nobody expands the ~" any 'failed|job for' on "$name" /etc/init.d/docker restart
    install -m 0644 "$articles/sysconfig/OPTIONS" "$root/etc/sysconfig/docker"
    sh_on "$name" 'systemctl reset-failed docker; /etc/init.d/docker restart; docker start alone linked'
    contains "with paths it does, and the article's own test passes" "Server:" "$(sysconfig_test "$name" "$home/.docker")"

    taken_over "$name" "$home/.docker"
    contains "the article's options are still options" "--default-ulimit nofile=1024:4096" "$(dockerd_line "$name")"
    contains "its test passes with files from client enroll" "Server:" "$(sysconfig_test "$name" "$W/clients/operator")"
    refused "and not with those of the article" any 'certificate|tls' sysconfig_test "$name" "$home/.docker"

    given_back "$name"
    contains "and the article's own test passes again" "Server:" "$(sysconfig_test "$name" "$home/.docker")"
    docker_as_kept "$name"
}

# -- a proxy in front of docker.sock ---------------------------------------------------------------------------------

# nginx_test NAME PORT KEY CERT: the article's three requests; prints what each was answered with.
nginx_test() {
    # shellcheck disable=SC2016 # the shell there expands it
    sh_on "$1" '
        curl -s -o /dev/null -w "%{http_code}\n" "http://localhost:$1/info"
        curl -s -k -o /dev/null -w "%{http_code}\n" "https://localhost:$1/info"
        curl -s -k --key "$2" --cert "$3" -w "\n%{http_code}\n" "https://localhost:$1/info" | sed "s/^{.*/JSON/"' \
        "$2" "$3" "$4" | tr -s '\n' | paste -sd' '
}

proxy() {
    local name=$1 root before
    root=$(host_root "$name")
    # What the package nginx would bring.
    program_put "$name" "$(command -v nginx)"
    cp -a /etc/nginx "$root/etc/"
    rm -rf "$root"/etc/nginx/{sites,modules}-enabled/*
    mkdir -p "$root"/var/{log,lib}/nginx "$root/etc/nginx/certs" "$root/root/ssl"
    install -m 0644 "$(systemctl_unit nginx)" "$root/etc/systemd/system/nginx.service"

    (cd "$root/root/ssl" && sh "$articles/nginx/commands.sh")
    cp "$root"/root/ssl/{ca.crt,server.key,server.crt} "$root/etc/nginx/certs/"
    install -m 0644 "$articles/nginx/site" "$root/etc/nginx/sites-enabled/default"
    on "$name" usermod -aG docker www-data
    sh_on "$name" "systemctl daemon-reload; systemctl restart nginx"
    equal "the article's own tests: without TLS 400, without a certificate 400, with one the answer" "400 400 JSON 200" \
        "$(nginx_test "$name" 4242 /root/ssl/client.key /root/ssl/client.crt)"
    mkdir -p "$STEP_DIR/client"
    cp "$root/root/ssl/ca.crt" "$STEP_DIR/client/ca.pem"
    cp "$root/root/ssl/client.crt" "$STEP_DIR/client/cert.pem"
    cp "$root/root/ssl/client.key" "$STEP_DIR/client/key.pem"

    # dockerd cannot have the port that nginx has.
    before=$(others_configuration "$name")
    agent_put "$name" 'listen = "0.0.0.0:4242"'
    refused "on the port that nginx has nothing is begun" 1 'in use|taken|4242' agent_apply "$name"
    same "the configuration is as it was found" "$before" "$(others_configuration "$name")"
    equal "and nginx answers" "400 400 JSON 200" "$(nginx_test "$name" 4242 /root/ssl/client.key /root/ssl/client.crt)"

    gap_port=4242 taken_over "$name" "$STEP_DIR/client"
    cp "$W"/clients/operator/{cert,key}.pem "$root/root/ssl/"
    equal "the article's tests on dockerd's own port: refused without TLS and without a certificate" "400 000 JSON 200" \
        "$(nginx_test "$name" 2376 /root/ssl/key.pem /root/ssl/cert.pem)"
    equal "beside it nginx goes on, until it is taken away" "400 400 JSON 200" \
        "$(nginx_test "$name" 4242 /root/ssl/client.key /root/ssl/client.crt)"
    given_back "$name"
    equal "nginx answers as before" "400 400 JSON 200" "$(nginx_test "$name" 4242 /root/ssl/client.key /root/ssl/client.crt)"
    sh_on "$name" 'systemctl stop nginx; rm /etc/systemd/system/nginx.service; systemctl daemon-reload'
    docker_as_kept "$name"
}

systemctl_unit() { find "/usr/lib/systemd/system/$1.service" "/lib/systemd/system/$1.service" 2>/dev/null | head -n 1; }

# -- a service script, without systemd -------------------------------------------------------------------------------

service_script() {
    local name=$1 root server=myserver.localdomain client=$STEP_DIR/client
    host_create "$name" "$(metre_release "$name")" "$(metre_address "$name")"
    root=$(host_root "$name")
    script_host_boot "$name"
    on "$name" service docker start
    wait_for 30 "$name answers" docker_answers_on "$name"
    on_host "$name" docker import - busybox:test <"$SUITE_DIR/busybox.tar"

    on_host "$name" sh -s secret "$server" <"$articles/service-script/commands.sh"
    cat "$articles/service-script/DOCKER_OPTS" >>"$root/etc/default/docker"
    on "$name" service docker restart
    wait_for 30 "$name answers" docker_answers_on "$name"
    mkdir -p "$client"
    cp "$root"/etc/docker/{ca,cert,key}.pem "$client/"
    refused "the article's first test: without a certificate Docker is not to be had" any 'HTTPS|malformed' \
        timeout 30 docker -H "$(metre_address "$name"):2376" info
    refused "its second, with one, fails by now: Docker's client wants a SAN" any 'SAN|Common Name' \
        docker_tls "$client" "$name" info
    contains "other clients take the name" '"Containers"' "$(by_name "$name" "$server" "$client" | head -c 2000)"
    counting_begin "$name" alone --network=none
    counting_begin "$name" linked

    taken_over "$name" "$client"
    contains "the article's second test passes with files from client enroll" "Containers:" "$(docker_tls "$W/clients/operator" "$name" info)"
    refused "and not with those of the article" any 'certificate|tls' docker_tls "$client" "$name" info
    refused "its first still fails" any 'HTTPS|malformed' timeout 30 docker -H "$(metre_address "$name"):2376" info
    given_back "$name"
    contains "and the article's certificate is served again" '"Containers"' "$(by_name "$name" "$server" "$client" | head -c 2000)"
}

# by_name NAME SERVER DIRECTORY: GET /info from SERVER, which is that host, with those client files.
by_name() {
    curl -sS --fail --max-time 10 --resolve "$2:2376:$(metre_address "$1")" --cacert "$3/ca.pem" --cert "$3/cert.pem" \
        --key "$3/key.pem" "https://$2:2376/info"
}

# -- what is the same for all ----------------------------------------------------------------------------------------

# taken_over NAME DIRECTORY: the agent does its work, while somebody asks all the time with the article's client files
# of DIRECTORY, then with those of client enroll.
taken_over() {
    local name=$1 directory=$2 pids starts
    others_configuration "$name" >"$STEP_DIR/as-the-article-says"
    pids=$(container_pids "$name")
    gap_watch "$name" plain "${gap_port:-2376}" "$directory"
    restart_by_hand "$name"
    gap_end "$name" plain
    sh_on "$name" 'docker start alone linked'
    pids=$(container_pids "$name")
    starts=$(dockerd_starts "$name")
    gap_watch "$name" taken "${gap_port:-2376}" "$directory" "$W/clients/operator"
    agent_put "$name"
    check "$name: the agent takes over" agent_apply "$name"
    gap_end "$name" taken
    equal "at the price of one restart" $((starts + 1)) "$(dockerd_starts "$name")"
    equal "the containers did not notice" "$pids" "$(container_pids "$name")"
    check "what is served is what it was given" serves_what_is_on_disk "$name"
    note "$name: the API was away for $(gap_longest "$name" taken) ms; for a restart by hand $(gap_longest "$name" plain) ms"
    check "not longer than for a restart by hand, and two seconds for a slow machine" \
        test "$(gap_longest "$name" taken)" -le $(($(gap_longest "$name" plain) + 2000))
}

# restart_by_hand NAME: as its administrator would.
restart_by_hand() {
    on "$1" service docker restart
    wait_for 60 "$1 answers" docker_answers_on "$1"
}

# given_back NAME: the agent is uninstalled.
given_back() {
    check "$1: the agent is uninstalled" on "$1" dockwarden agent uninstall --yes
    configuration_of "$1" >"$STEP_DIR/given-back"
    check "every file is as the article left it" diff "$STEP_DIR/as-the-article-says" "$STEP_DIR/given-back"
    wait_for 30 "$1 answers" docker_answers_on "$1"
}

article() {
    case $1 in
        lab-now) sysconfig "$1" ;;
        lab-old) proxy "$1" ;;
        script) service_script "$1" ;;
    esac
}

side_by_side article lab-now lab-old script
host_remove script
