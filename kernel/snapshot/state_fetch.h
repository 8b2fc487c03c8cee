// Fetches the state of another member into a file: the other side of state_source.h.
//
// DIR/next.fetched.part grows piece by piece; when its end is there it is checked as a whole, synced, and gets the name
// DIR/%016x.fetched, the state's applied index. That file is nothing yet: it becomes this member's state when the log
// has a snapshot record that names it (FORMAT.md, kernel/member/install.h). One fetch at a time.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "kernel/base/ids.h"
#include "kernel/base/status.h"
#include "kernel/ports/clock.h"
#include "kernel/ports/disk.h"
#include "kernel/ports/executor.h"
#include "kernel/ports/peers.h"
#include "kernel/raft/types.h"
#include "kernel/snapshot/files.h"

namespace tenon::snapshot {

inline constexpr std::string_view kFetchedSuffix = "fetched";

class StateFetch {
 public:
  // Peers::Call, to a member by its id.
  using Call = std::function<void(MemberId to, std::string_view method, std::string request, uint64_t timeout_ns,
                                  Peers::Done done)>;
  struct Options {
    uint64_t bytes_per_s = 0;  // 0: as fast as it comes
    uint32_t piece_bytes = 1 << 20;
    uint64_t call_timeout_ns = 5'000'000'000;
    uint64_t retry_ns = 100'000'000;       // after a lost answer
    uint64_t give_up_ns = 25'000'000'000;  // without an answer: the other side ends the session soon
    uint64_t report_ns = 5'000'000'000;    // between two lines of the log
  };
  // The meta of the file that is on disk now.
  using Done = absl::AnyInvocable<void(Result<raft::SnapshotMeta>)>;

  // executor: writes and syncs the file.
  StateFetch(Disk& disk, Clock& clock, Executor& executor, std::string directory, Call call, Options options);

  // Fetches a state of `from` whose index is `least` or more. False: one is under way, `done` is dropped. What was
  // fetched before is removed first: not to be called while a snapshot that names it is on its way into the log.
  // `done` comes on `executor`. An error says why there is no state; whoever still needs one starts again. [any]
  bool Start(MemberId from, Index least, Done done);
  // `done` of the fetch under way gets Cancelled; no other is begun afterwards. Answers that come later find nothing
  // to do, but `executor` must run them or drop them before this object goes. [any]
  void Stop();

 private:
  struct Fetch {
    MemberId from;
    Index least;
    Done done;
    uint64_t session = 0;
    raft::SnapshotMeta meta;
    uint64_t size = 0;  // about
    std::unique_ptr<NewFile> file;
    uint64_t offset = 0;
    uint64_t begin_ns, answer_ns, report_ns;
    uint64_t next_ns = 0;  // the rate allows the next piece
  };
  // All of them [executor]; `id` is that of the fetch they belong to.
  void Ask(uint64_t id, std::string_view method, std::string request,
           void (StateFetch::*take)(uint64_t id, const Status&, const std::string& answer));
  void Begin(uint64_t id);
  void Open(uint64_t id);
  void Opened(uint64_t id, const Status& status, const std::string& answer);
  void Read(uint64_t id);
  void TakePiece(uint64_t id, const Status& status, const std::string& answer);
  Status Take(const std::string& answer, bool& end);
  Status Finish();
  // True: asked again, or it is over.
  bool Failed(uint64_t id, const Status& status, void (StateFetch::*again)(uint64_t));
  void Report();
  void End(Result<raft::SnapshotMeta> result);
  bool Is(uint64_t id) const { return fetch_ && id == id_; }

  Disk& disk_;
  Clock& clock_;
  Executor& executor_;
  const std::string directory_;
  const Call call_;
  const Options options_;

  std::mutex mutex_;
  bool busy_ = false, stopped_ = false;  // under mutex_
  uint64_t id_ = 0;                      // [executor]
  std::optional<Fetch> fetch_;           // [executor]
};

}  // namespace tenon::snapshot
