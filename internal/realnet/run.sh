#!/usr/bin/env bash
# The library over a network of its own, for about two minutes. See doc.go.
set -euo pipefail
cd "$(dirname "$0")/../.."

why=
[ "$(uname -s)" = Linux ] || why="this is not Linux"
[ -n "$why" ] || [ "$(id -u)" = 0 ] || why="it makes network namespaces, which only root may"
[ -n "$why" ] || command -v ip >/dev/null && command -v tc >/dev/null || why=${why:-"ip and tc (iproute2) are missing"}
[ -n "$why" ] || [ -c /dev/net/tun ] || why="there is no /dev/net/tun"
if [ -n "$why" ]; then
	echo "internal/realnet does not run here: $why"
	exit 0
fi
go test -tags realnet -count=1 -timeout 5m -v ./internal/realnet
