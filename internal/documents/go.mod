module github.com/apigws/apigws/internal/documents

go 1.26.0
