# Every fuzz target of every module, for FUZZTIME each: a number of inputs (default 5000x) or a time,
# such as 10m. With a time, go test sometimes fails at its end with "context deadline exceeded", though
# the target has not: then it is run once more.
. "$(dirname "$0")/lib.sh"

# once fuzzes a target, and fails if it does.
once() { go test -run '^$' -fuzz "^$2\$" -fuzztime "${FUZZTIME:-5000x}" -fuzzminimizetime 10x "$1"; }

fuzz() {
	local out
	out=$(mktemp)
	if ! once "$1" "$2" 2>&1 | tee "$out"; then
		grep -q '^ *context deadline exceeded$' "$out" && ! grep -q 'Failing input' "$out" || return 1
		once "$1" "$2"
	fi
	rm -f "$out"
}

for module in $(modules); do
	(
		cd "$module"
		for package in $(go list ./...); do
			for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
				step "$package $target"
				fuzz "$package" "$target"
			done
		done
	)
done
