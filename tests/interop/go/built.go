package main

// What the client library builds on the calls: sessions, locks, elections, STM, leasing, namespaces.

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/client/v3/leasing"
	"go.etcd.io/etcd/client/v3/namespace"
	"google.golang.org/grpc"
)

func session(options ...concurrency.SessionOption) *concurrency.Session {
	return must(concurrency.NewSession(client, options...))
}

// waits says whether nothing came of it until others had time to answer a call.
func waits[T any](done <-chan T) bool {
	get("go/nothing")
	select {
	case <-done:
		return false
	default:
		return true
	}
}

func begin(work func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	return done
}

// asked returns when so many have a key under the prefix: they hold it, or wait for it.
func asked(prefix string, n int) {
	for len(get(prefix, clientv3.WithPrefix()).Kvs) != n && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
}

// owns asks for a key, too: a transaction that reads nothing is answered by any member as it is.
func owns(mutex *concurrency.Mutex) bool {
	return must(client.Txn(ctx).If(mutex.IsOwner()).Then(clientv3.OpGet(mutex.Key())).Commit()).Succeeded
}

func locks() {
	one, two := session(), session()
	defer two.Close()
	first, second := concurrency.NewMutex(one, "go/lock"), concurrency.NewMutex(two, "go/lock")
	check("a lock", first.Lock(ctx) == nil, "")
	equal("a lock's owner", owns(first), true)
	check("a lock that another has is not tried", errors.Is(second.TryLock(ctx), concurrency.ErrLocked), "")
	got := begin(func() error { return second.Lock(ctx) })
	asked("go/lock", 2)
	check("a lock is waited for", waits(got), "")
	check("an unlock", first.Unlock(ctx) == nil, "")
	equal("the next one has it", <-got, nil)
	equal("who lost a lock owns it no more", owns(first), false)
	check("an unlock twice", errors.Is(first.Unlock(ctx), concurrency.ErrLockReleased), "")

	got = begin(func() error { return first.Lock(ctx) })
	asked("go/lock", 2)
	must(struct{}{}, two.Close())
	equal("a lock goes with its session", <-got, nil)
	impatient, end := context.WithCancel(ctx)
	three := session()
	got = begin(func() error { return concurrency.NewMutex(three, "go/lock").Lock(impatient) })
	asked("go/lock", 2)
	end()
	check("a lock is not waited for any more", errors.Is(<-got, context.Canceled), "")
	must(struct{}{}, three.Close()) // if that came before the answer to its put, its key is still there
	asked("go/lock", 1)
	three = session()
	got = begin(func() error { return concurrency.NewMutex(three, "go/lock").Lock(ctx) })
	asked("go/lock", 2)
	one.Orphan()
	must(client.Revoke(ctx, one.Lease()))
	equal("a lock goes with its lease", <-got, nil)
	three.Close()

	short := session(concurrency.WithTTL(1))
	check("a lock of a short session", concurrency.NewMutex(short, "go/short").Lock(ctx) == nil, "")
	short.Orphan()
	heir := session(concurrency.WithTTL(3))
	equal("a lock goes when its session ends", concurrency.NewMutex(heir, "go/short").Lock(ctx), nil)
	must(client.Revoke(ctx, heir.Lease()))
	<-heir.Done()
	check("a session hears that its lease was revoked", true, "")
}

func elections() {
	one, two := session(), session()
	defer two.Close()
	first, second := concurrency.NewElection(one, "go/office"), concurrency.NewElection(two, "go/office")
	_, err := first.Leader(ctx)
	check("no leader", errors.Is(err, concurrency.ErrElectionNoLeader), err)
	check("a campaign", first.Campaign(ctx, "a") == nil, "")
	equal("a leader", string(must(first.Leader(ctx)).Kvs[0].Value), "a")
	observing, end := context.WithCancel(ctx)
	defer end()
	seen := second.Observe(observing)
	equal("who observes sees the leader", string((<-seen).Kvs[0].Value), "a")
	won := begin(func() error { return second.Campaign(ctx, "b") })
	asked("go/office", 2)
	check("a campaign waits", waits(won), "")
	check("a proclamation", first.Proclaim(ctx, "a2") == nil, "")
	equal("who observes sees it", string((<-seen).Kvs[0].Value), "a2")
	check("a resignation", first.Resign(ctx) == nil, "")
	equal("the next one leads", <-won, nil)
	equal("who observes sees the next one", string((<-seen).Kvs[0].Value), "b")
	check("who resigned cannot proclaim", errors.Is(first.Proclaim(ctx, "a3"), concurrency.ErrElectionNotLeader), "")
	resumed := concurrency.ResumeElection(two, "go/office", second.Key(), second.Rev())
	check("an election is resumed", resumed.Proclaim(ctx, "b2") == nil, "")
	equal("who observes sees what it says", string((<-seen).Kvs[0].Value), "b2")
	one.Close()
}

