// Package costs is the subcommand that computes what keepalive costs a month on API Gateway and,
// for messages, in the Lambda function behind it. Nothing is connected.
package costs

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/apigws/apigws/cmd/apigws/internal/cli"
)

const long = `costs computes what the connections of a month cost, and what keepalive adds: with
PINGs nothing that is known, with messages the gateway's price for each and, with --lambda, that of
the function behind it. Nothing is connected.

The default prices are those of most US Regions without volume discounts and without the free tier;
each is a flag.`

const example = `  apigws costs --clients 10000 --interval 55s --method message
  apigws costs --clients 10000 --interval 55s --method ping`

// Command returns the subcommand.
func Command() *cobra.Command {
	var u usage
	var p prices
	cmd := &cobra.Command{
		Use:     "costs",
		Short:   "Compute what keepalive costs a month",
		Long:    long,
		Example: example,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := u.check(); err != nil {
				return err
			}
			if cli.JSON(cmd) {
				return u.printJSON(cmd.OutOrStdout(), p)
			}
			return u.print(cmd.OutOrStdout(), p)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&u.clients, "clients", 10_000, "how many are connected all the time")
	flags.DurationVar(&u.interval, "interval", 55*time.Second, "the time between two keepalives")
	flags.StringVar(&u.method, "method", "message", "message or ping")
	flags.IntVar(&u.size, "size", 17, `bytes of a keepalive message, such as {"action":"ping"}`)
	flags.BoolVar(&u.answered, "answered", false, "the backend answers each keepalive message")
	flags.DurationVar(&u.month, "month", 730*time.Hour, "how long a month is")
	flags.BoolVar(&u.lambda, "lambda", false, "each keepalive message starts a Lambda function")
	flags.DurationVar(&u.lambdaTime, "lambda-time", 5*time.Millisecond, "how long the function is billed")
	flags.Float64Var(&u.lambdaMemory, "lambda-gb", 0.125, "its memory in GB")
	flags.Float64Var(&p.message, "message-price", 1.00, "dollars per million messages of 32 KB")
	flags.Float64Var(&p.minute, "minute-price", 0.25, "dollars per million connection minutes")
	flags.Float64Var(&p.lambdaCall, "lambda-price", 0.20, "dollars per million Lambda requests")
	flags.Float64Var(&p.lambdaGBSec, "lambda-gbs-price", 16.6667, "dollars per million GB-seconds")
	cmd.RegisterFlagCompletionFunc("method", cobra.FixedCompletions([]string{"message", "ping"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (u *usage) check() error {
	switch {
	case u.method != "message" && u.method != "ping":
		return cli.Usagef("--method %q: want message or ping", u.method)
	case u.interval <= 0:
		return cli.Usagef("--interval %v: want more than 0", u.interval)
	case u.clients < 0 || u.month < 0 || u.size < 0:
		return cli.Usagef("--clients, --month and --size cannot be negative")
	}
	return nil
}

// A usage is what the clients of a month do.
type usage struct {
	clients  int
	interval time.Duration // between two keepalives of a client that is silent otherwise
	method   string
	size     int  // of a keepalive message, in bytes
	answered bool // the backend answers each with a message of that size
	month    time.Duration

	lambda       bool          // each message starts a function
	lambdaTime   time.Duration // for so long
	lambdaMemory float64       // with so many GB
}

// prices are in dollars per million units, as AWS lists them.
type prices struct {
	message, minute         float64
	lambdaCall, lambdaGBSec float64
}

// A line is one position of the bill.
type line struct {
	what  string
	count float64
	price float64 // per million
}

func (l line) cost() float64 { return l.count / 1e6 * l.price }

// metered is the size in which the gateway counts messages: one of 33 KB counts as two.
const metered = 32 << 10

// bill returns what the connections cost, and what keepalive adds.
func (u *usage) bill(p prices) (connected line, keepalive []line) {
	connected = line{"connection minutes", float64(u.clients) * u.month.Minutes(), p.minute}
	beats := float64(u.clients) * float64(u.month) / float64(u.interval)
	if u.method == "ping" {
		return connected, []line{{"PINGs (not known to be billed)", beats, 0}}
	}
	units := beats * math.Ceil(float64(max(u.size, 1))/metered)
	keepalive = append(keepalive, line{"messages in", units, p.message})
	if u.answered {
		keepalive = append(keepalive, line{"messages out", units, p.message})
	}
	if u.lambda {
		keepalive = append(keepalive,
			line{"Lambda requests", beats, p.lambdaCall},
			line{"Lambda GB-seconds", beats * u.lambdaTime.Seconds() * u.lambdaMemory, p.lambdaGBSec})
	}
	return connected, keepalive
}

func (u *usage) print(out io.Writer, p prices) error {
	connected, keepalive := u.bill(p)
	fmt.Fprintf(out, "%s clients, a keepalive %s every %v, for %v hours\n\n",
		grouped(float64(u.clients)), u.method, u.interval, u.month.Hours())
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	row := func(what, count, price, cost string) {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t\n", what, count, price, cost)
	}
	row("", "count", "$ per million", "$ a month")
	var sum float64
	for _, l := range keepalive {
		sum += l.cost()
		row(l.what, grouped(l.count), dollars(l.price), dollars(l.cost()))
	}
	row("keepalive", "", "", dollars(sum))
	row(connected.what, grouped(connected.count), dollars(connected.price), dollars(connected.cost()))
	row("all", "", "", dollars(sum+connected.cost()))
	return table.Flush()
}

// printJSON prints the bill as one object, in dollars without rounding.
func (u *usage) printJSON(out io.Writer, p prices) error {
	type item struct {
		What            string  `json:"what"`
		Count           float64 `json:"count"`
		DollarsPerMill  float64 `json:"dollarsPerMillion"`
		DollarsPerMonth float64 `json:"dollarsPerMonth"`
	}
	var bill struct {
		Items     []item  `json:"items"`
		Keepalive float64 `json:"keepaliveDollarsPerMonth"`
		All       float64 `json:"dollarsPerMonth"`
	}
	connected, keepalive := u.bill(p)
	for _, l := range append(keepalive, connected) {
		bill.Items = append(bill.Items, item{l.what, l.count, l.price, l.cost()})
		bill.All += l.cost()
	}
	bill.Keepalive = bill.All - connected.cost()
	return json.NewEncoder(out).Encode(bill)
}

func dollars(v float64) string {
	cents := int64(math.Round(v * 100))
	return fmt.Sprintf("%s.%02d", grouped(float64(cents/100)), cents%100)
}

// grouped writes a count with a comma before each three digits.
func grouped(v float64) string {
	s := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
