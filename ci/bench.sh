# The benchmark against other libraries; the arguments are those of bench (go run -C bench . -help).
# Not part of ci/run: its figures mean something on an idle machine only.
. "$(dirname "$0")/lib.sh"

go run -C bench . "$@"
