#include "kernel/snapshot/stream_files.h"

#include <algorithm>
#include <vector>

#include "kernel/base/log.h"
#include "kernel/snapshot/files.h"
#include "kernel/snapshot/stream.h"

namespace tenon::snapshot {

std::string StreamFiles::PathOf(uint64_t index) const { return directory_ + "/" + NumberedName(index, kSuffix); }

Result<Index> StreamFiles::Load(storage::Engine& engine) {
  ASSIGN_OR_RETURN(std::vector<uint64_t> indexes, ListNumbered(disk_, directory_, kSuffix));
  for (; !indexes.empty(); indexes.pop_back()) {
    const std::string path = PathOf(indexes.back());
    ASSIGN_OR_RETURN(const std::unique_ptr<File> file, disk_.OpenFile(path, Disk::Open::kRead));
    // The whole file is checked before the engine gets the first row: rows cannot be taken back.
    Result<Index> index = CheckStream(FileSource(*file));
    if (index.ok() && index->value != indexes.back()) {
      index = absl::DataLossError(fmt::format("it holds index {}, not that of its name", index->value));
    }
    if (absl::IsDataLoss(index.status())) {
      LOG_WARN("a stored stream is damaged; taking the one before it, if the log reaches back that far", {"file", path},
               {"error", index.status()});
      RETURN_IF_ERROR(disk_.Rename(path, path + ".damaged"));
      continue;
    }
    RETURN_IF_ERROR(index);
    return ReadStream(FileSource(*file), engine);
  }
  return Index(0);
}

Result<Index> StreamFiles::Save(storage::Engine& engine, Index applied) {
  ASSIGN_OR_RETURN(std::vector<uint64_t> indexes, ListNumbered(disk_, directory_, kSuffix));
  if (applied.value > 0 && (indexes.empty() || indexes.back() < applied.value)) {
    ASSIGN_OR_RETURN(const std::unique_ptr<NewFile> file, NewFile::Create(disk_, directory_, kSuffix));
    ASSIGN_OR_RETURN(const Index index, WriteStream(engine, storage::AllTables(),
                                                    [&](std::string_view bytes) { return file->Append(bytes); }));
    RETURN_IF_ERROR(file->Commit(index.value));
    indexes.push_back(index.value);
    RETURN_IF_ERROR(KeepNewest(disk_, directory_, kSuffix, kKept));
  }
  return Index(indexes.size() < kKept ? 0 : indexes[indexes.size() - kKept]);
}

// The others are gone for good first: one of a greater index would be taken for the newer state.
Status StreamFiles::Replace(const std::string& path, Index index) {
  RETURN_IF_ERROR(KeepNewest(disk_, directory_, kSuffix, 0));
  RETURN_IF_ERROR(disk_.SyncDirectory(directory_));
  return disk_.Rename(path, PathOf(index.value));
}

}  // namespace tenon::snapshot
