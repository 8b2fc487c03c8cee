#!/usr/bin/python3
"""Lock and election on a server, as clients use them: who waits, who gets it next, what is left of those who go.

    run.py [--tenon PATH] [--storage wiredtiger|memory] [--only WORD]

With --tenon set to etcd the suite checks itself. Ends with `concurrency: N passed, N failed, N skipped`.
"""

import argparse
import sys
import tempfile
import threading
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "support/py")]

import grpc
from harness.client import every_key, prefix
from harness.messages import ELECTION, LEASE, LOCK, WATCH, election, lock, rpc
from harness.report import Report, main
from harness.server import Server, add_transport_option, find_tenon
from harness.wait import Deadline, until

STOPPED = ("UNAVAILABLE", "etcdserver: server stopped")
PATIENCE = 60  # seconds; a bound, not an expectation


def grant(client, lease, ttl=3600):
    assert client.call(LEASE + "LeaseGrant", rpc.LeaseGrantRequest(ID=lease, TTL=ttl)).ok


def keys(client):
    return [item.key for item in client.range(**every_key()).message.kvs]


def begin(client, method, message, response, timeout=PATIENCE):
    call = client.channel.unary_unary(method, response_deserializer=response.FromString)
    return call.future(message.SerializeToString(), timeout=timeout)


def take(client, name, lease, timeout=PATIENCE):
    return begin(client, LOCK + "Lock", lock.LockRequest(name=name, lease=lease), lock.LockResponse, timeout)


def release(client, key):
    return client.call(LOCK + "Unlock", lock.UnlockRequest(key=key))


def campaign(client, lease, value):
    request = election.CampaignRequest(name=b"e", lease=lease, value=value)
    return begin(client, ELECTION + "Campaign", request, election.CampaignResponse)


def waiters_in_order(report, server):
    with server.client() as client:
        for lease in (1, 2, 3):
            grant(client, lease)
        report.equal("a free lock is taken", take(client, b"n", 3).result().key, b"n/3")
        second = take(client, b"n", 2)
        until(lambda: b"n/2" in keys(client), PATIENCE, "the second waits")
        third = take(client, b"n", 1)
        until(lambda: b"n/1" in keys(client), PATIENCE, "the third waits")
        report.check("both wait", not second.done() and not third.done())
        release(client, b"n/3")
        report.equal("the second is next", second.result().key, b"n/2")
        report.check("the third still waits", not third.done())
        client.call(LEASE + "LeaseRevoke", rpc.LeaseRevokeRequest(ID=2))
        report.equal("a lease that ends hands the lock on", third.result().key, b"n/1")
        release(client, b"n/1")
        report.equal("nothing is left", keys(client), [])


def those_who_go(report, server):
    with server.client() as client:
        for lease in (11, 12, 13):
            grant(client, lease)
        take(client, b"g", 11).result()
        second = take(client, b"g", 12)
        until(lambda: b"g/c" in keys(client), PATIENCE, "the second waits")
        second.cancel()
        report.check("a cancelled waiter leaves no key", _true(lambda: keys(client) == [b"g/b"]), lambda: str(keys(client)))
        with server.client() as other:
            waiting = take(other, b"g", 12)  # a call that nobody holds is cancelled
            until(lambda: b"g/c" in keys(client), PATIENCE, "another client waits")
            assert not waiting.done()
        report.check("nor does a lost connection", _true(lambda: keys(client) == [b"g/b"]), lambda: str(keys(client)))
        third = take(client, b"g", 13)
        until(lambda: b"g/d" in keys(client), PATIENCE, "the third waits")
        client.delete(b"g/d")
        release(client, b"g/b")
        error = third.exception()
        report.equal(
            "who lost its key is told so",
            error and (error.code().name, error.details()),
            ("UNKNOWN", "mutex: session is expired"),
        )


def without_a_lease(report, server):
    with server.client() as client:
        key = take(client, b"s", 0).result().key
        row = client.range(key).message.kvs[0]
        report.equal("the key is named after the lease", key, b"s/%x" % row.lease)
        left = client.call(LEASE + "LeaseTimeToLive", rpc.LeaseTimeToLiveRequest(ID=row.lease)).message
        report.equal("which is one of a minute", left.grantedTTL, 60)
        release(client, key)


