# The tests of all modules as a user runs them.
. "$(dirname "$0")/lib.sh"

step "the test command of the README"
go test ./...

for module in $(modules); do
	[ "$module" != . ] || continue
	if [ "$module" = ./bench ] && [ "$(go env GOOS)" = windows ]; then
		skip "tests of bench: it measures with getrusage, which Windows does not have"
		continue
	fi
	step "$module: tests"
	(cd "$module" && go test -count=1 ./...) # the cache does not see files outside of the module
done
