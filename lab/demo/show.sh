# shellcheck shell=bash
# What the demonstrations share: titles, commands shown as typed with their real output, and waiting for states, each for a limited time.

# Bold on a terminal only.
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; else bold='' plain=''; fi
title() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }

show() {
    printf '$ %s\n' "$1"
    bash -c "$1" 2>&1
}

# Ends the demonstration with what went wrong and what every program has said. usage: fail WORDS
fail() {
    printf 'FAILED: %s\n' "$*"
    for log in /tmp/*.log; do
        [ ! -s "$log" ] || sed "s|^|${log##*/}: |" "$log"
    done
    exit 1
}

# Waits until a command succeeds. usage: await WHAT COMMAND [ARGUMENT …]
await() {
    local what=$1 left=600
    shift
    until "$@"; do
        left=$((left - 1))
        [ $left -gt 0 ] || fail "not within a minute: $what"
        sleep 0.1
    done
}

# Whether a process listens on a TCP port in its network namespace (proc_pid_net(5)). usage: listens PID PORT
listens() { grep -q "$(printf ':%04X 00000000:0000 0A' "$2")" "/proc/$1/net/tcp"; }

# The same of a container's first process. usage: container_listens NAME PORT
# shellcheck disable=SC2317,SC2329
container_listens() {
    local pid
    pid=$(jq -er .pid "/run/nicdock/containers/$1/state.json" 2>/dev/null) && listens "$pid" "$2"
}

# Whether a netdev has its link again. usage: is_up NAME
# shellcheck disable=SC2317,SC2329
is_up() { [ "$(cat "/sys/class/net/$1/operstate" 2>/dev/null)" = up ]; }
