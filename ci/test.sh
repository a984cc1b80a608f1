# The tests of all modules as a user runs them.
. "$(dirname "$0")/lib.sh"

step "the test command of the README"
go test ./...

for module in $(modules); do
	[ "$module" != . ] || continue
	step "$module: tests"
	(cd "$module" && go test ./...)
done
