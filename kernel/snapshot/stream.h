// The engine-neutral stream "tenon-snap/1": all tables of an engine at one instant (FORMAT.md).
//
// What one engine writes, any engine reads: tables by name, rows in key order. It is how an engine that keeps nothing
// on disk survives a restart (stream_files.h), and how a store moves between engines and members.
#pragma once
#include <span>

#include "kernel/base/ids.h"
#include "kernel/base/status.h"
#include "kernel/snapshot/frames.h"
#include "kernel/storage/engine.h"
#include "kernel/storage/schema.h"

namespace tenon::snapshot {

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
