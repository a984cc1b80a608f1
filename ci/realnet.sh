# The client over a path that is slow, loses packets or swallows them: two network namespaces, which
# only root on Linux can make.
. "$(dirname "$0")/lib.sh"

if [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ]; then
	skip "realnet: it needs root on Linux"
elif ! need ip iproute2 || ! need tc iproute2; then
	skip "realnet: ip and tc (iproute2) are missing"
elif [ ! -c /dev/net/tun ]; then
	skip "realnet: there is no /dev/net/tun"
else
	bash internal/realnet/run.sh
fi
