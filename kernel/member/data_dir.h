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
    if (wal_lock_ != nullptr) paths.push_back(wal_ + ".ballast");  // beside its lock
    return paths;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_, wal_;
  std::unique_ptr<FileLock> lock_, wal_lock_;
};

}  // namespace tenon
