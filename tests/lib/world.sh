# shellcheck shell=bash
# A world: one server with its data, its admin, and the agents and clients that joined it, below one directory.
# Everything that knows how dockwarden is called and configured is here, so that steps speak of what they prove.

# dockwarden ARGUMENT...: the program under test, bounded, knowing nothing of the person who runs it.
dockwarden() {
    timeout --kill-after=10 120 env -u DOCKER_HOST -u DOCKER_CONTEXT \
        HOME="$W/home" XDG_CONFIG_HOME="$W/home/.config" DOCKER_CONFIG="$W/docker" "${W_AROUND_COMMANDS[@]}" "$DOCKWARDEN_BIN" "$@"
}

# What commands, servers and agents are started through: `ip netns exec ...`, `env LD_PRELOAD=...`.
W_AROUND_COMMANDS=()
W_AROUND_SERVER=()
W_AROUND_AGENT=()

# world_new DIRECTORY [CONFIGURATION...]: makes a world and sets up its CA. Each CONFIGURATION is a line at the end of
# server.toml.
world_new() {
    W=$1
    shift
    mkdir -p "$W/home" "$W/docker" "$W/tokens" "$W/agents" "$W/clients"
    W_ADDRESS=${W_ADDRESS:-127.0.0.1}
    W_PORT=$(free_port)
    W_PLAIN_PORT=$(free_port)
    W_URL=https://$W_ADDRESS:$W_PORT
    W_ROOT=$W/server/ca/root.pem
    declare -p W W_ADDRESS W_PORT W_PLAIN_PORT W_URL W_ROOT | sed 's/^declare --/declare -g/' >"$W/world"
    head -c 18 /dev/urandom | base64 >"$W/passphrase"
    chmod 600 "$W/passphrase"
    check "a CA is made" dockwarden server init --data-dir "$W/server" --passphrase-file "$W/passphrase" \
        --dns localhost --dns ca.fleet.internal --ip "$W_ADDRESS" --public-url "http://$W_ADDRESS:$W_PLAIN_PORT"
    world_configure "$@"
}

# world_use DIRECTORY: the world of an earlier step.
world_use() {
    # shellcheck disable=SC1091 # written by world_new
    source "$1/world"
}

# world_configure [CONFIGURATION...]: what `server init` wrote, with this world's ports.
world_configure() {
    {
        printf 'listen = ["%s:%s"]\nhttp_listen = "%s:%s"\n' "$W_ADDRESS" "$W_PORT" "$W_ADDRESS" "$W_PLAIN_PORT"
        printf 'passphrase_file = "%s"\n' "$W/passphrase"
        cat "$W/server/server.toml"
        printf '%s\n' "$@"
    } >"$W/server.toml"
}

# server_run_here [ARGUMENT...]: in the foreground.
server_run_here() {
    timeout 20 env HOME="$W/home" "$DOCKWARDEN_BIN" server run --data-dir "$W/server" --config "$W/server.toml" "$@"
}

# server_start, server_start_for_suite: in the background, until it says that it is ready.
server_start() { _server_start start; }
server_start_for_suite() { _server_start start_for_suite; }

_server_start() {
    "$1" "server-$(basename "$W")" "${W_AROUND_SERVER[@]}" env HOME="$W/home" "$DOCKWARDEN_BIN" server run \
        --data-dir "$W/server" --config "$W/server.toml"
    wait_for 20 "the server is ready" server_ready
}

server_ready() {
    running "server-$(basename "$W")" || fail "the server ended" "$(tail -n 5 "$(server_log)")"
    curl -sf --max-time 3 --cacert "$W_ROOT" "$W_URL/readyz"
}

server_log() {
    local name
    name=server-$(basename "$W").log
    if [[ -e $STEP_DIR/$name ]]; then printf '%s\n' "$STEP_DIR/$name"; else printf '%s\n' "$SUITE_DIR/$name"; fi
}

server_stop() { stop "server-$(basename "$W")"; }
server_kill() { stop "server-$(basename "$W")" KILL; }

# admin ARGUMENT...: a command to the server with the certificate that `server init` left.
admin() {
    DOCKWARDEN_PROFILE=$W/server/admin/profile.toml DOCKWARDEN_SERVER=$W_URL dockwarden "$@"
}

# api METHOD PATH [BODY]: the HTTP API as the admin. Prints the answer; fails on 4xx and 5xx.
api() {
    curl -sS --fail-with-body --max-time 20 --cacert "$W_ROOT" \
        --cert "$W/server/admin/cert.pem" --key "$W/server/admin/key.pem" \
        -X "$1" ${3:+-H 'Content-Type: application/json' --data-binary "$3"} "$W_URL$2"
}

# field NAME...: the value at that path of a JSON document on standard input; numbers index lists; `len` counts.
field() {
    python3 -c '
import json, sys
value = json.load(sys.stdin)
for name in sys.argv[1:]:
    if name == "len":
        value = len(value)
    elif isinstance(value, list):
        value = value[int(name)]
    else:
        value = value.get(name)
print(value if isinstance(value, str) else json.dumps(value))
' "$@"
}

