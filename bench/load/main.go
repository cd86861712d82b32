// Command load loads an OCI registry over keep-alive connections, watches the processor time and
// the memory of the server's process tree, and prints what it found as one JSON object.
//
// bench/registry.py starts it, once for each measurement. Big blobs are hashed before the clock
// starts, and one that came back is verified after it stopped.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type options struct {
	do, address, repository     string
	pid, streams, count, status int
	size, seed                  int64
	style, method, path, digest string
	duration, warmUp, every     time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.do, "do", "", "seed, push, pull, requests, heads, images or tags")
	flag.StringVar(&o.address, "address", "", "host:port of the registry")
	flag.StringVar(&o.repository, "repository", "bench/seed", "repository")
	flag.IntVar(&o.pid, "pid", 0, "the server's process")
	flag.IntVar(&o.streams, "streams", 1, "connections at once")
	flag.IntVar(&o.count, "count", 1, "blobs for each stream; tags or heads in all")
	flag.IntVar(&o.status, "status", 200, "what requests must answer")
	flag.Int64Var(&o.size, "size", 0, "bytes of a blob")
	flag.Int64Var(&o.seed, "seed", 1, "other seeds make other bytes")
	flag.StringVar(&o.style, "style", "monolithic", strings.Join(styles, ", ")+" or mixed")
	flag.StringVar(&o.method, "method", "GET", "method of requests")
	flag.StringVar(&o.path, "path", "", "path and query of requests")
	flag.StringVar(&o.digest, "digest", "", "digest of a blob, or that requests must answer")
	flag.DurationVar(&o.duration, "duration", time.Second, "how long requests are sent")
	flag.DurationVar(&o.warmUp, "warm-up", 100*time.Millisecond, "the same before the clock starts")
	flag.DurationVar(&o.every, "every", 250*time.Millisecond, "between two looks at the server's memory")
	flag.Parse()
	actions := map[string]func(*options) (any, error){
		"seed": seed, "push": pushes, "pull": pulls, "requests": requests, "heads": heads, "images": images, "tags": tags,
	}
	action, known := actions[o.do]
	if !known || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	found, err := action(&o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(found)
}

// crew is one connection for each stream.
type crew struct {
	o       *options
	clients []*client
}

func newCrew(o *options) (*crew, error) {
	crew := &crew{o: o}
	for range o.streams {
		c := &client{address: o.address}
		if _, err := c.want(200, &request{method: "GET", target: "/v2/"}); err != nil {
			return nil, err
		}
		crew.clients = append(crew.clients, c)
	}
	return crew, nil
}

