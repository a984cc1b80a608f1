package callback

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// deep calls f with n more calls on the stack.
//
//go:noinline
func deep(n int, f func()) {
	if n == 0 {
		f()
		return
	}
	deep(n-1, f)
}

// Inside sees a Run at any depth: the stack is looked at in pieces, so each depth up to several of
// them is tried.
func TestInside(t *testing.T) {
	for depth := range 200 {
		deep(depth, func() {
			if Inside() {
				t.Fatalf("inside without a callback at depth %d", depth)
			}
		})
		calls := 0
		Run(func() {
			deep(depth, func() {
				calls++
				if !Inside() {
					t.Fatalf("not inside at depth %d", depth)
				}
			})
			if !Inside() {
				t.Fatal("not inside")
			}
		})
		if calls != 1 {
			t.Fatalf("called %d times, want 1", calls)
		}
	}
	if Inside() {
		t.Error("inside after a callback")
	}
}

// A goroutine that a callback starts is none of it; functions that are deferred are part of it,
// also when it ends its goroutine or panics.
func TestInsideGoroutines(t *testing.T) {
	var wg sync.WaitGroup
	Run(func() {
		wg.Go(func() {
			if Inside() {
				t.Error("inside on another goroutine")
			}
		})
	})
	wg.Go(func() {
		Run(func() {
			defer func() {
				if !Inside() {
					t.Error("not inside when deferred")
				}
			}()
			runtime.Goexit()
		})
	})
	wg.Wait()
	func() {
		defer func() { recover() }()
		Run(func() { panic("x") })
	}()
	if Inside() {
		t.Error("inside after a panic")
	}
}

// Another function that is called Run is not taken for ours.
func TestInsideOther(t *testing.T) {
	other{}.Run(func() {
		if Inside() {
			t.Error("inside a Run that is not ours")
		}
	})
}

type other struct{}

//go:noinline
func (other) Run(f func()) { f() }

func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran, inside := false, false
		if err := Do(func() { ran, inside = true, Inside() }); err != nil {
			t.Error(err)
		}
		if !ran || !inside {
			t.Errorf("ran %v, inside %v", ran, inside)
		}
		if err := Do(func() { runtime.Goexit() }); err != ErrGoexit {
			t.Errorf("after Goexit %v, want %v", err, ErrGoexit)
		}
		nested := error(nil)
		if err := Do(func() { nested = Do(runtime.Goexit) }); err != nil || nested != ErrGoexit {
			t.Errorf("nested: %v and %v, want %v and nil", nested, err, ErrGoexit)
		}
		Run(func() {
			Do(func() {
				if !Inside() {
					t.Error("not inside a Do in a Run")
				}
			})
		})
	})
}

// A panic in f ends the process, with the place of the panic in what it prints.
func TestDoPanic(t *testing.T) {
	if os.Getenv("CALLBACK_TEST_PANIC") != "" {
		Do(func() { panic("out of a callback") })
		select {} // the caller goes on while the panic ends the process
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestDoPanic$")
	cmd.Env = append(os.Environ(), "CALLBACK_TEST_PANIC=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "panic: out of a callback\n") ||
		!strings.Contains(string(out), "TestDoPanic.func1") {
		t.Errorf("%v, want a crash\n%s", err, out)
	}
}

// A copy of the package in a module with another path, a version of it or a fork, recognises
// itself. That a dot is written as %2e in the names of functions makes it as different as can be.
func TestInsideCopy(t *testing.T) {
	if os.Getenv("CALLBACK_TEST_COPY") != "" {
		return // this is the copy
	}
	dir := t.TempDir()
	write := func(name string, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", []byte("module example.com/fork.of/callback.copy/v2\n\ngo 1.26\n"))
	for _, name := range []string{"inside.go", "inside_test.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		write(name, text)
	}
	cmd := exec.Command("go", "test", "-run", "^TestInside", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CALLBACK_TEST_COPY=1", "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
