#!/usr/bin/env bash
# Runs the commands of docs/local-development.md, in a copy of the working tree. Needs go, node, npm
# and curl; AWS's emulator and SDK come from their registries.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
tmp=$(mktemp -d)
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT

mkdir "$tmp/copy" "$tmp/bin"
git ls-files -z --cached --others --exclude-standard | xargs -0 -I{} sh -c 'test ! -f "{}" || cp --parents "{}" "$0"' "$tmp/copy"
go -C cmd/apigws build -o "$tmp/bin/apigws" .
go build -o "$tmp/local" ./internal/interop/local
PATH="$tmp/bin:$PATH" GOBIN="$tmp/bin" "$tmp/local" docs/local-development.md "$tmp/copy/examples/local"
