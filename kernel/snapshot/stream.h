// The engine-neutral stream "tenon-snap/1": all tables of an engine at one instant (FORMAT.md).
//
// What one engine writes, any engine reads: tables by name, rows in key order. It is how an engine that keeps nothing
// on disk survives a restart (stream_files.h), and how a store moves between engines and members.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernel/base/ids.h"
#include "kernel/base/status.h"
#include "kernel/snapshot/frames.h"
#include "kernel/storage/engine.h"
#include "kernel/storage/schema.h"

namespace tenon::snapshot {

// Makes the stream a piece at a time, for whoever pulls it. The tables as `at` shows them, in the order given, but
// `key` last. One thread at a time; gone before its engine is closed.
class StreamProducer {
 public:
  // keeps_rows: nobody removes rows of `key` while the producer lives. Then `at` is closed as soon as the other tables
  // are out, and the rows of `key` come from one engine snapshot after the other, each no longer than a call. The
  // stream is the same: rows of `key` never change once written, and those that were written since `at` are left out,
  // because they lie behind its last one. [apply]
  static Result<std::unique_ptr<StreamProducer>> Begin(storage::Engine& engine,
                                                       std::span<const storage::TableSpec> tables, storage::Snapshot at,
                                                       bool keeps_rows);

  Index index() const { return index_; }  // applied at that instant
  // Appends n bytes at least, unless the stream ends. True: it has ended. An error means that the engine
  // failed. [read]
  Result<bool> Produce(std::string& to, size_t n);

 private:
  struct Table {
    storage::TableSpec spec;
    uint32_t id;
    uint64_t rows = 0;
  };
  StreamProducer(storage::Engine& engine, storage::Snapshot at, bool keeps_rows);
  Status Rows(Table& table, size_t n);
  Status Header();
  Status Trailer();

  storage::Engine& engine_;
  std::optional<storage::Snapshot> at_;
  const bool keeps_rows_;
  Index index_;
  std::vector<Table> tables_;
  size_t table_ = 0;       // whose rows come next
  bool in_table_ = false;  // its head is out
  std::string next_key_;   // of its rows
  std::string frame_;      // of rows, not full yet: the stream is the same however it is pulled
  std::string key_end_;    // just behind the last row of `key` at that instant
  std::string* to_ = nullptr;
  FrameWriter frames_;
  bool begun_ = false, ended_ = false;
};

// Writes these tables as one engine snapshot shows them; those that the engine lacks are left out. Returns the applied
// index of that instant: the row consistent_index of the same snapshot. [any]
Result<Index> WriteStream(storage::Engine& engine, std::span<const storage::TableSpec> tables, const Sink& sink);

// Reads a whole stream without keeping anything: would ReadStream take it? Returns its applied index.
// DataLoss with the offset: torn, damaged, or followed by more.
Result<Index> CheckStream(const Source& source);

// Puts everything into `engine`, which is open and empty. Returns the applied index; nothing is durable yet.
// DataLoss as CheckStream: the engine holds a part then, and must be thrown away. [main]
Result<Index> ReadStream(const Source& source, storage::Engine& engine);

}  // namespace tenon::snapshot
