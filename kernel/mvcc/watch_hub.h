// Tells watchers of changes: in order, whole revisions, none twice, none left out.
//
// All of it runs on one executor. The applier hands over what a turn changed (Publish) before it answers anyone, and
// everything a client asks of a stream is a task behind it; so whoever saw an answer finds its change handed over, and
// "all up to this revision was sent" needs no lock to be true.
//
// A watcher is synced (in the map of ranges; a change visits those it concerns and no other), behind (waits for a
// reading of history), or parked: its stream does not take what it is sent, and its budget of bytes is used up. Parked
// watchers hold no events; when their stream moves again they are behind. A reading of history serves all watchers
// whose next revision is in its window, and what happens meanwhile is kept, so that it ends in being synced however
// fast others write.
//
// Source of the semantics: etcd storage/mvcc/watchable_store.go, watcher.go, etcdserver/api/v3rpc/watch.go.
#pragma once
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "kernel/base/block.h"
#include "kernel/base/status.h"
#include "kernel/mvcc/event.h"
#include "kernel/mvcc/history.h"
#include "kernel/mvcc/range_map.h"
#include "kernel/mvcc/store.h"
#include "kernel/ports/executor.h"

namespace tenon::mvcc {

// What a client asks of a stream; etcd's WatchCreateRequest.
struct WatchRequest {
  KeyRange range;
  int64_t start = 0;  // first revision; 0: from now on
  int64_t id = 0;     // 0: the stream chooses
  bool no_put = false, no_delete = false, prev_kv = false, progress = false, fragment = false;
};

// etcd's WatchResponse, but for the ids in its header.
struct WatchResponse {
  int64_t id = 0;
  int64_t revision = 0;  // of the header
  bool created = false, canceled = false;
  bool may_split = false;  // the watcher asked for fragments
  int64_t compact_revision = 0;
  std::string_view cancel_reason;
  Block events;  // EncodeEvents
  uint32_t event_count = 0;
};

class WatchHub;

// The client's end of a stream of watchers. All functions are called on the hub's executor.
class WatchStream {
 public:
  static constexpr int64_t kNoWatcher = -1;
  virtual ~WatchStream() = default;

 protected:
  // False: taken, but hold the next one until the hub is told with WatchHub::Writable.
  virtual bool Send(const WatchResponse& response) = 0;
  // So many requests of this stream have been dealt with.
  virtual void Handled(size_t requests) = 0;
  // The last call.
  virtual void End(const Status& status) = 0;

 private:
  friend class WatchHub;
  struct Watcher;
  // In order: what happens to several of them happens the same way each time, which the simulator relies on.
  absl::btree_map<int64_t, std::shared_ptr<Watcher>> watchers_;
  uint64_t number_ = 0;             // among the hub's streams
  std::list<WatchResponse> queue_;  // not taken yet; an empty list takes no memory, and most are empty
  size_t queued_bytes_ = 0;         // of events
  size_t owed_ = 0;                 // requests that were handled, to be told when the queue is empty
  std::vector<std::shared_ptr<Watcher>> parked_;
  int64_t next_id_ = 0;
  bool open_ = false;
  bool writable_ = true;
  bool wants_progress_ = false;  // when all its watchers are synced
  bool ticking_ = false;         // the timer of progress notifications runs
};

class WatchHub {
 public:
  struct Options {
    uint64_t progress_interval_ns = 600'000'000'000;  // --watch-progress-notify-interval; a tenth more at most
    size_t stream_bytes = 1 << 20;                    // events that wait for a slow stream
    size_t response_bytes = 512 << 10;                // a response ends at the revision that reaches so much
    size_t backlog_bytes = 64 << 20;                  // rows handed over and not sent on yet
    size_t window_bytes = 1 << 20;                    // rows of one reading of history
    int64_t window_rows = 10'000;
  };
  // For metrics. [any]
  struct Counts {
    std::atomic<int64_t> streams{0}, watchers{0}, slow{0};
    std::atomic<int64_t> pending{0};   // events that wait for a stream
    std::atomic<uint64_t> events{0};   // sent, or pending
    std::atomic<uint64_t> visited{0};  // watchers that a change was offered to
  };

  // `executor` is the hub's own; `history` reads the engine. `fatal`: the engine failed.
  WatchHub(Store& store, Executor& executor, Executor& history, std::function<void(Status)> fatal, Options options);
  ~WatchHub();

