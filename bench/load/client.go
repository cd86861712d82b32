package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// chunkSize is what Go's own HTTP client, and so docker, makes of a body of unknown length.
const chunkSize = 32 << 10

// client is one keep-alive HTTP/1.1 connection, for one goroutine. It is written by hand so that
// it costs a fraction of what any server costs: one write and one read for a small request, and
// bodies that are only counted are dropped inside the kernel.
type client struct {
	address    string
	tcp        *net.TCPConn
	raw        syscall.RawConn
	in         *bufio.Reader
	out        []byte
	used       bool // whether a request was answered on this connection
	reconnects int
}

type request struct {
	method, target string
	headers        string // whole lines, each ended by \r\n
	body           []byte
	content        *content // instead of body: bytes [from, to) of it
	from, to       int64
	chunked        bool // send content without telling its length
	keep           bool // answer the body, else it is dropped
	check          io.Writer
}

type response struct {
	status   int
	length   int64 // of the body; what HEAD told of it
	location string
	digest   string
	body     []byte
	closes   bool
}

func (c *client) connect() error {
	connection, err := net.DialTimeout("tcp", c.address, 10*time.Second)
	if err != nil {
		return err
	}
	c.tcp = connection.(*net.TCPConn)
	// One limit for the connection's whole life: nothing here lasts that long.
	if err := c.tcp.SetDeadline(time.Now().Add(15 * time.Minute)); err != nil {
		return err
	}
	if c.raw, err = c.tcp.SyscallConn(); err != nil {
		return err
	}
	c.in = bufio.NewReaderSize(c.tcp, 16<<10)
	c.used = false
	return nil
}

func (c *client) close() {
	if c.tcp != nil {
		_ = c.tcp.Close()
		c.tcp = nil
	}
}

// do sends r and reads the answer. A kept connection that the server closed meanwhile is opened
// again, once; how often is counted.
func (c *client) do(r *request) (response, error) {
	reused := c.tcp != nil && c.used
	if c.tcp == nil {
		if err := c.connect(); err != nil {
			return response{}, err
		}
	}
	answer, err := c.exchange(r)
	if err != nil && reused && isClosed(err) {
		c.close()
		c.reconnects++
		if err := c.connect(); err != nil {
			return response{}, err
		}
		answer, err = c.exchange(r)
	}
	if err != nil {
		c.close()
		return answer, fmt.Errorf("%s %s: %w", r.method, r.target, err)
	}
	c.used = true
	if answer.closes {
		c.close()
	}
	return answer, nil
}

func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// want is do, and an error for any other status than the wanted one.
func (c *client) want(status int, r *request) (response, error) {
	answer, err := c.do(r)
	if err == nil && answer.status != status {
		err = fmt.Errorf("%s %s: status %d instead of %d: %.300s", r.method, r.target, answer.status, status, answer.body)
	}
	return answer, err
}

// token is a Keystone token, for a server that asks who one is.
var token = os.Getenv("BENCH_TOKEN")

func (c *client) exchange(r *request) (response, error) {
	c.out = append(c.out[:0], r.method...)
	c.out = append(append(c.out, ' '), r.target...)
	c.out = append(append(c.out, " HTTP/1.1\r\nHost: "...), c.address...)
	c.out = append(append(c.out, "\r\nUser-Agent: berth-bench\r\n"...), r.headers...)
	if token != "" {
		c.out = append(append(append(c.out, "X-Auth-Token: "...), token...), "\r\n"...)
	}
	switch {
	case r.content != nil && r.chunked:
		c.out = append(c.out, "Transfer-Encoding: chunked\r\n\r\n"...)
	case r.content != nil:
		c.out = append(strconv.AppendInt(append(c.out, "Content-Length: "...), r.to-r.from, 10), "\r\n\r\n"...)
	case r.body != nil || (r.method != "GET" && r.method != "HEAD"):
		c.out = append(strconv.AppendInt(append(c.out, "Content-Length: "...), int64(len(r.body)), 10), "\r\n\r\n"...)
		c.out = append(c.out, r.body...)
	default:
		c.out = append(c.out, "\r\n"...)
	}
	_, failed := c.tcp.Write(c.out)
	if failed == nil && r.content != nil {
		failed = r.content.send(c.tcp, r.from, r.to, r.chunked)
	}
	answer, err := c.receive(r)
	if err != nil && failed != nil {
		return answer, failed
	}
	answer.closes = answer.closes || failed != nil // a server may answer before it took the whole body
	return answer, err
}

