// Reads or writes a log directory with etcd's own wal package and prints what it holds, one fact a line,
// in the words of tests/interop/wal_go/wal_tool.cc, which does the same with Tenon's.
//
//	wal_go read DIR INDEX TERM
//	wal_go write DIR
//	wal_go append DIR INDEX TERM    opens it for writing, as etcd does at a start, and adds entries
package main

import (
	"fmt"
	"hash/crc32"
	"os"
	"strconv"

	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

func check(what string, err error) {
	if err != nil {
		fmt.Printf("%s: %v\n", what, err)
		os.Exit(1)
	}
}

func read(dir string, from *walpb.Snapshot) {
	_, err := wal.Verify(nil, dir, from)
	check("verify", err)
	snapshots, err := wal.ValidSnapshotEntries(nil, dir)
	check("snapshots", err)
	log, err := wal.OpenForRead(nil, dir, from)
	check("open", err)
	metadata, state, entries, err := log.ReadAll()
	check("read", err)

	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	fmt.Printf("metadata %x\n", metadata)
	fmt.Printf("state term=%d vote=%x commit=%d\n", state.GetTerm(), state.GetVote(), state.GetCommit())
	for _, s := range snapshots {
		fmt.Printf("snapshot index=%d term=%d voters=%v\n", s.GetIndex(), s.GetTerm(), s.GetConfState().GetVoters())
	}
	for _, e := range entries {
		fmt.Printf("entry index=%d term=%d type=%d size=%d crc=%08x\n", e.GetIndex(), e.GetTerm(), e.GetType(),
			len(e.GetData()), crc32.Checksum(e.GetData(), castagnoli))
	}
}

// A log of small segments with a term change and a snapshot, as etcd writes it.
func write(dir string) {
	log, err := wal.Create(nil, dir, []byte("etcd's metadata"))
	check("create", err)
	state := func(term, commit uint64) *raftpb.HardState {
		return &raftpb.HardState{Term: proto.Uint64(term), Vote: proto.Uint64(0x8e9e05c52164694d), Commit: proto.Uint64(commit)}
	}
	entry := func(term, index uint64, size int) *raftpb.Entry {
		e := &raftpb.Entry{Term: proto.Uint64(term), Index: proto.Uint64(index)}
		if size > 0 {
			e.Data = make([]byte, size)
			for i := range e.Data {
				e.Data[i] = byte(index + uint64(i))
			}
		}
		return e
	}
	for i := uint64(1); i <= 100; i++ {
		check("save", log.Save(state(1, i-1), []*raftpb.Entry{entry(1, i, int(i*37%900))}))
	}
	conf := &raftpb.ConfState{Voters: []uint64{1, 2, 3}}
	check("save", log.Save(state(1, 100), nil))
	check("snapshot", log.SaveSnapshot(&walpb.Snapshot{Index: proto.Uint64(60), Term: proto.Uint64(1), ConfState: conf}))
	check("save", log.Save(state(1, 100), []*raftpb.Entry{entry(1, 101, 10), entry(1, 102, 10), entry(1, 103, 10)}))
	check("save", log.Save(state(2, 101), []*raftpb.Entry{entry(2, 102, 0), entry(2, 103, 5000)}))
	check("close", log.Close())
}

func extend(dir string, from *walpb.Snapshot) {
	log, err := wal.Open(nil, dir, from)
	check("open", err)
	_, state, entries, err := log.ReadAll()
	check("read", err)
	last := entries[len(entries)-1].GetIndex()
	state.Term = proto.Uint64(state.GetTerm() + 1)
	for i := last + 1; i <= last+100; i++ {
		e := &raftpb.Entry{Term: state.Term, Index: proto.Uint64(i), Data: make([]byte, 300)}
		check("save", log.Save(state, []*raftpb.Entry{e}))
	}
	check("close", log.Close())
}

func main() {
	wal.SegmentSizeBytes = 16 * 1024
	if len(os.Args) == 3 && os.Args[1] == "write" {
		write(os.Args[2])
		return
	}
	if len(os.Args) != 5 || (os.Args[1] != "read" && os.Args[1] != "append") {
		fmt.Fprintln(os.Stderr, "usage: wal_go read|append DIR INDEX TERM | wal_go write DIR")
		os.Exit(2)
	}
	index, err := strconv.ParseUint(os.Args[3], 10, 64)
	check("index", err)
	term, err := strconv.ParseUint(os.Args[4], 10, 64)
	check("term", err)
	from := &walpb.Snapshot{Index: &index, Term: &term}
	if os.Args[1] == "append" {
		extend(os.Args[2], from)
		return
	}
	read(os.Args[2], from)
}
