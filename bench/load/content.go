package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
)

const blockSize = 1 << 20

// content is a blob made while it is sent, so that eight of 1 GiB cost the client 8 MiB: a block of
// AES-CTR key stream again and again, each time stamped with its number. Not for two goroutines.
type content struct {
	size   int64
	digest string
	block  []byte
}

// newContent answers the blob of that seed, number and size; the same ones give the same bytes.
func newContent(seed, number, size int64) *content {
	c := &content{size: size, block: stream(seed, number, blockSize)}
	sum := sha256.New()
	for from := int64(0); from < size; from += blockSize {
		_, _ = sum.Write(c.at(from, size))
	}
	c.digest = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	return c
}

// small answers a blob of just these bytes, fewer than a block.
func small(data []byte) *content {
	return &content{size: int64(len(data)), digest: digestOf(data), block: data}
}

// stream answers size bytes of key stream.
func stream(seed, number int64, size int) []byte {
	var key, start [16]byte
	binary.BigEndian.PutUint64(key[:], uint64(seed))
	binary.BigEndian.PutUint64(key[8:], uint64(number))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the key has 16 bytes
	}
	made := make([]byte, size)
	cipher.NewCTR(block, start[:]).XORKeyStream(made, made)
	return made
}

// at answers the bytes from offset from to the end of its block, or to the offset to if that is
// less; they are valid until the next call.
func (c *content) at(from, to int64) []byte {
	number := from / blockSize
	if len(c.block) == blockSize {
		binary.BigEndian.PutUint64(c.block, uint64(number))
	}
	return c.block[from%blockSize : min(blockSize, to-number*blockSize)]
}

// send writes bytes [from, to), in HTTP chunks if asked.
func (c *content) send(w io.Writer, from, to int64, chunked bool) error {
	for from < to {
		piece := c.at(from, to)
		from += int64(len(piece))
		if !chunked {
			if _, err := w.Write(piece); err != nil {
				return err
			}
			continue
		}
		var pieces net.Buffers // one writev
		for len(piece) > 0 {
			size := min(chunkSize, len(piece))
			pieces = append(pieces, fmt.Appendf(nil, "%x\r\n", size), piece[:size], []byte("\r\n"))
			piece = piece[size:]
		}
		if _, err := pieces.WriteTo(w); err != nil {
			return err
		}
	}
	if chunked {
		_, err := io.WriteString(w, "0\r\n\r\n")
		return err
	}
	return nil
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}
