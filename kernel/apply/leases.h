// What the applier asks of the lease module; kernel/lease has the adapter.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernel/base/ids.h"
#include "kernel/base/status.h"
#include "kernel/mvcc/attachments.h"
#include "kernel/storage/batch.h"

namespace tenon::apply {

// Where an entry stands in the log, and the batch that takes what it changes.
struct EntryContext {
  storage::Batch& batch;
  Index index;
  Term term;
};

// All of it [apply]. Errors are etcd's answers; others mean that the module failed and the member must stop.
class Leases : public mvcc::Attachments {
 public:
  virtual bool Exists(int64_t lease) const = 0;
  // Returns the time to live in seconds that the lease has.
  virtual Result<int64_t> Grant(EntryContext entry, int64_t lease, int64_t ttl_s) = 0;
  // Forgets the lease and returns its keys in byte order: the caller deletes them in the same entry.
  virtual Result<std::vector<std::string>> Revoke(EntryContext entry, int64_t lease) = 0;
  virtual Status Checkpoint(EntryContext entry, int64_t lease, int64_t remaining_s) = 0;
};

}  // namespace tenon::apply
