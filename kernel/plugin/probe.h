// Runs something in a forked child first, so that its crash is a sentence and not our end.
#pragma once
#include <cstdint>
#include <functional>

#include "kernel/base/status.h"

namespace tenon::plugin {

// What work() returned in the child; or, when the child did not live to say so, a predicate of what became of it:
// "aborted ...", "crashed ...", "hung ...", with what it wrote to standard error. Memory changed by work() is lost.
// Call it while this process has few threads: the child has only the calling one, with the locks as they were. [main]
Status RunInChild(const std::function<Status()>& work, int64_t timeout_ns);

}  // namespace tenon::plugin
