// Command inspector drives the inspector of apigws gateway in a headless Chromium: what is shown,
// what the buttons do, the keys, a thousand connections, and what pages of others must not be able
// to do. With -screenshot it also takes the picture of docs/inspector.md. See run.sh.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"github.com/chromedp/chromedp"
)

func main() {
	program := flag.String("apigws", "apigws", "the `program` to check")
	chromium := flag.String("chromium", "chromium", "the browser")
	screenshot := flag.String("screenshot", "", "`file` for a picture of the page")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *program, *chromium, *screenshot); err != nil {
		fmt.Fprintln(os.Stderr, "inspector:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, program, chromium, screenshot string) error {
	ctx, cancel := browser(ctx, chromium)
	defer cancel()
	checks := []struct {
		name string
		f    func(*check) error
		args []string
	}{
		{"what is shown, and the buttons", buttons, nil},
		{"keys", keys, nil},
		{"hostile messages", hostile, nil},
		{"other pages", otherPages, nil},
		{"a thousand connections", crowd, []string{"--route", "$default=echo"}},
		{"dark and light", colours, nil},
	}
	for _, c := range checks {
		if err := one(ctx, program, c.f, c.args...); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		fmt.Println("ok", c.name)
	}
	if screenshot == "" {
		return nil
	}
	return one(ctx, program, func(c *check) error { return picture(c, screenshot) },
		"--route", "$connect=mock", "--route", "sendmessage=echo", "--route", "join=mock", "--route", "$default=mock")
}

// browser returns a context for chromedp whose browser reaches nothing but this machine.
func browser(ctx context.Context, path string) (context.Context, context.CancelFunc) {
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		// A name of an attacker that leads here, as after DNS rebinding; no other name leads
		// anywhere.
		chromedp.Flag("host-resolver-rules", "MAP attacker.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	ctx, cancel1 := chromedp.NewExecAllocator(ctx, opts...)
	ctx, cancel2 := chromedp.NewContext(ctx)
	return ctx, func() { cancel2(); cancel1() }
}

// A check is a gateway and a page that shows it.
type check struct {
	context.Context
	URL       string `json:"url"`
	Inspector string `json:"inspector"`
}

// one runs a check with a gateway of its own.
func one(ctx context.Context, program string, f func(*check) error, args ...string) error {
	cmd := exec.CommandContext(ctx, program, append([]string{
		"gateway", "--json", "--addr", "127.0.0.1:0", "--inspect", "127.0.0.1:0"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	}()
	c := &check{}
	if err := json.NewDecoder(out).Decode(c); err != nil {
		return fmt.Errorf("the gateway did not start: %w", err)
	}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1440, 900), chromedp.Navigate(c.Inspector)); err != nil {
		return err
	}
	// Not before: a deadline on the first use would be one of the browser.
	timed, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	c.Context = timed
	if err := c.until(`document.getElementById("link").textContent === "live"`); err != nil {
		return err
	}
	return f(c)
}

// do runs actions of chromedp.
func (c *check) do(steps ...chromedp.Action[chromedp.Void]) error { return chromedp.Do(c, steps...) }

// until waits until an expression of JavaScript is true.
func (c *check) until(expression string) error {
	if _, err := chromedp.Run(c, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(30*time.Second))); err != nil {
		shown, _ := chromedp.Run(c, chromedp.Evaluate[string](`document.body.innerText.slice(0, 2000)`))
		return fmt.Errorf("waiting for %s: %w; the page:\n%s", expression, err, shown)
	}
	return nil
}

// script runs JavaScript, whose promise, if it is one, it waits for.
func script[T any](c *check, expression string) (T, error) {
	return chromedp.Run(c, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}
