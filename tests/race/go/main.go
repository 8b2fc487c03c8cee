// Clients that race for one office with the official concurrency package, and a witness that watches what they do.
//
// Whoever is elected adds one to a number, in transactions that hold only while its key of the election exists, and resigns.
// Prints "term N" for each term of office, "FAIL ..." for what must not be, and at the end how much was checked.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

const (
	office  = "race/office"
	counter = "race/number"
	ttl     = 5 // seconds
)

// A term of office, as its holder knows it.
type term struct {
	who     int64
	key     string
	session *concurrency.Session
	began   time.Time
	renewed *atomic.Int64 // when the lease's last renewal was answered, in ns since 1970
}

func (t *term) String() string {
	return fmt.Sprintf("%d (%s, session alive: %v, elected %v ago, renewed %v ago)", t.who, t.key, alive(t.session),
		time.Since(t.began).Round(time.Millisecond), time.Since(time.Unix(0, t.renewed.Load())).Round(time.Millisecond))
}

var (
	endpoint string
	holder   atomic.Pointer[term] // who holds the office, as far as it knows itself
	terms    atomic.Int64
	writes   atomic.Int64
	failures atomic.Int64
)

func fail(format string, a ...any) {
	failures.Add(1)
	fmt.Printf("FAIL "+time.Now().UTC().Format("15:04:05.000 ")+format+"\n", a...)
}

// Writes down when an answer to a renewal came.
type renewals struct {
	grpc.ClientStream
	last *atomic.Int64
}

func (r renewals) RecvMsg(message any) error {
	err := r.ClientStream.RecvMsg(message)
	if err == nil {
		r.last.Store(time.Now().UnixNano())
	}
	return err
}

func connect(renewed *atomic.Int64) *clientv3.Client {
	note := grpc.WithChainStreamInterceptor(func(ctx context.Context, what *grpc.StreamDesc, connection *grpc.ClientConn,
		method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
		stream, err := open(ctx, what, connection, method, options...)
		if err != nil || method != "/etcdserverpb.Lease/LeaseKeepAlive" {
			return stream, err
		}
		return renewals{stream, renewed}, nil
	})
	for {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 2 * time.Second,
			Logger: zap.NewNop(), DialOptions: []grpc.DialOption{note}})
		if err == nil {
			return client
		}
	}
}

// Takes part until ctx ends; a session that is lost is followed by another.
func candidate(ctx context.Context, me int64, mutex bool) {
	var renewed atomic.Int64
	client := connect(&renewed)
	defer client.Close()
	for ctx.Err() == nil {
		session, err := concurrency.NewSession(client, concurrency.WithTTL(ttl), concurrency.WithContext(ctx))
		if err != nil {
			continue
		}
		for ctx.Err() == nil && alive(session) {
			if !serve(ctx, client, session, &renewed, me, mutex) {
				break
			}
		}
		session.Close()
	}
}

func alive(session *concurrency.Session) bool {
	select {
	case <-session.Done():
		return false
	default:
		return true
	}
}

// What the server says of the office.
func keys(ctx context.Context, client *clientv3.Client) string {
	asked := time.Now()
	answer, err := client.Get(ctx, office, clientv3.WithPrefix(),
		clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))
	if err != nil {
		return err.Error()
	}
	said := fmt.Sprintf("the server, asked for %v:", time.Since(asked).Round(time.Millisecond))
	for _, kv := range answer.Kvs {
		said += fmt.Sprintf(" %s@%d", kv.Key, kv.CreateRevision)
	}
	return said
}