def leaders(report, server):
    seen = []
    with server.client() as client, server.client() as watcher:
        for lease in (21, 22):
            grant(client, lease)
        observe = watcher.channel.unary_stream(
            ELECTION + "Observe", response_deserializer=election.LeaderResponse.FromString
        )(election.LeaderRequest(name=b"e").SerializeToString(), timeout=4 * PATIENCE)

        def collect():
            try:
                for reply in observe:
                    seen.append(reply.kv.value)
            except Exception:  # cancelled below
                pass

        thread = threading.Thread(target=collect)
        thread.start()
        try:
            first = campaign(client, 21, b"one").result().leader
            until(lambda: b"one" in seen, PATIENCE, "the observer sees the leader")
            second = campaign(client, 22, b"two")
            until(lambda: b"e/16" in keys(client), PATIENCE, "the second waits")
            client.call(ELECTION + "Proclaim", election.ProclaimRequest(leader=first, value=b"one again"))
            report.check("the second still waits", not second.done())
            client.call(ELECTION + "Resign", election.ResignRequest(leader=first))
            report.equal("the second is elected", second.result().leader.key, b"e/16")
            _true(lambda: seen[-1:] == [b"two"])
            report.equal("an observer sees it all in order", seen, [b"one", b"one again", b"two"])
        finally:
            observe.cancel()
            thread.join()
        client.call("/etcdserverpb.KV/DeleteRange", rpc.DeleteRangeRequest(**prefix(b"e/")))


def over_a_restart(report, server):
    with server.client() as client:
        for lease in (31, 32):
            grant(client, lease)
        take(client, b"r", 31).result()
        waiting = take(client, b"r", 32)
        until(lambda: b"r/20" in keys(client), PATIENCE, "a second waits")
        assert not waiting.done()
    server.kill()
    server.start()
    with server.client() as client:
        again = take(client, b"r", 31).result().key
        report.equal("the holder has it still", again, b"r/1f")
        waiting = take(client, b"r", 32)
        release(client, b"r/1f")
        report.equal("and hands it on", waiting.result().key, b"r/20")
        stopped = take(client, b"r", 31)
        until(lambda: b"r/1f" in keys(client), PATIENCE, "somebody waits")
        server.stop()
        report.check("a stop ends the wait", stopped.exception() is not None)
    server.start()


def a_stop_ends_streams(report, server):
    """Each kind of stream that never ends by itself, and a call that waits in a module."""
    with server.client() as client:
        grant(client, 41)
        grant(client, 42)
        take(client, b"t", 41).result()
        campaign(client, 41, b"one").result()

        def stream(method, request, response):
            call = client.channel.stream_stream(method, response_deserializer=response.FromString)
            asked = threading.Event()  # the client's half stays open
            calls.append(asked)

            def requests():
                yield request.SerializeToString()
                asked.wait()

            return call(requests(), timeout=PATIENCE)

        def server_stream(method, request, response):
            call = client.channel.unary_stream(method, response_deserializer=response.FromString)
            return call(request, timeout=PATIENCE)

        calls = []
        create = rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=b"t"))
        streams = {
            "watch": stream(WATCH + "Watch", create, rpc.WatchResponse),
            "keepalive": stream(LEASE + "LeaseKeepAlive", rpc.LeaseKeepAliveRequest(ID=41), rpc.LeaseKeepAliveResponse),
            "health": server_stream("/grpc.health.v1.Health/Watch", b"", rpc.LeaseGrantRequest),
            "observe": server_stream(
                ELECTION + "Observe", election.LeaderRequest(name=b"e").SerializeToString(), election.LeaderResponse
            ),
        }
        for each in streams.values():
            next(each)  # it is open
        waiting = take(client, b"t", 42)
        until(lambda: b"t/2a" in keys(client), PATIENCE, "somebody waits for the lock")
        server.stop()
        for name, each in streams.items():
            error = None
            try:
                for _ in each:
                    pass
            except grpc.RpcError as e:
                error = (e.code().name, e.details())
            # Cut off at the end of the drain's patience, it would have another text.
            report.equal(f"{name} is ended with the server's words", error, STOPPED)
        error = waiting.exception()
        report.equal("so is the wait for a lock", error and (error.code().name, error.details()), STOPPED)
        for asked in calls:
            asked.set()
    server.start()


def _true(condition):
    try:
        return until(condition, PATIENCE, "it holds")
    except Deadline:
        return False


STORIES = [waiters_in_order, those_who_go, without_a_lease, leaders, over_a_restart, a_stop_ends_streams]


def run():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenon", help="the server (default: build/release/bin/tenond)")
    parser.add_argument("--storage", choices=("wiredtiger", "memory"))
    parser.add_argument("--only", default="")
    add_transport_option(parser)
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    report = Report("concurrency", arguments.verbose)
    binary = find_tenon(arguments.tenon)
    if binary is None:
        print("no tenond: build it or give --tenon", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="tenon-concurrency-") as folder:
        with Server(binary, folder, storage=arguments.storage) as server:
            server.start()
            for story in STORIES:
                if arguments.only in story.__name__:
                    report.story(story.__name__, story, report, server)
            server.stop()
    return report.close()


if __name__ == "__main__":
    main(run)
