// Checks an exported ledger with Go's own transparency-log packages, as sum.golang.org's clients
// use them; shares no code with Muniment. Its one argument is the folder that
// "muniment export tiles" wrote.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// folder reads tiles at the paths of C2SP tlog-tiles, which leave out the height.
type folder string

func (dir folder) Height() int { return 8 }

func (dir folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (dir folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range tiles {
		data, err := dir.read(strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func (dir folder) read(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(dir), name))
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

// tree reads the signed checkpoint: origin, size and root, a line each.
func (dir folder) tree() tlog.Tree {
	vkey := strings.TrimSpace(string(must(dir.read("ledger.vkey"))))
	verifiers := note.VerifierList(must(note.NewVerifier(vkey)))
	signed := must(note.Open(must(dir.read("checkpoint")), verifiers))
	lines := strings.Split(signed.Text, "\n")
	root := must(base64.StdEncoding.DecodeString(lines[2]))
	tree := tlog.Tree{N: must(strconv.ParseInt(lines[1], 10, 64))}
	copy(tree.Hash[:], root)
	return tree
}

// leaves reads every entry bundle of the tree.
func (dir folder) leaves(size int64) [][]byte {
	var found [][]byte
	for start := int64(0); start < size; start += 256 {
		width := int(size - start)
		if width > 256 {
			width = 256
		}
		tile := tlog.Tile{H: 8, L: -1, N: start / 256, W: width}
		path := strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
		data := must(dir.read(path))
		for len(data) > 0 {
			length := int(binary.BigEndian.Uint16(data))
			found = append(found, data[2:2+length])
			data = data[2+length:]
		}
	}
	return found
}

func main() {
	dir := folder(os.Args[1])
	tree := dir.tree()
	// Every hash this reader gives was itself proved under the checkpoint's root.
	hashes := tlog.TileHashReader(tree, dir)
	leaves := dir.leaves(tree.N)
	if int64(len(leaves)) != tree.N {
		log.Fatalf("there are %d leaves, not %d", len(leaves), tree.N)
	}
	for number, leaf := range leaves {
		proof := must(tlog.ProveRecord(tree.N, int64(number), hashes))
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, int64(number), tlog.RecordHash(leaf)); err != nil {
			log.Fatalf("leaf %d: %v", number, err)
		}
	}
	for _, line := range bytes.Split(must(dir.read("checkpoints.jsonl")), []byte("\n")) {
		if len(line) > 0 {
			dir.extends(line, tree, hashes)
		}
	}
	fmt.Println(tree.N, tree.Hash)
}

// extends checks that the tree extends that of an older checkpoint.
func (dir folder) extends(line []byte, tree tlog.Tree, hashes tlog.HashReader) {
	parts := strings.Split(string(line), `\n`)
	size := must(strconv.ParseInt(parts[1], 10, 64))
	old := tlog.Tree{N: size}
	copy(old.Hash[:], must(base64.StdEncoding.DecodeString(parts[2])))
	if size == tree.N {
		return
	}
	proof := must(tlog.ProveTree(tree.N, size, hashes))
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, size, old.Hash); err != nil {
		log.Fatalf("checkpoint of %d: %v", size, err)
	}
}