// One term of office. False: the session is of no use any more.
func serve(ctx context.Context, client *clientv3.Client, session *concurrency.Session, renewed *atomic.Int64, me int64,
	mutex bool) bool {
	held, done := context.WithCancel(ctx)
	defer done()
	go func() { // the office ends with the session
		select {
		case <-session.Done():
			done()
		case <-held.Done():
		}
	}()
	var key string
	var leave func(context.Context) error
	if mutex {
		lock := concurrency.NewMutex(session, office)
		if lock.Lock(held) != nil {
			return alive(session)
		}
		key, leave = lock.Key(), lock.Unlock
	} else {
		election := concurrency.NewElection(session, office)
		if election.Campaign(held, strconv.FormatInt(me, 10)) != nil {
			return alive(session)
		}
		key, leave = election.Key(), election.Resign
	}
	if !alive(session) {
		return false
	}
	mine := &term{me, key, session, time.Now(), renewed}
	if before := holder.Swap(mine); before != nil {
		fail("%v and %v hold the office; %v", before, mine, keys(ctx, client))
	}
	fmt.Println("term", terms.Add(1))
	for i := 0; i < 3 && held.Err() == nil; i++ {
		number, err := client.Get(held, counter)
		if err != nil {
			break
		}
		value := 0
		revision := int64(0)
		if len(number.Kvs) > 0 {
			value, _ = strconv.Atoi(string(number.Kvs[0].Value))
			revision = number.Kvs[0].ModRevision
		}
		txn, err := client.Txn(held).If(clientv3.Compare(clientv3.CreateRevision(key), ">", 0),
			clientv3.Compare(clientv3.ModRevision(counter), "=", revision)).
			Then(clientv3.OpPut(counter, strconv.Itoa(value+1))).Commit()
		if err != nil {
			break // perhaps it was done, perhaps not
		}
		if !txn.Succeeded && held.Err() == nil && alive(session) {
			// Nobody else may write while our key exists; our own write of an unknown fate may have been done.
			if now, err := client.Get(held, key); err == nil && len(now.Kvs) == 0 && alive(session) {
				fail("the key of the office vanished while its session lived")
			}
			break
		}
		writes.Add(1)
	}
	holder.CompareAndSwap(mine, nil)
	return leave(held) == nil
}

// Sees every number once and in order, whatever happens to the server.
func witness(ctx context.Context, seen *atomic.Int64, more chan<- struct{}) {
	client := connect(new(atomic.Int64))
	defer client.Close()
	last, next := 0, int64(1)
	for ctx.Err() == nil {
		for response := range client.Watch(clientv3.WithRequireLeader(ctx), counter, clientv3.WithRev(next)) {
			for _, event := range response.Events {
				value, _ := strconv.Atoi(string(event.Kv.Value))
				if value != last+1 {
					fail("the witness saw %d behind %d", value, last)
				}
				if event.Kv.ModRevision < next {
					fail("the witness was told of revision %d again", event.Kv.ModRevision)
				}
				last, next = value, event.Kv.ModRevision+1
				seen.Store(int64(last))
				select {
				case more <- struct{}{}:
				default: // it knows already
				}
			}
		}
	}
}

func main() {
	endpoint = os.Args[1]
	clients, _ := strconv.Atoi(os.Args[2])
	seconds, _ := strconv.Atoi(os.Args[3])
	watching, stopWatching := context.WithCancel(context.Background())
	var seen atomic.Int64
	more := make(chan struct{}, 1)
	var watcher sync.WaitGroup
	watcher.Add(1)
	go func() { defer watcher.Done(); witness(watching, &seen, more) }()

	racing, stop := context.WithTimeout(context.Background(), time.Duration(seconds)*time.Second)
	var racers sync.WaitGroup
	for i := 1; i <= clients; i++ {
		racers.Add(1)
		go func() { defer racers.Done(); candidate(racing, int64(i), i%2 == 0) }()
	}
	racers.Wait()
	stop()

	// The last number, which the witness must come to see.
	client := connect(new(atomic.Int64))
	number := 0
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		answer, err := client.Get(ctx, counter)
		cancel()
		if err == nil {
			if len(answer.Kvs) > 0 {
				number, _ = strconv.Atoi(string(answer.Kvs[0].Value))
			}
			break
		}
	}
	for late := time.After(60 * time.Second); seen.Load() < int64(number); {
		select {
		case <-more:
			continue
		case <-late:
		}
		break
	}
	if seen.Load() != int64(number) {
		fail("the witness saw %d of %d numbers", seen.Load(), number)
	}
	if int64(number) < writes.Load() {
		fail("%d writes were acknowledged, and the number is %d", writes.Load(), number)
	}
	stopWatching()
	watcher.Wait()
	fmt.Printf("checked: %d terms, %d writes, %d numbers seen\n", terms.Load(), writes.Load(), number)
	if failures.Load() > 0 {
		os.Exit(1)
	}
}
