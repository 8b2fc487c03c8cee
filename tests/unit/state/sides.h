// The two members of a transfer: one that has a state and goes on writing, one that fetches it. Time and threads are
// moved by hand, the network loses and repeats what the test says.
#pragma once
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "kernel/base/coding.h"
#include "kernel/mvcc/hash.h"
#include "kernel/mvcc/store.h"
#include "kernel/snapshot/state_fetch.h"
#include "kernel/snapshot/state_source.h"
#include "kernel/snapshot/stream.h"
#include "tests/abi/storage_fixture.h"
#include "tests/support/manual_executor.h"
#include "tests/support/memory_disk.h"
#include "tests/unit/snapshot/bytes.h"
#include "tests/unit/snapshot/engines.h"

namespace tenon::testing {

inline constexpr char kSnapFolder[] = "/data/member/snap";
inline constexpr MemberId kGiver = 7, kTaker = 8;

// A store with leases and alarms over an engine of any kind.
class Giver {
 public:
  explicit Giver(const std::string& kind) : engine(kind) {
    tables = storage::Tables::Open(*engine).value();
    lease = engine->Table("lease", TENON_TABLE_RANDOM).value();
    store = mvcc::Store::Open(*engine, tables, clock, {}).value();
  }

  // One turn of the applier: puts and deletes, a lease, now and then an alarm.
  void Turn(std::mt19937_64& random) {
    {
      mvcc::WriteTxn txn = store->Write(batch);
      for (int i = 0; i < 3; i++) {
        const std::string key = fmt::format("k{}", random() % 60);
        random() % 4 == 0 ? void(txn.DeleteSingle(key)) : txn.Put(key, std::string(random() % 3000, 'v'), 0);
      }
    }
    const std::string id = fmt::format("lease{}", random() % 40);
    random() % 3 == 0 ? batch.Delete(lease, id) : batch.Put(lease, id, std::string(200, 'l'));
    if (random() % 10 == 0) batch.Put(tables.alarm, fmt::format("alarm{}", random() % 3), "");
    Commit();
  }
  // More keys than a removal takes in one step.
  void Fill() {
    for (int turn = 0; turn < 2; turn++) {
      {
        mvcc::WriteTxn txn = store->Write(batch);
        for (int i = 0; i < 2500; i++) txn.Put(fmt::format("f{:04}", i), "v", 0);
        if (turn == 1) txn.DeleteRange("f1", "f2");
      }
      Commit();
    }
  }
  void Compact(int64_t revision) {
    const Status scheduled = store->Compact(revision, batch);
    ASSERT_TRUE(scheduled.ok()) << scheduled;
    Commit();
  }
  mvcc::Store::Step CompactStep() {
    const mvcc::Store::Step step = store->CompactStep(batch).value();
    if (!batch.empty()) Apply(index);
    return step;
  }
  void Commit() {
    Number(storage::meta::kConsistentIndex, ++index);
    Number(storage::meta::kTerm, 3);
    Apply(index);
    store->Publish();
  }
  std::string Streamed() {
    std::string bytes;
    EXPECT_EQ(snapshot::WriteStream(*engine, storage::AllTables(), snapshot::Into(bytes)).value(), Index(index));
    return bytes;
  }

  snapshot::TestEngine engine;
  ManualClock clock;
  storage::Tables tables;
  uint32_t lease;
  storage::Batch batch;
  uint64_t index = 0;
  std::unique_ptr<mvcc::Store> store;

 private:
  void Apply(uint64_t at) {
    store->Seal(batch);
    const Status status = engine->Apply(batch.ops(), Index(at));
    ASSERT_TRUE(status.ok()) << status;
    batch.Clear();
  }
  void Number(std::string_view name, uint64_t value) {
    char bytes[8];
    PutBigEndian64(bytes, value);
    batch.Put(tables.meta, name, std::string_view(bytes, 8));
  }
};

class Sides {
 public:
  explicit Sides(const std::string& kind, snapshot::StateFetch::Options options = SmallPieces()) : giver(kind) {
    EXPECT_TRUE(disk.MakeDirectory("/data/member").ok());
    Parts(options);
  }
  static snapshot::StateFetch::Options SmallPieces() {
    snapshot::StateFetch::Options options;
    options.piece_bytes = 1000;  // many of them, cutting frames anywhere
    return options;
  }

