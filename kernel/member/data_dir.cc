#include "kernel/member/data_dir.h"

#include <algorithm>
#include <filesystem>

#include "kernel/base/log.h"

namespace tenon {
namespace {

// The mark says "this is Tenon's" and which engine its files are of.
constexpr std::string_view kMark = "tenon 1 engine ";

Result<std::string> ReadMark(Disk& disk, const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<File> file, disk.OpenFile(path, Disk::Open::kRead));
  char text[256];
  ASSIGN_OR_RETURN(const size_t n, file->ReadAt(0, text, sizeof text));
  std::string_view mark(text, n);
  if (mark.substr(0, kMark.size()) != kMark || mark.back() != '\n') {
    return absl::FailedPreconditionError(fmt::format("{} is not the mark of a Tenon data directory", path));
  }
  return std::string(mark.substr(kMark.size(), mark.size() - kMark.size() - 1));
}

Status WriteMark(Disk& disk, const std::string& directory, const std::string& path, const std::string& engine) {
  ASSIGN_OR_RETURN(const std::unique_ptr<File> file, disk.OpenFile(path + ".tmp", Disk::Open::kCreateOrTruncate));
  RETURN_IF_ERROR(file->WriteAt(0, fmt::format("{}{}\n", kMark, engine)));
  RETURN_IF_ERROR(file->Sync());
  RETURN_IF_ERROR(disk.Rename(path + ".tmp", path));
  return disk.SyncDirectory(directory);
}

// etcd keeps its database and the segments of its log in there.
Result<bool> IsEtcds(Disk& disk, const std::string& member) {
  ASSIGN_OR_RETURN(const bool has_database, disk.Exists(member + "/snap/db"));
  if (has_database) return true;
  const Result<std::vector<std::string>> names = disk.List(member + "/wal");
  if (!names.ok()) return false;  // what is no folder, or none that we may read, holds no log that we could tell
  return std::any_of(names->begin(), names->end(), [](const std::string& name) { return name.ends_with(".wal"); });
}

std::string ParentOf(const std::string& path) {
  const size_t end = path.find_last_not_of('/');  // "/data/" lies in "/" as "/data" does
  const size_t slash = end == std::string::npos ? end : path.rfind('/', end);
  if (slash == std::string::npos) return end == std::string::npos ? "/" : ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Makes a directory whose name survives power loss, and those above it. Somebody's before us whose sync a kill cut
// short counts as not made, so that it is never left out. What we may not read we have not made.
Status MakeDurableDirectory(Disk& disk, const std::string& path) {
  RETURN_IF_ERROR(disk.MakeDirectory(path));
  for (std::string at = path; at != "." && at != "/"; at = ParentOf(at)) {
    const Status synced = disk.SyncDirectory(ParentOf(at));
    if (!synced.ok() && synced.code() != StatusCode::kPermissionDenied) return synced;
  }
  return Ok();
}

}  // namespace

Result<DataDir> DataDir::Open(Disk& disk, const std::string& path, const std::string& wal_dir,
                              const std::string& engine) {
  DataDir dir;
  dir.path_ = path;
  dir.wal_ = wal_dir.empty() ? path + "/member/wal" : wal_dir;
  const std::string mark = path + "/TENON";
  ASSIGN_OR_RETURN(const bool marked, disk.Exists(mark));
  ASSIGN_OR_RETURN(const bool has_member, disk.Exists(path + "/member"));
  if (!marked && has_member) {
    ASSIGN_OR_RETURN(const bool etcds, IsEtcds(disk, path + "/member"));
    if (!etcds) {
      return absl::FailedPreconditionError(
          fmt::format("{} is not a data directory of Tenon's: it holds a folder member, but no file TENON beside it: "
                      "choose an empty "
                      "data-dir",
                      path));
    }
    return absl::FailedPreconditionError(
        fmt::format("{} holds the data of an etcd server, which Tenon cannot open: choose an empty data-dir, start, "
                    "and copy the keys over with etcdctl make-mirror",
                    path));
  }
  // The mark stands for it: the first start alone pays for the directories above.
  RETURN_IF_ERROR(marked ? disk.MakeDirectory(path) : MakeDurableDirectory(disk, path));
  if (!marked && !wal_dir.empty()) RETURN_IF_ERROR(MakeDurableDirectory(disk, ParentOf(wal_dir)));
  Result<std::unique_ptr<FileLock>> lock = disk.Lock(path + "/LOCK");
  if (absl::IsFailedPrecondition(lock.status())) {
    return absl::FailedPreconditionError(fmt::format(
        "another process is using the data directory {}: stop it, or give this one a data-dir of its own", path));
  }
  RETURN_IF_ERROR(lock);
  dir.lock_ = *std::move(lock);
  if (!wal_dir.empty()) {
    // A log of its own place needs a lock of its own: two data directories may name the same one.
    const std::string folder = std::filesystem::path(wal_dir).lexically_normal().parent_path().string();
    RETURN_IF_ERROR(disk.MakeDirectory(folder.empty() ? "." : folder));
    Result<std::unique_ptr<FileLock>> wal_lock = disk.Lock(wal_dir + ".lock");
    if (absl::IsFailedPrecondition(wal_lock.status())) {
      return absl::FailedPreconditionError(fmt::format(
          "another process is using the wal-dir {}: stop it, or give this one a wal-dir of its own", wal_dir));
    }
    RETURN_IF_ERROR(wal_lock);
    dir.wal_lock_ = *std::move(wal_lock);
  }
  if (marked) {
    ASSIGN_OR_RETURN(const std::string owner, ReadMark(disk, mark));
    if (owner != engine) {
      return absl::FailedPreconditionError(fmt::format(
          "{} was written with the engine {}, the configuration says {}: go back to {}, or choose an empty data-dir",
          path, owner, engine, owner));
    }
  } else {
    RETURN_IF_ERROR(WriteMark(disk, path, mark, engine));
  }
  // At each start, since a kill may come between making and syncing. The log and the engine sync what lies below.
  RETURN_IF_ERROR(disk.MakeDirectory(dir.engine()));
  RETURN_IF_ERROR(disk.SyncDirectory(path + "/member"));
  RETURN_IF_ERROR(disk.SyncDirectory(path));
  return dir;
}

}  // namespace tenon
