// Watchers: what each one is told, in which order, and what it costs the others.
#include "kernel/mvcc/watch_hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "kernel/base/errors.h"
#include "tests/support/watch_fixture.h"

namespace tenon::mvcc {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::ManualExecutor;
using testing::StoreFixture;
using Client = testing::WatchClient;
class WatchHubTest : public testing::WatchFixture {};
const std::string kOpen(1, '\0');

TEST_F(WatchHubTest, TellsOfWhatComes) {
  Put("a", "0");
  auto client = Open();
  Watch(client, {{"a", ""}});
  Put("a", "1");
  Put("b", "x");
  Delete("a");
  Run();
  EXPECT_THAT(client->got, ElementsAre("0@2 created", "0@5 3+a=1 5-a"));
  EXPECT_EQ(hub->counts().visited, 1u) << "the put of another key must not look at this watcher";
}

TEST_F(WatchHubTest, BeginsInThePastThePresentAndTheFuture) {
  Put("a", "2");
  Put("a", "3");
  auto client = Open();
  Watch(client, {{"a", ""}, 2, 7});
  Watch(client, {{"a", ""}, 4, 8});
  Watch(client, {{"a", ""}, 5, 9});
  EXPECT_THAT(client->Take(), ElementsAre("7@3 created", "7@3 2+a=2 3+a=3", "8@3 created", "9@3 created"));
  Put("a", "4");
  Run();
  EXPECT_THAT(client->Take(), ElementsAre("7@4 4+a=4", "8@4 4+a=4"));
  Put("a", "5");
  Run();
  EXPECT_THAT(client->Take(), ::testing::UnorderedElementsAre("7@5 5+a=5", "8@5 5+a=5", "9@5 5+a=5"));
}

TEST_F(WatchHubTest, RangesPrefixesAndAllKeys) {
  auto client = Open();
  Watch(client, {{"a", "b"}, 0, 1});
  Watch(client, {{"b", kOpen}, 0, 2});
  Watch(client, {{kOpen, kOpen}, 0, 3});
  client->Take();
  for (const char* key : {"a", "ab", "b", "c"}) Put(key, "v");
  Run();
  EXPECT_THAT(client->events[1], ElementsAre("2+a=v", "3+ab=v"));
  EXPECT_THAT(client->events[2], ElementsAre("4+b=v", "5+c=v"));
  EXPECT_THAT(client->events[3], ElementsAre("2+a=v", "3+ab=v", "4+b=v", "5+c=v"));
}

TEST_F(WatchHubTest, FormerValues) {
  StoreFixture small({.record_cache_bytes = 0});  // nothing is in the cache: they are read
  ManualExecutor t(small.clock);
  WatchHub uncached(*small.store, t, t, [this](const Status& e) { fatals.push_back(e); }, {});
  for (auto [fixture, h, e] : {std::tuple{&s, hub.get(), &thread}, std::tuple{&small, &uncached, &t}}) {
    auto client = std::make_shared<Client>();
    h->Open(client);
    h->Create(client, {.range = {"a", ""}, .prev_kv = true});
    e->Run();
    for (const char* value : {"1", "2"})
      h->Publish((fixture->Put("a", value), fixture->published), fixture->store->revision());
    h->Publish((fixture->Delete("a"), fixture->published), fixture->store->revision());
    h->Publish((fixture->Put("a", "3"), fixture->published), fixture->store->revision());
    e->Run();
    EXPECT_THAT(client->events[0], ElementsAre("2+a=1", "3+a=2(1)", "4-a(2)", "5+a=3"));
    h->Create(client, {.range = {"a", ""}, .start = 2, .id = 5, .prev_kv = true});
    while (e->RunOne() || history.RunOne()) {
    }
    EXPECT_THAT(client->events[5], ElementsAre("2+a=1", "3+a=2(1)", "4-a(2)", "5+a=3")) << "from history";
  }
  EXPECT_THAT(fatals, IsEmpty());
}

TEST_F(WatchHubTest, Filters) {
  auto client = Open();
  Watch(client, {.range = {"a", ""}, .id = 1, .no_put = true});
  Watch(client, {.range = {"a", ""}, .id = 2, .no_delete = true});
  Watch(client, {.range = {"a", ""}, .id = 3, .no_put = true, .no_delete = true});
  Put("a", "1");
  Delete("a");
  Run();
  EXPECT_THAT(client->events[1], ElementsAre("3-a"));
  EXPECT_THAT(client->events[2], ElementsAre("2+a=1"));
  EXPECT_THAT(client->events[3], IsEmpty());
}

TEST_F(WatchHubTest, IdsAreTheClientsOrChosen) {
  auto client = Open();
  Watch(client, {{"a", ""}, 0, 1});
  Watch(client, {{"a", ""}});
  Watch(client, {{"a", ""}});
  Watch(client, {{"a", ""}, 0, 1});
  EXPECT_THAT(client->Take(),
              ElementsAre("1@1 created", "0@1 created", "2@1 created",
                          "-1@1 created canceled (mvcc: duplicate watch ID provided on the WatchStream)"));
  Watch(client, {{"b", "a"}});
  Watch(client, {{"a", ""}, -1});
  EXPECT_THAT(client->Take(),
              ElementsAre("-1@1 created canceled (mvcc: watcher range is empty)",
                          "-1@1 created canceled (etcdserver: mvcc: required revision has been compacted)"));
  hub->Cancel(client, 1);
  hub->Cancel(client, 99);
  Run();
  Put("a", "x");
  Run();
  EXPECT_EQ(client->got[0], "1@1 canceled");
  EXPECT_THAT(client->events[1], IsEmpty());
  EXPECT_THAT(client->events[2], ElementsAre("2+a=x"));
  EXPECT_EQ(client->handled, 8u);
}

TEST_F(WatchHubTest, ACompactedStartIsCreatedAndThenCanceled) {
  for (const char* value : {"1", "2", "3"}) Put("a", value);
  ASSERT_TRUE(s.ScheduleCompact(4).ok());
  auto client = Open();
  Watch(client, {{"a", ""}, 3, 1});
  Watch(client, {{"a", ""}, 4, 2});
  EXPECT_THAT(client->Take(), ElementsAre("1@4 created", "1@0 canceled compacted 4", "2@4 created", "2@4 4+a=3"));
  hub->Cancel(client, 1);
  Run();
  EXPECT_THAT(client->Take(), ElementsAre("1@4 canceled")) << "as in etcd";
}

TEST_F(WatchHubTest, ProgressIsPromisedOnlyWhenAllWasSent) {
  Put("a", "1");
  auto client = Open();
  hub->Create(client, {{"a", ""}, 2, 1});
  hub->Progress(client);
  Run();
  EXPECT_THAT(client->Take(), ElementsAre("1@2 created", "1@2 2+a=1", "-1@2"));
  Put("a", "2");
  hub->Progress(client);
  Run();
  EXPECT_THAT(client->Take(), ElementsAre("1@3 3+a=2", "-1@3"));
  Watch(client, {{"a", ""}, 100, 2});
  client->Take();
  hub->Progress(client);
  Run();
  EXPECT_THAT(client->Take(), IsEmpty()) << "one of them begins in the future (etcd#20221)";
  auto other = Open();
  hub->Progress(other);
  Run();
  EXPECT_THAT(other->got, IsEmpty()) << "no watcher, no promise";
}

TEST_F(WatchHubTest, QuietWatchersThatAskedAreToldOfProgress) {
  Make({.progress_interval_ns = 1'000'000'000});
  auto client = Open();
  Watch(client, {.range = {"a", ""}, .id = 1, .progress = true});
  Watch(client, {.range = {"a", ""}, .id = 2});
  Put("b", "x");
  Run();
  client->Take();
  s.clock.Advance(1'100'000'000);
  Run();
  EXPECT_THAT(client->Take(), ElementsAre("1@2"));
  Put("a", "x");
  Run();
  client->Take();
  s.clock.Advance(1'100'000'000);
  Run();
  EXPECT_THAT(client->Take(), IsEmpty()) << "an event was news enough";
  s.clock.Advance(1'100'000'000);
  Run();
  EXPECT_THAT(client->Take(), ElementsAre("1@3"));
}

TEST_F(WatchHubTest, ASlowClientIsGivenHistoryLaterAndCostsOthersNothing) {
  Make({.stream_bytes = 1000});
  auto slow = Open(), fast = Open();
  Watch(slow, {{"a", ""}});
  Watch(fast, {{"a", ""}});
  slow->room = 1;
  std::vector<std::string> wanted;
  for (int i = 0; i < 200; i++) {
    const std::string value(50, static_cast<char>('a' + i % 26));
    wanted.push_back(fmt::format("{}+a={}", Put("a", value), value));
    Run();
  }
  EXPECT_EQ(fast->events[0], wanted);
  EXPECT_LT(slow->events[0].size(), 3u);
  EXPECT_EQ(hub->counts().slow, 1);
  const uint64_t visited = hub->counts().visited;
  Put("a", "last");
  Run();
  EXPECT_EQ(hub->counts().visited, visited + 1) << "a parked watcher is not looked at";
  wanted.emplace_back("202+a=last");
  while (slow->events[0].size() < wanted.size()) {
    const size_t before = slow->got.size();
    MakeRoom(slow, 1);
    Run();
    ASSERT_GT(slow->got.size(), before);
  }
  EXPECT_EQ(slow->events[0], wanted);
  EXPECT_EQ(hub->counts().slow, 0);
}

TEST_F(WatchHubTest, AClientThatDoesNotReadItsAnswersIsNotAskedForMore) {
  auto client = Open();
  Run();
  client->room = 1;
  for (int i = 0; i < 200; i++) hub->Create(client, {{"a", ""}});
  Run();
  EXPECT_LT(client->handled, 100u);
  MakeRoom(client, 1'000'000);
  Run();
  EXPECT_EQ(client->handled, 200u);
  EXPECT_EQ(client->got.size(), 200u);
}

TEST_F(WatchHubTest, WhatIsTooMuchToHoldComesFromHistory) {
  Make({.backlog_bytes = 1000});
  auto client = Open();
  Watch(client, {{"a", ""}});
  std::vector<std::string> wanted;
  for (int i = 0; i < 100; i++) wanted.push_back(fmt::format("{}+a=value", Put("a", "value")));
  Run();
  EXPECT_EQ(client->events[0], wanted);
}

// The store shows a turn a moment before it is handed over, and then it was too much to hold.
TEST_F(WatchHubTest, AReadingMayKnowMoreThanWasHandedOver) {
  Make({.backlog_bytes = 10});
  auto client = Open();
  Put("a", "1");
  Run();
  const int64_t revision = s.Put("a", "2");
  hub->Create(client, {{"a", ""}, 2});
  thread.Run();
  hub->Publish(std::move(s.published), revision);
  Run();
  EXPECT_THAT(client->events[0], ElementsAre("2+a=1", "3+a=2"));
  Put("a", "3");
  Run();
  EXPECT_THAT(client->events[0], ElementsAre("2+a=1", "3+a=2", "4+a=3"));
}

TEST_F(WatchHubTest, ARevisionIsNeverInTwoResponses) {
  Make({.response_bytes = 100});
  auto client = Open();
  Watch(client, {{"a", kOpen}});
  client->Take();
  for (int turn = 0; turn < 3; turn++) {
    {
      WriteTxn txn = s.store->Write(s.batch);
      for (const char* key : {"a", "b", "c"}) txn.Put(key, std::string(60, 'v'), 0);
    }
    s.Commit();
    hub->Publish(s.published, s.store->revision());
  }
  Watch(client, {{"a", kOpen}, 2, 9});
  std::map<std::string, int> seen;  // "watcher revision" -> responses
  for (const std::string& text : client->got) {
    const std::string id = text.substr(0, text.find('@'));
    for (const char* revision : {"2", "3", "4"}) {
      if (text.find(fmt::format(" {}+", revision)) != std::string::npos) seen[id + " " + revision]++;
    }
  }
  EXPECT_EQ(seen.size(), 6u);
  for (const auto& [what, times] : seen) EXPECT_EQ(times, 1) << what;
}

TEST_F(WatchHubTest, ClosedStreamsAreForgotten) {
  auto client = Open();
  Watch(client, {{"a", ""}, 0, 1});
  Watch(client, {{"a", "b"}, 0, 2});
  hub->Close(client, errors::Stopped());
  Run();
  EXPECT_EQ(client->ended, errors::Stopped());
  Put("a", "x");
  hub->Create(client, {{"a", ""}});
  Run();
  EXPECT_EQ(hub->counts().watchers, 0);
  EXPECT_EQ(hub->counts().streams, 0);
  hub->CloseAll(errors::Stopped());
  auto late = Open();
  Run();
  EXPECT_EQ(late->ended, errors::Stopped());
}

// Everything at once, on seeded interleavings of three threads: each watcher must have got exactly the changes of its
// range from its start on, in order; and each promise of progress must have been true when it was given.
TEST_F(WatchHubTest, RandomOperations) {
  size_t checked = 0, slow = 0, compacted = 0, promises = 0;
  for (uint32_t seed = 1; seed <= 60; seed++) {
    std::mt19937 random(seed);
    StoreFixture f({.record_cache_bytes = seed % 2 == 0 ? size_t{0} : size_t{1} << 20});
    ManualExecutor own(f.clock), reads(f.clock);
    WatchHub::Options options;
    options.stream_bytes = 200;
    options.response_bytes = 150;
    options.window_bytes = 300;
    options.window_rows = 20;
    options.backlog_bytes = seed % 3 == 0 ? 500 : 100'000;
    WatchHub h(
        *f.store, own, reads, [](const Status& e) { FAIL() << e; }, options);
    struct Change {
      int64_t revision;
      std::string key, text, former;
      bool tombstone;
    };
    std::vector<Change> changes;
    struct Wanted {
      std::shared_ptr<Client> client;
      WatchRequest request;
      int64_t asked_at;
      bool canceled = false;
    };
    std::vector<Wanted> watchers;
    std::vector<std::shared_ptr<Client>> clients;
    for (int i = 0; i < 4; i++) {
      clients.push_back(std::make_shared<Client>());
      h.Open(clients.back());
    }
    std::map<std::string, std::string> now;
    int64_t next_id = 1, compact = 0;
    const auto step = [&] {
      if (random() % 2 == 0) {
        own.RunOne();
      } else {
        reads.RunOne();
      }
    };
    for (int i = 0; i < 400; i++) {
      const std::string key(1, static_cast<char>('a' + random() % 5));
      switch (random() % 12) {
        case 0:
        case 1:
        case 2:
        case 3: {
          {
            WriteTxn txn = f.store->Write(f.batch);
            const int64_t revision = txn.revision() + 1;
            if (random() % 4 == 0 && now.contains(key)) {
              txn.DeleteSingle(key);
              changes.push_back({revision, key, fmt::format("{}-{}", revision, key), now[key], true});
              now.erase(key);
            } else {
              for (const std::string& k : {key, std::string("z")}) {
                const std::string value(random() % 80, 'v');
                txn.Put(k, value, 0);
                changes.push_back({revision, k, fmt::format("{}+{}={}", revision, k, value),
                                   now.contains(k) ? now[k] : "none", false});
                now[k] = value;
              }
            }
          }
          f.Commit();
          h.Publish(f.published, f.store->revision());
          break;
        }
        case 4: {
          WatchRequest r{random() % 2 == 0 ? KeyRange{key, ""} : KeyRange{key, kOpen}};
          const int64_t revision = f.store->revision();
          const int64_t from = random() % 3;
          r.start = from == 0 ? 0 : std::max<int64_t>(1, revision + 3 - static_cast<int64_t>(random() % 40));
          r.id = next_id++;
          r.prev_kv = random() % 2 == 0;
          r.no_delete = random() % 5 == 0;
          const auto& client = clients[random() % clients.size()];
          h.Create(client, r);
          own.Run();  // so that "now" is known
          watchers.push_back({client, r, revision});
          break;
        }
        case 5:
          if (!watchers.empty()) {
            Wanted& w = watchers[random() % watchers.size()];
            w.canceled = true;
            h.Cancel(w.client, w.request.id);
          }
          break;
        case 6: h.Progress(clients[random() % clients.size()]); break;
        case 7:
          if (random() % 8 == 0 && f.store->revision() > compact + 10) {
            compact = f.store->revision() - 5;
            ASSERT_TRUE(f.ScheduleCompact(compact).ok());
          }
          break;
        case 8: clients[random() % clients.size()]->room = static_cast<int>(random() % 3); break;
        case 9: {
          const auto& client = clients[random() % clients.size()];
          client->room = 1 + static_cast<int>(random() % 20);
          if (std::exchange(client->full, false)) h.Writable(client);
          break;
        }
        default: step();
      }
    }
    for (const auto& client : clients) {
      client->room = 1'000'000;
      if (std::exchange(client->full, false)) h.Writable(client);
    }
    while (own.RunOne() || reads.RunOne()) {
    }
    for (const Wanted& w : watchers) {
      const int64_t from = w.request.start == 0 ? w.asked_at + 1 : w.request.start;
      std::vector<std::string> all, formers;
      for (const Change& c : changes) {
        if (c.revision < from || !w.request.range.Contains(c.key) || (c.tombstone && w.request.no_delete)) continue;
        all.push_back(c.text);
        formers.push_back(c.former == "none" ? c.text : fmt::format("{}({})", c.text, c.former));
      }
      const auto& got = w.client->events[w.request.id];
      const auto& text = w.client->got;
      const bool gone = std::any_of(text.begin(), text.end(), [&](const std::string& t) {
        return t.starts_with(fmt::format("{}@0 canceled compacted", w.request.id));
      });
      compacted += gone;
      ASSERT_LE(got.size(), all.size()) << "seed " << seed;
      if (!gone && !w.canceled) ASSERT_EQ(got.size(), all.size()) << "seed " << seed << " watcher " << w.request.id;
      for (const Client::Promise& promise : w.client->promises) {
        const auto sent = promise.events.find(w.request.id);
        if (sent == promise.events.end()) continue;
        size_t due = 0;
        for (const Change& c : changes) {
          due += c.revision >= from && c.revision <= promise.revision && w.request.range.Contains(c.key) &&
                 !(c.tombstone && w.request.no_delete);
        }
        ASSERT_EQ(sent->second, due) << "seed " << seed << " watcher " << w.request.id << " at " << promise.revision;
        promises++;
      }
      for (size_t i = 0; i < got.size(); i++) {
        // A former value may be compacted away, but never another one.
        ASSERT_TRUE(got[i] == all[i] || (w.request.prev_kv && got[i] == formers[i]))
            << "seed " << seed << ": " << got[i] << " for " << formers[i];
        checked++;
      }
    }
    slow += static_cast<size_t>(h.counts().slow);
    EXPECT_EQ(h.counts().slow, 0);
    EXPECT_EQ(h.counts().pending, 0);
  }
  EXPECT_GT(checked, 5'000u);
  EXPECT_GT(compacted, 20u);
  EXPECT_GT(promises, 50u);
}

}  // namespace
}  // namespace tenon::mvcc
