#!/usr/bin/env bash
# Runs the commands of docs/local-development.md, in a copy of the working tree. Needs go, node, npm
# and curl, and Linux for AWS's emulator, which comes from the module proxy as AWS's SDK from npm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
if [ "$(uname -s)" != Linux ]; then
	skipped="docs/local-development.md: AWS's emulator is for Linux"
	echo "SKIPPED: $skipped"
	[ -z "${CI_SKIPS:-}" ] || echo "$skipped" >>"$CI_SKIPS"
	exit 0
fi
tmp=$(mktemp -d)
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT

mkdir "$tmp/copy" "$tmp/bin"
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
	[ ! -f "$file" ] || cp --parents "$file" "$tmp/copy"
done
go -C cmd/apigws build -o "$tmp/bin/apigws" .
go build -o "$tmp/local" ./internal/interop/local
PATH="$tmp/bin:$PATH" GOBIN="$tmp/bin" "$tmp/local" docs/local-development.md "$tmp/copy/examples/local"