# token_new FILE PROFILE NAME [ARGUMENT...]: a join token in a file. One client may do everything unless a role is named;
# crowds, which only enrol, may do nothing.
token_new() {
    local file=$1 profile=$2 name=$3
    shift 3
    [[ $profile != client || $name == *"*"* || " $* " == *" --role "* ]] || set -- --role admin "$@"
    (umask 077 && admin token create --profile "$profile" --name "$name" "$@" >"$file")
}

# agent_config NAME PORT SOCKET [CONFIGURATION...]: writes $W/agents/NAME/agent.toml for a gate on loopback.
agent_config() {
    local name=$1 port=$2 socket=$3
    shift 3
    mkdir -p "$W/agents/$name"
    {
        printf 'server = "%s"\ntoken_file = "%s"\n' "$W_URL" "$W/tokens/$name"
        printf 'names = ["%s"]\naddresses = ["127.0.0.1"]\n' "$name"
        printf 'listen = "127.0.0.1:%s"\ndocker_socket = "%s"\n' "$port" "$socket"
        printf 'state = "%s"\nfiles = "%s"\n' "$W/agents/$name/state" "$W/agents/$name/files"
        printf '%s\n' "$@"
    } >"$W/agents/$name/agent.toml"
}

# agent_start NAME, agent_start_for_suite NAME
agent_start() { _agent_start start "$1"; }
agent_start_for_suite() { _agent_start start_for_suite "$1"; }

_agent_start() {
    "$1" "agent-$2" "${W_AROUND_AGENT[@]}" env HOME="$W/home" "$DOCKWARDEN_BIN" agent run --config "$W/agents/$2/agent.toml"
}

# agent_certs NAME: where its current files are.
agent_certs() { printf '%s\n' "$W/agents/$1/files/current"; }

# client_enroll NAME [ARGUMENT...]: enrols a client with a token of its own; files in $W/clients/NAME.
client_enroll() {
    local name=$1
    shift
    token_new "$W/tokens/$name" client "$name"
    dockwarden client enroll --server "$W_URL" --token-file "$W/tokens/$name" --name "$name" --cert-path "$W/clients/$name" "$@"
}

# docker_as NAME PORT ARGUMENT...: the docker CLI through the gate on that port, as that client.
docker_as() {
    local name=$1 port=$2
    shift 2
    env -u DOCKER_CONTEXT DOCKER_HOST="tcp://127.0.0.1:$port" DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH="$W/clients/$name" \
        docker "$@"
}

# served_serial PORT [ADDRESS]: the serial of the certificate that a TLS dial returns. (s_client may say that it failed:
# it had no certificate to show.)
served_serial() {
    { timeout 5 openssl s_client -connect "${2:-127.0.0.1}:$1" </dev/null 2>/dev/null || true; } | openssl x509 -noout -serial
}

# key_matches CERT KEY: the certificate is for that key.
key_matches() {
    local cert key
    cert=$(openssl x509 -in "$1" -noout -pubkey) && key=$(openssl pkey -in "$2" -pubout) && [[ $cert == "$key" ]]
}

# world_with_host DIRECTORY [CONFIGURATION...]: a world with a server and one host, `host`, whose gate in front of
# $DOCKER_SOCKET listens on $port. Each CONFIGURATION is a line of its agent.toml.
world_with_host() {
    world_new "$1"
    server_start
    port=$(free_port)
    host_join "${@:2}"
    settles 30 "the agent enrols and the gate listens" served_serial "$port"
}

# world_with_files DIRECTORY [CONFIGURATION...]: the same in mode files: lists and certificates are in $files, and it is for
# somebody else to listen on $port.
world_with_files() {
    world_new "$1"
    server_start
    port=$(free_port)
    host_join 'mode = "files"' "${@:2}"
    files=$W/agents/host/files
    settles 30 "the agent enrols" test -e "$files/current/cert.pem"
    settles 30 "and has the lists of every CA" test -e "$files/crl.pem"
}

# host_join [CONFIGURATION...]: an agent, `host`, for $port.
host_join() {
    token_new "$W/tokens/host" host host --cidr 127.0.0.0/8
    agent_config host "$port" "$DOCKER_SOCKET" "$@"
    agent_start host
}

# enrolled NAME...: clients with a certificate each.
enrolled() {
    local name
    for name; do check "$name enrols" client_enroll "$name"; done
}

# host_status: what the agent of `host` says of itself, whatever it is.
host_status() { dockwarden agent status --config "$W/agents/host/agent.toml" || true; }

# serial_of NAME: of a client's certificate, as openssl prints it.
serial_of() { openssl x509 -in "$W/clients/$1/cert.pem" -noout -serial | cut -d= -f2; }

# crowd COUNT: so many enrolled clients, crowd-1 and on; their directories in the array `crowd_dirs`.
crowd() {
    local number name
    token_new "$W/tokens/crowd" client 'crowd-*' --role admin --uses "$1"
    crowd_dirs=()
    for ((number = 1; number <= $1; number++)); do
        name=crowd-$number
        crowd_dirs+=("$W/clients/$name")
        dockwarden client enroll --server "$W_URL" --token-file "$W/tokens/crowd" --name "$name" --cert-path "$W/clients/$name" >/dev/null
    done
    ok "$1 clients enrol"
}
