// Threads, durability, and the instance's life.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <latch>
#include <random>
#include <thread>

#include "cli/plugin_check/store.h"

namespace tenon::plugin_check {
namespace {

namespace fs = std::filesystem;

size_t Entries(const char* folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

// ---- threads: batch b puts b under kKeys keys, appends row b, and deletes row b - 100

constexpr int kKeys = 20;

std::string Row(uint64_t b) { return fmt::format("{:08}", b); }

void ApplyBatch(Store& s, uint64_t b) {
  std::vector<std::string> keys;
  for (int i = 0; i < kKeys; i++) keys.push_back(fmt::format("{:04}", i));
  const std::string value = Row(b) + std::string(200, 'v'), row = Row(b), old = Row(b > 100 ? b - 100 : 0);
  std::vector<tenon_op> ops;
  for (const std::string& key : keys) ops.push_back(PutOp(s.t, key, value));
  ops.push_back(PutOp(s.log, row, value));
  ops.push_back(DeleteOp(s.log, old));
  s.Apply(ops);
}

// Which batch the snapshot shows, after a look whether it shows no other.
uint64_t BatchOf(Store& s, Snapshot& snapshot, uint32_t flags) {
  Cursor cursor = Must(snapshot.OpenCursor(s.t, "", "", flags), "cursor_open");
  const auto rows = ReadAll(cursor, 7);
  if (rows.empty()) return 0;
  Want(rows.size() == kKeys, "a snapshot shows {} of the {} rows of a batch", rows.size(), kKeys);
  const std::string batch = rows[0].second.substr(0, 8);
  for (const auto& [key, value] : rows) {
    Want(value.substr(0, 8) == batch, "a snapshot shows batch {} beside batch {}", batch, value.substr(0, 8));
  }
  const uint64_t b = std::stoull(batch);
  Want(snapshot.Get(s.log, batch).ok(), "a snapshot shows a part of batch {} only", batch);
  Want(!snapshot.Get(s.log, Row(b + 1)).ok(), "a snapshot of batch {} shows a part of the next", batch);
  const size_t log = ReadRange(snapshot, s.log, "", "").size();
  Want(log == std::min<uint64_t>(b, 100), "a snapshot of batch {} shows {} of its rows in the other table", b, log);
  return b;
}

void WholeBatches(const void* table, const Config& config) {
  Store s(table, config);
  constexpr uint64_t kBatches = 2000;
  std::atomic<bool> done{false};
  std::atomic<uint64_t> applied{0};
  std::latch started(4);
  const auto read = [&](uint32_t flags) {
    started.arrive_and_wait();
    uint64_t before = 0;
    do {
      const uint64_t at_least = applied;
      Snapshot snapshot = s.Snap();
      const uint64_t batch = BatchOf(s, snapshot, flags);
      Want(batch >= at_least, "snap_open shows batch {} after the apply of batch {} had returned", batch, at_least);
      Want(batch >= before, "snap_open goes back from batch {} to {}", before, batch);
      before = batch;
      Want(BatchOf(s, snapshot, flags ^ TENON_CUR_REVERSE) == batch, "a snapshot changed while batches were applied");
    } while (!done);
  };
  std::thread forward(read, 0), backward(read, TENON_CUR_REVERSE);
  std::thread persist([&] {
    started.arrive_and_wait();
    while (!done && s.persists()) {
      const uint64_t at_least = applied, durable = s.Persist();
      Want(durable >= at_least, "persist with FORCE said {} after the apply of {} had returned", durable, at_least);
    }
  });
  started.arrive_and_wait();
  for (uint64_t b = 1; b <= kBatches; b++) {
    ApplyBatch(s, b);
    applied = b;
  }
  done = true;
  forward.join();
  backward.join();
  persist.join();
}

void Elsewhere(const void* table, const Config& config) {
  Store s(table, config);
  std::mt19937_64 rng(5);
  std::vector<std::pair<Snapshot, uint64_t>> open;
  for (uint64_t b = 1; b <= 300; b++) {
    ApplyBatch(s, b);
    open.emplace_back(s.Snap(), b);
    if (open.size() < 8) continue;
    const size_t victim = rng() % open.size();
    std::thread([&] {
      const uint64_t shown = BatchOf(s, open[victim].first, 0), wanted = open[victim].second;
      Want(shown == wanted, "a snapshot of batch {} shows batch {} on another thread", wanted, shown);
      open.erase(open.begin() + static_cast<long>(victim));
    }).join();
  }
}

void ManySnapshots(const void* table, const Config& config) {
  Store s(table, config);
  ApplyBatch(s, 1);
  std::vector<Snapshot> open;
  while (open.size() < 2000) {
    Result<Snapshot> snapshot = s.engine->OpenSnapshot();
    if (!snapshot.ok()) {
      Want(snapshot.status().code() == StatusCode::kResourceExhausted, "snap_open failed with {}, wanted EXHAUSTED",
           Message(snapshot.status()));
      break;
    }
    open.push_back(*std::move(snapshot));
  }
  Want(open.size() >= 64, "only {} snapshots can be open at once", open.size());
  BatchOf(s, open.back(), 0);
  open.pop_back();
  Snapshot again = s.Snap();
  BatchOf(s, again, 0);
}

// ---- what survives

void WantPersist(const Store& s) {
  if (!s.persists()) throw NotApplicable{"the module does not claim TENON_ST_PERSIST"};
}

void Reopen(const void* table, const Config& config) {
  const std::string large(3 << 20, 'L');
  {
    Store s(table, config);
    WantPersist(s);
    s.Apply({PutOp(s.t, "a", "1"), PutOp(s.log, "large", large)});
    const uint64_t durable = s.Persist();
    Want(durable == 1, "persist with FORCE said {} after the apply of index 1", durable);
    Want(s.engine->DurableIndex() == Index(1), "durable_index is {} after persist", s.engine->DurableIndex().value);
    s.Close();
  }
  {
    Store s(table, config);
    Want(s.index == 1, "durable_index is {} after a close and an open, wanted 1", s.index);
    Snapshot snapshot = s.Snap();
    WantRows(snapshot, s.t, {{"a", "1"}}, "after a close and an open");
    WantRows(snapshot, s.log, {{"large", large}}, "after a close and an open");
  }
  {
    Store s(table, config);
    s.Apply({PutOp(s.log, "large", "small"), PutOp(s.log, "next", large), DeleteOp(s.t, "a")});
    s.Persist();
  }
  Store s(table, config);
  Want(s.index == 2, "durable_index is {} after the second close and open, wanted 2", s.index);
  Snapshot snapshot = s.Snap();
  WantRows(snapshot, s.t, {}, "after the second close and open");
  WantRows(snapshot, s.log, {{"large", "small"}, {"next", large}}, "after the second close and open");
}

void EqualIndex(const void* table, const Config& config) {
  {
    Store s(table, config);
    WantPersist(s);
    const std::vector<tenon_op> first = {PutOp(s.t, "a", "1"), PutOp(s.t, "b", "1")}, second = {DeleteOp(s.t, "a")};
    Must(s.engine->Apply(first, Index(7)), "apply");
    Want(s.Persist() == 7, "persist with FORCE did not say 7");
    Must(s.engine->Apply(second, Index(7)), "apply with the same index");
    Want(s.Persist() == 7, "persist with FORCE did not say 7 the second time");
  }
  Store s(table, config);
  Snapshot snapshot = s.Snap();
  WantRows(snapshot, s.t, {{"b", "1"}}, "a second batch of the same index, persisted, closed and opened");
}

void OneUser(const void* table, const Config& config) {
  Store s(table, config);
  WantPersist(s);
  s.Apply({PutOp(s.t, "a", "1")});
  const Status again = s.OpenAgain();
  Want(again.code() == StatusCode::kFailedPrecondition, "a second open of a folder in use said {}, wanted PRECONDITION",
       again.ok() ? "OK" : std::string(Message(again)));
  s.Apply({PutOp(s.t, "b", "1")});
  Snapshot snapshot = s.Snap();
  WantRows(snapshot, s.t, {{"a", "1"}, {"b", "1"}}, "after somebody else tried to open the folder");
}

void BeginsEmpty(const void* table, const Config& config) {
  {
    Store s(table, config);
    if (s.persists()) throw NotApplicable{"the module claims TENON_ST_PERSIST"};
    s.Apply({PutOp(s.t, "a", "1")});
  }
  Store s(table, config);
  Want(s.index == 0, "durable_index is {} at an open of an engine that persists nothing", s.index);
  Snapshot snapshot = s.Snap();
  WantRows(snapshot, s.t, {}, "an engine without TENON_ST_PERSIST begins empty");
}

// Applies batch after batch and reports each durable index, until it is killed.
[[noreturn]] void ApplyForever(const void* table, const Config& config, int report) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Store s(table, config);
  std::thread persist([&] {
    while (true) {
      const uint64_t durable = s.Persist();
      if (write(report, &durable, sizeof durable) != sizeof durable) _exit(1);
    }
  });
  while (true) ApplyBatch(s, s.index + 1);
}

void Killed(const void* table, const Config& config) {
  WantPersist(Store(table, config));
  std::mt19937_64 rng(20);
  uint64_t floor = 0;
  for (int round = 0; round < 8; round++) {
    int ends[2];
    Want(pipe(ends) == 0, "pipe: {}", errno);
    const pid_t child = fork();
    if (child == 0) {
      close(ends[0]);
      ApplyForever(table, config, ends[1]);
    }
    close(ends[1]);
    uint64_t durable = 0;
    const uint64_t persists = 2 + rng() % 6;
    for (uint64_t i = 0; i < persists; i++) {
      Want(read(ends[0], &durable, sizeof durable) == sizeof durable, "the module died while it applied and persisted");
      floor = std::max(floor, durable);
    }
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(rng() % 30'000);
    while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    while (read(ends[0], &durable, sizeof durable) == sizeof durable) floor = std::max(floor, durable);
    close(ends[0]);

    Store s(table, config);
    Want(s.index >= floor, "after kill -9 the store is at index {}, but persist had said {}", s.index, floor);
    Snapshot snapshot = s.Snap();
    const uint64_t shown = BatchOf(s, snapshot, 0);
    Want(shown == s.index, "after kill -9 durable_index is {}, but the store shows batch {}", s.index, shown);
    floor = s.index;
  }
  Want(floor > 0, "nothing was ever durable");
}

// ---- the instance

void Lives(const void* table, const Config& config) {
  size_t threads[4] = {}, files[4] = {};
  for (int cycle = 0; cycle < 4; cycle++) {
    {
      Store s(table, config);
      s.Apply({PutOp(s.t, "a", Noise(1000, 1))});
      if (s.persists()) s.Persist();
      Snapshot snapshot = s.Snap();
      ReadRange(snapshot, s.t, "", "");
    }
    threads[cycle] = Entries("/proc/self/task");
    files[cycle] = Entries("/proc/self/fd");
  }
  // A library may keep threads after its first use; a module may not grow.
  Want(threads[3] <= threads[1], "threads after each life: {} {} {} {}", threads[0], threads[1], threads[2],
       threads[3]);
  Want(files[3] <= files[1], "open files after each life: {} {} {} {}", files[0], files[1], files[2], files[3]);
}

void Stats(const void* table, const Config& config) {
  Store s(table, config);
  s.Apply({PutOp(s.t, "a", Noise(1 << 20, 1))});
  if (s.persists()) s.Persist();
  Snapshot one = s.Snap(), two = s.Snap();
  const tenon_storage_stats stats = s.engine->Stats();
  Want(stats.open_snaps == 2, "stats.open_snaps is {} with two snapshots open", stats.open_snaps);
  Want(stats.applied_index == 0 || stats.applied_index == s.index, "stats.applied_index is {}, wanted {}",
       stats.applied_index, s.index);
  Want(stats.size_bytes == 0 || stats.size_bytes >= 1 << 20, "stats.size_bytes is {} with 1 MiB stored",
       stats.size_bytes);
  Want(stats.size_in_use_bytes <= stats.size_bytes, "stats.size_in_use_bytes {} is over size_bytes {}",
       stats.size_in_use_bytes, stats.size_bytes);
}

void Verify(const void* table, const Config& config) {
  Store s(table, config);
  if (s.table->verify == nullptr) throw NotApplicable{"the module leaves verify to the kernel"};
  s.Apply({PutOp(s.t, "a", Noise(100'000, 1))});
  s.Persist();
  s.Close();
  Store again(table, config);
  std::string findings;
  const std::vector<uint32_t> tables = {again.t, again.log};
  Must(again.engine->Verify(true, tables, &findings), "verify of a sound store");
  Want(findings.empty(), "verify of a sound store found: {}", findings);
}

void Compact(const void* table, const Config& config) {
  Store s(table, config);
  if (s.table->compact == nullptr) throw NotApplicable{"the module leaves compact to the kernel"};
  Rows model;
  for (int i = 0; i < 2000; i++) {
    const std::string key = fmt::format("{:08}", i), value = Noise(4000, static_cast<uint64_t>(i));
    if (i >= 1900) model[key] = value;
    s.Apply({PutOp(s.log, key, value)});
  }
  if (s.persists()) s.Persist();
  Snapshot old = s.Snap();
  s.Apply({DeleteRangeOp(s.log, "", "00001900")});
  if (s.persists()) s.Persist();
  Must(s.engine->Compact(0), "compact with a deadline that is over");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  Must(s.engine->Compact(static_cast<uint64_t>(std::chrono::nanoseconds(deadline.time_since_epoch()).count())),
       "compact");
  Snapshot snapshot = s.Snap();
  WantRows(snapshot, s.log, model, "after compact");
  Want(ReadRange(old, s.log, "", "").size() == 2000, "compact took rows from a snapshot that is open");
}

}  // namespace

std::vector<Case> StorageLifeCases() {
  return {
      {"threads.whole-batches", "beside apply and persist each snapshot shows whole batches, in order", WholeBatches},
      {"threads.elsewhere", "snapshots are read and closed on other threads, in any order", Elsewhere},
      {"threads.many-snapshots", "64 snapshots at once; one too many is EXHAUSTED, and comes when one was closed",
       ManySnapshots},
      {"durable.reopen", "what was persisted is there after an open, with its index", Reopen},
      {"durable.equal-index", "a second batch of the same index is persisted too", EqualIndex},
      {"durable.kill", "kill -9 leaves a prefix of whole batches, at least up to what persist said", Killed},
      {"durable.one-user", "a folder in use is refused with PRECONDITION", OneUser},
      {"durable.begins-empty", "an engine without TENON_ST_PERSIST begins empty at each open", BeginsEmpty},
      {"life.four", "four lives leave no thread and no descriptor", Lives},
      {"life.stats", "stats count snapshots and bytes", Stats},
      {"life.verify", "verify finds nothing in a sound store", Verify},
      {"life.compact", "compact loses no row, not for an open snapshot either", Compact},
  };
}

}  // namespace tenon::plugin_check
