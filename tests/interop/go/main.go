// The official Go client against one endpoint, or what is built on it against several members. Prints a line per check: "ok NAME" or "FAIL NAME: why".
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/mirror"
)

var (
	ctx    context.Context
	client *clientv3.Client
	failed bool
)

func check(name string, holds bool, detail any) {
	if holds {
		fmt.Println("ok", name)
		return
	}
	failed = true
	fmt.Printf("FAIL %s: %v\n", name, detail)
}

func equal(name string, got, wanted any) {
	check(name, reflect.DeepEqual(got, wanted), fmt.Sprintf("got %v, wanted %v", got, wanted))
}

// must ends the program: what follows would only repeat the failure.
func must[T any](value T, err error) T {
	if err != nil {
		fmt.Printf("FAIL a call that must succeed: %v\n", err)
		os.Exit(1)
	}
	return value
}

func keys(response *clientv3.GetResponse) (names []string) {
	for _, kv := range response.Kvs {
		names = append(names, string(kv.Key))
	}
	return names
}

func get(key string, options ...clientv3.OpOption) *clientv3.GetResponse {
	return must(client.Get(ctx, key, options...))
}

func main() {
	var cancel context.CancelFunc
	ctx, cancel = context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	endpoints := os.Args[1:]
	client = must(clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 5 * time.Second}))
	defer client.Close()
	must(client.Delete(ctx, "go/", clientv3.WithPrefix()))

	if len(endpoints) == 1 {
		puts()
		gets()
		deletes()
		txns()
		compaction()
		watches()
		leases()
		maintenance()
	}
	locks()
	elections()
	transactions(endpoints)
	leasings(endpoints)
	namespaces()
	ordered(endpoints)
	if failed {
		os.Exit(1)
	}
}

func puts() {
	first := must(client.Put(ctx, "go/a", "1"))
	second := must(client.Put(ctx, "go/a", "2", clientv3.WithPrevKV()))
	equal("put moves the revision by one", second.Header.Revision, first.Header.Revision+1)
	equal("put with the previous value", string(second.PrevKv.Value), "1")
	must(client.Put(ctx, "go/a", "", clientv3.WithIgnoreValue()))
	kept := get("go/a").Kvs[0]
	equal("put that ignores the value", []any{string(kept.Value), kept.Version}, []any{"2", int64(3)})
	must(client.Put(ctx, "go/a", "3", clientv3.WithIgnoreLease()))
	_, err := client.Put(ctx, "go/missing", "", clientv3.WithIgnoreValue())
	check("put that ignores the value of nothing", errors.Is(err, rpctypes.ErrKeyNotFound), err)
	_, err = client.Put(ctx, "go/b", "1", clientv3.WithLease(12345))
	check("put with an unknown lease", errors.Is(err, rpctypes.ErrLeaseNotFound), err)
	_, err = client.Put(ctx, "", "1")
	check("put without a key", errors.Is(err, rpctypes.ErrEmptyKey), err)
	_, err = client.Put(ctx, "go/large", string(make([]byte, 1700000)))
	check("put that is too large", errors.Is(err, rpctypes.ErrRequestTooLarge), err)
}

