// Calls as a transport makes them: each is answered once, streams end once, strange callers do no harm.
#include "kernel/api/dispatcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <tuple>

#include "kernel/api/server.h"
#include "kernel/base/errors.h"
#include "kernel/plugin/host.h"
#include "tests/support/manual_executor.h"
#include "tests/support/member_fixture.h"

namespace tenon::api {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// The client's end of a stream.
struct Client {
  static Client& Of(void* self) { return *static_cast<Client*>(self); }
  static const tenon_call_out_v1 kTable;
  tenon_call_out out() { return {&kTable, this}; }
  void Send(const std::string& bytes) {
    BufsBuilder b;
    b.Append(bytes);
    in.fn->message(in.self, b.Take().Release());
  }
  void Release() { in.fn->release(in.self); }

  std::vector<std::string> messages;
  std::vector<std::string> ends;
  bool hold = false;
  tenon_call_in in{};
};
const tenon_call_out_v1 Client::kTable = {
    sizeof(tenon_call_out_v1), nullptr,
    [](void* self, tenon_bufs message) {
      const Bufs owned(message);
      std::string scratch;
      Of(self).messages.emplace_back(owned.Flatten(scratch));
      return static_cast<tenon_status>(Of(self).hold ? TENON_AGAIN : TENON_OK);
    },
    [](void*) {},
    [](void* self, tenon_status status, const tenon_error* error, const tenon_kv*, size_t) {
      Of(self).ends.push_back(status == TENON_OK ? "OK" : error->msg);
    }};

class DispatcherTest : public ::testing::Test {
 protected:
  DispatcherTest() {
    host.set_context(&dispatcher);
    RegisterKv(dispatcher, server);
    RegisterMaintenance(dispatcher, server);
    RegisterHealth(dispatcher, server);
    RegisterAbsent(dispatcher, server);
    m.Lead();
  }
  static tenon_slice Slice(std::string_view s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }
  uint32_t Id(std::string_view name) {
    uint32_t flags;
    return Dispatcher::kTable.method(host.abi(), Slice(name), &flags);
  }
  void Call(uint32_t method, const std::string& request) {
    tenon_call_info info{};
    info.size = sizeof info;
    info.method = method;
    BufsBuilder b;
    b.Append(request);
    Dispatcher::kTable.unary(
        host.abi(), &info, b.Take().Release(),
        {this, [](void* self, tenon_status status, const tenon_error* error, tenon_bufs bufs) {
           const Bufs owned(bufs);
           std::string scratch;
           static_cast<DispatcherTest*>(self)->reply = owned.Flatten(scratch);
           static_cast<DispatcherTest*>(self)->answers.push_back(status == TENON_OK ? "OK" : error->msg);
         }});
    m.Run();
  }
  tenon_status Stream(Client& client, std::string_view name = "/etcdserverpb.KV/RangeStream",
                      std::vector<tenon_kv> metadata = {}) {
    tenon_call_info info{};
    info.size = sizeof info;
    info.meta = metadata.data();
    info.n_meta = metadata.size();
    info.method = Id(name);
    return Dispatcher::kTable.stream(host.abi(), &info, client.out(), &client.in);
  }
  static std::string All() {
    etcdserverpb::RangeRequest r;
    r.set_key(std::string("\0", 1));
    r.set_range_end(std::string("\0", 1));
    return r.SerializeAsString();
  }
  static etcdserverpb::RangeResponse Merged(const Client& client) {
    etcdserverpb::RangeResponse whole;
    for (const std::string& bytes : client.messages) {
      etcdserverpb::RangeStreamResponse part;
      EXPECT_TRUE(part.ParseFromString(bytes));
      whole.MergeFrom(part.range_response());
    }
    return whole;
  }

