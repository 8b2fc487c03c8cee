// `tenonutl member replace`: a member whose log is lost gives way to a new one in the same data directory.
//
// Each step is decided by what the cluster and the disk say now, and done so that they say it next time: cut off
// anywhere and run again, it goes on.
//
//   1. The file REPLACE names the former member.             Until step 5 a server refuses to start here.
//   2. The cluster removes the former member.                From now on it cannot come back.
//   3. Its data is set aside, renamed.
//   4. The cluster adds a learner with the same peer URLs.
//   5. The file REPLACE names the new member.                From now on a server that starts joins as that one.
//   6. Once the server runs and has caught up, the learner is promoted, and the file goes.
#pragma once
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cli/tenonutl/cluster.h"
#include "kernel/base/status.h"
#include "kernel/member/data_dir.h"
#include "kernel/member/replacement.h"
#include "kernel/ports/disk.h"

namespace tenon::utl {

class Replace {
 public:
  struct Options {
    std::string data_dir, wal_dir;       // as the server's
    MemberId id = 0;                     // of the member to be replaced; 0: by its name,
    std::string name;                    // or, if that is empty, by what the log says or by who is down
    std::vector<std::string> peer_urls;  // of the new member; none: the former's
    bool log_is_damaged = false;         // although it reads as whole
    bool dry_run = false;
  };
  struct World {
    Disk& disk;
    Cluster& cluster;
    std::function<void(const std::string&)> say;      // a line of progress
    std::function<bool(const std::string&)> confirm;  // may it begin?
    // Something may be otherwise later: waits a little. False: the time is over.
    std::function<bool()> again;
    std::function<void(std::string_view)> done = [](std::string_view) {};  // a step, for tests
  };

  Replace(World world, Options options) : world_(std::move(world)), options_(std::move(options)) {}

  // OK: the new member votes, or nothing was to be done, or was to be (dry_run). Each error is a sentence for the
  // operator. Cancelled: not confirmed.
  Status Run();
  // Something was changed: the same command is to be run again.
  bool begun() const { return replacement_.has_value(); }

 private:
  using View = Cluster::View;

  Status Prepare();
  Status Begin(const View& view);
  Status GoOn(const View& view);
  Status Restart(const View& view);
  Status Await();
  Status AlreadyServes(const Status& locked);
  Result<View> Members();
  Result<const cluster::Member*> WhoIsLost(const View& view, MemberId of_log);
  Result<std::string> WhatIsWrongWithTheLog();
  Result<MemberId> OwnerOfTheLog(uint64_t cluster_id);
  Status MayBeReplaced(const View& view, const cluster::Member& member);
  Status SetAside();
  Status Try(const Status& outcome);
  Status Name(MemberId member, std::string_view step);
  void Say(const std::string& line);  // once
  std::string Wal() const { return DataDir::WalOf(options_.data_dir, options_.wal_dir); }

  const World world_;
  const Options options_;
  DataDir::Locks locks_;
  std::optional<Replacement> replacement_;  // as it is on disk
  std::set<std::string> said_;
  bool over_ = false;  // nothing (more) is to be done
};

}  // namespace tenon::utl
