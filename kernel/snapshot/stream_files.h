// Streams in files: how an engine that keeps nothing on disk survives a restart.
//
// DIR/%016x.stream, the applied index in the name. Two are kept, and the log back to the older one: a newest one that
// was damaged at rest costs a longer replay, not the data.
#pragma once
#include <string>

#include "kernel/base/ids.h"
#include "kernel/base/status.h"
#include "kernel/ports/disk.h"
#include "kernel/storage/engine.h"

namespace tenon::snapshot {

class StreamFiles {
 public:
  StreamFiles(Disk& disk, std::string directory) : disk_(disk), directory_(std::move(directory)) {}

  // Fills the empty engine from the newest sound file and returns its applied index; 0: there is none, the log must
  // hold everything. A damaged file is put aside as NAME.damaged, and the next older one is taken. [main]
  Result<Index> Load(storage::Engine& engine);

  // Writes the engine's state unless a file has it, and removes what is superseded. Returns the index down to which the
  // log may go: that of the older of two files, 0 while there is only one. [persist]
  Result<Index> Save(storage::Engine& engine, Index applied);

  // Makes `path`, a sound stream in this folder, the only one; the folder is to be synced then. [main]
  Status Replace(const std::string& path, Index index);

 private:
  static constexpr std::string_view kSuffix = "stream";
  static constexpr size_t kKept = 2;
  std::string PathOf(uint64_t index) const;

  Disk& disk_;
  const std::string directory_;
};

}  // namespace tenon::snapshot
