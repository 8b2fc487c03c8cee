// Any bytes as the messages of any calls to one member, every method that the kernel serves.
//
// Each call is answered once, each stream ends once, nothing stops the member, and in the end a store that is opened on
// its engine holds what the member held. An input is a list of calls: number of the method, how, length (two bytes),
// message.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/api/dispatcher.h"
#include "kernel/api/server.h"
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "kernel/mvcc/hash.h"
#include "kernel/plugin/host.h"
#include "tests/fuzz/methods.h"
#include "tests/support/member_fixture.h"

namespace {

using namespace tenon;  // NOLINT: a test's own file

struct Answer {
  int times = 0;
};

// The client's end of a stream.
struct Client {
  static Client& Of(void* self) { return *static_cast<Client*>(self); }
  static const tenon_call_out_v1 kTable;
  bool hold = false;
  int ends = 0;
  tenon_call_in in{};
};
const tenon_call_out_v1 Client::kTable = {
    sizeof(tenon_call_out_v1), nullptr,
    [](void* self, tenon_bufs message) {
      TENON_RELEASE(message);
      CHECK_EQ(Of(self).ends, 0);
      return static_cast<tenon_status>(Of(self).hold ? TENON_AGAIN : TENON_OK);
    },
    [](void*) {}, [](void* self, tenon_status, const tenon_error*, const tenon_kv*, size_t) { Of(self).ends++; }};

tenon_bufs Message(std::string_view bytes) {
  BufsBuilder b;
  b.Append(bytes);
  return b.Take().Release();
}

struct World {
  tenon::testing::MemberFixture m;
  cluster::RequestIds ids{1, 1};
  api::ReadPool readers{{&m.reader_thread}};
  api::Server server{*m.node,
                     *m.applier,
                     m.alarms,
                     *m.s.store,
                     *m.s.engine,
                     m.membership,
                     ids,
                     readers,
                     m.s.clock,
                     m.reader_thread,
                     [](uint64_t) { return true; },
                     {}};
  api::Dispatcher dispatcher{m.s.clock, m.reader_thread, m.metrics, UINT64_MAX, [] { return true; }};
  plugin::Host host{{"fuzz", "fuzz"}, {}};

  World() {
    host.set_context(&dispatcher);
    server.change_members = [this](cluster::MemberChange change, absl::AnyInvocable<void(Status)> done) {
      apply::Request request;
      request.id = change.request_id = ids.Next();
      m.node->Propose(std::make_shared<const apply::Proposal>(
          cluster::Encode(change), std::move(request),
          [done = std::move(done)](Status status, Bufs) mutable { done(std::move(status)); },
          raft::EntryType::kConfChange));
    };
    RegisterKv(dispatcher, server);
    RegisterWatch(dispatcher, server, m.watch);
    RegisterMaintenance(dispatcher, server);
    RegisterCluster(dispatcher, server);
    RegisterHealth(dispatcher, server);
    RegisterAbsent(dispatcher, server);
    RegisterReflection(dispatcher);
    m.Lead();
    for (const char* key : {"a", "b", "k", "k", "b"}) m.Put("before", key);
    m.Run();
  }

  tenon_call_info Info(const fuzz::Method& method, uint8_t how) const {
    static const tenon_kv kHasLeader{{reinterpret_cast<const uint8_t*>("hasleader"), 9},
                                     {reinterpret_cast<const uint8_t*>("true"), 4}};
    tenon_call_info info{};
    info.size = sizeof info;
    uint32_t flags;
    info.method = api::Dispatcher::kTable.method(
        host.abi(), {reinterpret_cast<const uint8_t*>(method.name.data()), method.name.size()}, &flags);
    CHECK_MSG(info.method != 0, method.name);
    if (how & fuzz::kMetadata) {
      info.meta = &kHasLeader;
      info.n_meta = 1;
    }
    return info;
  }

  void Unary(const fuzz::Method& method, uint8_t how, std::string_view bytes) {
    Answer answer;
    const tenon_call_info info = Info(method, how);
    api::Dispatcher::kTable.unary(host.abi(), &info, Message(bytes),
                                  {&answer, [](void* self, tenon_status, const tenon_error*, tenon_bufs bufs) {
                                     TENON_RELEASE(bufs);
                                     static_cast<Answer*>(self)->times++;
                                   }});
    m.Run();
    for (int i = 0; i < 100 && answer.times == 0; i++) m.Tick();  // a physical compaction takes its time
    CHECK_EQ(answer.times, 1);
  }

  void Stream(const fuzz::Method& method, uint8_t how, std::string_view bytes) {
    Client client;
    client.hold = how & fuzz::kHold;
    const tenon_call_info info = Info(method, how);
    if (api::Dispatcher::kTable.stream(host.abi(), &info, {&Client::kTable, &client}, &client.in) != TENON_OK) return;
    const auto run = [&] {
      if (how & fuzz::kRunBetween) m.Run();
    };
    client.in.fn->message(client.in.self, Message(bytes));
    run();
    if (how & fuzz::kTwice) client.in.fn->message(client.in.self, Message(bytes));
    run();
    if (how & fuzz::kWritable) client.in.fn->writable(client.in.self);
    run();
    if (how & fuzz::kHalfClose) client.in.fn->half_close(client.in.self);
    run();
    client.in.fn->cancel(client.in.self);
    m.Run();
    CHECK_EQ(client.ends, 1);
    client.in.fn->release(client.in.self);
  }

  // The member goes on, and what it has in memory is what its engine holds.
  void End() {
    const size_t answers = m.answers.size();
    m.Put("after");
    m.Run();
    CHECK_EQ(m.answers.size(), answers + 1);
    CHECK(m.fatals.empty());
    const auto compacting = [&] {
      const int64_t scheduled = m.s.store->scheduled_compact();
      return scheduled >= 0 && scheduled != m.s.store->finished_compact();
    };
    for (int i = 0; i < 100 && compacting(); i++) m.Tick();
    CHECK(!compacting());
    auto again = mvcc::Store::Open(*m.s.engine, m.s.tables, m.s.clock, {}).value();
    CHECK_EQ(again->revision(), m.s.store->revision());
    CHECK_EQ(again->keys(), m.s.store->keys());
    const auto live = mvcc::HashKv(*m.s.store, m.s.store->revision()), opened = mvcc::HashKv(*again, again->revision());
    CHECK(live.ok() && opened.ok());
    // The hash of the revision of a compaction may be the one that was stored before it.
    if (m.s.store->revision() != m.s.store->compact_revision()) CHECK_EQ(live->hash, opened->hash);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<fuzz::Method> methods = fuzz::Methods();
  static const bool quiet = [] {
    SetLogLevel(LogLevel::kError);
    return true;
  }();
  (void)quiet;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  World world;
  for (int calls = 0; calls < 8 && input.size() >= 4; calls++) {
    const fuzz::Method& method = methods[static_cast<uint8_t>(input[0]) % methods.size()];
    const auto how = static_cast<uint8_t>(input[1]);
    const size_t n = static_cast<uint8_t>(input[2]) | static_cast<size_t>(static_cast<uint8_t>(input[3])) << 8;
    const std::string_view bytes = input.substr(4, n);
    input.remove_prefix(4 + bytes.size());
    if (method.streams) {
      world.Stream(method, how, bytes);
    } else {
      world.Unary(method, how, bytes);
    }
  }
  world.End();
  return 0;
}
