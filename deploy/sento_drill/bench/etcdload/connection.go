package main

// One HTTP/2 connection that carries gRPC's unary calls and nothing else: many streams, one writer that gathers what all callers want to say.
// Request headers are constant bytes and answers' headers are never read: a call succeeded when a whole message came before the end of its stream,
// because a server that refuses a unary call ends the stream without one. Sources: RFC 9113 (HTTP/2), RFC 7541 (HPACK, literals without indexing).

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	frameData, frameHeaders, frameReset, frameSettings    = 0x0, 0x1, 0x3, 0x4
	framePing, frameGoAway, frameWindow                   = 0x6, 0x7, 0x8
	flagEndStream, flagAck, flagEndHeaders                = 0x1, 0x1, 0x4
	settingInitialWindow, settingMaxFrame                 = 0x4, 0x5
	defaultWindow, largestWindow, frameHeadBytes, dialFor = 65_535, 1<<31 - 1, 9, time.Second
	windowGivenBackEvery                                  = 8 << 20
)

var (
	errLost    = errors.New("connection lost")
	errRefused = errors.New("refused")
	errLate    = errors.New("no answer in time")
)

type call struct {
	id     uint32
	window int
	unsent []byte
	answer []byte
	done   chan error
}

type connection struct {
	socket net.Conn
	host   string

	mu            sync.Mutex
	wake          *sync.Cond
	pending       []byte
	calls         map[uint32]*call
	blocked       []*call
	nextID        uint32
	window        int
	initialWindow int
	maxFrame      int
	lost          bool
}

func dial(host string) (*connection, error) {
	socket, err := net.DialTimeout("tcp", host, dialFor)
	if err != nil {
		return nil, err
	}
	c := &connection{socket: socket, host: host, calls: map[uint32]*call{}, nextID: 1,
		window: defaultWindow, initialWindow: defaultWindow, maxFrame: 16_384}
	c.wake = sync.NewCond(&c.mu)
	c.pending = append(c.pending, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"...)
	c.pending = appendFrameHead(c.pending, 6, frameSettings, 0, 0)
	c.pending = binary.BigEndian.AppendUint16(c.pending, settingInitialWindow)
	c.pending = binary.BigEndian.AppendUint32(c.pending, largestWindow)
	c.giveWindow(largestWindow - defaultWindow)
	go c.write()
	go c.read()
	return c, nil
}

func appendFrameHead(out []byte, length int, kind, flags byte, stream uint32) []byte {
	out = append(out, byte(length>>16), byte(length>>8), byte(length), kind, flags)
	return binary.BigEndian.AppendUint32(out, stream)
}

func appendLiteral(out []byte, text string) []byte {
	return append(append(out, byte(len(text))), text...)
}

// requestHeaders is the header block of every request to a path: :method POST, :scheme http, :path, :authority, content-type, te.
func requestHeaders(host, path string) []byte {
	out := []byte{0x83, 0x86}
	out = appendLiteral(append(out, 0x04), path)
	out = appendLiteral(append(out, 0x01), host)
	out = appendLiteral(append(out, 0x0f, 0x10), "application/grpc")
	out = appendLiteral(append(out, 0x00), "te")
	return appendLiteral(out, "trailers")
}

// do sends one message and waits for the answer; `message` must not be changed before it returns.
func (c *connection) do(headers, message []byte, timeout time.Duration) ([]byte, error) {
	one := &call{unsent: message, done: make(chan error, 1)}
	c.mu.Lock()
	if c.lost {
		c.mu.Unlock()
		return nil, errLost
	}
	one.id, one.window = c.nextID, c.initialWindow
	c.nextID += 2
	c.calls[one.id] = one
	c.pending = appendFrameHead(c.pending, len(headers), frameHeaders, flagEndHeaders, one.id)
	c.pending = append(c.pending, headers...)
	if !c.sendSome(one) {
		c.blocked = append(c.blocked, one)
	}
	c.wake.Signal()
	c.mu.Unlock()

	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case err := <-one.done:
		return one.answer, err
	case <-timer.C:
		c.forget(one)
		return nil, errLate
	}
}

// sendSome queues as much of a call's message as both windows allow; true when it is all queued.
func (c *connection) sendSome(one *call) bool {
	for len(one.unsent) > 0 {
		n := min(len(one.unsent), c.window, one.window, c.maxFrame)
		if n <= 0 {
			return false
		}
		var flags byte
		if n == len(one.unsent) {
			flags = flagEndStream
		}
		c.pending = appendFrameHead(c.pending, n, frameData, flags, one.id)
		c.pending = append(c.pending, one.unsent[:n]...)
		one.unsent = one.unsent[n:]
		c.window -= n
		one.window -= n
	}
	return true
}