func (c *client) receive(r *request) (response, error) {
	answer := response{length: -1}
	chunked := false
	for {
		line, err := c.line()
		if err != nil {
			return answer, err
		}
		if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
			return answer, fmt.Errorf("no status line: %q", line)
		}
		if answer.status, err = strconv.Atoi(string(line[9:12])); err != nil {
			return answer, err
		}
		for {
			if line, err = c.line(); err != nil {
				return answer, err
			}
			if len(line) == 0 {
				break
			}
			colon := bytes.IndexByte(line, ':')
			if colon < 0 {
				return answer, fmt.Errorf("no header: %q", line)
			}
			name, value := line[:colon], bytes.TrimSpace(line[colon+1:])
			switch {
			case is(name, "content-length"):
				if answer.length, err = strconv.ParseInt(string(value), 10, 64); err != nil {
					return answer, err
				}
			case is(name, "transfer-encoding"):
				chunked = is(value, "chunked")
			case is(name, "connection"):
				answer.closes = is(value, "close")
			case is(name, "location"):
				answer.location = string(value)
			case is(name, "docker-content-digest"):
				answer.digest = string(value)
			}
		}
		if answer.status >= 200 {
			break
		}
	}
	if r.method == "HEAD" || answer.status == 204 || answer.status == 304 {
		return answer, nil
	}
	if chunked {
		return answer, c.chunks(r, &answer)
	}
	if answer.length < 0 {
		return answer, errors.New("a body without a length")
	}
	return answer, c.body(r, &answer, answer.length)
}

// is compares without regard to case.
func is(have []byte, want string) bool {
	return len(have) == len(want) && strings.EqualFold(string(have), want)
}

// line answers the next line without its end; it is valid until the next read.
func (c *client) line() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

func (c *client) chunks(r *request, answer *response) error {
	answer.length = 0
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		size, err := strconv.ParseInt(string(line), 16, 64)
		if err != nil {
			return err
		}
		if err := c.body(r, answer, size); err != nil {
			return err
		}
		answer.length += size
		if line, err = c.line(); err != nil || len(line) != 0 {
			return fmt.Errorf("after a chunk: %q %w", line, err)
		}
		if size == 0 {
			return nil
		}
	}
}

// body reads n bytes of a body: kept, checked, or dropped.
func (c *client) body(r *request, answer *response, n int64) error {
	switch {
	case r.check != nil:
		_, err := io.CopyN(r.check, c.in, n)
		return err
	case r.keep || answer.status >= 300:
		have := len(answer.body)
		answer.body = append(answer.body, make([]byte, n)...)
		_, err := io.ReadFull(c.in, answer.body[have:])
		return err
	default:
		return c.drop(n)
	}
}

// drop counts n bytes off the connection. With MSG_TRUNC the kernel throws them away where they
// lie (man 7 tcp), so the client pays for no copy.
func (c *client) drop(n int64) error {
	buffered, err := c.in.Discard(int(min(int64(c.in.Buffered()), n)))
	if err != nil {
		return err
	}
	n -= int64(buffered)
	for n > 0 {
		var got uintptr
		var errno syscall.Errno
		err := c.raw.Read(func(fd uintptr) bool {
			got, _, errno = syscall.Syscall6(syscall.SYS_RECVFROM, fd, 0, uintptr(min(n, 4<<20)), syscall.MSG_TRUNC, 0, 0)
			return errno != syscall.EAGAIN
		})
		switch {
		case err != nil:
			return err
		case errno == syscall.EINTR:
			continue
		case errno != 0:
			return errno
		case got == 0:
			return io.ErrUnexpectedEOF
		}
		n -= int64(got)
	}
	return nil
}
