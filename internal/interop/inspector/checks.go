package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/coder/websocket"
)

func (c *check) dial() (*websocket.Conn, error) {
	conn, _, err := websocket.Dial(c, c.URL, &websocket.DialOptions{HTTPHeader: http.Header{"User-Agent": {"chat-client/1.4"}}})
	return conn, err
}

func (c *check) send(conn *websocket.Conn, text string) error {
	return conn.Write(c, websocket.MessageText, []byte(text))
}

const (
	rows      = `[...document.querySelectorAll("#conns .row:not([hidden])")]`
	lines     = `[...document.querySelectorAll("#lines .row:not([hidden])")]`
	logged    = `[...document.querySelectorAll("#events .row:not([hidden])")]`
	selection = `document.getElementById("chosen-id").textContent`
)

func text(id string) string { return `document.getElementById("` + id + `").textContent` }

// set sets the value of a field.
func (c *check) set(id, value string) error {
	return c.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.getElementById(%q).value = %q`, id, value)))
}

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func buttons(c *check) error {
	conn, err := c.dial()
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	if err := first(
		c.send(conn, `{"action":"hello","n":[1,true]}`),
		c.until(rows+`.length === 1`),
		c.do(chromedp.Click("#conns .row")),
		c.until(lines+`.length === 2`),
		c.do(chromedp.Click("#lines .row")),
		c.until(text("body")+`.includes('  "action": "hello"')`),
		c.until(text("chosen-facts")+`.includes("chat-client/1.4")`),
	); err != nil {
		return err
	}
	conn.Read(c) // the echo

	// The send box pushes.
	if err := c.do(chromedp.SendKeys("#send-text", `{"from":"the page"}`), chromedp.Click("#send-go")); err != nil {
		return err
	}
	if _, msg, err := conn.Read(c); err != nil || string(msg) != `{"from":"the page"}` {
		return fmt.Errorf("the client read %q, %v", msg, err)
	}
	if err := first(
		c.until(lines+`.length === 3`),
		// Freeze, thaw, slow, fast.
		c.do(chromedp.Click("#freeze")),
		c.until(text("chosen-state")+` === "frozen" && `+text("freeze")+` === "Thaw"`),
		c.do(chromedp.Click("#freeze")),
		c.until(text("chosen-state")+` === "open"`),
		c.do(chromedp.SetValue("#slow", `{"latencyMillis":500}`), chromedp.Evaluate[chromedp.Void](`document.getElementById("slow").onchange()`)),
		c.until(text("chosen-state")+` === "slow"`),
		c.do(chromedp.SetValue("#slow", ""), chromedp.Evaluate[chromedp.Void](`document.getElementById("slow").onchange()`)),
		c.until(text("chosen-state")+` === "open"`),
		// Refuse the next one.
		c.do(chromedp.Click("#refuse-go")),
		c.until(logged+`.some(r => r.textContent.includes("refuse the next 1 handshakes with 503"))`),
	); err != nil {
		return err
	}
	if _, resp, err := websocket.Dial(c, c.URL, nil); err == nil || resp == nil || resp.StatusCode != 503 {
		return fmt.Errorf("a handshake that should be refused: %v", err)
	}
	if err := first(c.until(text("count-refused")+` === "1"`), c.do(chromedp.Click("#kick"))); err != nil {
		return err
	}
	if _, _, err := conn.Read(c); websocket.CloseStatus(err) != 1000 {
		return fmt.Errorf("kicked: %v", err)
	}
	return first(
		c.until(text("chosen-state")+` === "closed 1000" && document.getElementById("kick").disabled`),
		c.until(rows+`[0].textContent.includes("1000 Connection Closed Normally")`),
		// The log, filtered.
		c.do(chromedp.SendKeys("#events-filter", "hello message")),
		c.until(logged+`.length === 1`),
		c.do(chromedp.Click("#show-ended")),
		c.until(rows+`.length === 0`),
	)
}

// keys does without a mouse.
func keys(c *check) error {
	var conns []*websocket.Conn
	for range 3 {
		conn, err := c.dial()
		if err != nil {
			return err
		}
		defer conn.CloseNow()
		conns = append(conns, conn)
	}
	key := func(keys string) error { return c.do(chromedp.KeyEvent(keys)) }
	if err := first(
		c.until(rows+`.length === 3`),
		key("c"), key(kb.ArrowDown), key(kb.ArrowDown), // the newest is first
		c.until(selection+` === `+rows+`[1].children[1].textContent`),
		key(kb.End),
		c.until(selection+` === `+rows+`[2].children[1].textContent`),
		c.until(`document.getElementById("conns").getAttribute("aria-activedescendant") === `+rows+`[2].id`),
		// chromedp types the key into the field that it leads to; a keyboard does not.
		key("p"), c.set("send-text", ""), key("by keyboard"),
		c.do(chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(2))), // Ctrl
	); err != nil {
		return err
	}
	if _, msg, err := conns[0].Read(c); err != nil || string(msg) != "by keyboard" {
		return fmt.Errorf("the first client read %q, %v", msg, err)
	}
	if err := first(key(kb.Escape), key("/"), c.set("events-filter", ""), key("push"), c.until(logged+`.length === 1`), key(kb.Escape), key("k")); err != nil {
		return err
	}
	if _, _, err := conns[0].Read(c); websocket.CloseStatus(err) != 1000 {
		return fmt.Errorf("kicked by key: %v", err)
	}
	return first(key("?"), c.until(`document.getElementById("help").open`), key(kb.Escape), c.until(`!document.getElementById("help").open`))
}

// hostile has messages and names that would be markup, were they not text.
func hostile(c *check) error {
	const markup = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`
	conn, _, err := websocket.Dial(c, c.URL, &websocket.DialOptions{HTTPHeader: http.Header{"User-Agent": {markup}}})
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	if err := first(
		c.send(conn, markup), c.send(conn, `{"a":"`+strings.ReplaceAll(markup, `"`, `\"`)+`"}`),
		c.until(rows+`.length === 1`), c.do(chromedp.Click("#conns .row")),
		c.until(lines+`.length === 4`), c.do(chromedp.Click("#lines .row")),
		c.until(text("body")+`.includes("<img src=x")`),
		c.do(chromedp.Evaluate[chromedp.Void](lines+`[2].click()`)),
		c.until(text("body")+`.includes('"a": "<img')`),
		c.until(text("chosen-facts")+`.includes("<script>")`),
	); err != nil {
		return err
	}
	owned, err := script[bool](c, `document.title === "owned" || !!document.querySelector("img")`)
	if owned {
		return errors.New("a message became markup")
	}
	return err
}

