package main

// The client's ordering package over several members: reads that any member may answer never go back.

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/ordering"
)

// One writes numbers while many read, each through an ordering KV of its own and from its own memory, at whatever member
// is next. A reply has to be the state of its header's revision, and none is older than the one before.
func ordered(endpoints []string) {
	const writes, readers = 1500, 6
	type written struct{ revision, number int64 }
	var history []written
	var mutex sync.Mutex
	var over atomic.Bool
	must(client.Delete(ctx, "go/ordered"))

	var all sync.WaitGroup
	all.Go(func() {
		defer over.Store(true)
		for n := int64(1); n <= writes && ctx.Err() == nil; n++ {
			revision := must(client.Put(ctx, "go/ordered", strconv.FormatInt(n, 10))).Header.Revision
			mutex.Lock()
			history = append(history, written{revision, n})
			mutex.Unlock()
		}
	})
	type read struct{ revision, number int64 }
	reads := make([][]read, readers)
	var violations atomic.Int64
	for i := range readers {
		all.Go(func() {
			again := func(clientv3.Op, clientv3.OpResponse, int64) error { violations.Add(1); return ctx.Err() }
			kv := ordering.NewKV(client.KV, again)
			for n := 0; !over.Load(); n++ {
				var got read
				if n%4 == 3 {
					reply := must(kv.Txn(ctx).Then(clientv3.OpGet("go/ordered", clientv3.WithSerializable())).Commit())
					got.revision = reply.Header.Revision
					for _, item := range reply.Responses[0].GetResponseRange().Kvs {
						got.number, _ = strconv.ParseInt(string(item.Value), 10, 64)
					}
				} else {
					reply := must(kv.Get(ctx, "go/ordered", clientv3.WithSerializable()))
					got.revision = reply.Header.Revision
					for _, item := range reply.Kvs {
						got.number, _ = strconv.ParseInt(string(item.Value), 10, 64)
					}
				}
				reads[i] = append(reads[i], got)
			}
		})
	}
	all.Wait()

	back, wrong, total := "", "", 0
	for _, seen := range reads {
		total += len(seen)
		for n, got := range seen {
			if n > 0 && (got.revision < seen[n-1].revision || got.number < seen[n-1].number) {
				back = fmt.Sprint(got, " after ", seen[n-1])
			}
			at := sort.Search(len(history), func(i int) bool { return history[i].revision > got.revision })
			wanted := int64(0)
			if at > 0 {
				wanted = history[at-1].number
			}
			if got.number != wanted {
				wrong = fmt.Sprint(got.number, " at revision ", got.revision, ", which has ", wanted)
			}
		}
	}
	check("ordering: no read goes back", back == "" && total > writes/2, fmt.Sprint(total, " reads; ", back))
	check("ordering: a reply is the state of its revision", wrong == "", wrong)
	fmt.Println("   ", total, "reads of", len(endpoints), "members,", violations.Load(), "asked again")

	// A server that is behind what was read: no other one is there to ask.
	last := must(client.Put(ctx, "go/ordered", "last")).Header.Revision
	kv := ordering.NewKV(ahead{client.KV, last + 1000}, ordering.NewOrderViolationSwitchEndpointClosure(client))
	must(kv.Get(ctx, "go/ahead"))
	_, err := kv.Get(ctx, "go/ordered")
	check("ordering: an old reply is not taken", errors.Is(err, ordering.ErrNoGreaterRev), err)
}

// ahead is a KV that once was answered by a member that is ahead of all others: what it says of "go/ahead".
type ahead struct {
	clientv3.KV
	revision int64
}

func (kv ahead) Do(ctx context.Context, op clientv3.Op) (clientv3.OpResponse, error) {
	response, err := kv.KV.Do(ctx, op)
	if err == nil && string(op.KeyBytes()) == "go/ahead" {
		response.Get().Header.Revision = kv.revision
	}
	return response, err
}
