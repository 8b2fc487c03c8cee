#include "kernel/snapshot/files.h"

#include <charconv>

namespace tenon::snapshot {

std::string NumberedName(uint64_t number, std::string_view suffix) { return fmt::format("{:016x}.{}", number, suffix); }

Result<std::vector<uint64_t>> ListNumbered(Disk& disk, const std::string& directory, std::string_view suffix) {
  std::vector<uint64_t> numbers;
  ASSIGN_OR_RETURN(const bool exists, disk.Exists(directory));
  if (!exists) return numbers;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, disk.List(directory));  // sorted
  for (const std::string& name : names) {
    uint64_t number;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), number, 16);
    if (parsed.ec == std::errc() && name == NumberedName(number, suffix)) numbers.push_back(number);
  }
  return numbers;
}

Status KeepNewest(Disk& disk, const std::string& directory, std::string_view suffix, size_t keep) {
  ASSIGN_OR_RETURN(const std::vector<uint64_t> numbers, ListNumbered(disk, directory, suffix));
  for (size_t i = 0; i + keep < numbers.size(); i++) {
    RETURN_IF_ERROR(disk.Remove(directory + "/" + NumberedName(numbers[i], suffix)));
  }
  return Ok();
}

Result<std::unique_ptr<NewFile>> NewFile::Create(Disk& disk, const std::string& directory, std::string_view suffix) {
  ASSIGN_OR_RETURN(const bool exists, disk.Exists(directory));
  if (!exists) {
    RETURN_IF_ERROR(disk.MakeDirectory(directory));
    RETURN_IF_ERROR(disk.SyncDirectory(directory.substr(0, directory.rfind('/'))));
  }
  std::unique_ptr<NewFile> made(new NewFile(disk, directory, suffix, nullptr));
  ASSIGN_OR_RETURN(made->file_, disk.OpenFile(made->PartPath(), Disk::Open::kCreateOrTruncate));
  return made;
}

NewFile::~NewFile() {
  if (file_ == nullptr) return;
  file_.reset();
  disk_.Remove(PartPath()).IgnoreError();  // the next Create overwrites it
}

Status NewFile::Append(std::string_view bytes) {
  RETURN_IF_ERROR(file_->WriteAt(size_, bytes));
  size_ += bytes.size();
  if (size_ - synced_ < kSyncBytes) return Ok();
  synced_ = size_;
  return file_->Sync();
}

Status NewFile::Commit(uint64_t number) {
  RETURN_IF_ERROR(file_->Sync());
  RETURN_IF_ERROR(disk_.Rename(PartPath(), directory_ + "/" + NumberedName(number, suffix_)));
  file_.reset();
  return disk_.SyncDirectory(directory_);
}

}  // namespace tenon::snapshot