  // ---- [apply] ----
  // What the turn changed that made `revision`, which is published.
  void Publish(std::vector<Event> events, int64_t revision);

  // ---- what clients ask, in order. [any] ----
  void Open(std::shared_ptr<WatchStream> stream);
  void Create(std::shared_ptr<WatchStream> stream, WatchRequest request);
  void Cancel(std::shared_ptr<WatchStream> stream, int64_t id);
  void Progress(std::shared_ptr<WatchStream> stream);
  void Ignore(std::shared_ptr<WatchStream> stream);  // a request that asks for nothing
  void Writable(std::shared_ptr<WatchStream> stream);
  // Ends the stream with `status`. A second call does nothing.
  void Close(std::shared_ptr<WatchStream> stream, Status status);
  // Ends all streams, and each that comes.
  void CloseAll(Status status);

  const Counts& counts() const { return counts_; }

 private:
  friend class WatchStream;
  using Watcher = WatchStream::Watcher;
  struct Audience {
    std::vector<std::shared_ptr<Watcher>> watchers;
    std::vector<uint32_t> events;  // those of a distribution that concern it, ascending
    size_t users = 0;              // watchers with this range, synced or not
  };
  using Ranges = RangeMap<Audience>;

  using WatcherPtr = std::shared_ptr<Watcher>;
  // Events for one kind of watcher: as bytes, and how many.
  struct Encoded {
    Block bytes;
    uint64_t count = 0;
  };

  void Post(std::shared_ptr<WatchStream> stream, absl::AnyInvocable<void(WatchStream&)> fn);
  void TakeTurns();
  void AllFallBehind(int64_t revision);

  void DoCreate(WatchStream& stream, WatchRequest request);
  void DoCancel(WatchStream& stream, int64_t id);
  void DoClose(const std::shared_ptr<WatchStream>& stream, const Status& status);
  void Answered(WatchStream& stream);
  void AnswerProgress(WatchStream& stream);
  void StartTicking(WatchStream& stream);
  void Tick(WatchStream& stream);

  void Distribute(Ranges& ranges, std::span<Event> events, int64_t revision);
  void SendTo(Audience& audience, std::span<Event> events, int64_t revision);
  Encoded Encode(std::span<Event> events, std::span<const uint32_t> which, const Watcher& watcher);
  void Deliver(const WatcherPtr& watcher, const Encoded& events, int64_t first, int64_t revision);
  void Reply(WatchStream& stream, WatchResponse response);
  void Flush(WatchStream& stream);

  void Join(const WatcherPtr& watcher);  // it is synced from now on
  void Leave(Watcher& watcher);          // it is not any more
  void Lag(WatcherPtr watcher);          // it is behind
  void Forget(Watcher& watcher);         // it is gone
  void EndCompacted(const WatcherPtr& watcher);
  void ReadOn();
  void HaveRead(const std::vector<WatcherPtr>& readers, int64_t asked, Result<History> read);

  Store& store_;
  Executor& executor_;
  Executor& history_;
  const std::function<void(Status)> fatal_;
  const Options options_;
  Counts counts_;

  // What was handed over.
  std::mutex mutex_;
  std::vector<Event> turns_;  // under mutex_
  size_t turns_bytes_ = 0;    // under mutex_
  int64_t handed_;            // under mutex_: the newest revision
  bool active_ = false;       // under mutex_: somebody watches
  bool scheduled_ = false;    // under mutex_
  bool overflow_ = false;     // under mutex_: it was too much and is gone; history has it

  // ---- on the executor ----
  int64_t revision_ = 0;                                             // all changes up to it have been sent on
  absl::btree_map<uint64_t, std::shared_ptr<WatchStream>> streams_;  // by number
  uint64_t opened_ = 0;                                              // streams so far
  Ranges ranges_;
  std::deque<WatcherPtr> behind_;
  std::vector<WatcherPtr> parting_;  // were synced until this distribution
  bool reading_ = false;
  std::vector<Event> meanwhile_;  // what was sent on since the reading began
  size_t meanwhile_bytes_ = 0;
  bool meanwhile_lost_ = false;  // it was too much
  uint64_t tickers_ = 0;         // so that not all tick at once
  Status closing_;               // not OK: every stream that comes ends so
};

}  // namespace tenon::mvcc
