#include "kernel/os/thread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>

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
