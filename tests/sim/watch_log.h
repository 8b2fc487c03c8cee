// What one watch of a client was told, over all the streams and lives of the member that it has lived through, judged
// by the model: whole revisions in order, none twice, none left out, and no promise that was not kept.
//
// What can be seen at once is judged at once; what was sent is compared when the history is known up to there. So this
// also finds an event of a revision that is another one's, or nobody's, afterwards.
#pragma once
#include <cstdint>
#include <memory>

#include "kernel/mvcc/watch_hub.h"
#include "tests/sim/checker.h"

namespace tenon::sim {

class WatchLog {
 public:
  struct Wish {
    mvcc::KeyRange range;
    bool no_put = false, no_delete = false, prev_kv = false, progress = false;
    bool Takes(bool tombstone) const { return !(tombstone ? no_delete : no_put); }
  };
  // `start` 0: from now on, whenever that will be.
  WatchLog(Checker& checker, Counts& counts, Wish wish, int64_t start);

  const Wish& wish() const { return *wish_; }
  // Where to begin on the next stream; 0: from now on.
  int64_t next() const { return told_ < 0 ? 0 : told_ + 1; }
  // It was asked for from a revision that nobody knows of yet.
  bool InFuture() const { return asked_ && asked_->start > checker_.known(); }

  // ---- in the order in which the client sees it ----
  void Asked(size_t machine);  // with next()
  void Created(int64_t revision);
  void Told(const mvcc::WatchResponse& response);  // events
  void Promised(int64_t revision);                 // by progress
  void Compacted(int64_t compact_revision);        // it was canceled for that, and goes on from there
  void Lost(bool killed);                          // it was canceled, or the stream is gone; killed: with the member

  // Of the known history: was it told of everything?
  bool Complete();

 private:
  struct Request {
    int64_t floor, compacted;  // what was known when it was asked for
    int64_t start;
    size_t machine;
    bool created = false;
  };
  void Compare(int64_t through, etcdserverpb::WatchResponse events, bool promise);

  Checker& checker_;
  Counts& counts_;
  const std::shared_ptr<const Wish> wish_;
  int64_t told_;  // everything up to here was sent; -1: it does not know yet where it begins
  std::optional<Request> asked_;
  bool resumed_ = false, killed_ = false;  // since it was told something
  int64_t due_ = 0, due_of_ = 1;           // the newest revision that concerns it, of those up to due_of_
};

}  // namespace tenon::sim
