#include "kernel/member/install.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "kernel/base/log.h"
#include "kernel/snapshot/files.h"
#include "kernel/snapshot/state_fetch.h"
#include "kernel/snapshot/stream.h"
#include "kernel/snapshot/stream_files.h"

namespace tenon {
namespace {

using snapshot::kFetchedSuffix;
using snapshot::NumberedName;

// What the log goes on from; (0, 0): its beginning.
Result<raft::SnapshotMeta> NewestSnapshot(Disk& disk, const std::string& wal) {
  ASSIGN_OR_RETURN(const bool exists, wal::Wal::Exists(disk, wal));
  if (!exists) return raft::SnapshotMeta();
  ASSIGN_OR_RETURN(const std::vector<raft::SnapshotMeta> snapshots, wal::Wal::Snapshots(disk, wal));
  raft::SnapshotMeta newest;
  for (const raft::SnapshotMeta& s : snapshots) {
    if (s.index >= newest.index) newest = s;
  }
  return newest;
}

Status Check(Disk& disk, const std::string& path, Index index) {
  ASSIGN_OR_RETURN(const std::unique_ptr<File> file, disk.OpenFile(path, Disk::Open::kRead));
  Result<Index> found = snapshot::CheckStream(snapshot::FileSource(*file));
  if (found.ok() && *found != index) {
    found = absl::DataLossError(fmt::format("it holds index {}, not that of its name", found->value));
  }
  if (!absl::IsDataLoss(found.status())) return found.status();
  return absl::DataLossError(fmt::format(
      "{}, the state that was fetched from another member, is damaged ({}), and the log goes on behind it: remove this "
      "member from the cluster and let it join again with an empty data-dir",
      path, Message(found.status())));
}

Status Import(Disk& disk, const DataDir& data, storage::Engine& engine, const std::string& path, Index index) {
  // What is there now ends before the log begins: nobody can ever use it again.
  RETURN_IF_ERROR(disk.RemoveTree(data.engine()));
  RETURN_IF_ERROR(disk.MakeDirectory(data.engine()));
  RETURN_IF_ERROR(engine.Open(data.engine()));
  const Status imported = [&]() -> Status {
    if (engine.DurableIndex() != Index(0)) {
      return absl::InternalError(fmt::format("the engine in the empty folder {} is not empty: its index is {}",
                                             data.engine(), engine.DurableIndex().value));
    }
    ASSIGN_OR_RETURN(const std::unique_ptr<File> file, disk.OpenFile(path, Disk::Open::kRead));
    RETURN_IF_ERROR(snapshot::ReadStream(snapshot::FileSource(*file), engine));
    ASSIGN_OR_RETURN(const Index durable, engine.Persist(/*force=*/true));
    if (durable == index) return Ok();
    return absl::InternalError(
        fmt::format("the engine was given index {} and made {} durable", index.value, durable.value));
  }();
  const Status closed = engine.Close();
  RETURN_IF_ERROR(imported);
  RETURN_IF_ERROR(closed);
  RETURN_IF_ERROR(disk.SyncDirectory(data.engine()));
  return disk.SyncDirectory(data.path() + "/member");
}

}  // namespace

Status InstallFetchedState(Disk& disk, const DataDir& data, storage::Engine& engine, const wal::Options& log) {
  const std::string folder = data.streams();
  ASSIGN_OR_RETURN(std::vector<uint64_t> fetched, snapshot::ListNumbered(disk, folder, kFetchedSuffix));
  if (fetched.empty()) return Ok();
  ASSIGN_OR_RETURN(const raft::SnapshotMeta from, NewestSnapshot(disk, data.wal()));
  const Index newest = from.index;
  bool found = false;
  for (const uint64_t index : fetched) {
    if (index == newest.value) {
      found = true;
      continue;
    }
    LOG_INFO("removing a fetched state that the log does not name", {"index", index}, {"log-goes-on-from", newest});
    RETURN_IF_ERROR(disk.Remove(folder + "/" + NumberedName(index, kFetchedSuffix)));
  }
  if (!found) return Ok();

  const std::string path = folder + "/" + NumberedName(newest.value, kFetchedSuffix);
  RETURN_IF_ERROR(Check(disk, path, newest));
  // What we read of the log may be in the page cache alone, and the power may go once the engine's state is replaced.
  // Opened, it is on disk.
  RETURN_IF_ERROR(wal::Wal::Open(disk, data.wal(), from, newest, log));
  LOG_INFO("installing the state that was fetched from another member", {"index", newest}, {"file", path});
  // Its rows are those of the former state.
  RETURN_IF_ERROR(disk.RemoveTree(data.index()));
  if (engine.persistent()) {
    RETURN_IF_ERROR(Import(disk, data, engine, path, newest));
    RETURN_IF_ERROR(disk.Remove(path));
  } else {
    RETURN_IF_ERROR(disk.SyncDirectory(data.path() + "/member"));
    RETURN_IF_ERROR(snapshot::StreamFiles(disk, folder).Replace(path, newest));
  }
  return disk.SyncDirectory(folder);
}

}  // namespace tenon
