# The fake gateway and the client against software that shares no code with them: each
# internal/interop/*/run.sh. (The folders with a go.mod are modules; test and race run them.)
. "$(dirname "$0")/lib.sh"

if ! need node nodejs || ! need npm; then
	skip "interop: node and npm are missing"
	exit 0
fi
for script in internal/interop/*/run.sh; do
	step "$script"
	bash "$script"
done
