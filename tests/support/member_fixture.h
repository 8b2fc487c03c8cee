// A member, alone or one of several, without threads, sockets and disks: raft, log, applier and store, moved by hand.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/apply/applier.h"
#include "kernel/cluster/founding.h"
#include "kernel/cluster/ids.h"
#include "kernel/cluster/membership.h"
#include "kernel/node/node.h"
#include "kernel/wal/wal.h"
#include "tests/support/memory_disk.h"
#include "tests/support/store_fixture.h"

namespace tenon::testing {

class MemberFixture {
 public:
  static constexpr MemberId kSelf = 0x8e9e05c52164694d;
  // etcd's 64 MB would be most of what a test, or an input of a fuzzer, takes.
  static constexpr wal::Options kLog{.segment_bytes = 1 << 20};

  explicit MemberFixture(node::Node::Options options = {}, mvcc::Store::Options store = {})
      : MemberFixture({{kSelf, "", {"http://localhost:2380"}, {}, false}}, kSelf, nullptr, options, store) {}
  // One of several founders.
  MemberFixture(const std::vector<cluster::Member>& founders, MemberId self, Peers* peers,
                node::Node::Options options = {}, mvcc::Store::Options store = {}, Version server = OwnVersion())
      : s(store), membership(1, self, server) {
    EXPECT_TRUE(disk.MakeDirectory("/member").ok());
    EXPECT_TRUE(disk.SyncDirectory("/").ok());
    EXPECT_TRUE(alarms.Restore(*s.engine, s.tables.alarm).ok());
    EXPECT_TRUE(membership.Restore(*s.engine, s.tables).ok());
    applier =
        std::make_unique<apply::Applier>(apply::Applier::Parts{*s.engine, s.tables, *s.store, watch, alarms, membership,
                                                               s.clock, apply_thread, reader_thread, metrics, Fatal()},
                                         apply::AppliedState{}, apply::Applier::Options{});

    raft::Config raft;
    raft.id = self;
    raft.seed = self;
    node = std::make_unique<node::Node>(
        node::Node::Parts{wal::Wal::Create(disk, "/member/wal", "metadata", kLog).value(), std::move(raft),
                          std::make_pair(cluster::FoundingEntries(founders), cluster::FoundingConf(founders)), *applier,
                          s.clock, node_thread, wal_thread, metrics, Fatal(), peers,
                          [this](raft::Message message) { asked_to_fetch.push_back(std::move(message)); }, nullptr,
                          [this] { restored++; }},
        options);
  }

  // Until nobody has anything to do any more.
  void Run() {
    while (node_thread.RunOne() || wal_thread.RunOne() || apply_thread.RunOne() || reader_thread.RunOne() ||
           watch_thread.RunOne()) {
    }
  }
  void Lead() {
    node->Start();
    Run();
    s.clock.Advance(100'000'000);
    Run();
    EXPECT_EQ(node->state().leader, kSelf);
  }
  void Tick(uint64_t ns = 100'000'000) {
    s.clock.Advance(ns);
    Run();
  }

  // `answers` gets "NAME:OK" or "NAME:what was said"; then `then` runs.
  std::shared_ptr<const apply::Proposal> Put(const std::string& name, const std::string& key = "k",
                                             std::function<void()> then = {}) {
    etcdserverpb::PutRequest r;
    r.set_key(key);
    const uint64_t id = ++next_id_;
    auto proposal = std::make_shared<const apply::Proposal>(
        apply::EncodeEntry(id, apply::Field::kPut, r.SerializeAsString()), apply::Request{id, r},
        [this, name, then = std::move(then)](const Status& status, Bufs) {
          Say(name, status);
          if (then) then();
        });
    node->Propose(proposal);
    return proposal;
  }
  void Read(const std::string& name) {
    node->ReadBarrier([this, name](const Status& status) { Say(name, status); });
  }
  void Say(const std::string& name, const Status& status) {
    answers.push_back(name + ":" + (status.ok() ? "OK" : std::string(Message(status))));
  }
  std::function<void(Status)> Fatal() {
    return [this](const Status& status) { fatals.push_back(status); };
  }

  std::vector<std::string> answers;
  std::vector<Status> fatals;
  std::vector<raft::Message> asked_to_fetch;
  int restored = 0;
  MemoryDisk disk;
  StoreFixture s;
  ManualExecutor watch_thread{s.clock};
  mvcc::WatchHub watch{*s.store, watch_thread, watch_thread, Fatal(), {}};
  ManualExecutor node_thread{s.clock}, wal_thread{s.clock}, apply_thread{s.clock}, reader_thread{s.clock};
  metrics::Registry metrics;
  apply::Alarms alarms;
  cluster::Membership membership;
  cluster::RequestIds ids{membership.self(), 1};
  std::unique_ptr<apply::Applier> applier;
  std::unique_ptr<node::Node> node;

 private:
  uint64_t next_id_ = membership.self() << 48;
};

}  // namespace tenon::testing
