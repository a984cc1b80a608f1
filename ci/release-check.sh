# Uses the published modules as they will be once they are tagged, from empty modules.
# docs/releasing.md says what that finds.
. "$(dirname "$0")/lib.sh"

go run -C internal/release . check
