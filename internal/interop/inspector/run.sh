#!/usr/bin/env bash
# Checks the inspector in a headless Chromium: see main.go. It installs the browser where it is root
# and apt exists. "run.sh -screenshot docs/inspector.png" also takes the picture of the docs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
root=$PWD
args=("$@")
for i in "${!args[@]}"; do
	[ "${args[$i]}" != -screenshot ] || args[i + 1]=$(realpath -m "${args[$((i + 1))]}")
done

find_chromium() {
	for name in chromium chromium-browser google-chrome; do
		command -v "$name" && return
	done
	return 1
}
if ! chromium=$(find_chromium); then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		skipped="the inspector in a browser: it needs Chromium, or root and apt-get to install it"
		echo "SKIPPED: $skipped"
		[ -z "${CI_SKIPS:-}" ] || echo "$skipped" >>"$CI_SKIPS"
		exit 0
	fi
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null
	chromium=$(find_chromium)
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
go -C "$root/cmd/apigws" build -o "$tmp/apigws" .
go -C "$root/internal/interop/inspector" run . -apigws "$tmp/apigws" -chromium "$chromium" ${args[@]+"${args[@]}"}
