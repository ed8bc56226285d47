package cache

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/org/nixery-action/internal/bounded"
	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
)

// limits are what one history may have, whatever its few compressed bytes unfold to.
type limits struct {
	bytes   int64 // of JSON
	entries int   // of all snapshots
}

// decodeSnapshots reads gzipped JSON snapshot by snapshot and entry by entry, so that what is beyond a limit ends it before it costs
// memory. There are few snapshots, since each is compared with all before it.
func decodeSnapshots(ctx context.Context, body []byte, most limits) (snapshots []Snapshot, err error) {
	zip, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	d := snapshotDecoder{bounded.JSON(ctx, zip, most.bytes), most.entries, most.entries}
	err = d.fields(func(name string) error {
		if name != "snapshots" {
			return unknownField(name)
		}
		return bounded.Array(d.Decoder, maxSnapshots-len(snapshots), func() error {
			snapshot, err := d.snapshot()
			snapshots = append(snapshots, snapshot)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return snapshots, bounded.End(d.Decoder)
}

type snapshotDecoder struct {
	*json.Decoder
	left, most int // entries
}

// maxFields is more than any object of fields has.
const maxFields = 16

func (d *snapshotDecoder) fields(each func(name string) error) error {
	return bounded.Object(d.Decoder, maxFields, each)
}

func (d *snapshotDecoder) snapshot() (Snapshot, error) {
	p := NewSnapshot()
	readers := map[string]func(p Snapshot, key string) error{
		"layers": d.layer, "paths": d.path, "roots": d.roots, "inspected": d.inspected,
	}
	return p, d.fields(func(name string) error {
		read, ok := readers[name]
		if !ok {
			return unknownField(name)
		}
		return bounded.Object(d.Decoder, d.most, func(key string) error {
			if d.left--; d.left < 0 {
				return &bounded.Error{Most: int64(d.most), Unit: "entries"}
			}
			return read(p, key)
		})
	})
}

func unknownField(name string) error { return fmt.Errorf("unknown field %.80q", name) }

// value reads an entry.
func (d *snapshotDecoder) value(into any) error {
	return bounded.Value(d.Decoder, maxEntry, into)
}

func (d *snapshotDecoder) layer(p Snapshot, key string) error {
	var record recordJSON
	if err := d.value(&record); err != nil {
		return err
	}
	if !isHex(key) || !IsSHA256(record.DiffID) || !IsSHA256(record.Digest) || record.Size < 0 {
		return fmt.Errorf("layer %.80q is malformed", key)
	}
	p.Layers[layers.Key(key)] = layers.Record(record)
	return nil
}

func (d *snapshotDecoder) path(p Snapshot, key string) error {
	var entry pathJSON
	if err := d.value(&entry); err != nil {
		return err
	}
	info, err := entry.decode(key)
	if err == nil {
		p.Paths[info.Path] = info
	}
	return err
}

func (d *snapshotDecoder) roots(p Snapshot, key string) error {
	var entry []rootJSON
	if err := d.value(&entry); err != nil {
		return err
	}
	if !isKey(key) {
		return fmt.Errorf("the key %.80q of roots is malformed", key)
	}
	for _, root := range entry {
		path, err := nix.ParseStorePath(root.Path)
		if err != nil {
			return fmt.Errorf("root %.80q: %w", root.Name, err)
		}
		p.Roots[key] = append(p.Roots[key], Root{root.Name, path})
	}
	return nil
}

func (d *snapshotDecoder) inspected(p Snapshot, key string) error {
	var seconds int64
	if err := d.value(&seconds); err != nil {
		return err
	}
	if !isKey(key) {
		return fmt.Errorf("the key %.80q of an inspection is malformed", key)
	}
	p.Inspected[key] = time.Unix(seconds, 0).UTC()
	return nil
}

func isKey(key string) bool { return key != "" && len(key) <= maxKey }