  void Start(uint64_t least = 1) {
    ASSERT_TRUE(fetch->Start(kGiver, Index(least), [this](Result<raft::SnapshotMeta> r) { result = std::move(r); }));
  }
  // Until nobody has anything to do at this time.
  void Run() {
    while (RunOne()) {
    }
  }
  bool RunOne() { return apply.RunOne() || reader.RunOne() || net.RunOne() || worker.RunOne(); }
  // Until the fetch has ended, letting time pass where all wait.
  void Finish() {
    const uint64_t deadline = giver.clock.MonoNs() + 300'000'000'000;
    while (!result && giver.clock.MonoNs() < deadline) {
      if (!RunOne()) giver.clock.Advance(10'000'000);
    }
    ASSERT_TRUE(result) << "the fetch did not end";
    Run();  // CloseState
  }
  std::vector<std::string> Files() {
    return disk.Exists(kSnapFolder).value() ? disk.List(kSnapFolder).value() : std::vector<std::string>();
  }
  std::string Fetched() {
    return disk.Contents(fmt::format("{}/{}", kSnapFolder,
                                     snapshot::NumberedName(result->value().index.value, snapshot::kFetchedSuffix)));
  }
  // A new life of both: sessions and the fetch are gone.
  void Parts(snapshot::StateFetch::Options options) {
    source = std::make_unique<snapshot::StateSource>(
        snapshot::StateSource::Parts{*giver.engine, giver.clock, apply, reader,
                                     [this] {
                                       fixed.push_back(giver.Streamed());
                                       return std::make_shared<mvcc::Views::Handle>(giver.store->views().KeepAll());
                                     },
                                     [](storage::Snapshot&) -> Result<raft::ConfState> {
                                       return raft::ConfState{.voters = {kGiver, 9}, .learners = {kTaker}};
                                     },
                                     [](const Status& status) { ADD_FAILURE() << status; },
                                     [this](MemberId member, bool read) { ended.emplace_back(member, read); }});
    fetch = std::make_unique<snapshot::StateFetch>(
        disk, giver.clock, worker, kSnapFolder,
        [this](MemberId to, std::string_view method, std::string request, uint64_t timeout_ns, Peers::Done done) {
          EXPECT_EQ(to, kGiver);
          Carry(std::string(method), std::move(request), timeout_ns, std::move(done));
        },
        options);
  }

  Giver giver;
  ManualExecutor apply{giver.clock}, reader{giver.clock}, worker{giver.clock}, net{giver.clock};
  MemoryDisk disk;
  std::unique_ptr<snapshot::StateSource> source;
  std::unique_ptr<snapshot::StateFetch> fetch;
  std::optional<Result<raft::SnapshotMeta>> result;
  std::vector<std::string> fixed;                // what the state was whenever one was fixed
  std::vector<std::pair<MemberId, bool>> ended;  // sessions
  uint64_t calls = 0, lost_requests = 0, lost_answers = 0, repeated = 0;
  // Of each call, by its number: what becomes of it; and of each answer.
  enum class Fate { kArrives, kRequestLost, kAnswerLost, kRepeated };
  std::function<Fate(uint64_t call)> fate;
  std::function<void(std::string_view method, std::string& answer)> on_answer;

 private:
  void Carry(std::string method, std::string request, uint64_t timeout_ns, Peers::Done done) {
    const Fate what = fate ? fate(calls) : Fate::kArrives;
    calls++;
    auto shared = std::make_shared<Peers::Done>(std::move(done));
    const auto give_up = [this, shared, timeout_ns] {
      net.PostAfter(timeout_ns, [shared] { (*shared)(absl::DeadlineExceededError("no answer"), {}); });
    };
    if (what == Fate::kRequestLost) {
      lost_requests++;
      return net.Post([shared] { (*shared)(absl::UnavailableError("not sent"), {}); });
    }
    const PeerSender from{1, kTaker};
    if (what == Fate::kRepeated) {  // the first one's answer is lost, and the second is the same call again
      repeated++;
      source->Call(from, method, request, [](const Status&, std::string) {});
    }
    if (what == Fate::kAnswerLost) {
      lost_answers++;
      source->Call(from, method, request, [](const Status&, std::string) {});
      return give_up();
    }
    source->Call(from, method, request, [this, method, shared](Status status, std::string answer) mutable {
      if (on_answer && status.ok()) on_answer(method, answer);
      net.Post([shared, status = std::move(status), answer = std::move(answer)]() mutable {
        (*shared)(std::move(status), std::move(answer));
      });
    });
  }
};

}  // namespace tenon::testing
