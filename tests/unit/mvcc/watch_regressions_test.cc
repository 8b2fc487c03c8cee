// What etcd's own tests and users found wrong with its watches, an issue a test: none of it must happen here.
// Source: etcd tests/robustness/README.md and the issues themselves. #20813 is a lease's; #15271 and #17247 also
// concern several members.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/watch_fixture.h"

namespace tenon::mvcc {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class WatchRegressionTest : public testing::WatchFixture {
 protected:
  // The process ends and starts again: the store is built anew, nobody watches.
  void Restart() {
    hub.reset();
    s.Reopen();
    Make({});
  }
};

TEST_F(WatchRegressionTest, Etcd15220ProgressDoesNotOvertakeEvents) {
  Put("a", "1");
  auto client = Open();
  Watch(client, {{"a", ""}, 0, 1});
  client->Take();
  client->room = 1;
  Put("a", "2");
  Run();
  Put("b", "x");
  Put("a", "3");
  hub->Progress(client);
  Run();
  EXPECT_THAT(client->Take(), ElementsAre("1@3 3+a=2"));
  MakeRoom(client, 10);
  Run();
  EXPECT_THAT(client->Take(), ElementsAre("1@5 5+a=3", "-1@5"));
}

TEST_F(WatchRegressionTest, Etcd15220ProgressComesNotWhileHistoryIsRead) {
  Put("a", "1");
  auto client = Open();
  hub->Create(client, {{"a", ""}, 2, 1});
  hub->Progress(client);
  thread.Run();
  EXPECT_THAT(client->Take(), ElementsAre("1@2 created")) << "its event was not sent yet";
  Run();
  EXPECT_THAT(client->Take(), ElementsAre("1@2 2+a=1", "-1@2"));
}

// In a cluster by way of a snapshot; for one member by way of a restart.
TEST_F(WatchRegressionTest, Etcd15271AResumedWatchDoesNotGoBackInTime) {
  auto client = Open();
  Watch(client, {{"a", ""}});
  for (const char* value : {"1", "2", "3"}) Put("a", value);
  Run();
  EXPECT_EQ(client->got.back(), "0@4 2+a=1 3+a=2 4+a=3");
  Restart();
  auto again = Open();
  Watch(again, {{"a", ""}, 5, 1});
  hub->Progress(again);
  Run();
  Put("a", "4");
  Run();
  EXPECT_THAT(again->Take(), ElementsAre("1@4 created", "1@5 5+a=4"));
}

TEST_F(WatchRegressionTest, Etcd17247ATransactionsChangesComeOnceEach) {
  Put("a", "0");
  auto client = Open();
  Watch(client, {.range = {"a", "z"}, .id = 1});                    // synced
  hub->Create(client, {.range = {"a", "z"}, .start = 2, .id = 2});  // reads history meanwhile
  thread.Run();
  ASSERT_TRUE(history.RunOne());
  {
    WriteTxn txn = s.store->Write(s.batch);
    txn.Put("b", "1", 0);
    txn.DeleteSingle("a");
    txn.Put("c", "2", 0);
  }
  s.Commit();
  hub->Publish(std::move(s.published), 3);
  Run();
  EXPECT_THAT(client->events[1], ElementsAre("3+b=1", "3-a", "3+c=2"));
  EXPECT_THAT(client->events[2], ElementsAre("2+a=0", "3+b=1", "3-a", "3+c=2"));
}

// Many watchers on one stream that its client reads too slowly, while history is compacted: each one is told of
// everything, or of everything up to a point and then that it was too late.
TEST_F(WatchRegressionTest, Etcd17529AStarvedStreamLosesNoEvents) {
  constexpr int kWatchers = 200, kPuts = 60;
  Make({.stream_bytes = 2000});
  auto client = Open();
  for (int i = 1; i <= kWatchers; i++) hub->Create(client, {.range = {"a", ""}, .id = i, .prev_kv = true});
  Run();
  client->room = 1;
  std::vector<std::string> wanted;
  std::string former;
  const auto put = [&] {
    const std::string value(20, static_cast<char>('a' + wanted.size() % 26));
    std::string event = fmt::format("{}+a={}", Put("a", value), value);
    if (!former.empty()) event += fmt::format("({})", former);
    wanted.push_back(std::move(event));
    former = value;
    Run();
  };
  for (int i = 0; i < kPuts / 2; i++) put();
  for (int i = 0; i < kWatchers / 2; i++) {
    MakeRoom(client, 1);
    Run();
  }
  s.Compact(s.store->revision() - 3);
  for (int i = 0; i < kPuts / 2; i++) put();
  client->Take();
  MakeRoom(client, 1'000'000);
  Run();
  int complete = 0, canceled = 0;
  for (int i = 1; i <= kWatchers; i++) {
    const std::vector<std::string>& events = client->events[i];
    const bool late = std::any_of(client->got.begin(), client->got.end(), [&](const std::string& text) {
      return text.starts_with(fmt::format("{}@0 canceled compacted", i));
    });
    ASSERT_LE(events.size(), wanted.size());
    ASSERT_TRUE(std::equal(events.begin(), events.end(), wanted.begin())) << "watcher " << i;
    ASSERT_TRUE(late || events.size() == wanted.size()) << "watcher " << i << " has " << events.size();
    late ? canceled++ : complete++;
  }
  EXPECT_GT(complete, 0);
  EXPECT_GT(canceled, 0);
  EXPECT_EQ(hub->counts().slow, 0);
}

TEST_F(WatchRegressionTest, Etcd17780TheRevisionStaysWhenTombstonesAreCompacted) {
  Put("a", "1");
  Delete("a");
  Put("b", "1");
  Delete("b");
  s.Compact(5);
  const int64_t revision = s.store->revision();
  Restart();
  EXPECT_EQ(s.store->revision(), revision);
  auto client = Open();
  Watch(client, {{"a", "z"}, revision + 1, 1});
  Put("a", "2");
  Run();
  EXPECT_THAT(client->Take(), ElementsAre("1@5 created", "1@6 6+a=2"));
}

TEST_F(WatchRegressionTest, Etcd18089ADeleteAtTheCompactRevisionIsNotLostToAWatcherBehind) {
  Make({.stream_bytes = 0});  // who has to wait is parked
  auto client = Open();
  Watch(client, {{"a", ""}, 0, 1});
  client->Take();
  client->room = 1;
  Put("a", "1");
  Run();
  Delete("a");
  Run();
  Put("b", "1");
  s.Compact(3);
  EXPECT_THAT(client->Take(), ElementsAre("1@2 2+a=1"));
  MakeRoom(client, 10);
  Run();
  EXPECT_THAT(client->Take(), ElementsAre("1@4 3-a"));
}

TEST_F(WatchRegressionTest, Etcd19179AWatchFromTheCompactRevisionSeesItsDeletes) {
  Put("a", "1");
  Put("b", "1");
  {
    WriteTxn txn = s.store->Write(s.batch);
    txn.DeleteSingle("a");
    txn.DeleteSingle("b");
  }
  s.Commit();
  Put("a", "2");
  s.Compact(4);
  for (const bool restarted : {false, true}) {
    if (restarted) Restart();
    auto client = Open();
    Watch(client, {.range = {"a", "z"}, .start = 4, .id = 1, .prev_kv = true});
    EXPECT_THAT(client->events[1], ElementsAre("4-a", "4-b", "5+a=2")) << "and what was deleted is compacted";
  }
}

TEST_F(WatchRegressionTest, Etcd20221AWatchOfTheFutureIsToldOfNothingBefore) {
  Make({.progress_interval_ns = 1'000'000'000});
  Put("a", "1");
  auto client = Open();
  Watch(client, {.range = {"a", ""}, .start = 5, .id = 1, .progress = true});
  EXPECT_THAT(client->Take(), ElementsAre("1@2 created"));
  for (const char* value : {"2", "3"}) {
    Put("a", value);
    hub->Progress(client);
    Run();
    s.clock.Advance(1'200'000'000);
    Run();
  }
  EXPECT_THAT(client->Take(), IsEmpty()) << "neither events nor progress";
  Put("a", "5");
  Run();
  EXPECT_THAT(client->Take(), ElementsAre("1@5 5+a=5"));
  hub->Progress(client);
  Run();
  EXPECT_THAT(client->Take(), ElementsAre("-1@5"));
}

}  // namespace
}  // namespace tenon::mvcc
