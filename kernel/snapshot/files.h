// Files of which each is whole or absent: NUMBER.SUFFIX in a folder, the greatest number is the newest.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/status.h"
#include "kernel/ports/disk.h"

namespace tenon::snapshot {

// "000000000000002a.stream"
std::string NumberedName(uint64_t number, std::string_view suffix);

// The numbers of the files with this suffix, ascending. The folder may be absent.
Result<std::vector<uint64_t>> ListNumbered(Disk& disk, const std::string& directory, std::string_view suffix);

// Removes all but the newest `keep`. Their loss hurts nobody, so the folder is not synced.
Status KeepNewest(Disk& disk, const std::string& directory, std::string_view suffix, size_t keep);

// A file that gets its name only when all of it is on disk: next.SUFFIX.part, fsync, rename, fsync of the folder.
class NewFile {
 public:
  // Makes the folder if absent. A .part that a crash left is overwritten.
  static Result<std::unique_ptr<NewFile>> Create(Disk& disk, const std::string& directory, std::string_view suffix);
  ~NewFile();  // without Commit: removes the .part
  NewFile(const NewFile&) = delete;

  Status Append(std::string_view bytes);
  File& file() { return *file_; }  // what was appended, for reading it once more
  Status Commit(uint64_t number);

 private:
  NewFile(Disk& disk, std::string directory, std::string_view suffix, std::unique_ptr<File> file)
      : disk_(disk), directory_(std::move(directory)), suffix_(suffix), file_(std::move(file)) {}
  std::string PartPath() const { return directory_ + "/next." + suffix_ + ".part"; }

  // Written back in pieces: one sync of everything at the end would hold up the log's small ones for seconds.
  static constexpr uint64_t kSyncBytes = 8 << 20;

  Disk& disk_;
  const std::string directory_, suffix_;
  std::unique_ptr<File> file_;
  uint64_t size_ = 0, synced_ = 0;
};

}  // namespace tenon::snapshot
