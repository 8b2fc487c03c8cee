// The npm client etcd3 against one endpoint: a line per check, "ok NAME" or "FAIL NAME: why".
const { Etcd3 } = require("etcd3");
const assert = require("assert");

const client = new Etcd3({ hosts: `http://${process.argv[2]}` });

function equal(name, got, wanted) {
  try {
    assert.deepStrictEqual(got, wanted);
    console.log(`ok ${name}`);
  } catch {
    process.exitCode = 1;
    console.log(`FAIL ${name}: got ${JSON.stringify(got)}, wanted ${JSON.stringify(wanted)}`);
  }
}

async function failure(promise) {
  try {
    await promise;
    return "no error";
  } catch (error) {
    return error.message;
  }
}

async function main() {
  await client.delete().prefix("js/").exec();

  await client.put("js/a").value("1").exec();
  equal("put with the previous value", (await client.put("js/a").value("2").getPrevious()).value.toString(), "1");
  equal("get", await client.get("js/a").string(), "2");
  equal("get serializable", await client.get("js/a").serializable(true).string(), "2");
  equal("get of nothing", await client.get("js/none").string(), null);
  const touched = await client.put("js/a").touch();
  equal("put that keeps the value", await client.get("js/a").string(), "2");
  equal("an old revision", await client.get("js/a").revision(Number(touched.header.revision) - 2).string(), "1");

  for (const [key, value] of [["1", "c"], ["2", "a"], ["3", "b"]]) await client.put(`js/r/${key}`).value(value);
  const all = () => client.getAll().prefix("js/r/");
  equal("prefix", await all().strings(), { "js/r/1": "c", "js/r/2": "a", "js/r/3": "b" });
  equal("keys", await all().keys(), ["js/r/1", "js/r/2", "js/r/3"]);
  equal("count", await all().count(), 3);
  equal("limit", await all().limit(2).keys(), ["js/r/1", "js/r/2"]);
  equal("sorted by value", await all().sort("Value", "Descend").keys(), ["js/r/1", "js/r/3", "js/r/2"]);
  const newest = (await all().exec()).kvs[2].mod_revision;
  equal("a least mod revision", await all().minModRevision(newest).keys(), ["js/r/3"]);
  equal("a largest create revision", await all().maxCreateRevision(Number(newest) - 1).keys(), ["js/r/1", "js/r/2"]);
  equal("range", await client.getAll().inRange({ start: "js/r/1", end: "js/r/3" }).keys(), ["js/r/1", "js/r/2"]);

  const yes = await client.if("js/a", "Value", "==", "2").and("js/none", "Create", "==", 0)
    .then(client.put("js/a").value("3"), client.get("js/a")).else(client.delete().key("js/a")).commit();
  equal("txn", [yes.succeeded, yes.responses[1].response_range.kvs[0].value.toString()], [true, "3"]);
  const no = await client.if("js/a", "Version", "<", 1)
    .then(client.put("js/a").value("x")).else(client.get("js/a")).commit();
  equal("txn that fails", no.succeeded, false);
  const put = { request_put: { key: Buffer.from("js/inner"), value: Buffer.from("in") } };
  const inner = { compare: [], success: [put], failure: [] };
  const outer = await client.if("js/a", "Value", "==", "3").then({ request_txn: inner }).commit();
  equal("nested txn", [outer.succeeded, await client.get("js/inner").string()], [true, "in"]);
  equal("a duplicate key", /duplicate key given in txn request/.test(await failure(client.if("js/a", "Version", ">", 0)
    .then(client.put("js/a").value("1"), client.put("js/a").value("2")).commit())), true);

  equal("delete with the previous value", (await client.delete().key("js/a").getPrevious())[0].value.toString(), "3");
  equal("delete of a prefix", (await client.delete().prefix("js/r/").exec()).deleted, "3");

  const old = await client.put("js/c").value("1").exec();
  await client.put("js/c").value("2").exec();
  await client.kv.compact({ revision: old.header.revision, physical: true });
  equal("compact twice", /required revision has been compacted/.test(
    await failure(client.kv.compact({ revision: old.header.revision, physical: false }))), true);

  await watches();
  await leases();
  await locks();
  await elections();
  const status = await client.maintenance.status();
  equal("status", [status.version, Number(status.dbSize) > 0], ["3.7.3", true]);
  equal("members", (await client.cluster.memberList({})).members.length, 1);
  await client.maintenance.defragment({});
  equal("alarms", (await client.maintenance.alarm({ action: "Get", memberID: 0, alarm: "None" })).alarms, []);
}

