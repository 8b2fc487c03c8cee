#include "kernel/plugin/host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel/plugin/abi_status.h"
#include "kernel/plugin/threads.h"
#include "tests/plugin/fakes.h"

namespace tenon::plugin {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

tenon_slice Slice(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

class HostTest : public testing::Test {
 protected:
  HostTest() {
    services_.clock = &clock_;
    services_.pool = &pool_;
    services_.metrics = &registry_;
  }
  Host& host() {
    if (host_ == nullptr) host_ = std::make_unique<Host>(HostName{"org.example.queue", "services[0]"}, services_);
    return *host_;
  }
  template <class T>
  const T* Get(const char* id) {
    return static_cast<const T*>(host().abi()->get(host().abi(), id));
  }
  const tenon_host_exec_v1& exec() { return *Get<tenon_host_exec_v1>(TENON_HOST_EXEC); }

  FakeClock clock_;
  ManualPool pool_{clock_};
  metrics::Registry registry_;
  HostServices services_;
  std::unique_ptr<Host> host_;
};

// What plugin code does, as a C function with its record.
struct Record {
  std::vector<int> calls;
  const tenon_host* host = nullptr;
  const tenon_host_exec_v1* exec = nullptr;
};

TEST_F(HostTest, LogLinesCarryPluginAndInstance) {
  LogCapture log;
  const auto* table = Get<tenon_host_log_v1>(TENON_HOST_LOG);
  const tenon_kv field{Slice("queue"), Slice("jobs")};
  table->write(host().abi(), TENON_LOG_WARN, Slice("slow"), &field, 1);
  EXPECT_THAT(log.text(), HasSubstr("\"level\":\"warn\""));
  EXPECT_THAT(
      log.text(),
      HasSubstr("\"msg\":\"slow\",\"plugin\":\"org.example.queue\",\"instance\":\"services[0]\",\"queue\":\"jobs\"}"));
  EXPECT_EQ(table->enabled(host().abi(), TENON_LOG_DEBUG), 0);
  EXPECT_EQ(table->enabled(host().abi(), TENON_LOG_ERROR), 1);
}

TEST_F(HostTest, WhatTheKernelDoesNotHaveIsNull) {
  services_ = {.log = false, .config = false};
  for (const char* id : {TENON_HOST_LOG, TENON_HOST_METRICS, TENON_HOST_CONFIG, TENON_HOST_EXEC, TENON_HOST_RAFT,
                         TENON_HOST_KV, TENON_HOST_CALL, TENON_HOST_DISPATCH, "tenon.host.log/2", "", "nonsense"}) {
    EXPECT_EQ(Get<void>(id), nullptr) << id;
  }
  EXPECT_EQ(Get<void>(nullptr), nullptr);
}

TEST_F(HostTest, GivenTablesAreFoundAndMayHideOurs) {
  int raft = 0, log = 0;
  host().Provide(TENON_HOST_RAFT, &raft);
  EXPECT_EQ(Get<void>(TENON_HOST_RAFT), &raft);
  host().Provide(TENON_HOST_LOG, &log);
  EXPECT_EQ(Get<void>(TENON_HOST_LOG), &log);
  host().Provide(TENON_HOST_LOG, nullptr);
  EXPECT_EQ(Get<void>(TENON_HOST_LOG), nullptr);
}

TEST_F(HostTest, AProviderFindsItsWayBack) {
  int mine = 0;
  host().set_context(&mine);
  EXPECT_EQ(&Host::From(host().abi()), &host());
  EXPECT_EQ(Host::From(host().abi()).context(), &mine);
}

TEST_F(HostTest, FatalReachesTheKernelWithTheModulesName) {
  LogCapture log;
  Status got;
  services_.fatal = [&](Status status) { got = std::move(status); };
  tenon_error error = NewError();
  error.code = TENON_IO;
  error.sys_errno = ENOSPC;
  std::snprintf(error.msg, sizeof error.msg, "write of page 7");
  host().abi()->fatal(host().abi(), &error);
  EXPECT_EQ(Message(got),
            "module services[0] of plugin org.example.queue cannot go on: write of page 7: No space left on device");
  host().abi()->fatal(host().abi(), nullptr);
  EXPECT_THAT(std::string(Message(got)), HasSubstr("FATAL (104) without a text"));
}

TEST_F(HostTest, PostedWorkRunsOnceOnThePoolInOrderOfPriority) {
  static Record record;
  record = {};
  record.host = host().abi();
  record.exec = &exec();
  const auto fn = [](void* ctx) {
    record.calls.push_back(static_cast<int>(reinterpret_cast<intptr_t>(ctx)));
    EXPECT_EQ(record.exec->thread_is(record.host, TENON_ON_POOL), 1);
  };
  exec().post(host().abi(), 0, fn, reinterpret_cast<void*>(1));
  exec().post(host().abi(), 0, fn, reinterpret_cast<void*>(2));
  exec().post(host().abi(), 5, fn, reinterpret_cast<void*>(3));
  EXPECT_EQ(record.calls.size(), 0u) << "never inside the call";
  pool_.Advance(1);
  EXPECT_THAT(record.calls, ElementsAre(3, 1, 2));
  EXPECT_EQ(exec().thread_is(host().abi(), TENON_ON_POOL), 0);
}

TEST_F(HostTest, AFullQueueIsExhaustedAndDropsNothingThatWasTaken) {
  services_.max_posted = 2;
  static int runs;
  runs = 0;
  const auto fn = [](void*) { runs++; };
  EXPECT_EQ(exec().post(host().abi(), 0, fn, nullptr), TENON_OK);
  EXPECT_EQ(exec().post(host().abi(), 0, fn, nullptr), TENON_OK);
  EXPECT_EQ(exec().post(host().abi(), 0, fn, nullptr), TENON_EXHAUSTED);
  pool_.Advance(1);
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(exec().post(host().abi(), 0, fn, nullptr), TENON_OK);
}

TEST_F(HostTest, DrainRunsWhatWasPostedWithoutThePoolsHelp) {
  static int runs;
  runs = 0;
  exec().post(
      host().abi(), 0, [](void*) { runs++; }, nullptr);
  host().Drain();
  EXPECT_EQ(runs, 1);
  pool_.Advance(1);
  EXPECT_EQ(runs, 1);
}

TEST_F(HostTest, AfterCloseNothingRunsAndNothingIsTaken) {
  static int runs;
  runs = 0;
  exec().timer(
      host().abi(), 10, 10, [](void*, uint64_t) { runs++; }, nullptr);
  pool_.Advance(25);
  EXPECT_EQ(runs, 2);
  host().Close();
  pool_.Advance(1'000);
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(exec().post(
                host().abi(), 0, [](void*) { runs++; }, nullptr),
            TENON_EXHAUSTED);
  EXPECT_NE(exec().timer(
                host().abi(), 0, 0, [](void*, uint64_t) { runs++; }, nullptr),
            0u);
  pool_.Advance(1'000);
  EXPECT_EQ(runs, 2);
}

TEST_F(HostTest, ThePoolMayOutliveTheHost) {
  static int runs;
  runs = 0;
  exec().timer(
      host().abi(), 10, 0, [](void*, uint64_t) { runs++; }, nullptr);
  host_.reset();
  EXPECT_EQ(pool_.waiting(), 1u);
  pool_.Advance(100);
  EXPECT_EQ(runs, 0);
}

TEST_F(HostTest, ATimerRunsAfterItsDelayThenEachPeriod) {
  static Record record;
  record = {};
  const uint64_t id = exec().timer(
      host().abi(), 100, 50, [](void*, uint64_t timer) { record.calls.push_back(static_cast<int>(timer)); }, nullptr);
  ASSERT_NE(id, 0u);
  pool_.Advance(99);
  EXPECT_EQ(record.calls.size(), 0u);
  pool_.Advance(1);
  EXPECT_EQ(record.calls.size(), 1u);
  pool_.Advance(100);
  EXPECT_EQ(record.calls.size(), 3u);
  exec().timer_cancel(host().abi(), id);
  pool_.Advance(1'000);
  EXPECT_EQ(record.calls.size(), 3u);
  exec().timer_cancel(host().abi(), id);    // no-op
  exec().timer_cancel(host().abi(), 4711);  // no-op
  EXPECT_EQ(host().pending(), 0u);
}

TEST_F(HostTest, ATimerMayCancelItselfFromInside) {
  static Record record;
  record = {};
  record.host = host().abi();
  record.exec = &exec();
  exec().timer(
      host().abi(), 1, 1,
      [](void*, uint64_t id) {
        record.calls.push_back(1);
        if (record.calls.size() == 3) record.exec->timer_cancel(record.host, id);
      },
      nullptr);
  pool_.Advance(100);
  EXPECT_EQ(record.calls.size(), 3u);
  EXPECT_EQ(host().pending(), 0u);
}

TEST_F(HostTest, CancelWaitsForARunningTimer) {
  ThreadPool threads;
  services_.pool = &threads;
  struct Slow {
    Gate began, may_end;
    std::atomic<bool> ended{false};
  } slow;
  const uint64_t id = exec().timer(
      host().abi(), 0, 0,
      [](void* ctx, uint64_t) {
        auto* me = static_cast<Slow*>(ctx);
        me->began.Open();
        me->may_end.Wait();
        me->ended = true;
      },
      &slow);
  slow.began.Wait();
  std::atomic<bool> cancelled{false};
  std::thread canceller([&] {
    exec().timer_cancel(host().abi(), id);
    EXPECT_TRUE(slow.ended);
    cancelled = true;
  });
  EXPECT_FALSE(cancelled);
  slow.may_end.Open();
  canceller.join();
  EXPECT_TRUE(cancelled);
  host_.reset();
}

TEST_F(HostTest, CloseWaitsForWorkThatRuns) {
  ThreadPool threads;
  services_.pool = &threads;
  struct Slow {
    Gate began, may_end;
    std::atomic<bool> ended{false};
  } slow;
  exec().post(
      host().abi(), 0,
      [](void* ctx) {
        auto* me = static_cast<Slow*>(ctx);
        me->began.Open();
        me->may_end.Wait();
        me->ended = true;
      },
      &slow);
  slow.began.Wait();
  std::thread opener([&] { slow.may_end.Open(); });
  host().Close();
  EXPECT_TRUE(slow.ended);
  opener.join();
}

TEST_F(HostTest, TellsTheTimeOfItsClock) {
  EXPECT_EQ(exec().mono_ns(host().abi()), 1'000u);
  EXPECT_EQ(exec().wall_ns(host().abi()), 2'000u);
}

TEST_F(HostTest, ThreadIsKnowsTheTagsOfThisThread) {
  const auto is = [&](int tag) { return exec().thread_is(host().abi(), tag); };
  EXPECT_EQ(is(TENON_ON_APPLY), 0);
  {
    ThreadTag apply(TENON_ON_APPLY);
    EXPECT_EQ(is(TENON_ON_APPLY), 1);
    EXPECT_EQ(is(TENON_ON_READ), 0);
    {
      ThreadTag read(TENON_ON_READ);
      EXPECT_EQ(is(TENON_ON_READ), 1);
      EXPECT_EQ(is(TENON_ON_APPLY), 1);
    }
    EXPECT_EQ(is(TENON_ON_READ), 0);
    int elsewhere = 1;
    std::thread([&] { elsewhere = is(TENON_ON_APPLY); }).join();
    EXPECT_EQ(elsewhere, 0);
  }
  EXPECT_EQ(is(TENON_ON_APPLY), 0);
  EXPECT_EQ(is(0), 0);
  EXPECT_EQ(is(99), 0);
}

TEST_F(HostTest, AClockReadOnApplyIsReported) {
  LogCapture log;
  ThreadTag apply(TENON_ON_APPLY);
  exec().wall_ns(host().abi());
  EXPECT_THAT(log.text(), HasSubstr("plugin misbehaving"));
  EXPECT_THAT(log.text(), HasSubstr("\"function\":\"exec.wall_ns\""));
}

TEST_F(HostTest, MetricsOfAPluginAreScrapedWithTheKernels) {
  const auto& table = *Get<tenon_host_metrics_v1>(TENON_HOST_METRICS);
  const char* labels[] = {"queue", "jobs"};
  const uint32_t pushed =
      table.define(host().abi(), TENON_COUNTER, "queue_pushed_total", "Jobs.", labels, 1, nullptr, 0);
  const uint32_t depth = table.define(host().abi(), TENON_GAUGE, "queue_depth", "Jobs now.", nullptr, 0, nullptr, 0);
  const double bounds[] = {0.1, 1};
  const uint32_t took = table.define(host().abi(), TENON_HISTOGRAM, "queue_seconds", "Time.", nullptr, 0, bounds, 2);
  EXPECT_EQ(table.define(host().abi(), TENON_COUNTER, "queue_pushed_total", "Jobs.", labels, 1, nullptr, 0), pushed);
  table.add(host().abi(), pushed, 2);
  table.set(host().abi(), depth, 9);
  table.add(host().abi(), depth, -1);
  table.observe(host().abi(), took, 0.5);
  const std::string text = registry_.Scrape();
  EXPECT_THAT(text, HasSubstr("queue_pushed_total{queue=\"jobs\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("queue_depth 8\n"));
  EXPECT_THAT(text, HasSubstr("queue_seconds_bucket{le=\"0.1\"} 0\nqueue_seconds_bucket{le=\"1\"} 1\n"));
}

TEST_F(HostTest, NamesThatPluginsShareSayWhoseTheyAre) {
  HostServices services;
  services.metrics = &registry_;
  Host first({"org.example.one", "transports[0]", "transport", "one"}, services);
  Host second({"org.example.two", "transports[1]", "transport", "two"}, services);
  double value = 1;
  for (Host* host : {&first, &second}) {
    const auto* table = static_cast<const tenon_host_metrics_v1*>(host->abi()->get(host->abi(), TENON_HOST_METRICS));
    const char* labels[] = {"queue", "a"};
    const uint32_t handle =
        table->define(host->abi(), TENON_GAUGE, "tenon_plugin_queue_length", "Waiting.", labels, 1, nullptr, 0);
    ASSERT_NE(handle, 0u);
    table->set(host->abi(), handle, value++);
  }
  const std::string text = registry_.Scrape();
  EXPECT_THAT(text, HasSubstr("tenon_plugin_queue_length{kind=\"transport\",name=\"one\",queue=\"a\"} 1\n"
                              "tenon_plugin_queue_length{kind=\"transport\",name=\"two\",queue=\"a\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("tenon_plugin_tasks_total{kind=\"transport\",name=\"one\"} 0\n"));
}

TEST_F(HostTest, ARefusedMetricIsZeroAndHarmless) {
  LogCapture log;
  const auto& table = *Get<tenon_host_metrics_v1>(TENON_HOST_METRICS);
  registry_.NewCounter("etcd_thing_total", "x");
  const auto define = [&](int type, const char* name) {
    return table.define(host().abi(), type, name, "", nullptr, 0, nullptr, 0);
  };
  EXPECT_EQ(define(TENON_GAUGE, "etcd_thing_total"), 0u);
  EXPECT_THAT(log.text(), HasSubstr("metric etcd_thing_total exists already as another type"));
  EXPECT_EQ(define(TENON_GAUGE, "9 lives"), 0u);
  EXPECT_EQ(define(77, "x"), 0u);
  EXPECT_EQ(define(TENON_GAUGE, nullptr), 0u);
  for (const uint32_t handle : {0u, 1u, 500u, 5000u, 0xffffffffu}) {
    table.add(host().abi(), handle, 1);
    table.set(host().abi(), handle, 1);
    table.observe(host().abi(), handle, 1);
  }
}

TEST(AbiStatusTest, CodesAndTextsCrossBothWays) {
  tenon_error error = NewError();
  EXPECT_EQ(ToAbi(absl::NotFoundError("no such lease"), &error), TENON_NOT_FOUND);
  EXPECT_EQ(std::string(error.msg), "no such lease");
  const Status back = FromAbi(TENON_NOT_FOUND, &error);
  EXPECT_EQ(back.code(), StatusCode::kNotFound);
  EXPECT_EQ(Message(back), "no such lease");
  EXPECT_EQ(FromAbi(TENON_NO_SPACE, nullptr).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(FromAbi(TENON_CORRUPT, nullptr).code(), StatusCode::kDataLoss);
  EXPECT_EQ(FromAbi(4242, nullptr).code(), StatusCode::kInternal);
  EXPECT_TRUE(FromAbi(TENON_OK, &error).ok());
}

TEST(AbiStatusTest, ALongTextIsCutAndAShortErrorIsNotOverrun) {
  struct {
    tenon_error error;
    char guard = 'g';
  } room{NewError()};
  ToAbi(absl::InternalError(std::string(1000, 'x')), &room.error);
  EXPECT_EQ(strlen(room.error.msg), sizeof room.error.msg - 1);
  EXPECT_EQ(room.guard, 'g');
  room.error.msg[0] = 'y';
  room.error.size = 8;  // the caller's struct ends before msg
  ToAbi(absl::InternalError("z"), &room.error);
  EXPECT_EQ(room.error.msg[0], 'y');
}

}  // namespace
}  // namespace tenon::plugin
