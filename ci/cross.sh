# The other platforms that are supported: there, the code of all modules, tests included, compiles and
# passes vet. The tests run on what this machine can run, 32-bit Linux.
. "$(dirname "$0")/lib.sh"

for platform in windows/amd64 darwin/arm64 freebsd/amd64 linux/386 linux/arm64; do
	for module in $(modules); do
		case $platform$module in
		# bench measures with system calls that differ there.
		windows/*./bench | freebsd/*./bench) continue ;;
		esac
		step "$platform, $module: vet"
		(cd "$module" && GOOS=${platform%/*} GOARCH=${platform#*/} go vet ./...)
	done
done

if [ "$(go env GOHOSTOS)/$(go env GOHOSTARCH)" = linux/amd64 ]; then
	for module in $(modules); do
		case $module in
		./bench | ./internal/*) continue ;; # for this machine only
		esac
		step "linux/386, $module: tests"
		(cd "$module" && GOARCH=386 go test ./...)
	done
else
	skip "tests on linux/386: they run on linux/amd64 only"
fi