  std::string reply;                 // the last one's bytes
  std::vector<std::string> answers;  // first: what nobody answered is answered when it goes
  testing::MemberFixture m;
  cluster::RequestIds ids{1, 1};
  ReadPool readers{{&m.reader_thread}};
  Server server{*m.node,
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
  bool leader = true;
  testing::ManualExecutor timers{m.s.clock};
  Dispatcher dispatcher{m.s.clock, timers, m.metrics, /*warning_ns=*/0, [this] { return leader; }};
  plugin::Host host{{"test", "test"}, {}};
};

TEST_F(DispatcherTest, RequestIsServed) {
  etcdserverpb::PutRequest r;
  r.set_key("k");
  Call(Id("/etcdserverpb.KV/Put"), r.SerializeAsString());
  EXPECT_THAT(answers, ElementsAre("OK"));
  EXPECT_EQ(m.s.store->revision(), 2);
}

// With every call slow enough to be logged.
TEST_F(DispatcherTest, UnknownMethodsAndWrongKindsAreAnswered) {
  EXPECT_EQ(Id("/no/Such"), 0u);
  Call(0, "");
  Call(12345, "");
  Call(Id("/etcdserverpb.KV/RangeStream"), "");
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_EQ(answers[0], "unknown method");
  EXPECT_THAT(answers[2], ::testing::HasSubstr("streaming"));
  Client client;
  EXPECT_EQ(Stream(client, "/etcdserverpb.KV/Put"), TENON_UNIMPLEMENTED);
}

TEST_F(DispatcherTest, BytesThatAreNoRequestAreAnswered) {
  for (const char* method : {"Range", "Put", "DeleteRange", "Txn", "Compact"}) {
    answers.clear();
    Call(Id(std::string("/etcdserverpb.KV/") + method), "\xff\xff\xff");
    ASSERT_EQ(answers.size(), 1u) << method;
    EXPECT_THAT(answers[0], ::testing::StartsWith("grpc: error unmarshalling request"));
  }
}

TEST_F(DispatcherTest, DeeperTransactionsThanProtobufsLimitAreEtcdsBusiness) {
  etcdserverpb::TxnRequest r;
  etcdserverpb::TxnRequest* t = &r;
  for (int i = 0; i < 126; i++) t = t->add_success()->mutable_request_txn();
  t->add_success()->mutable_request_put()->set_key("k");
  Call(Id("/etcdserverpb.KV/Txn"), r.SerializeAsString());
  for (int i = 0; i < 10; i++) t = t->mutable_success(0)->mutable_request_txn(), t->add_success();
  Call(Id("/etcdserverpb.KV/Txn"), r.SerializeAsString());
  EXPECT_THAT(answers, ElementsAre("OK", "etcdserver: too many operations in txn request"));
}

TEST_F(DispatcherTest, AnswerIsGivenOnceEvenIfNobodyGivesIt) {
  int calls = 0;
  const tenon_done done{&calls, [](void* n, tenon_status status, const tenon_error*, tenon_bufs) {
                          EXPECT_EQ(status, TENON_UNAVAILABLE);
                          ++*static_cast<int*>(n);
                        }};
  { Responder dropped(done, nullptr, 1, 0); }
  EXPECT_EQ(calls, 1);
  {
    Responder moved(done, nullptr, 1, 0);
    Responder to(std::move(moved));
  }
  EXPECT_EQ(calls, 2);
}

TEST_F(DispatcherTest, StreamCarriesTheWholeAnswerInPieces) {
  for (int i = 0; i < 1000; i++) m.s.Put(fmt::format("{:04}", i), std::string(static_cast<size_t>(i % 7) * 100, 'v'));
  Client client;
  ASSERT_EQ(Stream(client), TENON_OK);
  client.Send(All());
  client.in.fn->half_close(client.in.self);
  m.Run();
  EXPECT_GT(client.messages.size(), 3u);
  const auto whole = Merged(client);
  EXPECT_EQ(whole.kvs_size(), 1000);
  EXPECT_EQ(whole.kvs(999).key(), "0999");
  EXPECT_EQ(whole.count(), 1000);
  EXPECT_EQ(whole.header().revision(), 1001);
  EXPECT_THAT(client.ends, ElementsAre("OK"));
  client.Release();
}

TEST_F(DispatcherTest, PieceThatGrewOverSmallRowsDoesNotSwallowTheLargeOnes) {
  for (int i = 0; i < 3000; i++) m.s.Put(fmt::format("a{:04}", i), "");
  for (int i = 0; i < 60; i++) m.s.Put(fmt::format("b{:04}", i), std::string(1 << 20, 'v'));
  Client client;
  ASSERT_EQ(Stream(client), TENON_OK);
  client.Send(All());
  m.Run();
  for (const std::string& message : client.messages) EXPECT_LT(message.size(), 4u << 20);
  EXPECT_EQ(Merged(client).kvs_size(), 3060);
  client.Release();
}

TEST_F(DispatcherTest, StreamWaitsForASlowClient) {
  for (int i = 0; i < 100; i++) m.s.Put(fmt::format("{:04}", i), "v");
  Client client;
  client.hold = true;
  ASSERT_EQ(Stream(client), TENON_OK);
  client.in.fn->writable(client.in.self);  // too early: nothing was sent
  m.Run();
  EXPECT_THAT(client.messages, IsEmpty());
  client.Send(All());
  m.Run();
  EXPECT_EQ(client.messages.size(), 1u);
  for (size_t sent = 1; client.ends.empty(); sent++) {
    ASSERT_EQ(client.messages.size(), sent);
    client.in.fn->writable(client.in.self);
    m.Run();
  }
  EXPECT_EQ(Merged(client).kvs_size(), 100);
  client.Release();
}

TEST_F(DispatcherTest, CancelledStreamEndsOnceWhereverItIs) {
  for (int i = 0; i < 100; i++) m.s.Put(fmt::format("{:04}", i), "v");
  for (const int after : {0, 1, 2}) {
    Client client;
    client.hold = true;
    ASSERT_EQ(Stream(client), TENON_OK);
    if (after > 0) client.Send(All());
    if (after > 1) m.Run();
    client.in.fn->cancel(client.in.self);
    client.in.fn->writable(client.in.self);
    m.Run();
    client.in.fn->cancel(client.in.self);
    m.Run();
    EXPECT_EQ(client.ends.size(), 1u) << after;
    client.Release();
  }
}

constexpr const char* kHealthWatch = "/grpc.health.v1.Health/Watch";

TEST_F(DispatcherTest, StopEndsStreamsAndRefusesWhatComesLater) {
  for (int i = 0; i < 100; i++) m.s.Put(fmt::format("{:04}", i), "v");
  Client slow, idle, late;
  slow.hold = true;
  ASSERT_EQ(Stream(slow), TENON_OK);
  slow.Send(All());
  m.Run();
  ASSERT_EQ(Stream(idle, kHealthWatch), TENON_OK);
  idle.Send("");
  ASSERT_EQ(idle.messages.size(), 1u);
  EXPECT_THAT(idle.ends, IsEmpty());

  dispatcher.Stop(errors::Stopped());
  m.Run();
  EXPECT_THAT(slow.ends, ElementsAre("etcdserver: server stopped"));
  EXPECT_THAT(idle.ends, ElementsAre("etcdserver: server stopped"));
  ASSERT_EQ(Stream(late, kHealthWatch), TENON_OK);
  EXPECT_THAT(late.ends, ElementsAre("etcdserver: server stopped"));
  Call(Id("/etcdserverpb.KV/Range"), All());
  EXPECT_THAT(answers, ElementsAre("etcdserver: server stopped"));
  for (Client* client : {&slow, &idle, &late}) client->Release();
}

TEST_F(DispatcherTest, StreamThatAskedForALeaderEndsWhenThereWasNoneThreeTimes) {
  const tenon_kv hasleader = {Slice("hasleader"), Slice("true")};
  Client asked, other;
  ASSERT_EQ(Stream(asked, kHealthWatch, {hasleader}), TENON_OK);
  ASSERT_EQ(Stream(other, kHealthWatch), TENON_OK);
  const auto times = [&](int n, bool there) {
    leader = there;
    for (int i = 0; i < n; i++) dispatcher.WatchLeader();
  };
  times(2, false);
  times(1, true);
  times(2, false);
  EXPECT_THAT(asked.ends, IsEmpty()) << "not three times in a row";
  times(1, false);
  EXPECT_THAT(asked.ends, ElementsAre("etcdserver: no leader"));
  EXPECT_THAT(other.ends, IsEmpty());
  other.in.fn->cancel(other.in.self);
  for (Client* client : {&asked, &other}) client->Release();
}

// A service module with one call and one stream, which knows of a cancel only.
struct Module {
  static Module& Of(void* self) { return *static_cast<Module*>(self); }
  static tenon_service_v1 Table() {
    static const tenon_method kMethods[] = {{sizeof(tenon_method), TENON_METHOD_SERVER_STREAM, "/test.Service/Stream"},
                                            {sizeof(tenon_method), 0, "/test.Service/Wait"}};
    static const tenon_call_in_v1 kIn = {
        sizeof(tenon_call_in_v1),
        [](void* self, tenon_bufs message) -> tenon_status {
          Bufs owned(message);
          return Of(self).out.fn->message(Of(self).out.self, owned.Release());
        },
        [](void*) {},
        [](void*) {},
        [](void* self) { Of(self).out.fn->finish(Of(self).out.self, TENON_CANCELLED, nullptr, nullptr, 0); },
        [](void* self) { Of(self).released++; }};
    tenon_service_v1 t{};
    t.methods = [](void*, size_t* n) {
      *n = 2;
      return kMethods;
    };
    t.unary = [](void* self, uint64_t call, uint32_t, const tenon_call_info*, const tenon_identity*, tenon_bufs request,
                 tenon_done done) {
      TENON_RELEASE(request);
      Of(self).waiting[call] = done;
    };
    t.unary_cancel = [](void* self, uint64_t call) { Of(self).End(call, TENON_CANCELLED); };
    t.stream = [](void* self, uint32_t, const tenon_call_info*, const tenon_identity*, tenon_call_out out,
                  tenon_call_in* in) -> tenon_status {
      if (Of(self).refuses) return TENON_UNAVAILABLE;
      Of(self).out = out;
      *in = {&kIn, self};
      return TENON_OK;
    };
    return t;
  }
  void End(uint64_t call, tenon_status status) {
    const auto it = waiting.find(call);
    if (it == waiting.end()) return;
    const tenon_done done = it->second;
    waiting.erase(it);
    done.fn(done.ctx, status, nullptr, tenon_bufs{});
  }

