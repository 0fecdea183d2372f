# shellcheck shell=bash
# What the demonstrations share: titles, and commands shown as typed with their real output.

# Bold on a terminal only.
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; else bold='' plain=''; fi
title() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }

show() {
    printf '$ %s\n' "$1"
    bash -c "$1" 2>&1
}

# Waits until a container runs. usage: until_running NAME
until_running() {
    until [ -e "/run/nicdock/containers/$1/state.json" ] && grep -q '"status":"running"' "/run/nicdock/containers/$1/state.json"; do
        sleep 0.1
    done
}