// Money moves between accounts and a counter counts, by many at once: nothing is lost under any isolation.
func transactions(endpoints []string) {
	const clerks, moves, accounts, start = 8, 15, 4, 100
	account := func(n int) string { return fmt.Sprint("go/stm/", n%accounts) }
	amount := func(stm concurrency.STM, key string) int {
		n, _ := strconv.Atoi(stm.Get(key))
		return n
	}
	for name, level := range map[string]concurrency.Isolation{
		"serializable snapshot": concurrency.SerializableSnapshot,
		"serializable":          concurrency.Serializable,
		"repeatable reads":      concurrency.RepeatableReads,
	} {
		for n := range accounts {
			must(client.Put(ctx, account(n), strconv.Itoa(start)))
		}
		must(client.Delete(ctx, "go/stm/count"))
		var all sync.WaitGroup
		var tries atomic.Int64
		for clerk := range clerks {
			all.Go(func() {
				for move := 0; move < moves && ctx.Err() == nil; {
					_, err := concurrency.NewSTM(client, func(stm concurrency.STM) error {
						tries.Add(1)
						from, to := account(clerk+move), account(clerk+move+1)
						left, right := amount(stm, from), amount(stm, to)
						stm.Put(from, strconv.Itoa(left-move))
						stm.Put(to, strconv.Itoa(right+move))
						stm.Put("go/stm/count", strconv.Itoa(amount(stm, "go/stm/count")+1))
						return nil
					}, concurrency.WithIsolation(level))
					if len(endpoints) > 1 && errors.Is(err, rpctypes.ErrFutureRev) {
						continue // it reads at a revision of one member from another, which need not have come so far
					}
					must(0, err)
					move++
				}
			})
		}
		all.Wait()
		sum := 0
		for n := range accounts {
			value, _ := strconv.Atoi(string(get(account(n)).Kvs[0].Value))
			sum += value
		}
		equal("STM, "+name+": the sum stays", sum, accounts*start)
		equal("STM, "+name+": all count", string(get("go/stm/count").Kvs[0].Value), strconv.Itoa(clerks*moves))
		check("STM, "+name+": there were conflicts", tries.Load() > clerks*moves, tries.Load())
	}
	refused := errors.New("not today")
	_, err := concurrency.NewSTM(client, func(stm concurrency.STM) error {
		stm.Put("go/stm/none", "1")
		return refused
	})
	check("STM: one that is given up", errors.Is(err, refused), err)
	equal("STM: and does nothing", len(get("go/stm/none").Kvs), 0)
}