func (c *connection) sendBlocked() {
	still := c.blocked[:0]
	for _, one := range c.blocked {
		if !c.sendSome(one) {
			still = append(still, one)
		}
	}
	c.blocked = still
}

// forget gives a call up: its stream is reset, so that a late answer is dropped.
func (c *connection) forget(one *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, open := c.calls[one.id]; !open {
		return
	}
	delete(c.calls, one.id)
	for at, other := range c.blocked {
		if other == one {
			c.blocked = append(c.blocked[:at], c.blocked[at+1:]...)
			break
		}
	}
	c.pending = appendFrameHead(c.pending, 4, frameReset, 0, one.id)
	c.pending = binary.BigEndian.AppendUint32(c.pending, 0x8)
	c.wake.Signal()
}

func (c *connection) giveWindow(n uint32) {
	c.pending = appendFrameHead(c.pending, 4, frameWindow, 0, 0)
	c.pending = binary.BigEndian.AppendUint32(c.pending, n)
}

func (c *connection) write() {
	var spare []byte
	for {
		c.mu.Lock()
		for len(c.pending) == 0 && !c.lost {
			c.wake.Wait()
		}
		if c.lost {
			c.mu.Unlock()
			return
		}
		out := c.pending
		c.pending = spare[:0]
		c.mu.Unlock()
		if _, err := c.socket.Write(out); err != nil {
			c.lose()
			return
		}
		spare = out
	}
}

// lose ends every call that waits: nobody knows what became of it.
func (c *connection) lose() {
	c.socket.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = true
	for id, one := range c.calls {
		delete(c.calls, id)
		one.done <- errLost
	}
	c.wake.Broadcast()
}

func (c *connection) isLost() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

func (c *connection) read() {
	defer c.lose()
	in := bufio.NewReaderSize(c.socket, 256<<10)
	var head [frameHeadBytes]byte
	var payload []byte
	taken := 0
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return
		}
		length := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		if cap(payload) < length {
			payload = make([]byte, length)
		}
		payload = payload[:length]
		if _, err := io.ReadFull(in, payload); err != nil {
			return
		}
		stream := binary.BigEndian.Uint32(head[5:]) & largestWindow
		if head[3] == frameGoAway {
			return
		}
		c.mu.Lock()
		c.take(head[3], head[4], stream, payload)
		if head[3] == frameData {
			taken += length
			if taken >= windowGivenBackEvery {
				c.giveWindow(uint32(taken))
				taken = 0
			}
		}
		if len(c.pending) > 0 {
			c.wake.Signal()
		}
		c.mu.Unlock()
	}
}

func (c *connection) take(kind, flags byte, stream uint32, payload []byte) {
	switch kind {
	case frameData, frameHeaders, frameReset:
		one, open := c.calls[stream]
		if !open {
			return
		}
		if kind == frameData {
			one.answer = append(one.answer, payload...)
		}
		if kind == frameReset || flags&flagEndStream != 0 {
			delete(c.calls, stream)
			one.done <- one.verdict(kind)
		}
	case frameSettings:
		if flags&flagAck == 0 {
			c.takeSettings(payload)
			c.pending = appendFrameHead(c.pending, 0, frameSettings, flagAck, 0)
		}
	case framePing:
		if flags&flagAck == 0 {
			c.pending = appendFrameHead(c.pending, len(payload), framePing, flagAck, 0)
			c.pending = append(c.pending, payload...)
		}
	case frameWindow:
		n := int(binary.BigEndian.Uint32(payload) & largestWindow)
		if stream == 0 {
			c.window += n
		} else if one, open := c.calls[stream]; open {
			one.window += n
		}
		c.sendBlocked()
	}
}

func (one *call) verdict(kind byte) error {
	whole := len(one.answer) >= framingBytes &&
		len(one.answer) == framingBytes+int(binary.BigEndian.Uint32(one.answer[1:framingBytes]))
	if kind == frameReset || !whole {
		return errRefused
	}
	return nil
}

func (c *connection) takeSettings(payload []byte) {
	for ; len(payload) >= 6; payload = payload[6:] {
		value := int(binary.BigEndian.Uint32(payload[2:6]))
		switch binary.BigEndian.Uint16(payload) {
		case settingInitialWindow:
			for _, one := range c.calls {
				one.window += value - c.initialWindow
			}
			c.initialWindow = value
		case settingMaxFrame:
			c.maxFrame = value
		}
	}
	c.sendBlocked()
}
