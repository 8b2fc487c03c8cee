#include "kernel/member/data_dir.h"

#include <algorithm>
#include <filesystem>

#include "kernel/base/log.h"

namespace tenon {
namespace {

// The mark says "this is Tenon's" and which engine its files are of.
constexpr std::string_view kMark = "tenon 1 engine ";
constexpr char kMarkName[] = "TENON";

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

// etcd keeps its database and the segments of its log in there.
Result<bool> IsEtcds(Disk& disk, const std::string& member) {
  ASSIGN_OR_RETURN(const bool has_database, disk.Exists(member + "/snap/db"));
  if (has_database) return true;
  const Result<std::vector<std::string>> names = disk.List(member + "/wal");
  if (!names.ok()) return false;  // what is no folder, or none that we may read, holds no log that we could tell
  return std::any_of(names->begin(), names->end(), [](const std::string& name) { return name.ends_with(".wal"); });
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

std::string ParentOf(const std::string& path) {
  const size_t end = path.find_last_not_of('/');  // "/data/" lies in "/" as "/data" does
  const size_t slash = end == std::string::npos ? end : path.rfind('/', end);
  if (slash == std::string::npos) return end == std::string::npos ? "/" : ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status WriteWhole(Disk& disk, const std::string& folder, const std::string& name, std::string_view text) {
  const std::string path = folder + "/" + name;
  {
    ASSIGN_OR_RETURN(const std::unique_ptr<File> file, disk.OpenFile(path + ".tmp", Disk::Open::kCreateOrTruncate));
    RETURN_IF_ERROR(file->WriteAt(0, text));
    RETURN_IF_ERROR(file->Sync());
  }
  RETURN_IF_ERROR(disk.Rename(path + ".tmp", path));
  return disk.SyncDirectory(folder);
}

Result<bool> DataDir::IsMarked(Disk& disk, const std::string& path) {
  ASSIGN_OR_RETURN(const bool marked, disk.Exists(path + "/" + kMarkName));
  ASSIGN_OR_RETURN(const bool has_member, disk.Exists(path + "/member"));
  if (marked || !has_member) return marked;
  ASSIGN_OR_RETURN(const bool etcds, IsEtcds(disk, path + "/member"));
  if (!etcds) {
    return absl::FailedPreconditionError(
        fmt::format("{} is not a data directory of Tenon's: it holds a folder member, but no file TENON beside it: "
                    "choose an empty data-dir",
                    path));
  }
  return absl::FailedPreconditionError(
      fmt::format("{} holds the data of an etcd server, which Tenon cannot open: choose an empty data-dir, start, "
                  "and copy the keys over with etcdctl make-mirror",
                  path));
}

Status DataDir::Make(Disk& disk, const std::string& path, const std::string& wal_dir) {
  RETURN_IF_ERROR(MakeDurableDirectory(disk, path));
  return wal_dir.empty() ? Ok() : MakeDurableDirectory(disk, ParentOf(wal_dir));
}

Result<DataDir::Locks> DataDir::Lock(Disk& disk, const std::string& path, const std::string& wal_dir) {
  Locks locks;
  Result<std::unique_ptr<FileLock>> lock = disk.Lock(path + "/LOCK");
  if (absl::IsFailedPrecondition(lock.status())) {
    return absl::FailedPreconditionError(fmt::format(
        "another process is using the data directory {}: stop it, or give this one a data-dir of its own", path));
  }
  RETURN_IF_ERROR(lock);
  locks.data = *std::move(lock);
  if (wal_dir.empty()) return locks;
  // A log of its own place needs a lock of its own: two data directories may name the same one.
  const std::string folder = std::filesystem::path(wal_dir).lexically_normal().parent_path().string();
  RETURN_IF_ERROR(disk.MakeDirectory(folder.empty() ? "." : folder));
  Result<std::unique_ptr<FileLock>> wal_lock = disk.Lock(wal_dir + ".lock");
  if (absl::IsFailedPrecondition(wal_lock.status())) {
    return absl::FailedPreconditionError(fmt::format(
        "another process is using the wal-dir {}: stop it, or give this one a wal-dir of its own", wal_dir));
  }
  RETURN_IF_ERROR(wal_lock);
  locks.wal = *std::move(wal_lock);
  return locks;
}

Result<DataDir> DataDir::Open(Disk& disk, const std::string& path, const std::string& wal_dir,
                              const std::string& engine) {
  DataDir dir;
  dir.path_ = path;
  dir.wal_ = WalOf(path, wal_dir);
  ASSIGN_OR_RETURN(const bool marked, IsMarked(disk, path));
  // The mark stands for it: the first start alone pays for the directories above.
  RETURN_IF_ERROR(marked ? disk.MakeDirectory(path) : Make(disk, path, wal_dir));
  ASSIGN_OR_RETURN(dir.locks_, Lock(disk, path, wal_dir));
  if (marked) {
    ASSIGN_OR_RETURN(const std::string owner, ReadMark(disk, path + "/" + kMarkName));
    if (owner != engine) {
      return absl::FailedPreconditionError(fmt::format(
          "{} was written with the engine {}, the configuration says {}: go back to {}, or choose an empty data-dir",
          path, owner, engine, owner));
    }
  } else {
    RETURN_IF_ERROR(WriteWhole(disk, path, kMarkName, fmt::format("{}{}\n", kMark, engine)));
  }
  // At each start, since a kill may come between making and syncing. The log and the engine sync what lies below.
  RETURN_IF_ERROR(disk.MakeDirectory(dir.engine()));
  RETURN_IF_ERROR(disk.SyncDirectory(path + "/member"));
  RETURN_IF_ERROR(disk.SyncDirectory(path));
  return dir;
}

}  // namespace tenon
