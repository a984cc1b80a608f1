// Package campaign has long tests of whole clients. Connections are lost after each byte of a
// conversation, and disturbed at random by everything that the fake gateway can do, and a month
// passes: each time what Write, Flush and Read have said is audited against what the gateway has
// received.
//
//	go test -run Campaign -v ./internal/campaign -campaign.rounds 20000
//	go test -run CampaignOfRandomFaults ./internal/campaign -campaign.seed 12345
package campaign
