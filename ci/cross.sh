# The other platforms that are supported: there, all code of the root module, tests included,
# compiles and passes vet. The tests run on what this machine can run, 32-bit Linux.
. "$(dirname "$0")/lib.sh"

for platform in windows/amd64 darwin/arm64 freebsd/amd64 linux/386 linux/arm64; do
	step "$platform: vet"
	GOOS=${platform%/*} GOARCH=${platform#*/} go vet ./...
done

step "linux/386: tests"
if [ "$(go env GOHOSTOS)/$(go env GOHOSTARCH)" = linux/amd64 ]; then
	GOARCH=386 go test ./...
else
	skip "tests on linux/386: they run on linux/amd64 only"
fi
