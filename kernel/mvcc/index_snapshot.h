// The key index in a file, so that a start need not read every row of the engine.
//
// DIR/%016x.index, its revision R in the name; the format is in FORMAT.md. It is a cache: a start without a usable one
// scans the table. One is usable if the engine, whose state after a crash may be older, and a compaction, which may
// have removed rows since, leave it true:
//   - R <= the engine's revision, and the engine's last row of R is the one that the file was written over;
//   - R >= the last compact revision that the engine knows of. Rows behind R are scanned, and a compaction behind R
//     may have removed a key's tombstone there: the key would live again;
//   - the compaction that had begun to remove rows at the time of writing is one that the engine has finished. Else the
//     engine may still hold rows that the file knows nothing of, and nobody would ever remove them.
// So that a crash in the middle of a compaction finds a usable one too, it is written between the moment that
// Compact(C) is published and the removal of its first row: WriteIfDue, called by the applier's before_removal.
#pragma once
#include <cstdint>
#include <string>

#include "kernel/base/status.h"
#include "kernel/mvcc/key_index.h"
#include "kernel/ports/clock.h"
#include "kernel/ports/disk.h"
#include "kernel/snapshot/frames.h"

namespace tenon::mvcc {

class Store;

class IndexSnapshot {
 public:
  struct Options {
    // One is due when as many rows changed as this and a quarter of the keys: fewer are quickly scanned.
    uint64_t min_changes = 200'000;
    // Between two files that only a compaction made necessary.
    uint64_t compaction_interval_ns = 60'000'000'000;
  };
  IndexSnapshot(Disk& disk, std::string directory, Clock& clock, Options options)
      : disk_(disk), directory_(std::move(directory)), clock_(clock), options_(options) {}

  // Fills the store's empty index from the newest usable file. Returns its revision: the rows behind it are to be
  // scanned; 0: the index is still empty. Called by Store::Open. [main]
  Result<int64_t> Load(Store& store, int64_t scheduled_compact, int64_t finished_compact);

  // Writes the published state, while others go on, if enough has changed since the last file. [persist]
  Status WriteIfDue();
  // At a clean stop, after the engine's last persist: whatever has changed. [persist]
  Status WriteIfChanged();

  int64_t revision() const { return revision_; }  // of the file that was loaded or written last; 0: none [persist]

 private:
  Status Write();
  Status WriteEntries(int64_t revision, snapshot::FrameWriter& frames, uint64_t& keys);
  Status LookUp(KeyIndex::Image& image);
  Result<uint32_t> Anchor(int64_t revision);  // checksum of the engine's last row of it
  Result<int64_t> EngineRevision();
  int64_t StoreCompactRevision() const;  // 0: never compacted
  Status LoadFile(File& file, int64_t revision, int64_t finished_compact);
  std::string PathOf(int64_t revision) const;

  Disk& disk_;
  const std::string directory_;
  Clock& clock_;
  const Options options_;
  Store* store_ = nullptr;

  // Of the newest file. [persist]
  int64_t revision_ = 0, compact_ = 0;
  uint64_t rows_written_ = 0, written_ns_ = 0;
};

}  // namespace tenon::mvcc
