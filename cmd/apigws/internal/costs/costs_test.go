package costs

import (
	"bytes"
	"strings"
	"testing"
)

func execute(out *bytes.Buffer, args ...string) error {
	cmd := Command()
	cmd.SetArgs(args)
	cmd.SetOut(out)
	cmd.SetErr(out)
	return cmd.Execute()
}

func TestRun(t *testing.T) {
	// A million beats: 1000 clients, one a second, 1000 seconds.
	million := []string{"--clients", "1000", "--interval", "1s", "--month", "1000s"}
	for _, tt := range []struct {
		name string
		args []string
		want []string // the lines, with single spaces
	}{
		{"message", nil, []string{
			"messages in 1,000,000 1.00 1.00",
			"keepalive 1.00",
			"connection minutes 16,667 0.25 0.00",
			"all 1.00",
		}},
		{"ping", []string{"--method", "ping"}, []string{
			"PINGs (not known to be billed) 1,000,000 0.00 0.00",
			"keepalive 0.00",
		}},
		{"a byte over 32 KB", []string{"--size", "32769"}, []string{"messages in 2,000,000 1.00 2.00"}},
		{"exactly 32 KB", []string{"--size", "32768"}, []string{"messages in 1,000,000 1.00 1.00"}},
		{"answered by a Lambda", []string{"--answered", "--lambda", "--lambda-time", "8ms"}, []string{
			"messages out 1,000,000 1.00 1.00",
			"Lambda requests 1,000,000 0.20 0.20",
			"Lambda GB-seconds 1,000 16.67 0.02", // 1e6 × 0.008 s × 0.125 GB
			"keepalive 2.22",
		}},
		{"minutes", []string{"--month", "60000s", "--minute-price", "250"}, []string{
			"connection minutes 1,000,000 250.00 250.00",
			"all 310.00",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := execute(&out, append(million, tt.args...)...); err != nil {
				t.Fatal(err)
			}
			var lines []string
			for line := range strings.Lines(out.String()) {
				lines = append(lines, strings.Join(strings.Fields(line), " "))
			}
			got := "\n" + strings.Join(lines, "\n") + "\n"
			for _, want := range tt.want {
				if !strings.Contains(got, "\n"+want+"\n") {
					t.Errorf("no line %q in:%s", want, got)
				}
			}
		})
	}
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"--method", "pong"},
		{"--interval", "0s"},
		{"--clients", "-1"},
	} {
		if err := execute(new(bytes.Buffer), args...); err == nil || !strings.Contains(err.Error(), args[0]) {
			t.Errorf("%v: %v, want an error that names %s", args, err, args[0])
		}
	}
}
