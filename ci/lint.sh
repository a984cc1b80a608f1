# Checks that need no test run: format, vet, staticcheck, tidy modules, style, known vulnerabilities.
. "$(dirname "$0")/lib.sh"

step "gofmt"
unformatted=$(gofmt -l .)
[ -z "$unformatted" ] || { echo "gofmt would change: $unformatted"; exit 1; }

for module in $(modules); do
	step "$module: build, vet, staticcheck, tidy"
	(
		cd "$module"
		go mod download
		go build -o /dev/null ./...
		go vet ./...
		go run $staticcheck ./...
	)
	ci/tidy "$module"
done

step "what only the build tag realnet builds"
go vet -tags realnet ./internal/realnet
go run $staticcheck -tags realnet ./internal/realnet

step "direct dependencies of the root module"
direct=$(go list -m -f '{{if not .Indirect}}{{.Path}}{{end}}' all | grep . | sort)
echo "$direct"
[ "$direct" = "github.com/apigws/apigws
github.com/cenkalti/backoff/v4
github.com/coder/websocket
github.com/gobwas/ws" ] || { echo "the root module has other direct dependencies than its three"; exit 1; }

step "style: comments, documentation, sizes"
go run ./ci/style .

step "links of the documents to each other"
go run ./ci/links .

step "known vulnerabilities"
# Binding on GitHub. A machine that does not reach the database says so and goes on.
vulndb=https://vuln.go.dev
if [ -n "${GITHUB_ACTIONS:-}" ] || curl -fsS -m 10 -o /dev/null "$vulndb/index/db.json"; then
	for module in $(modules); do
		echo "$module"
		(cd "$module" && go run $govulncheck ./...)
	done
else
	skip "govulncheck: $vulndb is not reachable from here"
fi