  std::map<uint64_t, tenon_done> waiting;
  tenon_call_out out{};
  int released = 0;
  bool refuses = false;
};

TEST_F(DispatcherTest, StreamOfAModuleEndsWithWhatEndedIt) {
  Module module;
  ASSERT_TRUE(dispatcher.AddService("test", Module::Table(), &module).ok());
  Client gone, refused, client;
  ASSERT_EQ(Stream(gone, "/test.Service/Stream"), TENON_OK);
  gone.Send("x");
  EXPECT_THAT(gone.messages, ElementsAre("x"));
  gone.in.fn->cancel(gone.in.self);
  EXPECT_THAT(gone.ends, ElementsAre("context canceled"));
  gone.Release();
  EXPECT_EQ(module.released, 1);

  module.refuses = true;
  EXPECT_EQ(Stream(refused, "/test.Service/Stream"), TENON_UNAVAILABLE);
  module.refuses = false;
  ASSERT_EQ(Stream(client, "/test.Service/Stream"), TENON_OK);
  dispatcher.Stop(errors::Stopped());
  EXPECT_THAT(client.ends, ElementsAre("etcdserver: server stopped"));
  EXPECT_THAT(refused.ends, IsEmpty());
  client.Release();
  EXPECT_EQ(module.released, 2);
}

// ---- calls with a time limit, as modules make them ----

class TimeLimitTest : public DispatcherTest {
 protected:
  TimeLimitTest() {
    dispatcher.AddUnary("/test.Kernel/Wait",
                        [this](std::string_view, Responder respond) { waiting.push_back(std::move(respond)); });
    EXPECT_TRUE(dispatcher.AddService("test", Module::Table(), &module).ok());
  }
  static tenon_call_info Info(uint32_t method, int64_t timeout_ns) {
    tenon_call_info info{};
    info.size = sizeof info;
    info.method = method;
    info.timeout_ns = timeout_ns;
    return info;
  }
  uint64_t CallAs(std::string_view name, int64_t timeout_ns) {
    const tenon_call_info info = Info(Id(name), timeout_ns);
    return Dispatcher::kCallTable.unary_as(
        host.abi(), nullptr, &info, tenon_bufs{},
        {this, [](void* self, tenon_status status, const tenon_error* error, tenon_bufs result) {
           TENON_RELEASE(result);
           static_cast<TimeLimitTest*>(self)->answers.push_back(
               fmt::format("{} {}", static_cast<int>(status), error == nullptr ? "" : error->msg));
         }});
  }
  void Pass(int64_t ns) {
    m.s.clock.Advance(static_cast<uint64_t>(ns));
    timers.Run();
    m.Run();
  }

