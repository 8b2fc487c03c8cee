// The lease module on a host whose clock, pool and raft are moved by hand.
#pragma once
#include "plugins/lease/lessor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kernel/base/coding.h"
#include "kernel/plugin/host.h"
#include "plugins/lease/lease.h"
#include "tests/support/manual_executor.h"

namespace tenon::lease_module {

constexpr int64_t kSecond = 1'000'000'000;

inline std::string_view View(tenon_slice s) { return {reinterpret_cast<const char*>(s.p), s.n}; }
inline tenon_slice Slice(std::string_view s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }

// What the module proposed and nobody has answered yet.
struct Proposal {
  uint32_t op;
  uint64_t term;
  std::string payload;
  tenon_done done;
};

class LessorTest : public ::testing::Test {
 protected:
  LessorTest() { Create(); }
  ~LessorTest() override { End(); }

  void Create(std::vector<std::pair<std::string, std::string>> config = {}) {
    plugin::HostServices services;
    services.clock = &clock;
    services.pool = &pool;
    host = std::make_unique<plugin::Host>(plugin::HostName{"io.tenon.lease", "lease", "lease", "lease"}, services);
    host->set_context(this);
    host->Provide(TENON_HOST_RAFT, &kRaft);
    tenon_cfg cfg;
    cfg.kind = TENON_CFG_MAP;
    for (const auto& [key, value] : config) cfg.children.emplace_back(key, tenon_cfg::Scalar(value, "test"));
    tenon_error error{sizeof error};
    ASSERT_EQ(kTable.m.create(host->abi(), &cfg, &self, &error), TENON_OK) << error.msg;
    context = {};
    context.size = sizeof context;
    context.priv = this;
    context.put = [](const tenon_apply_v1* c, uint32_t, tenon_slice key, tenon_slice value) -> tenon_status {
      Of(c).rows[std::string(View(key))] = std::string(View(value));
      return TENON_OK;
    };
    context.del = [](const tenon_apply_v1* c, uint32_t, tenon_slice key) -> tenon_status {
      Of(c).rows.erase(std::string(View(key)));
      return TENON_OK;
    };
    context.scan = [](const tenon_apply_v1* c, uint32_t, tenon_range, int, tenon_row_fn fn, void* ctx) -> tenon_status {
      for (const auto& [key, value] : Of(c).rows) {
        const tenon_kv row{Slice(key), Slice(value)};
        if (const tenon_status s = fn(ctx, &row); s != TENON_OK) return s;
      }
      return TENON_OK;
    };
    ASSERT_EQ(kTable.recover(self, &context, &error), TENON_OK) << error.msg;
    ASSERT_EQ(kTable.m.start(self, &error), TENON_OK);
  }
  void End() {
    kTable.m.stop(self);
    while (!proposals.empty()) Complete(TENON_UNAVAILABLE);
    host->Close();
    kTable.m.destroy(self);
  }
  void Restart() {
    End();
    Create();
  }
  static LessorTest& Of(const tenon_apply_v1* c) { return *static_cast<LessorTest*>(c->priv); }

