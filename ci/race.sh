# The tests of all modules with the race detector, in random order.
. "$(dirname "$0")/lib.sh"

for module in $(modules); do
	step "$module: tests with the race detector"
	(cd "$module" && go test -race -shuffle=on ./...)
done