// otherPages tries what a page of somebody else could try.
func otherPages(c *check) error {
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><title>evil</title>")
	}))
	defer evil.Close()
	// Each must be refused by the inspector, or by the browser for lack of its consent.
	attempts := map[string]string{
		"read":         `fetch(target + "api/state").then(r => r.status)`,
		"stream":       `new Promise(done => { const s = new EventSource(target + "api/stream"); s.onmessage = () => done(200); s.onerror = () => { s.close(); done(0); }; })`,
		"act":          `fetch(target + "api/refuse", {method: "POST", headers: {"X-Apigws": "1"}}).then(r => r.status)`,
		"act, blindly": `fetch(target + "api/refuse", {method: "POST", mode: "no-cors"}).then(r => r.status)`,
		"a form": `new Promise(done => { const f = document.createElement("iframe"); f.name = "f"; document.body.append(f);
			const form = document.createElement("form"); Object.assign(form, {method: "POST", action: target + "api/refuse", target: "f"});
			document.body.append(form); f.onload = () => setTimeout(() => done(0), 100); form.submit(); })`,
		"frame": `new Promise(done => { const f = document.createElement("iframe"); f.src = target; document.body.append(f);
			f.onload = () => { try { done(f.contentDocument && f.contentDocument.title === "apigws inspector" ? 200 : 0); } catch { done(0); } }; })`,
	}
	rebound := strings.Replace(c.Inspector, "127.0.0.1", "attacker.example", 1)
	for _, page := range []struct{ name, at, target string }{
		{"another origin", evil.URL, c.Inspector},
		// For a page of the attacker's an error page of the origin will do.
		{"DNS rebinding", strings.TrimSuffix(rebound, "/") + "/nothing-here", rebound},
	} {
		if err := c.do(chromedp.Navigate(page.at)); err != nil {
			return err
		}
		for name, attempt := range attempts {
			status, err := script[int](c, fmt.Sprintf(`(async () => { const target = %q; try { return await %s; } catch { return 0; } })()`, page.target, attempt))
			if err != nil {
				return fmt.Errorf("%s, %s: %w", page.name, name, err)
			}
			if status == 200 || status == 204 {
				return fmt.Errorf("%s: %s: status %d", page.name, name, status)
			}
		}
	}
	// None of it was done: handshakes are not refused.
	conn, err := c.dial()
	if err != nil {
		return err
	}
	return conn.CloseNow()
}