func gets() {
	var revisions []int64
	for _, pair := range [][2]string{{"go/r/1", "c"}, {"go/r/2", "a"}, {"go/r/3", "b"}, {"go/r/2", "z"}} {
		revisions = append(revisions, must(client.Put(ctx, pair[0], pair[1])).Header.Revision)
	}
	prefix := clientv3.WithPrefix()
	equal("prefix", keys(get("go/r/", prefix)), []string{"go/r/1", "go/r/2", "go/r/3"})
	equal("range", keys(get("go/r/1", clientv3.WithRange("go/r/3"))), []string{"go/r/1", "go/r/2"})
	equal("from key", keys(get("go/r/2", clientv3.WithFromKey(), clientv3.WithLimit(2))), []string{"go/r/2", "go/r/3"})
	limited := get("go/r/", prefix, clientv3.WithLimit(2))
	equal("limit", []any{len(limited.Kvs), limited.More, limited.Count}, []any{2, true, int64(3)})
	equal("count only", get("go/r/", prefix, clientv3.WithCountOnly()).Count, int64(3))
	equal("keys only", len(get("go/r/1", clientv3.WithKeysOnly()).Kvs[0].Value), 0)
	equal("an old revision", string(get("go/r/2", clientv3.WithRev(revisions[1])).Kvs[0].Value), "a")
	equal("serializable", string(get("go/r/2", clientv3.WithSerializable()).Kvs[0].Value), "z")
	for target, wanted := range map[clientv3.SortTarget][]string{
		clientv3.SortByKey:            {"go/r/3", "go/r/2", "go/r/1"},
		clientv3.SortByValue:          {"go/r/2", "go/r/1", "go/r/3"},
		clientv3.SortByModRevision:    {"go/r/2", "go/r/3", "go/r/1"},
		clientv3.SortByCreateRevision: {"go/r/3", "go/r/2", "go/r/1"},
		clientv3.SortByVersion:        {"go/r/2", "go/r/1", "go/r/3"},
	} {
		equal(fmt.Sprint("descending by target ", target), keys(get("go/r/", prefix, clientv3.WithSort(target, clientv3.SortDescend))), wanted)
	}
	equal("the last revision", keys(get("go/r/", clientv3.WithLastRev()...)), []string{"go/r/2"})
	equal("the first created", keys(get("go/r/", clientv3.WithFirstCreate()...)), []string{"go/r/1"})
	equal("a least mod revision", keys(get("go/r/", prefix, clientv3.WithMinModRev(revisions[2]))), []string{"go/r/2", "go/r/3"})
	equal("a largest mod revision", keys(get("go/r/", prefix, clientv3.WithMaxModRev(revisions[2]))), []string{"go/r/1", "go/r/3"})
	equal("a least create revision", keys(get("go/r/", prefix, clientv3.WithMinCreateRev(revisions[1]))), []string{"go/r/2", "go/r/3"})
	equal("a largest create revision", keys(get("go/r/", prefix, clientv3.WithMaxCreateRev(revisions[1]))), []string{"go/r/1", "go/r/2"})
	_, err := client.Get(ctx, "go/r/1", clientv3.WithRev(revisions[3]+1000))
	check("a future revision", errors.Is(err, rpctypes.ErrFutureRev), err)

	stream := must(client.GetStream(ctx, "go/r/", prefix))
	whole := must(clientv3.GetStreamToGetResponse(stream))
	equal("a stream", keys(whole), []string{"go/r/1", "go/r/2", "go/r/3"})
	equal("a stream's count", whole.Count, int64(3))
}

func deletes() {
	must(client.Put(ctx, "go/d/1", "x"))
	must(client.Put(ctx, "go/d/2", "y"))
	one := must(client.Delete(ctx, "go/d/1", clientv3.WithPrevKV()))
	equal("delete with the previous value", []any{one.Deleted, string(one.PrevKvs[0].Value)}, []any{int64(1), "x"})
	equal("delete of a prefix", must(client.Delete(ctx, "go/d/", clientv3.WithPrefix())).Deleted, int64(1))
	equal("delete of nothing", must(client.Delete(ctx, "go/d/")).Deleted, int64(0))
}

func txns() {
	must(client.Put(ctx, "go/t", "1"))
	yes := must(client.Txn(ctx).If(clientv3.Compare(clientv3.Value("go/t"), "=", "1"),
		clientv3.Compare(clientv3.Version("go/t"), ">", 0), clientv3.Compare(clientv3.CreateRevision("go/none"), "=", 0)).
		Then(clientv3.OpPut("go/t", "2"), clientv3.OpGet("go/t")).Else(clientv3.OpDelete("go/t")).Commit())
	equal("a txn that succeeds", []any{yes.Succeeded, string(yes.Responses[1].GetResponseRange().Kvs[0].Value)}, []any{true, "2"})
	no := must(client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision("go/t"), "=", 1)).
		Then(clientv3.OpPut("go/t", "x")).Else(clientv3.OpGet("go/t")).Commit())
	equal("a txn that fails", []any{no.Succeeded, string(no.Responses[0].GetResponseRange().Kvs[0].Value)}, []any{false, "2"})
	inner := clientv3.OpTxn([]clientv3.Cmp{clientv3.Compare(clientv3.Value("go/t"), "=", "2")},
		[]clientv3.Op{clientv3.OpPut("go/inner", "then")}, []clientv3.Op{clientv3.OpPut("go/inner", "else")})
	outer := must(client.Txn(ctx).Then(clientv3.OpPut("go/t", "3"), inner, clientv3.OpGet("go/inner")).Commit())
	equal("a nested txn sees the state before", string(outer.Responses[2].GetResponseRange().Kvs[0].Value), "then")
	ranged := must(client.Txn(ctx).If(clientv3.Compare(clientv3.Version("go/r/"), ">", 0).WithPrefix()).Commit())
	equal("a compare of a range", ranged.Succeeded, true)
	_, err := client.Txn(ctx).Then(clientv3.OpPut("go/t", "1"), clientv3.OpPut("go/t", "2")).Commit()
	check("a duplicate key", errors.Is(err, rpctypes.ErrDuplicateKey), err)
	many := make([]clientv3.Op, 129)
	for i := range many {
		many[i] = clientv3.OpPut(fmt.Sprintf("go/many/%d", i), "")
	}
	_, err = client.Txn(ctx).Then(many...).Commit()
	check("too many operations", errors.Is(err, rpctypes.ErrTooManyOps), err)
}

