// A log client that nobody here wrote: Go's sumdb packages, as Debian has them, read a tenant's log.
//
//	sumdb SOCKET TENANT VKEY FORMER
//
// FORMER is a checkpoint of the log that was kept before. Every entry is proved, and that the log continues FORMER; then
// everything again with a byte of each piece changed, which has to fail.
package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// The API of the service, and which byte of which piece is changed on the way; none when it is empty.
type service struct {
	http    *http.Client
	url     string
	changed string
	pieces  map[string]bool
}

func (s *service) get(path string) ([]byte, error) {
	answer, err := s.http.Get(s.url + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", path, answer.Status, body)
	}
	s.pieces[path] = true
	if path == s.changed {
		body[len(body)/2] ^= 1
	}
	return body, nil
}

func (s *service) Height() int                     { return 8 }
func (s *service) SaveTiles([]tlog.Tile, [][]byte) {}
func (s *service) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		// C2SP tlog-tiles leaves out the height, which is always 8.
		tile, err := s.get("/" + strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
		if err != nil {
			return nil, err
		}
		all = append(all, tile)
	}
	return all, nil
}

func parse(text string) (tlog.Tree, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 {
		return tlog.Tree{}, errors.New("no checkpoint")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	hash, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(hash) != tlog.HashSize {
		return tlog.Tree{}, errors.New("no root")
	}
	tree := tlog.Tree{N: size}
	copy(tree.Hash[:], hash)
	return tree, nil
}

func open(signed []byte, known note.Verifiers) (tlog.Tree, error) {
	opened, err := note.Open(signed, known)
	if err != nil {
		return tlog.Tree{}, err
	}
	return parse(opened.Text)
}

// The entries of a log of this size, from its bundles.
func (s *service) entries(size int64) ([][]byte, error) {
	var all [][]byte
	for int64(len(all)) < size {
		tile := tlog.Tile{H: 8, L: 0, N: int64(len(all)) / 256, W: 256}
		if rest := size - int64(len(all)); rest < 256 {
			tile.W = int(rest)
		}
		bundle, err := s.get("/" + strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1))
		if err != nil {
			return nil, err
		}
		for range make([]struct{}, tile.W) {
			if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
				return nil, errors.New("a bundle ends too early")
			}
			end := 2 + int(binary.BigEndian.Uint16(bundle))
			all, bundle = append(all, bundle[2:end]), bundle[end:]
		}
		if len(bundle) > 0 {
			return nil, errors.New("a bundle has more than its entries")
		}
	}
	return all, nil
}

func (s *service) verify(known note.Verifiers, former []byte) (int64, error) {
	signed, err := s.get("/checkpoint")
	if err != nil {
		return 0, err
	}
	tree, err := open(signed, known)
	if err != nil {
		return 0, err
	}
	reader := tlog.TileHashReader(tree, s)
	entries, err := s.entries(tree.N)
	if err != nil {
		return 0, err
	}
	for n, entry := range entries {
		proof, err := tlog.ProveRecord(tree.N, int64(n), reader)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, int64(n), tlog.RecordHash(entry)); err != nil {
			return 0, fmt.Errorf("entry %d: %w", n, err)
		}
	}
	before, err := open(former, known)
	if err != nil {
		return 0, err
	}
	proof, err := tlog.ProveTree(tree.N, before.N, reader)
	if err != nil {
		return 0, err
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, before.N, before.Hash); err != nil {
		return 0, err
	}
	before.Hash[0] ^= 1
	if tlog.CheckTree(proof, tree.N, tree.Hash, before.N, before.Hash) == nil {
		return 0, errors.New("the log continues what it never was")
	}
	return tree.N, nil
}

func run() error {
	socket, tenant, vkey := os.Args[1], os.Args[2], os.Args[3]
	former, err := os.ReadFile(os.Args[4])
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	s := &service{
		http:   &http.Client{Transport: &http.Transport{DialContext: dial}},
		url:    "http://thingward/api/v1/tenants/" + tenant + "/log",
		pieces: map[string]bool{},
	}
	known := note.VerifierList(verifier)
	size, err := s.verify(known, former)
	if err != nil {
		return err
	}
	pieces := s.pieces
	for piece := range pieces {
		s.changed = piece
		if _, err := s.verify(known, former); err == nil {
			return fmt.Errorf("%s has another byte and nobody notices", piece)
		}
	}
	if _, err := open(bytes.Replace(former, []byte("\n"), []byte("x\n"), 1), known); err == nil {
		return errors.New("a checkpoint with another name is opened")
	}
	fmt.Printf("%d entries are proved, %d changed pieces are noticed\n", size, len(pieces))
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
