package main

import (
	"fmt"
	"os"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"
)

// picture shows a room in use.
func picture(c *check, file string) error {
	var conns []*websocket.Conn
	names := []string{"ada", "grace", "linus", "barbara", "ken", "margaret", "dennis", "radia", "edsger", "frances", "donald", "joan"}
	for i, name := range names {
		conn, err := c.dial()
		if err != nil {
			return err
		}
		defer conn.CloseNow()
		conns = append(conns, conn)
		if err := c.send(conn, fmt.Sprintf(`{"action":"join","room":"lobby","name":%q}`, name)); err != nil {
			return err
		}
		for n := range 2 + i*7%5 {
			msg := fmt.Sprintf(`{"action":"sendmessage","room":"lobby","message":{"id":%d,"from":%q,"text":"hello from %s","edited":false}}`, 100*i+n, name, name)
			if err := c.send(conn, msg); err != nil {
				return err
			}
			time.Sleep(60 * time.Millisecond) // so that the times differ
		}
	}
	conns[2].Close(websocket.StatusNormalClosure, "done for today")
	conns[5].Close(4001, "signed out elsewhere")
	conns[8].CloseNow()
	row := func(n int) string { return fmt.Sprintf(`%s[%d].click()`, rows, n) }
	shot := func(name, file string) error {
		if err := c.do(scheme(name), chromedp.Sleep(1200*time.Millisecond)); err != nil {
			return err
		}
		png, err := chromedp.Run(c, chromedp.CaptureScreenshot())
		if err != nil {
			return err
		}
		return os.WriteFile(file, png, 0o644)
	}
	return first(
		c.until(text("count-open")+` === "9"`),
		c.do(chromedp.Evaluate[chromedp.Void](row(0)), chromedp.Evaluate[chromedp.Void](`document.getElementById("refuse-go").click()`)),
		c.do(chromedp.Evaluate[chromedp.Void](row(4)), chromedp.Evaluate[chromedp.Void](`document.getElementById("freeze").click()`)),
		c.do(chromedp.Evaluate[chromedp.Void](row(7))),
		c.until(lines+`.length > 4`),
		c.do(chromedp.Evaluate[chromedp.Void](lines+`[1].click()`)),
		c.set("send-text", `{"type":"notice","text":"The server restarts at 18:00."}`),
		shot("light", file),
	)
}
