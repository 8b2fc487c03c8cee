#include "kernel/os/thread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <thread>

#include "kernel/os/clock.h"

namespace tenon {
namespace {

using testing::ElementsAre;

constexpr uint64_t kMs = 1'000'000;

TEST(ThreadTest, TasksRunInOrderOnTheThread) {
  std::vector<int> ran;
  Thread thread("test");
  for (int i = 0; i < 10'000; i++) thread.Post([&, i] { ran.push_back(thread.IsCurrent() ? i : -1); });
  EXPECT_FALSE(thread.IsCurrent());
  thread.Stop();
  ASSERT_EQ(ran.size(), 10'000u);
  for (int i = 0; i < 10'000; i++) EXPECT_EQ(ran[i], i);
}

TEST(ThreadTest, ManyThreadsMayPost) {
  int ran = 0;
  {
    Thread target("target"), a("a"), b("b");
    for (int i = 0; i < 1'000; i++) {
      a.Post([&] { target.Post([&] { ran++; }); });
      b.Post([&] { target.Post([&] { ran++; }); });
    }
    a.Stop();
    b.Stop();
  }
  EXPECT_EQ(ran, 2'000);
}

TEST(ThreadTest, ASleepingThreadIsWoken) {
  Thread thread("test");
  for (int i = 0; i < 1'000; i++) {
    std::promise<void> ran;
    thread.Post([&] { ran.set_value(); });
    ran.get_future().wait();
  }
}

// Waits until `thread` sleeps and takes a caller's offer to stand in.
void RunInside(Thread& thread, const std::function<void()>& task) {
  bool inside = false;
  while (!inside) {
    std::atomic<bool> returned{false};
    std::promise<bool> ran;
    thread.RunOrPost([&] {
      const bool here = !returned;
      if (here) task();
      ran.set_value(here);
    });
    returned = true;
    inside = ran.get_future().get();
  }
}

TEST(ThreadTest, WhoMayRunStandsInForASleepingThread) {
  Thread thread("test");
  const std::thread::id caller = std::this_thread::get_id();
  bool as_the_thread = false;
  std::thread::id ran_by;
  std::promise<std::thread::id> posted_by;
  RunInside(thread, [&] {
    as_the_thread = thread.IsCurrent();
    ran_by = std::this_thread::get_id();
    thread.Post([&] { posted_by.set_value(std::this_thread::get_id()); });
  });
  EXPECT_TRUE(as_the_thread);
  EXPECT_EQ(ran_by, caller);
  EXPECT_FALSE(thread.IsCurrent());
  EXPECT_NE(posted_by.get_future().get(), caller);  // what came meanwhile is the thread's own again
}

TEST(ThreadTest, AThreadAtWorkIsNotStoodInFor) {
  Thread thread("test");
  std::promise<void> go;
  thread.Post([&] { go.get_future().wait(); });
  bool ran = false;
  thread.RunOrPost([&] { ran = true; });
  EXPECT_FALSE(ran);
  go.set_value();
  thread.Stop();
  EXPECT_TRUE(ran);
}

TEST(ThreadTest, DelayedTasksRunAfterAStandIn) {
  Thread thread("test");
  std::promise<void> delayed;
  RunInside(thread, [&] { thread.PostAfter(kMs, [&] { delayed.set_value(); }); });
  EXPECT_EQ(delayed.get_future().wait_for(std::chrono::seconds(30)), std::future_status::ready);
}

TEST(ThreadTest, StandInsAndTheThreadNeverRunTogether) {
  int ran = 0;  // no atomic: TSan, or a lost count, would tell
  Thread target("target");
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; t++) {
    callers.emplace_back([&] {
      for (int i = 0; i < 5'000; i++) {
        if (i % 3 == 0) target.Post([&] { ran++; });
        if (i % 3 == 1) target.PostAfter(0, [&] { ran++; });
        if (i % 3 == 2) target.RunOrPost([&] { ran++; });
        if (i % 50 == 0) {
          std::promise<void> seen;
          target.Post([&] { seen.set_value(); });
          seen.get_future().wait();
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  std::promise<void> all;
  target.PostAfter(0, [&] { all.set_value(); });
  all.get_future().wait();
  target.Stop();
  EXPECT_EQ(ran, 20'000);
}

TEST(ThreadTest, DelayedTasksRunWhenDueAndInOrder) {
  OsClock clock;
  std::vector<int> ran;
  std::promise<void> last;
  Thread thread("test");
  const uint64_t begin_ns = clock.MonoNs();
  thread.PostAfter(20 * kMs, [&] { ran.push_back(3), last.set_value(); });
  thread.PostAfter(5 * kMs, [&] { ran.push_back(1); });
  thread.PostAfter(10 * kMs, [&] { ran.push_back(2); });
  last.get_future().wait();
  EXPECT_GE(clock.MonoNs() - begin_ns, 20 * kMs);
  EXPECT_THAT(ran, ElementsAre(1, 2, 3));
}

TEST(ThreadTest, StopRunsWhatIsQueuedAndWhatThatPosts) {
  std::vector<int> ran;
  Thread thread("test");
  thread.Post([&] {
    ran.push_back(1);
    thread.Post([&] { ran.push_back(2); });
  });
  thread.Stop();
  EXPECT_THAT(ran, ElementsAre(1, 2));
}

TEST(ThreadTest, WhatIsNeverRunIsDestroyed) {
  auto held = std::make_shared<int>();
  Thread thread("test");
  thread.PostAfter(3'600'000 * kMs, [held] {});
  thread.Stop();
  EXPECT_EQ(held.use_count(), 1);
  thread.Post([held] {});
  thread.PostAfter(0, [held] {});
  EXPECT_EQ(held.use_count(), 1);
}

TEST(ThreadTest, ATaskIsFreedAsSoonAsItRan) {
  auto held = std::make_shared<int>();
  std::promise<long> count;
  Thread thread("test");
  thread.Post([&thread, &count, held]() mutable {
    std::weak_ptr<int> weak = std::move(held);
    thread.Post([&count, weak] { count.set_value(weak.use_count()); });
  });
  EXPECT_EQ(count.get_future().get(), 1);  // the test's own
}

}  // namespace
}  // namespace tenon
