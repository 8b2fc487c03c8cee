// Hands this member's state to another one that asks for it: tenonpb.Peer's OpenState, ReadState, CloseState.
//
// Open fixes an applied index i; what is read then, piece by piece, is the stream of all tables at i (stream.h),
// however long it takes and whatever is written meanwhile. Only the removal of compacted rows waits until the session
// ends: by CloseState, by an Open of the same member, or when nobody has read for 30 s. The former piece can be read
// once more, since its answer may have been lost. Memory: one piece a session.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/ids.h"
#include "kernel/base/status.h"
#include "kernel/ports/clock.h"
#include "kernel/ports/executor.h"
#include "kernel/ports/peers.h"
#include "kernel/raft/types.h"
#include "kernel/snapshot/stream.h"
#include "kernel/storage/engine.h"

namespace tenon::snapshot {

class StateSource {
 public:
  static constexpr uint64_t kIdleNs = 30'000'000'000;
  static constexpr uint32_t kMaxPiece = 4 << 20;

  struct Parts {
    storage::Engine& engine;
    Clock& clock;
    Executor& apply;     // where a state is fixed: between two turns
    Executor& executor;  // reads the engine
    // While what it returns lives, no row of the table `key` is removed. [apply]
    std::function<std::shared_ptr<void>()> keep_rows;
    // The configuration as of the snapshot. [apply]
    std::function<Result<raft::ConfState>(storage::Snapshot&)> conf;
    // The engine failed. [any]; may not return.
    std::function<void(const Status&)> fatal;
    // A session of that member is over; read: to the last byte. Raft's ReportSnapshot. [any]
    std::function<void(MemberId, bool read)> ended;
  };
  explicit StateSource(Parts parts) : parts_(std::move(parts)) {}
  // When nothing of it runs any more on `apply` and `executor`, and before the engine is closed. Nobody is answered.
  ~StateSource() = default;

  // Is it one of the three methods?
  static bool Serves(std::string_view method);
  // Answers one of them, as PeerHandler::Call. FailedPrecondition: this member's state is older than what is asked for.
  // NotFound: the session has ended. [any]
  void Call(const PeerSender& from, std::string_view method, std::string request, PeerHandler::Done done);

  // Is somebody reading, or was within kIdleNs? Then the log had better stay: whoever reads goes on from there. [any]
  bool IsOpen() const;
  bool IsOpenFor(MemberId member) const;

 private:
  struct Session {
    MemberId member = 0;
    std::shared_ptr<void> rows;
    std::unique_ptr<StreamProducer> stream;  // closed before `rows` is given up
    uint64_t offset = 0;                     // of the piece that was read last
    std::string piece;
    std::string rest;  // produced, and not read yet, from rest_begin on
    size_t rest_begin = 0;
    bool ended = false;  // the stream: `rest` is the last of it
    uint64_t read_ns = 0;
    bool read_all() const { return ended && rest_begin == rest.size(); }
  };
  struct Opened;
  Result<Opened> Fix(uint64_t least_index);  // [apply]
  // [executor]
  void Open(const PeerSender& from, const std::string& request, PeerHandler::Done done);
  Result<std::string> Register(MemberId member, Opened opened);
  Result<std::string> Read(const std::string& request);
  Result<std::string> Close(const std::string& request);
  Status Advance(Session& session, size_t max_bytes);
  void End(uint64_t id);
  void Forget(uint64_t id);
  void EndIdle();

  const Parts parts_;
  // [executor]
  std::map<uint64_t, Session> sessions_;
  uint64_t last_id_ = 0;
  bool watching_ = false;  // EndIdle will be called

  mutable std::mutex mutex_;
  std::vector<MemberId> readers_;  // one for each session
};

}  // namespace tenon::snapshot
