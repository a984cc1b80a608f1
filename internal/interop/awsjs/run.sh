#!/usr/bin/env bash
# Drives @connections of the fake gateway over https with AWS SDK for JavaScript. Needs go, node and
# npm, and fetches the packages into a temporary directory.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

npm install --prefix "$tmp" --no-audit --no-fund --silent \
	@aws-sdk/client-apigatewaymanagementapi@3.1169.0 ws@8.18.0
cp "$here/client.mjs" "$tmp"
(cd "$here/../../.." && go build -o "$tmp/gateway" ./internal/interop/awsjs)

# The gateway ends when its standard input does: when this script ends, however that is.
coproc gateway { exec "$tmp/gateway" "$tmp/ca.pem"; }
read -r url <&"${gateway[0]}"
NODE_EXTRA_CA_CERTS=$tmp/ca.pem timeout 60 node "$tmp/client.mjs" "$url"
