// Files of the operating system.
//
// Files are made with mode 0600, directories with 0700: what lies here may hold secrets (CVE-2020-15113).
#pragma once
#include "kernel/ports/disk.h"

namespace tenon {

class OsDisk : public Disk {
 public:
  Result<std::unique_ptr<File>> OpenFile(const std::string& path, Open how) override;
  Result<std::vector<std::string>> List(const std::string& directory) override;
  Result<bool> Exists(const std::string& path) override;
  Status MakeDirectory(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status RemoveTree(const std::string& path) override;
  Status SyncDirectory(const std::string& path) override;
  Result<std::unique_ptr<FileLock>> Lock(const std::string& path) override;
  Result<DiskSpace> Space(const std::string& path) override;
};

}  // namespace tenon
