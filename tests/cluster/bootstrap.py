"""How three members become a cluster, and what may not."""

import shutil

from clients import members_know_each_other
from harness.cluster import Cluster
from harness.wait import until


def by(options_as):
    def story(world):
        with Cluster(world.binary, world.folder(f"by-{options_as}"), options_as=options_as) as cluster:
            cluster.start()
            members_know_each_other(world, cluster, f"bootstrap by {options_as}")
    story.__name__ = f"by_{options_as}"
    return story


by_environment, by_yaml = by("environment"), by("yaml")


def another_token_does_not_mix(world):
    report = world.report
    with Cluster(world.binary, world.folder("token"), flags={"initial-election-tick-advance": "true"}) as cluster:
        a, b, c = cluster
        c.flags = {**c.flags, "initial-cluster-token": "another"}
        for server in (a, b, c):
            server.launch()
        a.await_ready()
        b.await_ready()
        leader = cluster.leader(among=[a, b])
        with a.client() as client:
            report.check("two of one token serve", client.put(b"k", b"v").ok)
        until(lambda: "cluster ID mismatch" in c.log_path.read_text() + leader.log_path.read_text(), 20,
              lambda: f"somebody tells of it\n{cluster.log_tails()}")
        report.check("a member of another cluster id is told of", True)
        report.check("and does not serve", cluster.revision(c) in (None, 1), str(cluster.revision(c)))
        report.equal("nor take part", len({cluster.status(s).raftTerm for s in (a, b)}), 1)


def a_member_is_bootstrapped_once(world):
    """An empty disk is no new member: it voted before, and does not know how."""
    report = world.report
    with Cluster(world.binary, world.folder("again")) as cluster:
        cluster.start()
        victim = cluster.followers()[0]
        member = cluster.id_of(victim)
        victim.kill()
        shutil.rmtree(victim.data_dir)
        victim.launch()
        code = victim.wait_exit()
        text = victim.log_tail(4000)
        report.check("a member whose data is gone does not start", code != 0, str(code))
        report.check("and says why", f"member {member:x} has already been bootstrapped" in text, text)


STORIES = [by_environment, by_yaml, another_token_does_not_mix, a_member_is_bootstrapped_once]


def run(world):
    for story in STORIES:
        world.story(story)
