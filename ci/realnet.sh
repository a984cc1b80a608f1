# The client over a path that is slow, loses packets or swallows them: two network namespaces, which
# only root on Linux can make.
. "$(dirname "$0")/lib.sh"

if [ ! -f internal/realnet/run.sh ]; then
	echo "internal/realnet/run.sh does not exist yet"
elif [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ]; then
	skip "realnet: it needs root on Linux"
else
	bash internal/realnet/run.sh
fi
