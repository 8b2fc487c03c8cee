// The data directory: whose it is, that nobody else uses it, and where things lie in it.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "kernel/base/status.h"
#include "kernel/ports/disk.h"

namespace tenon {

class DataDir {
 public:
  // Makes it if absent, locks it, reads its mark. FailedPrecondition: another process uses it, or it is etcd's or
  // somebody else's, or another engine wrote it; the sentence says what to do.
  static Result<DataDir> Open(Disk& disk, const std::string& path, const std::string& wal_dir,
                              const std::string& engine);

  // Is it marked as Tenon's? False: there is none yet, or an empty one. FailedPrecondition: it is etcd's or somebody
  // else's.
  static Result<bool> IsMarked(Disk& disk, const std::string& path);
  // Makes it and what lies above it, and the folder that a wal_dir lies in; they survive power loss.
  static Status Make(Disk& disk, const std::string& path, const std::string& wal_dir);
  struct Locks {
    std::unique_ptr<FileLock> data, wal;  // wal: of a wal_dir of its own
  };
  // FailedPrecondition: another process holds one of them. NotFound: there is no such directory.
  static Result<Locks> Lock(Disk& disk, const std::string& path, const std::string& wal_dir);
  static std::string WalOf(const std::string& path, const std::string& wal_dir) {
    return wal_dir.empty() ? path + "/member/wal" : wal_dir;
  }

  const std::string& wal() const { return wal_; }
  std::string engine() const { return path_ + "/member/engine"; }
  std::string streams() const { return path_ + "/member/snap"; }
  std::string index() const { return path_ + "/member/index"; }
  // See node/no_space.h: the marks of a full disk and of a used-up quota.
  std::string full_mark() const { return path_ + "/member/nospace"; }
  std::string quota_mark() const { return path_ + "/member/nospace-quota"; }
  // See node/disk_watch.h: a ballast on each disk that there may be.
  std::vector<std::string> ballasts() const {
    std::vector<std::string> paths = {path_ + "/member/ballast"};
    if (locks_.wal != nullptr) paths.push_back(wal_ + ".ballast");  // beside its lock
    return paths;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_, wal_;
  Locks locks_;
};

// A small file that is there whole or not at all, also after power loss.
Status WriteWhole(Disk& disk, const std::string& folder, const std::string& name, std::string_view text);
// The folder that `path` lies in.
std::string ParentOf(const std::string& path);

}  // namespace tenon
