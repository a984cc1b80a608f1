# The commands that the documents name, as they name them.
. "$(dirname "$0")/lib.sh"

step "the examples"
go run ./examples/quickstart # the first command of the README
go run ./examples/idle
go run ./examples/chat -demo
go run ./examples/resume
go run ./examples/call
go run -C examples/service . -demo
go run ./internal/herd

step "the command"
go -C cmd/apigws run . costs
go -C cmd/apigws run . probe --fake
