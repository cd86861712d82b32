package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"syscall"
	"time"
)

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
	patchSize    = 8 << 20
	smallLayer   = 16 << 10

	// accept is what docker sends.
	accept = "Accept: application/vnd.docker.distribution.manifest.v2+json, " +
		"application/vnd.docker.distribution.manifest.list.v2+json, " +
		"application/vnd.oci.image.index.v1+json, " + manifestType + "\r\n"
	octets = "Content-Type: application/octet-stream\r\n"
)

var styles = []string{"monolithic", "chunked", "streamed"}

// begin opens an upload session and answers where.
func begin(c *client, repository string) (string, error) {
	answer, err := c.want(202, &request{method: "POST", target: "/v2/" + repository + "/blobs/uploads/"})
	if err != nil {
		return "", err
	}
	return target(answer.location)
}

// target answers the path and query of a Location, which may be absolute.
func target(location string) (string, error) {
	parsed, err := url.Parse(location)
	if err != nil || parsed.Path == "" {
		return "", fmt.Errorf("Location %q: %v", location, err)
	}
	return parsed.RequestURI(), nil
}

func withDigest(where, digest string) string {
	glue := "?"
	if strings.Contains(where, "?") {
		glue = "&"
	}
	return where + glue + "digest=" + url.QueryEscape(digest)
}

// push uploads a blob in one of the styles.
func push(c *client, repository string, blob *content, style string) error {
	where, err := begin(c, repository)
	if err != nil {
		return err
	}
	finish := &request{method: "PUT", headers: octets}
	step := int64(0)
	switch style {
	case "monolithic":
		finish.content, finish.to = blob, blob.size
	case "chunked":
		step = patchSize
	case "streamed":
		step = blob.size
	default:
		return fmt.Errorf("no such style: %s", style)
	}
	for from := int64(0); step > 0 && from < blob.size; from += step {
		r := &request{method: "PATCH", target: where, headers: octets, content: blob, from: from, to: min(from+step, blob.size)}
		if style == "chunked" {
			r.headers += fmt.Sprintf("Content-Range: %d-%d\r\n", r.from, r.to-1)
		} else {
			r.chunked = true
		}
		answer, err := c.want(202, r)
		if err != nil {
			return err
		}
		if where, err = target(answer.location); err != nil {
			return err
		}
	}
	finish.target = withDigest(where, blob.digest)
	return created(c, finish, blob.digest)
}

func created(c *client, r *request, digest string) error {
	answer, err := c.want(201, r)
	if err == nil && answer.digest != digest {
		err = fmt.Errorf("%s: digest %q instead of %s", r.target, answer.digest, digest)
	}
	return err
}

// pushSmall uploads a blob as docker does: ask, open, one PATCH without a length, empty PUT.
func pushSmall(c *client, repository string, blob *content) error {
	answer, err := c.do(&request{method: "HEAD", target: "/v2/" + repository + "/blobs/" + blob.digest})
	if err != nil {
		return err
	}
	if answer.status == 200 {
		return nil
	}
	if answer.status != 404 {
		return fmt.Errorf("HEAD of a blob: status %d", answer.status)
	}
	return push(c, repository, blob, "streamed")
}

// image is a config, two layers and their manifest, all unlike those of any other seed and number.
type image struct {
	blobs    []*content
	manifest []byte
	digest   string
}

func newImage(seed, number int64) image {
	type descriptor struct {
		MediaType string `json:"mediaType"`
		Digest    string `json:"digest"`
		Size      int64  `json:"size"`
	}
	var made image
	var layers []descriptor
	var diffs []string
	add := func(data []byte, kind string) descriptor {
		blob := small(data)
		made.blobs = append(made.blobs, blob)
		return descriptor{kind, blob.digest, blob.size}
	}
	for i := range int64(2) {
		data := stream(seed, number*2+i, smallLayer)
		layers = append(layers, add(data, layerType))
		diffs = append(diffs, digestOf(data[1:]))
	}
	config, _ := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
		"config":  map[string]any{"Cmd": []string{"/bin/sh"}, "Env": []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": diffs},
		"history": []map[string]any{{"created_by": "bench: one"}, {"created_by": "bench: two"}},
	})
	made.manifest, _ = json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType, "config": add(config, configType), "layers": layers,
	})
	made.digest = digestOf(made.manifest)
	return made
}

// push uploads the image under a tag, request by request as docker does it.
func (i *image) push(c *client, repository, tag string) error {
	if _, err := c.want(200, &request{method: "GET", target: "/v2/"}); err != nil {
		return err
	}
	for _, blob := range i.blobs {
		if err := pushSmall(c, repository, blob); err != nil {
			return err
		}
	}
	return i.tag(c, repository, tag)
}

func (i *image) tag(c *client, repository, tag string) error {
	return created(c, &request{
		method: "PUT", target: "/v2/" + repository + "/manifests/" + tag,
		headers: "Content-Type: " + manifestType + "\r\n", body: i.manifest,
	}, i.digest)
}

// pull reads a blob and drops its bytes; only their number is held against size.
func pull(c *client, repository, digest string, size int64) error {
	answer, err := c.want(200, &request{method: "GET", target: "/v2/" + repository + "/blobs/" + digest})
	if err == nil && answer.length != size {
		err = fmt.Errorf("%d bytes instead of %d", answer.length, size)
	}
	return err
}

// head asks whether a blob is there.
func head(c *client, repository string, blob *content) error {
	answer, err := c.want(200, &request{method: "HEAD", target: "/v2/" + repository + "/blobs/" + blob.digest})
	if err == nil && (answer.length != blob.size || answer.digest != blob.digest) {
		err = fmt.Errorf("%s: %d bytes of %q came back", blob.digest, answer.length, answer.digest)
	}
	return err
}

// verify pulls a blob and holds its bytes against its digest.
func verify(c *client, repository, digest string) error {
	sum := sha256.New()
	_, err := c.want(200, &request{method: "GET", target: "/v2/" + repository + "/blobs/" + digest, check: sum})
	if err == nil && "sha256:"+hex.EncodeToString(sum.Sum(nil)) != digest {
		err = fmt.Errorf("other bytes came back under %s", digest)
	}
	return err
}

// settle writes out what earlier work left dirty, so that it does not burden what is timed next.
func settle() {
	syscall.Sync()
	time.Sleep(50 * time.Millisecond)
}
