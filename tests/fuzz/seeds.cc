#include "tests/fuzz/seeds.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "kernel/apply/request.h"
#include "kernel/base/check.h"
#include "kernel/cluster/membership.h"
#include "kernel/wal/record.h"
#include "kernel/wal/wire.h"
#include "proto/health.pb.h"
#include "proto/raft.pb.h"
#include "proto/reflection_v1.pb.h"
#include "proto/rpc.pb.h"
#include "tests/fuzz/methods.h"

namespace tenon::fuzz {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests' names, all over this file

// ---- requests ----

RangeRequest All() {
  RangeRequest r;
  r.set_key(std::string("\0", 1));
  r.set_range_end(std::string("\0", 1));
  return r;
}

RangeRequest Picky() {
  RangeRequest r = All();
  r.set_limit(2);
  r.set_revision(4);
  r.set_sort_order(RangeRequest::DESCEND);
  r.set_sort_target(RangeRequest::MOD);
  r.set_serializable(true);
  r.set_min_mod_revision(2);
  r.set_max_create_revision(5);
  return r;
}

PutRequest Put(const std::string& key, const std::string& value) {
  PutRequest r;
  r.set_key(key);
  r.set_value(value);
  r.set_prev_kv(true);
  return r;
}

DeleteRangeRequest Delete(const std::string& key, const std::string& end) {
  DeleteRangeRequest r;
  r.set_key(key);
  r.set_range_end(end);
  r.set_prev_kv(true);
  return r;
}

// Every compare, every operation, and both again inside.
TxnRequest Txn() {
  TxnRequest r;
  for (int target = Compare::VERSION; target <= Compare::LEASE; target++) {
    Compare& c = *r.add_compare();
    c.set_key("k");
    c.set_target(static_cast<Compare::CompareTarget>(target));
    c.set_result(static_cast<Compare::CompareResult>(target % 4));
  }
  r.mutable_compare(0)->set_version(1);
  r.mutable_compare(1)->set_create_revision(2);
  r.mutable_compare(2)->set_mod_revision(3);
  r.mutable_compare(3)->set_value("v");
  *r.add_success()->mutable_request_put() = Put("k", "new");
  *r.add_failure()->mutable_request_delete_range() = Delete("a", "c");
  *r.add_failure()->mutable_request_range() = All();
  TxnRequest& inner = *r.add_failure()->mutable_request_txn();
  inner.add_compare()->set_range_end("z");
  inner.mutable_compare(0)->set_key("a");
  *inner.add_success()->mutable_request_put() = Put("x", "1");
  *inner.add_failure()->mutable_request_txn()->add_success()->mutable_request_put() = Put("y", "2");
  return r;
}

TxnRequest Reads() {
  TxnRequest r;
  *r.add_success()->mutable_request_range() = All();
  *r.add_failure()->mutable_request_range() = Picky();
  return r;
}

CompactionRequest Compaction(int64_t revision, bool physical) {
  CompactionRequest r;
  r.set_revision(revision);
  r.set_physical(physical);
  return r;
}

AlarmRequest Alarm(AlarmRequest::AlarmAction action, AlarmType type) {
  AlarmRequest r;
  r.set_action(action);
  r.set_memberid(0x8e9e05c52164694d);
  r.set_alarm(type);
  return r;
}

std::string First(int choice, const google::protobuf::MessageLite& message) {
  return std::string(1, static_cast<char>(choice)) + message.SerializeAsString();
}

std::vector<Seed> Requests() {
  return {{"put", First(0, Put("k", "new"))},
          {"delete", First(1, Delete("a", "c"))},
          {"delete-all", First(1, Delete("a", std::string("\0", 1)))},
          {"txn", First(2, Txn())},
          {"reads", First(2, Reads())},
          {"compact", First(3, Compaction(2, false))},
          {"range", First(4, All())},
          {"picky", First(4, Picky())}};
}

// ---- calls ----

class Calls {
 public:
  Calls& Add(const std::string& name, const std::string& bytes, int how = 0) {
    const auto at = std::find_if(methods_.begin(), methods_.end(), [&](const Method& m) { return m.name == name; });
    CHECK_MSG(at != methods_.end(), std::string(name));
    CHECK(bytes.size() < 65536);
    bytes_ += static_cast<char>(at - methods_.begin());
    bytes_ += static_cast<char>(how);
    bytes_ += static_cast<char>(bytes.size() & 255);
    bytes_ += static_cast<char>(bytes.size() >> 8);
    bytes_ += bytes;
    return *this;
  }
  Calls& Add(const std::string& name, const google::protobuf::MessageLite& message, int how = 0) {
    return Add(name, message.SerializeAsString(), how);
  }
  operator std::string() const { return bytes_; }  // NOLINT: that is what it is