  static constexpr int64_t kSecond = 1'000'000'000;
  const std::string late = fmt::format("{} context deadline exceeded", static_cast<int>(TENON_DEADLINE));
  std::vector<Responder> waiting;
  Module module;
};

TEST_F(TimeLimitTest, CallOfTheKernelEndsWithItsTime) {
  for (const int64_t timeout : {0 * kSecond, 1 * kSecond, 3 * kSecond})
    EXPECT_NE(CallAs("/test.Kernel/Wait", timeout), 0u);
  Pass(kSecond - 1);
  EXPECT_THAT(answers, IsEmpty());
  Pass(1);
  EXPECT_THAT(answers, ElementsAre(late));
  waiting[2].Ok(Bufs());
  EXPECT_THAT(answers, ElementsAre(late, "0 "));
  Pass(100 * kSecond);
  int released = 0;
  waiting[1].Ok(Bufs(
      tenon_bufs{nullptr, 0, &released, [](void* n) { ++*static_cast<int*>(n); }}));  // nobody waits for it any more
  EXPECT_EQ(released, 1);
  EXPECT_EQ(answers.size(), 2u);
  waiting[0].Error(errors::Timeout());
  EXPECT_EQ(answers.size(), 3u) << "0 is no limit";
}

TEST_F(TimeLimitTest, CallThatIsAnsweredAtOnceIs) {
  EXPECT_EQ(CallAs("/grpc.health.v1.Health/Check", kSecond), 0u);
  EXPECT_EQ(answers.size(), 1u);
  Pass(2 * kSecond);
  EXPECT_EQ(answers.size(), 1u);
}

TEST_F(TimeLimitTest, CallOfAServiceModuleIsCancelledAndSaysWhy) {
  CallAs("/test.Service/Wait", kSecond);
  const uint64_t quick = CallAs("/test.Service/Wait", 2 * kSecond);
  const uint64_t patient = CallAs("/test.Service/Wait", 0);
  Pass(kSecond);
  EXPECT_THAT(answers, ElementsAre(late));
  module.End(quick, TENON_OK);
  Pass(100 * kSecond);
  EXPECT_THAT(answers, ElementsAre(late, "0 "));
  Dispatcher::kCallTable.unary_cancel(host.abi(), patient);
  EXPECT_EQ(answers.size(), 3u);
  EXPECT_NE(answers[2], late);
}

TEST_F(TimeLimitTest, StreamsEndWithTheirTime) {
  Client own, of_module, patient;
  for (const auto& [client, name, timeout] : {std::tuple(&own, "/etcdserverpb.KV/RangeStream", kSecond),
                                              std::tuple(&of_module, "/test.Service/Stream", 2 * kSecond),
                                              std::tuple(&patient, "/etcdserverpb.KV/RangeStream", 0 * kSecond)}) {
    const tenon_call_info info = Info(Id(name), timeout);
    ASSERT_EQ(Dispatcher::kCallTable.call_as(host.abi(), nullptr, &info, client->out(), &client->in), TENON_OK);
  }
  Pass(kSecond);
  EXPECT_THAT(own.ends, ElementsAre("context deadline exceeded"));
  EXPECT_THAT(of_module.ends, IsEmpty());
  Pass(kSecond);
  EXPECT_THAT(of_module.ends, ElementsAre("context deadline exceeded"));
  Pass(100 * kSecond);
  EXPECT_THAT(patient.ends, IsEmpty());
  patient.in.fn->cancel(patient.in.self);
  for (Client* client : {&own, &of_module, &patient}) client->Release();
}

TEST_F(DispatcherTest, SecondRequestOnARangeStreamEndsIt) {
  Client client;
  ASSERT_EQ(Stream(client), TENON_OK);
  client.Send(All());
  client.Send(All());
  m.Run();
  EXPECT_EQ(client.ends.size(), 1u);
  client.Release();
}

TEST_F(DispatcherTest, RangeStreamWithoutARequestEnds) {
  Client client;
  ASSERT_EQ(Stream(client), TENON_OK);
  client.in.fn->half_close(client.in.self);
  m.Run();
  EXPECT_EQ(client.ends.size(), 1u);
  client.Release();
}

TEST_F(DispatcherTest, StreamThatIsCompactedAwayUnderASlowClientSaysSo) {
  for (int i = 0; i < 400; i++) m.s.Put(fmt::format("{:04}", i % 200), "v");  // what 150 saw is not cached any more
  etcdserverpb::RangeRequest r;
  r.set_key(std::string("\0", 1));
  r.set_range_end(std::string("\0", 1));
  r.set_revision(150);
  Client client;
  client.hold = true;
  ASSERT_EQ(Stream(client), TENON_OK);
  client.Send(r.SerializeAsString());
  m.Run();
  ASSERT_TRUE(m.s.ScheduleCompact(m.s.store->revision()).ok());
  m.s.clock.Advance(61'000'000'000);
  while (m.s.CompactStep() == mvcc::Store::Step::kMore) {
  }
  client.hold = false;
  client.in.fn->writable(client.in.self);
  m.Run();
  EXPECT_THAT(client.ends, ElementsAre("etcdserver: mvcc: required revision has been compacted"));
  client.Release();
}

TEST_F(DispatcherTest, HashDoesNotChangeWhileCompactionRemovesRows) {
  const auto hash = [&] {
    Call(Id("/etcdserverpb.Maintenance/Hash"), "");
    etcdserverpb::HashResponse r;
    EXPECT_TRUE(r.ParseFromString(reply));
    return r.hash();
  };
  for (int i = 0; i < 3000; i++) m.s.Put(fmt::format("{}", i % 10), "v");
  const uint32_t whole = hash();
  EXPECT_EQ(hash(), whole);
  ASSERT_TRUE(m.s.ScheduleCompact(2990).ok());
  const uint32_t compacted = hash();
  size_t rows = m.s.Rows();
  EXPECT_NE(compacted, whole);
  while (m.s.CompactStep() == mvcc::Store::Step::kMore) EXPECT_EQ(hash(), compacted);
  EXPECT_EQ(hash(), compacted);
  EXPECT_LT(m.s.Rows(), rows);
  m.s.Put("k", "v");
  EXPECT_NE(hash(), compacted);
}

TEST_F(DispatcherTest, AbsentServiceNamesItsModule) {
  Call(Id("/etcdserverpb.Lease/LeaseGrant"), "");
  EXPECT_THAT(answers, ElementsAre("etcdserverpb.Lease: no lease module is configured"));
}

}  // namespace
}  // namespace tenon::api
