#!/usr/bin/env bash
# Drives the fake gateway as it stands alone with the npm package ws, a client that has nothing in common with ours.
# Needs go, node and npm, and fetches the package into a temporary directory.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tmp=$(mktemp -d)
gateway=

cleanup() {
	# The whole group: go run does not pass signals on to the program that it runs.
	[ -z "$gateway" ] || kill -- "-$gateway" 2>/dev/null || true
	rm -rf "$tmp"
}
trap cleanup EXIT

npm install --prefix "$tmp" --no-audit --no-fund --silent ws@8.18.0
cp "$here/client.mjs" "$tmp"

set -m # a process group for the job
(cd "$here/../../.." && exec go -C cmd/apigws run . gateway --addr 127.0.0.1:0 --idle 2s -v) >"$tmp/out" 2>"$tmp/log" &
gateway=$!
set +m
for _ in $(seq 600); do # a minute, for the build
	[ ! -s "$tmp/out" ] || break
	kill -0 "$gateway" 2>/dev/null || break
	sleep 0.1
done
if [ ! -s "$tmp/out" ]; then
	cat "$tmp/log" >&2
	echo "the gateway did not start" >&2
	exit 1
fi

if ! node "$tmp/client.mjs" "$(sed -n 's/^WebSocket URL *//p' "$tmp/out")"; then
	cat "$tmp/log" >&2
	exit 1
fi
