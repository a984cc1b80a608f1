# What the scripts of this folder share; each of them sources it. Plain bash 3.2 and POSIX tools, so
# that all of it runs on macOS, too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2
govulncheck=golang.org/x/vuln/cmd/govulncheck@v1.9.0

step() { printf '\n== %s\n' "$*"; }

# skip says what is left out and why. ci/run repeats these lines at its end.
skip() {
	echo "SKIPPED: $*"
	[ -z "${CI_SKIPS:-}" ] || echo "$*" >>"$CI_SKIPS"
}

# modules lists the folders of all Go modules of the repository, the root module first.
modules() {
	find . -name node_modules -prune -o -name go.mod -print | sed 's,/go\.mod$,,' | sort
}

# need COMMAND [PACKAGE] succeeds if the command is there, or could be installed as a package of
# Debian, which is done in CI only.
need() {
	command -v "$1" >/dev/null && return
	[ "${CI:-}" = true ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${2:-$1}" >/dev/null
	command -v "$1" >/dev/null
}
