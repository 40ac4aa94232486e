// etcdload calls an etcd cluster as fast as it answers, from so many callers, and prints what came of it as JSON. It is the bench's native client of
// etcd and needs nothing but Go's standard library.
//
//	-mode write   puts of one key a call, or transactions of -batch puts
//	-mode read    linearizable gets of keys that it wrote before, at random
//	-mode probe   one put every -every-ms, each by itself; a line "begun acknowledged" (seconds since 1970) for each that was acknowledged
//
// write and read count the calls that end in the window: -seconds long, beginning -warm-up seconds after the load began.
package main

import (
	crypto "crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	pauseAfterFailure = 10 * time.Millisecond
	runOn             = 600 * time.Millisecond // after the window, so that its end is like its middle
)

var (
	endpoints   = flag.String("endpoints", "127.0.0.1:2379", "host:port of members, by comma")
	connections = flag.Int("connections", 1, "connections to each member")
	mode        = flag.String("mode", "write", "write, read or probe")
	callers     = flag.Int("callers", 1, "calls on their way at a time")
	batch       = flag.Int("batch", 1, "puts of one call")
	valueBytes  = flag.Int("value-bytes", 1024, "bytes of a value")
	warmUp      = flag.Float64("warm-up", 1, "seconds before the window")
	seconds     = flag.Float64("seconds", 5, "seconds of the window")
	preload     = flag.Int("preload", 5000, "keys to write before reading")
	everyMs     = flag.Int("every-ms", 10, "milliseconds between probes")
	timeoutMs   = flag.Int("timeout-ms", 10_000, "longest wait of one call")
)

// report is what write and read print. Times are seconds since 1970; took_us has one number for each call that succeeded in the window.
type report struct {
	From   float64 `json:"from_s"`
	Until  float64 `json:"until_s"`
	Failed int     `json:"failed"`
	TookUs []int64 `json:"took_us"`
}

// loader shares connections among callers and gives out keys.
type loader struct {
	lines  []*line
	run    string
	serial atomic.Int64
	value  []byte
}

// line is one connection that is dialled again when it was lost.
type line struct {
	host string
	mu   sync.Mutex
	open *connection
}

func (l *line) connection() (*connection, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil || l.open.isLost() {
		fresh, err := dial(l.host)
		if err != nil {
			return nil, err
		}
		l.open = fresh
	}
	return l.open, nil
}

func (l *line) do(path string, message []byte) ([]byte, error) {
	open, err := l.connection()
	if err != nil {
		return nil, err
	}
	return open.do(requestHeaders(l.host, path), message, time.Duration(*timeoutMs)*time.Millisecond)
}

func newLoader() *loader {
	nonce := make([]byte, 4)
	value := make([]byte, *valueBytes)
	for _, random := range [][]byte{nonce, value} {
		if _, err := crypto.Read(random); err != nil {
			panic(err)
		}
	}
	made := &loader{run: fmt.Sprintf("%x", nonce), value: value}
	for range make([]struct{}, *connections) {
		for _, host := range strings.Split(*endpoints, ",") {
			made.lines = append(made.lines, &line{host: host})
		}
	}
	return made
}

func (l *loader) key(serial int64) []byte { return []byte(fmt.Sprintf("r/%s/%012d", l.run, serial)) }

func (l *loader) newKeys(n int) [][]byte {
	last := l.serial.Add(int64(n))
	keys := make([][]byte, n)
	for at := range keys {
		keys[at] = l.key(last - int64(n-1-at))
	}
	return keys
}

// write returns a caller's step: one put, or one transaction of puts.
func (l *loader) write(on *line, puts int) func() error {
	var message []byte
	return func() error {
		keys, path := l.newKeys(puts), pathPut
		if puts == 1 {
			message = putMessage(message, keys[0], l.value)
		} else {
			message, path = txnMessage(message, keys, l.value), pathTxn
		}
		_, err := on.do(path, message)
		if err != nil {
			message = nil // its bytes may still wait in the connection
		}
		return err
	}
}

// read returns a caller's step: one get of a random key; an answer without the value counts as a failure.
func (l *loader) read(on *line) func() error {
	random := rand.New(rand.NewSource(time.Now().UnixNano() + rand.Int63()))
	var message []byte
	return func() error {
		message = rangeMessage(message, l.key(1+random.Int63n(int64(*preload))))
		answer, err := on.do(pathRange, message)
		if err != nil {
			message = nil
		} else if len(answer) < *valueBytes {
			err = errRefused
		}
		return err
	}
}

func (l *loader) fill() error {
	put := l.write(l.lines[0], 100)
	for l.serial.Load() < int64(*preload) {
		if err := put(); err != nil {
			return err
		}
	}
	return nil
}

func epoch(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

// measure lets all callers step until a little after the window and collects what ended in it.
func (l *loader) measure() report {
	began := time.Now()
	from := began.Add(time.Duration(*warmUp * float64(time.Second)))
	until := from.Add(time.Duration(*seconds * float64(time.Second)))
	total := report{From: epoch(from), Until: epoch(until)}
	var mu sync.Mutex
	var running sync.WaitGroup
	for at := 0; at < *callers; at++ {
		step := l.write(l.lines[at%len(l.lines)], *batch)
		if *mode == "read" {
			step = l.read(l.lines[at%len(l.lines)])
		}
		running.Add(1)
		go func() {
			defer running.Done()
			took, failed := loop(step, from, until)
			mu.Lock()
			defer mu.Unlock()
			total.TookUs = append(total.TookUs, took...)
			total.Failed += failed
		}()
	}
	running.Wait()
	return total
}

func loop(step func() error, from, until time.Time) (took []int64, failed int) {
	for {
		called := time.Now()
		if !called.Before(until.Add(runOn)) {
			return took, failed
		}
		err := step()
		ended := time.Now()
		inside := !ended.Before(from) && ended.Before(until)
		switch {
		case err != nil:
			if inside {
				failed++
			}
			time.Sleep(pauseAfterFailure)
		case inside:
			took = append(took, ended.Sub(called).Microseconds())
		}
	}
}

// probe begins a put at every tick, whatever became of the earlier ones, at member after member; it ends when it is ended.
func (l *loader) probe() {
	var printing sync.Mutex
	for at := 0; ; at++ {
		begun := time.Now()
		go func(step func() error) {
			if step() == nil {
				printing.Lock()
				fmt.Printf("%.6f %.6f\n", epoch(begun), epoch(time.Now()))
				printing.Unlock()
			}
		}(l.write(l.lines[at%len(l.lines)], 1))
		time.Sleep(time.Duration(*everyMs) * time.Millisecond)
	}
}

func main() {
	flag.Parse()
	load := newLoader()
	if *mode == "probe" {
		load.probe()
	}
	if *mode == "read" {
		if err := load.fill(); err != nil {
			fmt.Fprintln(os.Stderr, "etcdload: cannot write what is to be read:", err)
			os.Exit(1)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(load.measure()); err != nil {
		os.Exit(1)
	}
}
