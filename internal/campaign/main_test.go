package campaign

import (
	"log/slog"
	"os"
	"testing"
)

// The tests lose connections by the thousand, and the default logger would tell of each.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}