// each runs work for every stream at once and answers the first error.
func (crew *crew) each(work func(stream int, c *client) error) error {
	errs := make([]error, len(crew.clients))
	var wait sync.WaitGroup
	for i, c := range crew.clients {
		wait.Add(1)
		go func() {
			defer wait.Done()
			errs[i] = work(i, c)
		}()
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// watch is the observer's, with what the connections counted.
func (crew *crew) watch(work func(stream int, c *client) error) (figures, error) {
	observer := observer{root: crew.o.pid, every: crew.o.every}
	f, err := observer.watch(func() error { return crew.each(work) })
	for _, c := range crew.clients {
		f.Reconnects += c.reconnects
	}
	return f, err
}

// until runs one operation after another in every stream until the time is over.
func (crew *crew) until(duration time.Duration, one func(stream int, c *client) error) (figures, error) {
	took := make([][]time.Duration, len(crew.clients))
	for i := range took {
		took[i] = make([]time.Duration, 0, 1<<16)
	}
	f, err := crew.watch(func(stream int, c *client) error {
		now := time.Now()
		for end := now.Add(duration); now.Before(end); {
			if err := one(stream, c); err != nil {
				return err
			}
			begin := now
			now = time.Now()
			took[stream] = append(took[stream], now.Sub(begin))
		}
		return nil
	})
	var all []time.Duration
	for _, some := range took {
		all = append(all, some...)
	}
	f.Operations = int64(len(all))
	f.percentiles(all)
	return f, err
}

// count runs operations 0 to o.count, each in whatever stream is idle.
func (crew *crew) count(one func(n int, c *client) error) (figures, error) {
	took := make([]time.Duration, crew.o.count)
	var number atomic.Int64
	f, err := crew.watch(func(_ int, c *client) error {
		for {
			n := int(number.Add(1)) - 1
			if n >= len(took) {
				return nil
			}
			begin := time.Now()
			if err := one(n, c); err != nil {
				return err
			}
			took[n] = time.Since(begin)
		}
	})
	f.Operations = int64(len(took))
	f.percentiles(took)
	return f, err
}

// seed makes what the reading rows read: a small image under the tag latest and one big blob.
func seed(o *options) (any, error) {
	crew, err := newCrew(o)
	if err != nil {
		return nil, err
	}
	c := crew.clients[0]
	image := newImage(o.seed, 0)
	if err := image.push(c, o.repository, "latest"); err != nil {
		return nil, err
	}
	found := map[string]string{"manifest": image.digest, "layer": image.blobs[0].digest}
	if o.size > 0 {
		blob := newContent(o.seed, 1, o.size)
		if err := push(c, o.repository, blob, "monolithic"); err != nil {
			return nil, err
		}
		found["blob"] = blob.digest
	}
	return found, nil
}

func pushes(o *options) (any, error) {
	crew, err := newCrew(o)
	if err != nil {
		return nil, err
	}
	blobs := make([][]*content, o.streams)
	if err := crew.each(func(stream int, _ *client) error {
		for i := range o.count {
			blobs[stream] = append(blobs[stream], newContent(o.seed, int64(stream*o.count+i), o.size))
		}
		return nil
	}); err != nil {
		return nil, err
	}
	settle()
	f, err := crew.watch(func(stream int, c *client) error {
		style := o.style
		if style == "mixed" {
			style = styles[stream%len(styles)]
		}
		for _, blob := range blobs[stream] {
			if err := push(c, o.repository, blob, style); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	f.Operations = int64(o.streams * o.count)
	f.Bytes = f.Operations * o.size
	return f, verify(crew.clients[0], o.repository, blobs[0][0].digest)
}

func pulls(o *options) (any, error) {
	crew, err := newCrew(o)
	if err != nil {
		return nil, err
	}
	f, err := crew.watch(func(_ int, c *client) error {
		for range o.count {
			if err := pull(c, o.repository, o.digest, o.size); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	f.Operations = int64(o.streams * o.count)
	f.Bytes = f.Operations * o.size
	return f, verify(crew.clients[0], o.repository, o.digest)
}

func requests(o *options) (any, error) {
	crew, err := newCrew(o)
	if err != nil {
		return nil, err
	}
	r := request{method: o.method, target: o.path, headers: accept, keep: true}
	first, err := crew.clients[0].want(o.status, &r)
	if err != nil {
		return nil, err
	}
	if o.digest != "" && o.method == "GET" && digestOf(first.body) != o.digest {
		return nil, fmt.Errorf("other bytes came back under %s", o.digest)
	}
	r.keep = false
	one := func(_ int, c *client) error {
		answer, err := c.want(o.status, &r)
		if err == nil && (answer.length != first.length || answer.digest != o.digest) {
			err = fmt.Errorf("%s: %d bytes of %q came back", r.target, answer.length, answer.digest)
		}
		return err
	}
	if _, err := crew.until(o.warmUp, one); err != nil {
		return nil, err
	}
	f, err := crew.until(o.duration, one)
	var list struct{ Tags []string }
	if json.Unmarshal(first.body, &list) == nil && list.Tags != nil {
		f.Note = fmt.Sprintf("%d tags a page", len(list.Tags))
	}
	return f, err
}

func images(o *options) (any, error) {
	crew, err := newCrew(o)
	if err != nil {
		return nil, err
	}
	settle()
	var number atomic.Int64
	one := func(stream int, c *client) error {
		n := number.Add(1)
		image := newImage(o.seed, n)
		return image.push(c, fmt.Sprintf("%s-%d", o.repository, stream), fmt.Sprintf("v%d", n))
	}
	if _, err := crew.until(o.warmUp, one); err != nil {
		return nil, err
	}
	return crew.until(o.duration, one)
}

// tags puts the seed's manifest under count tags.
func tags(o *options) (any, error) {
	crew, err := newCrew(o)
	if err != nil {
		return nil, err
	}
	image := newImage(o.seed, 0)
	settle()
	return crew.count(func(n int, c *client) error {
		return image.tag(c, o.repository, fmt.Sprintf("t%05d", n))
	})
}

// heads asks once for each blob that a push of one stream with the same seed, count and size sent.
func heads(o *options) (any, error) {
	crew, err := newCrew(o)
	if err != nil {
		return nil, err
	}
	blobs := make([]*content, o.count)
	for i := range blobs {
		blobs[i] = newContent(o.seed, int64(i), o.size)
	}
	return crew.count(func(n int, c *client) error {
		return head(c, o.repository, blobs[n])
	})
}