func compaction() {
	now := must(client.Put(ctx, "go/compacted", "1")).Header.Revision
	must(client.Put(ctx, "go/compacted", "2"))
	must(client.Compact(ctx, now, clientv3.WithCompactPhysical()))
	_, err := client.Get(ctx, "go/compacted", clientv3.WithRev(now-1))
	check("a compacted revision", errors.Is(err, rpctypes.ErrCompacted), err)
	equal("the compaction's own revision", string(get("go/compacted", clientv3.WithRev(now)).Kvs[0].Value), "1")
	_, err = client.Compact(ctx, now)
	check("compaction twice", errors.Is(err, rpctypes.ErrCompacted), err)
}

// told reads a watch until so many events came, and lists them: "+key=value(former)" and "-key(former)".
func told(channel clientv3.WatchChan, events int) (out []string) {
	for len(out) < events {
		response, open := <-channel
		if !open || response.Err() != nil {
			return append(out, fmt.Sprint("ended: ", response.Err()))
		}
		for _, event := range response.Events {
			text := "-" + string(event.Kv.Key)
			if event.IsCreate() {
				text = "new " + string(event.Kv.Key) + "=" + string(event.Kv.Value)
			} else if event.IsModify() {
				text = "+" + string(event.Kv.Key) + "=" + string(event.Kv.Value)
			}
			if event.PrevKv != nil {
				text += "(" + string(event.PrevKv.Value) + ")"
			}
			out = append(out, text)
		}
	}
	return out
}

func watches() {
	watching, end := context.WithCancel(ctx)
	defer end()
	past := must(client.Put(ctx, "go/w/a", "1")).Header.Revision
	now := client.Watch(watching, "go/w/", clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithCreatedNotify())
	check("watch is created", (<-now).Created, "")
	must(client.Put(ctx, "go/w/a", "2"))
	must(client.Delete(ctx, "go/w/a"))
	must(client.Put(ctx, "go/w/b", "3"))
	wanted := []string{"+go/w/a=2(1)", "-go/w/a(2)", "new go/w/b=3"}
	equal("watch of a prefix", told(now, 3), wanted)
	equal("watch from the past", told(client.Watch(watching, "go/w/", clientv3.WithPrefix(), clientv3.WithPrevKV(),
		clientv3.WithRev(past+1)), 3), wanted)
	equal("watch without puts", told(client.Watch(watching, "go/w/", clientv3.WithPrefix(), clientv3.WithRev(past),
		clientv3.WithFilterPut()), 1), []string{"-go/w/a"})
	big := make([]clientv3.Op, 4)
	for i := range big {
		big[i] = clientv3.OpPut(fmt.Sprintf("go/big/%d", i), string(make([]byte, 380_000)))
	}
	must(client.Txn(ctx).Then(big...).Commit())
	rev := must(client.Txn(ctx).Then(big...).Commit()).Header.Revision
	parts := client.Watch(watching, "go/big/", clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithRev(rev),
		clientv3.WithFragment())
	equal("watch in fragments", len((<-parts).Events), 4)

	quiet := client.Watch(watching, "go/quiet", clientv3.WithCreatedNotify())
	<-quiet
	must(client.Put(ctx, "go/other", "1"))
	last := must(client.Put(ctx, "go/other", "2")).Header.Revision
	must(struct{}{}, client.RequestProgress(watching))
	progress := <-quiet
	check("progress on request", progress.IsProgressNotify() && progress.Header.Revision >= last, progress)

	must(client.Compact(ctx, last))
	lost := <-client.Watch(watching, "go/w/a", clientv3.WithRev(past))
	equal("watch of what is compacted", []any{lost.Err(), lost.CompactRevision}, []any{rpctypes.ErrCompacted, last})

	mirrored := mirror.NewSyncer(client, "go/w/", 0)
	base, failures := mirrored.SyncBase(watching)
	count := 0
	for response := range base {
		count += len(response.Kvs)
	}
	equal("mirror: the base", []any{count, <-failures}, []any{1, nil})
	updates := mirrored.SyncUpdates(watching)
	must(client.Put(ctx, "go/w/c", "4"))
	equal("mirror: updates", told(updates, 1), []string{"new go/w/c=4"})
	equal("watch goes on", told(now, 1), []string{"new go/w/c=4"})
	end()
	_, open := <-now
	check("a watch ends with its context", !open, "")
}