// crowd has a thousand connections that send a thousand messages a second between them.
func crowd(c *check) error {
	const conns, rounds = 1000, 5
	var all []*websocket.Conn
	for range conns {
		conn, err := c.dial()
		if err != nil {
			return err
		}
		defer conn.CloseNow()
		go func() { // reads the echoes
			for {
				if _, _, err := conn.Read(context.WithoutCancel(c)); err != nil {
					return
				}
			}
		}()
		all = append(all, conn)
	}
	if err := first(
		c.until(text("count-open")+` === "1000"`),
		// The longest time between two frames of the page, from now on.
		c.do(chromedp.Evaluate[chromedp.Void](`{ let last = performance.now(); window.longest = 0; window.frames_ = 0;
			const tick = () => { const now = performance.now(); longest = Math.max(longest, now - last); last = now; frames_++; requestAnimationFrame(tick); };
			requestAnimationFrame(tick); }`)),
		c.do(chromedp.KeyEvent("c")),
	); err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		tick := time.NewTicker(time.Second / conns)
		defer tick.Stop()
		for i := range conns * rounds {
			<-tick.C
			if err := c.send(all[i%conns], fmt.Sprintf(`{"n":%d}`, i)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	// Meanwhile the page follows the user.
	for i := range 20 {
		if err := first(c.do(chromedp.KeyEvent(kb.ArrowDown)), c.until(fmt.Sprintf(`%s[0] && document.querySelector("#conns .row.chosen")?.getAttribute("aria-posinset") === "%d"`, rows, i+1))); err != nil {
			return err
		}
	}
	if err := <-sent; err != nil {
		return err
	}
	if err := first(
		c.until(text("events-count")+`.startsWith("5000")`),
		c.do(chromedp.KeyEvent(kb.End)),
		c.until(`document.querySelector("#conns .row.chosen")?.getAttribute("aria-posinset") === "1000"`),
		c.until(fmt.Sprintf(`%s.at(-1).children[4].textContent === "%d"`, rows, rounds)),
	); err != nil {
		return err
	}
	elements, err := script[int](c, `document.getElementsByTagName("*").length`)
	if err != nil || elements > 2500 {
		return fmt.Errorf("%d elements, %v: not only what is in sight is drawn", elements, err)
	}
	longest, err := script[float64](c, `Math.round(longest)`)
	if err != nil {
		return err
	}
	frames, err := script[int](c, `frames_`)
	fmt.Printf("   %d elements, %d frames, %.0f ms between two at most\n", elements, frames, longest)
	return err
}

func scheme(name string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return err
	})
}

func colours(c *check) error {
	var seen []string
	for _, name := range []string{"dark", "light"} {
		if err := c.do(scheme(name)); err != nil {
			return err
		}
		colour, err := script[string](c, `getComputedStyle(document.body).backgroundColor`)
		if err != nil {
			return err
		}
		seen = append(seen, colour)
	}
	if seen[0] == seen[1] {
		return fmt.Errorf("the background is %s in both", seen[0])
	}
	return nil
}