  // ---- what the kernel calls ----
  tenon_status Grant(int64_t id, int64_t ttl_s) {
    int64_t granted = -1;
    const tenon_status status = kTable.grant(self, &context, id, ttl_s, &granted, nullptr);
    EXPECT_EQ(granted, status == TENON_OK ? ttl_s : -1);
    return status;
  }
  // The keys that go with it.
  std::vector<std::string> Revoke(int64_t id) {
    std::vector<std::string> keys;
    EXPECT_EQ(kTable.revoke(self, &context, id, TakeKey, &keys, nullptr), TENON_OK);
    return keys;
  }
  static tenon_status TakeKey(void* keys, tenon_slice key) {
    static_cast<std::vector<std::string>*>(keys)->emplace_back(View(key));
    return TENON_OK;
  }
  std::vector<std::string> Keys(int64_t id) {
    std::vector<std::string> keys;
    EXPECT_EQ(kTable.lookup(self, id, nullptr, TakeKey, &keys), TENON_OK);
    return keys;
  }
  int64_t Left(int64_t id) {
    tenon_lease_info info{};
    info.size = sizeof info;
    return kTable.lookup(self, id, &info, nullptr, nullptr) == TENON_OK ? info.remaining_ttl_s : -1;
  }
  void Renew(int64_t id) {
    kTable.renew(self, id, {this, [](void* test, tenon_status status, int64_t ttl_s) {
                              static_cast<LessorTest*>(test)->renewed.push_back(
                                  status == TENON_OK ? std::to_string(ttl_s) : Said(status));
                            }});
  }
  static std::string Said(tenon_status status) {
    return status == TENON_NOT_FOUND ? "not found" : status == TENON_UNAVAILABLE ? "unavailable" : "error";
  }
  void Pass(double seconds) {
    auto left = static_cast<uint64_t>(seconds * 1e9);
    do {
      const uint64_t step = std::min<uint64_t>(left, 100'000'000);
      clock.Advance(step);
      left -= step;
      pool.Run();
    } while (left > 0);
  }

  // ---- raft ----
  void Complete(tenon_status status) {
    const Proposal p = proposals.front();
    proposals.pop_front();
    p.done.fn(p.done.ctx, status, nullptr, tenon_bufs{});
  }
  // The first proposal is applied.
  void Apply() {
    const Proposal& p = proposals.front();
    if (p.op == 9) {
      Revoke(IdOf(p.payload));
    } else {
      for (const auto& [id, left] : Checkpoints(p.payload)) {
        kTable.checkpoint(self, &context, id, left, nullptr);
      }
    }
    Complete(TENON_OK);
  }
  static int64_t IdOf(std::string_view request) {
    uint64_t tag = 0, id = 0;
    EXPECT_TRUE(TakeVarint(request, tag) && TakeVarint(request, id) && request.empty());
    return static_cast<int64_t>(id);
  }
  static std::vector<std::pair<int64_t, int64_t>> Checkpoints(std::string_view request) {
    std::vector<std::pair<int64_t, int64_t>> out;
    uint64_t tag, size;
    while (TakeVarint(request, tag) && TakeVarint(request, size)) {
      std::string_view one = request.substr(0, size);
      request.remove_prefix(size);
      uint64_t fields[3] = {}, value;
      while (TakeVarint(one, tag) && TakeVarint(one, value)) fields[tag >> 3] = value;
      out.emplace_back(fields[1], fields[2]);
    }
    return out;
  }
  // "revoke 5 in term 3" or "checkpoint 5=300 in term 3"
  std::vector<std::string> Proposed() {
    std::vector<std::string> out;
    for (const Proposal& p : proposals) {
      std::string what = p.op == 9 ? "revoke " + std::to_string(IdOf(p.payload)) : "checkpoint";
      if (p.op == 11) {
        for (const auto& [id, left] : Checkpoints(p.payload)) {
          what += " " + std::to_string(id) + "=" + std::to_string(left);
        }
      }
      out.push_back(what + " in term " + std::to_string(p.term));
    }
    return out;
  }

  static const tenon_host_raft_v1 kRaft;

  testing::ManualClock clock;
  testing::ManualExecutor pool{clock};
  std::unique_ptr<plugin::Host> host;
  void* self = nullptr;
  tenon_apply_v1 context{};
  std::map<std::string, std::string> rows;  // the table lease
  std::deque<Proposal> proposals;
  std::function<void()> upon_proposal;  // once: when the next one was made
  std::vector<std::string> renewed;
};

inline const tenon_host_raft_v1 LessorTest::kRaft = {
    sizeof(tenon_host_raft_v1), nullptr,
    [](const tenon_host* host, uint32_t op, uint64_t term, tenon_bufs payload, tenon_done done) {
      auto& test = *static_cast<LessorTest*>(plugin::Host::From(host).context());
      test.proposals.push_back({op, term, std::string(View(payload.part[0])), done});
      TENON_RELEASE(payload);
      if (const auto then = std::exchange(test.upon_proposal, nullptr)) then();
    },
    nullptr};

}  // namespace tenon::lease_module
