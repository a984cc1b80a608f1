# Every fuzz target of every module, for FUZZTIME (default 10s) each.
. "$(dirname "$0")/lib.sh"

for module in $(modules); do
	(
		cd "$module"
		for package in $(go list ./...); do
			for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
				step "$package $target"
				go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10s}" -fuzzminimizetime 10x "$package"
			done
		done
	)
done
