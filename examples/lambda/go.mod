module github.com/apigws/apigws/examples/lambda

go 1.26

require github.com/apigws/apigws v0.1.0

require (
	github.com/aws/aws-lambda-go v1.55.1
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	github.com/coder/websocket v1.8.15 // indirect
	github.com/gobwas/httphead v0.1.0 // indirect
	github.com/gobwas/ws v1.5.0 // indirect
)

replace github.com/apigws/apigws => ../..
