// Planted bugs in the watch hub: the simulator must find each of them (tests/sim/mutant_test.cc).
#pragma once

namespace tenon::mvcc {

enum class WatchMutant {
  kNone,
  kProgressFirst,  // progress is promised while a watcher is behind
  kDeleteLost,     // history has no deletes of the compact revision
  kDuplicate,      // a reading begins with the last revision of the one before
  kParkedForGood,  // a parked watcher is never read on
};
// Of all hubs. Nobody but the simulator sets it, before a member opens.
extern WatchMutant planted_watch_mutant;

}  // namespace tenon::mvcc
