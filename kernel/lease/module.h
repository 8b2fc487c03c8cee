// The lease module as the kernel sees it: the C table of tenon/abi/lease.h in C++ clothes.
//
// It gives the module its apply context, turns its answers into etcd's errors, and tells it which keys a lease has:
// at the start from the key index, afterwards with each change.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "kernel/apply/leases.h"
#include "kernel/apply/module_context.h"
#include "kernel/base/ids.h"
#include "kernel/base/status.h"
#include "kernel/mvcc/store.h"
#include "kernel/storage/engine.h"
#include "tenon/abi/lease.h"

namespace tenon::lease {

class Module final : public apply::Leases {
 public:
  // Over an instance that the caller created, starts, stops and destroys.
  Module(const tenon_lease_v1& table, void* self) : table_(table), self_(self) {}

  // The leases that the engine holds, and the keys that the store says are theirs. Before the module's start. [main]
  Status Recover(storage::Engine& engine, mvcc::Store& store);
  // Does the engine hold leases? Then a member without a lease module must not run. [main]
  static Result<bool> AnyIn(storage::Engine& engine);

  // ---- [apply] ----
  bool Exists(int64_t lease) const override;
  Result<int64_t> Grant(apply::EntryContext entry, int64_t lease, int64_t ttl_s) override;
  Result<std::vector<std::string>> Revoke(apply::EntryContext entry, int64_t lease) override;
  Status Checkpoint(apply::EntryContext entry, int64_t lease, int64_t remaining_s) override;
  void Move(std::string_view key, int64_t from, int64_t to) override;

  // ---- [role] ----
  void Promote(Term term, uint64_t extend_ns);
  void Demote();

  // ---- [any] ----
  struct Info {
    int64_t granted_ttl_s = 0, remaining_ttl_s = 0;
    std::vector<std::string> keys;  // in byte order
  };
  // Nothing: there is no such lease.
  std::optional<Info> Lookup(int64_t lease, bool keys) const;
  std::vector<int64_t> List() const;  // by remaining time, ascending
  // `done` gets the time to live; NotFound, or Unavailable: not the primary. Often here and now.
  using RenewDone = absl::AnyInvocable<void(Result<int64_t>)>;
  void Renew(int64_t lease, RenewDone done);

 private:
  Status Answer(tenon_status status, const tenon_error& error, std::string_view what) const;

  const tenon_lease_v1 table_;
  void* const self_;
  std::unique_ptr<apply::ModuleTables> tables_;
};

}  // namespace tenon::lease