 private:
  std::vector<Method> methods_ = Methods();
  std::string bytes_;
};

std::vector<Seed> CallSeeds() {
  const std::string kv = "/etcdserverpb.KV/", maintenance = "/etcdserverpb.Maintenance/",
                    cluster = "/etcdserverpb.Cluster/";
  std::vector<Seed> seeds;
  // Each method once with nothing, which is a message of its kind, and with what no parser takes.
  for (const Method& method : Methods()) {
    std::string name = method.name.substr(1);
    std::replace(name.begin(), name.end(), '/', '.');
    seeds.push_back({name, Calls().Add(method.name, "", kHalfClose | kMetadata).Add(method.name, "\xff\xff", kTwice)});
  }
  seeds.push_back({"writes", Calls()
                                 .Add(kv + "Put", Put("k", "new"))
                                 .Add(kv + "Txn", Txn())
                                 .Add(kv + "DeleteRange", Delete("a", "c"))
                                 .Add(kv + "Range", All())});
  seeds.push_back({"compaction", Calls()
                                     .Add(kv + "Compact", Compaction(3, true))
                                     .Add(kv + "Put", Put("k", "new"))
                                     .Add(kv + "Compact", Compaction(6, false))
                                     .Add(kv + "Range", Picky())});
  seeds.push_back({"reads", Calls().Add(kv + "Range", Picky()).Add(kv + "Txn", Reads())});
  seeds.push_back({"streams", Calls()
                                  .Add(kv + "RangeStream", All(), kRunBetween | kHalfClose)
                                  .Add(kv + "RangeStream", All(), kHold | kRunBetween | kWritable)
                                  .Add(kv + "RangeStream", Picky(), kRunBetween)});
  seeds.push_back({"alarms", Calls()
                                 .Add(maintenance + "Alarm", Alarm(AlarmRequest::ACTIVATE, NOSPACE))
                                 .Add(kv + "Put", Put("k", "refused"))
                                 .Add(maintenance + "Alarm", Alarm(AlarmRequest::DEACTIVATE, NOSPACE))
                                 .Add(maintenance + "Alarm", Alarm(AlarmRequest::ACTIVATE, CORRUPT))
                                 .Add(maintenance + "Status", "")
                                 .Add(kv + "Txn", Txn())});
  HashKVRequest hash;
  hash.set_revision(4);
  MoveLeaderRequest move;
  move.set_targetid(0x8e9e05c52164694d);
  DowngradeRequest downgrade;
  downgrade.set_action(DowngradeRequest::ENABLE);
  downgrade.set_version("3.6.0");
  seeds.push_back({"maintenance", Calls()
                                      .Add(maintenance + "Hash", "")
                                      .Add(maintenance + "HashKV", hash)
                                      .Add(maintenance + "MoveLeader", move)
                                      .Add(maintenance + "Downgrade", downgrade)
                                      .Add(maintenance + "Defragment", "")});
  MemberAddRequest add;
  add.add_peerurls("http://10.0.0.1:2380");
  MemberUpdateRequest update;
  update.set_id(0x8e9e05c52164694d);
  update.add_peerurls("http://10.0.0.2:2380");
  MemberRemoveRequest remove;
  remove.set_id(0x8e9e05c52164694d);
  MemberListRequest list;
  list.set_linearizable(true);
  seeds.push_back({"members", Calls()
                                  .Add(cluster + "MemberAdd", add)
                                  .Add(cluster + "MemberUpdate", update)
                                  .Add(cluster + "MemberRemove", remove)
                                  .Add(cluster + "MemberList", list)});
  const std::string reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  grpc::reflection::v1::ServerReflectionRequest services, file, symbol;
  services.set_list_services("");
  file.set_file_by_filename("rpc.proto");
  symbol.set_file_containing_symbol("etcdserverpb.KV");
  grpc::health::v1::HealthCheckRequest health;
  health.set_service("etcdserverpb.KV");
  seeds.push_back({"reflection", Calls()
                                     .Add(reflection, services)
                                     .Add(reflection, file, kTwice)
                                     .Add(reflection, symbol, kHalfClose)
                                     .Add("/grpc.health.v1.Health/Check", health)
                                     .Add("/grpc.health.v1.Health/Watch", health, kTwice)});
  return seeds;
}

// ---- entries ----

std::vector<Seed> Entries() {
  std::vector<Seed> seeds;
  const auto add = [&](const char* name, apply::Field field, const google::protobuf::MessageLite& message) {
    const std::string entry = apply::EncodeEntry(7, field, message.SerializeAsString());
    seeds.push_back({name, std::string(1, '\0') + entry});
    seeds.push_back({std::string(name) + "-applied", "\1" + entry});
  };
  add("put", apply::Field::kPut, Put("k", "v"));
  add("delete", apply::Field::kDeleteRange, Delete("a", "z"));
  add("txn", apply::Field::kTxn, Txn());
  add("compaction", apply::Field::kCompaction, Compaction(1, true));
  add("alarm", apply::Field::kAlarm, Alarm(AlarmRequest::ACTIVATE, NOSPACE));
  membershippb::ClusterVersionSetRequest version;
  version.set_ver("3.7.0");
  add("version", apply::Field::kClusterVersionSet, version);
  membershippb::ClusterMemberAttrSetRequest attributes;
  attributes.set_member_id(0x8e9e05c52164694d);
  attributes.mutable_member_attributes()->set_name("default");
  attributes.mutable_member_attributes()->add_client_urls("http://localhost:2379");
  add("attributes", apply::Field::kClusterMemberAttrSet, attributes);
  cluster::Member member;
  member.id = 0x8e9e05c52164694d;
  member.peer_urls = {"http://localhost:2380"};
  raftpb::ConfChange change;
  change.set_type(raftpb::ConfChangeAddNode);
  change.set_node_id(member.id);
  change.set_context(cluster::ToJson(member));
  seeds.push_back({"member", "\2" + change.SerializeAsString()});
  seeds.push_back({"member-v2", "\3" + change.SerializeAsString()});
  return seeds;
}

// ---- the log ----

raft::Entry MakeEntry(uint64_t term, uint64_t index, std::string payload) {
  raft::Entry entry;
  entry.term = Term(term);
  entry.index = Index(index);
  entry.payload = std::make_shared<raft::Payload>(std::move(payload));
  return entry;
}

std::vector<Seed> Logs() {
  std::string state, first, snapshot;
  raft::AppendHardState(state, {Term(2), 1, Index(6)});
  wal::AppendSnapshotRecord(first, {});
  wal::AppendSnapshotRecord(snapshot, {Index(5), Term(2), {{1}, {2}, {1, 3}, {4}, true}});
  const auto log = [&](bool from_snapshot) {
    wal::RecordWriter writer;
    writer.Crc();
    writer.Data(wal::RecordType::kMetadata, "metadata");
    writer.Data(wal::RecordType::kSnapshot, from_snapshot ? snapshot : first);
    for (uint64_t i = from_snapshot ? 6 : 1; i < 10; i++) writer.Entry(MakeEntry(i < 5 ? 1 : 2, i, "payload"));
    writer.Entry(MakeEntry(2, 8, "in place of another"));
    writer.Data(wal::RecordType::kState, state);
    if (!from_snapshot) writer.Data(wal::RecordType::kSnapshot, snapshot);
    return std::string(writer.bytes());
  };
  std::vector<Seed> seeds = {{"log", std::string(1, '\0') + log(false)},
                             {"log-with-room", std::string(1, '\0') + log(false) + std::string(1024, '\0')},
                             {"log-from-snapshot", "\1" + log(true)}};
  std::string records(1, '\2'), entry;
  raft::AppendEntry(entry, MakeEntry(1, 1, "payload"));
  for (const auto& [type, data] :
       std::vector<std::pair<int, std::string>>{{1, entry}, {2, state}, {4, snapshot}, {3, ""}}) {
    records += static_cast<char>(type);
    records += static_cast<char>(data.size());
    records += data;
  }
  seeds.push_back({"records", records});
  raft::Message message;
  message.type = raft::MessageType::kApp;
  message.to = 1;
  message.from = 2;
  message.term = Term(2);
  message.index = Index(5);
  message.log_term = Term(1);
  message.entries = {MakeEntry(2, 6, "payload"), MakeEntry(2, 7, "")};
  message.snapshot = raft::SnapshotMeta{Index(5), Term(2), {{1}, {2}, {}, {}, false}};
  message.context = 9;
  std::string bytes(1, '\3');
  raft::AppendMessage(bytes, message);
  seeds.push_back({"message", bytes});
  return seeds;
}

std::vector<Seed> Files(const std::string& configs) {
  std::vector<Seed> seeds = {
      {"flow", "{name: a, data-dir: \"b\", tenon: {persist-bytes: 1MiB}}\n"},
      {"anchors", "name: &n a\ninitial-cluster: *n\n"},
      {"modules", "tenon:\n  plugin-dir: x\n  modules:\n    storage: {use: memory, config: {a: [1, 'b', ~]}}\n"},
      {"block", "name: |\n  a\n  b\nlisten-client-urls: >-\n  http://[::1]:0\n"}};
  for (const auto& entry : std::filesystem::directory_iterator(configs)) {
    if (entry.path().extension() != ".yaml") continue;
    std::ifstream file(entry.path());
    seeds.push_back({entry.path().stem().string(), {std::istreambuf_iterator<char>(file), {}}});
  }
  std::sort(seeds.begin(), seeds.end(), [](const Seed& a, const Seed& b) { return a.name < b.name; });
  return seeds;
}

}  // namespace

std::vector<Seed> Seeds(std::string_view target, const std::string& configs) {
  if (target == "fuzz_calls") return CallSeeds();
  if (target == "fuzz_entry") return Entries();
  if (target == "fuzz_requests") return Requests();
  if (target == "fuzz_wal") return Logs();
  CHECK_MSG(target == "fuzz_yaml", std::string(target));
  return Files(configs);
}

}  // namespace tenon::fuzz