// Two caches of the same keys: who owns a key answers without the server, and gives it up when the other one writes.
func leasings(endpoints []string) {
	var asked atomic.Int64 // calls of KV by `owner`
	count := grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, request, reply any,
		connection *grpc.ClientConn, call grpc.UnaryInvoker, options ...grpc.CallOption) error {
		if strings.HasPrefix(method, "/etcdserverpb.KV/") {
			asked.Add(1)
		}
		return call(ctx, method, request, reply, connection, options...)
	})
	counted := must(clientv3.New(clientv3.Config{Endpoints: endpoints, DialOptions: []grpc.DialOption{count}}))
	owner, closeOwner, err := leasing.NewKV(counted, "go/leasing/")
	must(owner, err)
	other, closeOther, err := leasing.NewKV(client, "go/leasing/")
	must(other, err)

	calls := func(work func()) int64 {
		before := asked.Load()
		work()
		return asked.Load() - before
	}
	read := func(kv clientv3.KV, key string) string {
		response := must(kv.Get(ctx, key))
		if len(response.Kvs) == 0 {
			return "nothing"
		}
		return string(response.Kvs[0].Value)
	}
	must(client.Put(ctx, "go/k", "1"))
	check("leasing: the first get asks the server", calls(func() { equal("leasing: a get", read(owner, "go/k"), "1") }) > 0, "")
	equal("leasing: the key is the owner's", len(get("go/leasing/go/k").Kvs), 1)
	equal("leasing: the next get asks nobody", calls(func() { equal("leasing: from the cache", read(owner, "go/k"), "1") }), int64(0))
	check("leasing: its own put asks the server", calls(func() { must(owner.Put(ctx, "go/k", "2")) }) > 0, "")
	equal("leasing: its own put is in the cache", calls(func() { equal("leasing: what was put", read(owner, "go/k"), "2") }), int64(0))

	must(other.Put(ctx, "go/k", "3"))
	equal("leasing: a put of another is seen", read(owner, "go/k"), "3")
	must(other.Delete(ctx, "go/k"))
	equal("leasing: a delete of another is seen", read(owner, "go/k"), "nothing")
	must(owner.Get(ctx, "go/none"))
	equal("leasing: that nothing is there is known", calls(func() { equal("leasing: nothing", read(owner, "go/none"), "nothing") }), int64(0))
	txn := must(other.Txn(ctx).If(clientv3.Compare(clientv3.Version("go/none"), "=", 0)).
		Then(clientv3.OpPut("go/none", "now"), clientv3.OpGet("go/none")).Commit())
	equal("leasing: a txn of another", []any{txn.Succeeded, read(owner, "go/none")}, []any{true, "now"})
	failed := must(owner.Txn(ctx).If(clientv3.Compare(clientv3.Value("go/none"), "=", "then")).
		Then(clientv3.OpDelete("go/none")).Else(clientv3.OpGet("go/none")).Commit())
	equal("leasing: a txn that fails", []any{failed.Succeeded, read(other, "go/none")}, []any{false, "now"})
	must(owner.Delete(ctx, "go/n", clientv3.WithPrefix()))
	equal("leasing: a delete of a prefix", read(other, "go/none"), "nothing")

	// Both count, each through its cache.
	must(owner.Put(ctx, "go/count", "0"))
	const each = 30
	var all sync.WaitGroup
	for _, kv := range []clientv3.KV{owner, other} {
		all.Go(func() {
			for done := 0; done < each && ctx.Err() == nil; {
				was := read(kv, "go/count")
				n, _ := strconv.Atoi(was)
				if must(kv.Txn(ctx).If(clientv3.Compare(clientv3.Value("go/count"), "=", was)).
					Then(clientv3.OpPut("go/count", strconv.Itoa(n+1))).Commit()).Succeeded {
					done++
				}
			}
		})
	}
	all.Wait()
	equal("leasing: two that count", string(get("go/count").Kvs[0].Value), strconv.Itoa(2*each))

	read(owner, "go/left")
	closeOwner()
	counted.Close()
	put := begin(func() error { _, err := other.Put(ctx, "go/left", "1"); return err })
	for string(get("go/leasing/go/left").Kvs[0].Value) != "REVOKE" && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	check("leasing: who left is asked to give up, and does not", waits(put), "")
	must(client.Revoke(ctx, clientv3.LeaseID(get("go/leasing/go/left").Kvs[0].Lease)))
	equal("leasing: a put waits no longer than the lease of who left", <-put, nil)
	must(other.Get(ctx, "go/left"))
	closeOther()
	for _, kv := range get("go/leasing/", clientv3.WithPrefix()).Kvs {
		client.Revoke(ctx, clientv3.LeaseID(kv.Lease)) // the library leaves it to its time
	}
}

func namespaces() {
	kv := namespace.NewKV(client.KV, "go/space/")
	watching, end := context.WithCancel(ctx)
	defer end()
	watch := namespace.NewWatcher(client.Watcher, "go/space/").Watch(watching, "", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-watch
	must(client.Put(ctx, "go/outside", "1"))
	must(kv.Put(ctx, "a", "1"))
	must(kv.Txn(ctx).If(clientv3.Compare(clientv3.Value("a"), "=", "1")).Then(clientv3.OpPut("b", "2")).Commit())
	equal("namespace: keys", keys(must(kv.Get(ctx, "", clientv3.WithPrefix()))), []string{"a", "b"})
	equal("namespace: from a key on", keys(must(kv.Get(ctx, "b", clientv3.WithFromKey()))), []string{"b"})
	equal("namespace: events", told(watch, 2), []string{"new a=1", "new b=2"})
	equal("namespace: the server's keys", keys(get("go/space/", clientv3.WithPrefix())), []string{"go/space/a", "go/space/b"})
	lease := namespace.NewLease(client.Lease, "go/space/")
	granted := must(lease.Grant(ctx, 600)).ID
	must(kv.Put(ctx, "c", "3", clientv3.WithLease(granted)))
	seen := must(lease.TimeToLive(ctx, granted, clientv3.WithAttachedKeys()))
	equal("namespace: a lease's keys", len(seen.Keys) == 1 && string(seen.Keys[0]) == "c", true)
	must(client.Revoke(ctx, granted))
	equal("namespace: delete", must(kv.Delete(ctx, "", clientv3.WithFromKey())).Deleted, int64(2))
	equal("namespace: it deletes nothing outside", len(get("go/outside").Kvs), 1)
}