// The first events of a watcher, as "+key=value" and "-key".
function told(watcher, count) {
  return new Promise((resolve, reject) => {
    const events = [];
    const add = (text) => events.push(text) === count && resolve(events);
    watcher.on("put", (kv) => add(`+${kv.key}=${kv.value}`));
    watcher.on("delete", (kv) => add(`-${kv.key}`));
    watcher.on("error", reject);
  });
}

async function leases() {
  const lease = client.lease(600, { autoKeepAlive: false });
  await lease.put("js/l/a").value("1").exec();
  const id = await lease.grant();
  const seen = await client.leaseClient.leaseTimeToLive({ ID: id, keys: true });
  equal("a lease's time and keys", [seen.grantedTTL, seen.keys.map(String)], ["600", ["js/l/a"]]);
  await lease.keepaliveOnce();
  equal("a lease is in the list", (await client.leaseClient.leaseLeases()).leases.map((l) => l.ID).includes(id), true);
  await lease.revoke();
  equal("keys go with their lease", await client.get("js/l/a").string(), null);
  const watcher = await client.watch().key("js/l/b").create();
  const seenEvents = told(watcher, 2);
  const short = client.lease(1, { autoKeepAlive: false });
  await short.put("js/l/b").value("1").exec();
  equal("keys go when their lease ends", await seenEvents, ["+js/l/b=1", "-js/l/b"]);
  await watcher.cancel();
}

async function locks() {
  const [first, second] = [client.lock("js/lock"), client.lock("js/lock")];
  await first.acquire();
  equal("a lock that another has", /Failed to acquire a lock/.test(await failure(second.acquire())), true);
  await first.release();
  equal("a lock that was released", await second.acquire() === second, true);
  await second.release();
  const third = client.lock("js/lock").ttl(60);
  equal("a lock while something is done", await third.do(async () => failure(first.acquire())) !== "no error", true);
  equal("locks leave nothing", await client.getAll().prefix("js/lock").count(), 0);
}

async function elections() {
  const election = client.election("js/office", 60);
  equal("no leader", await election.leader(), undefined);
  const observer = await election.observe();
  const leads = (name) => observer.leader() === name ? Promise.resolve() : new Promise((resolve) => {
    observer.on("change", (leader) => leader === name && resolve());
  });
  const first = await election.campaign("one").wait();
  equal("a leader", await election.leader(), "one");
  await leads("one");
  const second = election.campaign("two");
  await second.getCampaignKey(); // its key is there: it waits
  equal("who waits does not lead", await election.leader(), "one");
  await first.proclaim("uno");
  await leads("uno");
  equal("a proclamation", await election.leader(), "uno");
  await first.resign();
  await second.wait();
  await leads("two");
  equal("the next one leads", await election.leader(), "two");
  await second.resign();
  await observer.cancel();
}

async function watches() {
  const first = await client.put("js/w/1").value("a").exec();
  const watcher = await client.watch().prefix("js/w/").create();
  const live = told(watcher, 3);
  await client.put("js/w/1").value("b").exec();
  await client.delete().key("js/w/1").exec();
  await client.put("js/w/2").value("c").exec();
  equal("watch of a prefix", await live, ["+js/w/1=b", "-js/w/1", "+js/w/2=c"]);
  await watcher.cancel();
  const past = await client.watch().prefix("js/w/").startRevision(first.header.revision).create();
  equal("watch from the past", await told(past, 4), ["+js/w/1=a", "+js/w/1=b", "-js/w/1", "+js/w/2=c"]);
  await past.cancel();
  const only = await client.watch().key("js/w/2").only("delete").create();
  const deleted = told(only, 1);
  await client.put("js/w/2").value("d").exec();
  await client.delete().key("js/w/2").exec();
  equal("watch without puts", await deleted, ["-js/w/2"]);
  await only.cancel();
}

main().catch((error) => {
  process.exitCode = 1;
  console.log(`FAIL a call that must succeed: ${error.stack}`);
}).finally(() => client.close());
