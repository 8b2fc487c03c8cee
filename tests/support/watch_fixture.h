// Watchers on a store, without threads: the client's end keeps what it gets, and the test says who runs.
#pragma once
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "kernel/mvcc/watch_hub.h"
#include "proto/rpc.pb.h"
#include "tests/support/manual_executor.h"
#include "tests/support/store_fixture.h"

namespace tenon::testing {

// A client's end that keeps what it gets as text: "ID@REVISION what".
class WatchClient : public mvcc::WatchStream {
 public:
  std::vector<std::string> got;
  std::map<int64_t, std::vector<std::string>> events;  // by watcher: "REVISION+key=value(former)" and "REVISION-key"
  struct Promise {
    int64_t revision;
    std::map<int64_t, size_t> events;  // what had been sent by then, of watchers that had been created by then
  };
  std::set<int64_t> live;
  std::vector<Promise> promises;  // by progress of the whole stream
  int room = 1'000'000;           // messages that are taken before the client is full
  bool full = false;              // it said so
  size_t handled = 0;
  std::optional<Status> ended;

  std::vector<std::string> Take() { return std::exchange(got, {}); }

 private:
  bool Send(const mvcc::WatchResponse& r) override {
    EXPECT_FALSE(ended);
    EXPECT_FALSE(full) << "sent to a client that asked to wait";
    std::string text = fmt::format("{}@{}", r.id, r.revision);
    if (r.created) text += " created";
    if (r.canceled) text += " canceled";
    if (r.compact_revision != 0) text += fmt::format(" compacted {}", r.compact_revision);
    if (!r.cancel_reason.empty()) text += fmt::format(" ({})", r.cancel_reason);
    etcdserverpb::WatchResponse parsed;
    EXPECT_TRUE(parsed.ParseFromArray(r.events.view().data(), static_cast<int>(r.events.size())));
    for (const auto& e : parsed.events()) {
      std::string event =
          fmt::format("{}{}{}", e.kv().mod_revision(), e.type() == mvccpb::Event::PUT ? '+' : '-', e.kv().key());
      if (e.type() == mvccpb::Event::PUT) event += "=" + e.kv().value();
      if (e.has_prev_kv()) event += "(" + e.prev_kv().value() + ")";
      text += " " + event;
      events[r.id].push_back(std::move(event));
    }
    if (r.created && !r.canceled) live.insert(r.id);
    if (r.canceled) live.erase(r.id);
    if (r.id == kNoWatcher && !r.created) {
      promises.push_back({r.revision, {}});
      for (const int64_t id : live) promises.back().events[id] = events[id].size();
    }
    got.push_back(std::move(text));
    full = --room <= 0;
    return !full;
  }
  void Handled(size_t requests) override { handled += requests; }
  void End(const Status& status) override { ended = status; }
};

// A store, its hub, and time that the test moves.
class WatchFixture : public ::testing::Test {
 protected:
  void MakeRoom(const std::shared_ptr<WatchClient>& client, int room) {
    client->room = room;
    if (std::exchange(client->full, false)) hub->Writable(client);
  }
  void Run() {
    while (thread.RunOne() || history.RunOne()) {
    }
  }
  std::shared_ptr<WatchClient> Open() {
    auto client = std::make_shared<WatchClient>();
    hub->Open(client);
    return client;
  }
  void Watch(const std::shared_ptr<WatchClient>& client, mvcc::WatchRequest request) {
    hub->Create(client, std::move(request));
    Run();
  }
  // A turn of its own.
  int64_t Put(std::string_view key, std::string_view value) {
    const int64_t revision = s.Put(key, value);
    hub->Publish(std::move(s.published), revision);
    return revision;
  }
  int64_t Delete(std::string_view key) {
    const int64_t revision = s.Delete(key);
    hub->Publish(std::move(s.published), revision);
    return revision;
  }
  void Make(mvcc::WatchHub::Options options) {
    hub = std::make_unique<mvcc::WatchHub>(
        *s.store, thread, history, [this](const Status& e) { fatals.push_back(e); }, options);
  }

  StoreFixture s;
  ManualExecutor thread{s.clock}, history{s.clock};
  std::vector<Status> fatals;
  std::unique_ptr<mvcc::WatchHub> hub = std::make_unique<mvcc::WatchHub>(
      *s.store, thread, history, [this](const Status& e) { fatals.push_back(e); }, mvcc::WatchHub::Options{});
};

}  // namespace tenon::testing
