// The state that was fetched from another member takes the place of this member's own.
//
// What decides is the log. A fetched file (kernel/snapshot/state_fetch.h) that the newest snapshot record of the log
// names is the state that the log goes on from, whatever the engine holds: the engine is filled from it anew. Every
// other fetched file is of a fetch that came to nothing, and is removed. The file goes last, when the state is durable
// in the engine: a crash at any point before that begins all of it again.
#pragma once
#include <string>

#include "kernel/base/status.h"
#include "kernel/member/data_dir.h"
#include "kernel/ports/disk.h"
#include "kernel/storage/engine.h"
#include "kernel/wal/wal.h"

namespace tenon {

// At each start, before the engine is opened; it is closed again when this returns. For an engine that keeps nothing on
// disk the file becomes its newest stream, and the only one: the log does not reach back to those before it. Errors are
// sentences for the operator. [main]
Status InstallFetchedState(Disk& disk, const DataDir& data, storage::Engine& engine, const wal::Options& log);

}  // namespace tenon