func leases() {
	lease := must(client.Grant(ctx, 600)).ID
	must(client.Put(ctx, "go/l/a", "1", clientv3.WithLease(lease)))
	must(client.Put(ctx, "go/l/b", "1", clientv3.WithLease(lease)))
	must(client.Put(ctx, "go/l/b", "2", clientv3.WithIgnoreLease()))
	seen := must(client.TimeToLive(ctx, lease, clientv3.WithAttachedKeys()))
	equal("a lease's time and keys", []any{seen.GrantedTTL, seen.TTL > 590, len(seen.Keys)}, []any{int64(600), true, 2})
	equal("a lease is kept alive once", must(client.KeepAliveOnce(ctx, lease)).TTL, int64(600))
	alive, end := context.WithCancel(ctx)
	equal("a lease is kept alive", (<-must(client.KeepAlive(alive, lease))).TTL, int64(600))
	end()
	equal("leases", len(must(client.Leases(ctx)).Leases), 1)
	yes := must(client.Txn(ctx).If(clientv3.Compare(clientv3.LeaseValue("go/l/a"), "=", lease)).Commit())
	equal("a compare of a lease", yes.Succeeded, true)
	must(client.Revoke(ctx, lease))
	equal("keys go with their lease", len(get("go/l/", clientv3.WithPrefix()).Kvs), 0)
	_, err := client.KeepAliveOnce(ctx, lease)
	check("keep alive of nothing", errors.Is(err, rpctypes.ErrLeaseNotFound), err)
	_, err = client.Revoke(ctx, lease)
	check("revoke of nothing", errors.Is(err, rpctypes.ErrLeaseNotFound), err)
	_, err = client.Grant(ctx, 9_000_000_001)
	check("a lease that is too long", errors.Is(err, rpctypes.ErrLeaseTTLTooLarge), err)
	watching, stop := context.WithCancel(ctx)
	events := client.Watch(watching, "go/l/c")
	must(client.Put(ctx, "go/l/c", "1", clientv3.WithLease(must(client.Grant(ctx, 1)).ID)))
	equal("keys go when their lease ends", told(events, 2), []string{"new go/l/c=1", "-go/l/c"})
	stop()
}

func maintenance() {
	status := must(client.Status(ctx, os.Args[1]))
	equal("status", []any{status.Version, status.Leader == status.Header.MemberId, len(status.Errors), status.IsLearner},
		[]any{"3.7.3", true, 0, false})
	check("status has sizes and indexes", status.DbSize > 0 && status.RaftAppliedIndex > 0 && status.RaftTerm > 0, status)
	hash := must(client.HashKV(ctx, os.Args[1], 0))
	again := must(client.HashKV(ctx, os.Args[1], hash.HashRevision))
	equal("hashkv", again.Hash, hash.Hash)
	members := must(client.MemberList(ctx))
	equal("member list", []any{len(members.Members), members.Members[0].ID}, []any{1, status.Header.MemberId})
	must(client.Defragment(ctx, os.Args[1]))
	alarms := must(client.AlarmList(ctx))
	equal("alarms", len(alarms.Alarms), 0)
	_, err := client.MoveLeader(ctx, 5)
	check("move leader to nobody", errors.Is(err, rpctypes.ErrBadLeaderTransferee), err)
	check("sync", client.Sync(ctx) == nil, "")
	equal("endpoints after sync", len(client.Endpoints()), 1)
}
