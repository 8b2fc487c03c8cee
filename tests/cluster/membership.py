"""Members come and go."""

from harness.cluster import Cluster
from harness.load import Load
from harness.wait import until


def refused(report, name, reply, code, text):
    report.equal(name, (reply.code, reply.text), (code, text))


def refusals_have_etcds_words(world, cluster):
    report, a = world.report, next(iter(cluster))
    refused(report, "remove of nobody", cluster.ask("MemberRemove", a, ID=1), "NOT_FOUND",
            "etcdserver: member not found")
    refused(report, "promote of nobody", cluster.ask("MemberPromote", a, ID=1), "NOT_FOUND",
            "etcdserver: member not found")
    refused(report, "update of nobody", cluster.ask("MemberUpdate", a, ID=1, peerURLs=["http://127.0.0.1:1"]),
            "NOT_FOUND", "etcdserver: member not found")
    refused(report, "promote of a voter", cluster.ask("MemberPromote", a, ID=cluster.id_of(a)), "FAILED_PRECONDITION",
            "etcdserver: can only promote a learner member")
    refused(report, "add without an address", cluster.ask("MemberAdd", a, peerURLs=["nonsense"]), "INVALID_ARGUMENT",
            "etcdserver: given member URLs are invalid")
    followers = cluster.followers()
    refused(report, "move-leader asked of a follower",
            cluster.ask("MoveLeader", followers[0], targetID=cluster.id_of(followers[0])), "FAILED_PRECONDITION",
            "etcdserver: not leader")
    refused(report, "move-leader to nobody", cluster.ask("MoveLeader", targetID=1), "FAILED_PRECONDITION",
            "etcdserver: bad leader transferee")


def a_learner_is_promoted_when_ready(world, cluster):
    report = world.report
    server = cluster.make()
    added = cluster.ask_until("MemberAdd", lambda r: r.ok, peerURLs=[server.peer_url], isLearner=True,
                              through=next(iter(cluster)))
    report.check("a learner is added", added.ok and added.message.member.isLearner, str(added))
    learner = added.message.member.ID
    through = cluster.followers()[0]
    refused(report, "promotion before it has the log", cluster.ask("MemberPromote", through, ID=learner),
            "FAILED_PRECONDITION", "etcdserver: can only promote a learner member which is in sync with leader")
    refused(report, "a second learner",
            cluster.ask("MemberAdd", through, peerURLs=[world.unused_url()], isLearner=True), "FAILED_PRECONDITION",
            "etcdserver: too many learner members in cluster")
    cluster.launch_joining(server, added.message.members)
    cluster.level()
    with server.client() as client:
        refused(report, "a put through a learner", client.put(b"k"), "FAILED_PRECONDITION",
                "etcdserver: rpc not supported for learner")
        refused(report, "a linearizable read of a learner", client.range(b"k"), "FAILED_PRECONDITION",
                "etcdserver: rpc not supported for learner")
        report.check("a serializable read of a learner", client.range(b"k", serializable=True).ok)
    status = cluster.status(server)
    report.check("it says that it learns", status.isLearner, str(status))
    promoted = cluster.ask_until("MemberPromote", lambda r: r.ok, ID=learner, through=through)
    report.check("it is promoted, asked of a follower", promoted.ok, str(promoted))
    server.await_ready()
    report.equal("four vote", [m.isLearner for m in cluster.list(server)], [False] * 4)


def members_are_removed(world, cluster):
    report = world.report
    with Load(list(cluster)[:2], name="remove") as load:
        load.await_more()
        follower = next(s for s in cluster.followers() if s.name not in ("a", "b"))
        code = cluster.remove(follower)
        report.check("a removed follower ends by itself", True)
        report.note(f"its exit code: {code}")
        report.check("and knows why", "removed" in follower.log_tail(6000), follower.log_tail())
        load.await_more()
        load.end()
        report.check("nobody saw an error", not load.errors, str(load.errors[:3]))
    leader = cluster.leader()
    cluster.remove(leader)
    report.check("a removed leader ends by itself", cluster.leader() is not leader)
    with cluster.leader().client() as client:
        report.check("the others go on", until(lambda: client.put(b"k").ok, 30, "a put"))


def an_empty_disk_joins(world, cluster):
    """Three again, the third from an empty disk under load."""
    with Load(list(cluster), name="join") as load:
        load.await_more(200)
        server = cluster.join()
        load.await_more()
        load.end()
        with server.client() as client:
            missing = load.missing(client)
    world.report.check("no error while a member joins", not load.errors, str(load.errors[:3]))
    world.report.check("a member that joined reads everything acknowledged", not missing, "\n".join(missing[:3]))
    hashes = cluster.hashes(cluster.level())
    world.report.check("and has the others' hash", len(set(hashes.values())) == 1, str(hashes))


def strict_refusals(world, cluster):
    report = world.report
    leader, (down, other) = cluster.leader(), cluster.followers()
    down_id = cluster.id_of(down)
    down.kill()
    refused(report, "strict: a voter more while one is down",
            cluster.ask_until("MemberAdd", lambda r: "unhealthy" in r.text, through=leader,
                              peerURLs=[world.unused_url()]), "UNAVAILABLE", "etcdserver: unhealthy cluster")
    refused(report, "strict: the quorum's member removed",
            cluster.ask_until("MemberRemove", lambda r: "unhealthy" in r.text, through=leader, ID=cluster.id_of(other)),
            "UNAVAILABLE", "etcdserver: unhealthy cluster")
    removed = cluster.ask_until("MemberRemove", lambda r: r.ok, through=leader, ID=down_id)
    report.check("strict: who is down may be removed", removed.ok, str(removed))
    del cluster.members[down.name]


def one_member_does_not_count_those_who_never_started(world):
    with Cluster(world.binary, world.folder("strict"), size=1) as cluster:
        cluster.start()
        (a,) = cluster
        added = cluster.ask_until("MemberAdd", lambda r: r.ok, through=a, peerURLs=[world.unused_url()])
        world.report.check("a second member may be added to one", added.ok, str(added))
        # UNKNOWN, as etcd has no code for it.
        words = "etcdserver: re-configuration failed due to not enough started members"
        refused(world.report, "strict: a third one before the second started",
                cluster.ask("MemberAdd", a, peerURLs=[world.unused_url()]), "UNKNOWN", words)
        refused(world.report, "strict: the only one that started removed",
                cluster.ask("MemberRemove", a, ID=added.message.header.member_id), "UNKNOWN", words)


ON_ONE = [refusals_have_etcds_words, a_learner_is_promoted_when_ready, members_are_removed, an_empty_disk_joins,
          strict_refusals]
STORIES = [*ON_ONE, one_member_does_not_count_those_who_never_started]


def run(world):
    with Cluster(world.binary, world.folder("membership")) as cluster:
        cluster.start()
        for story in ON_ONE:
            world.story(story, cluster)
    world.story(one_member_does_not_count_those_who_never_started)
