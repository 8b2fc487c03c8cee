#include "kernel/apply/state_hash.h"

#include "kernel/base/check.h"
#include "kernel/base/crc32c.h"
#include "kernel/storage/schema.h"

namespace tenon::apply {
namespace {

// The finalizer of splitmix64: every bit of the input counts in every bit of the output.
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

Status StateHash::Open(storage::Engine& engine) {
  for (const storage::TableSpec& spec : storage::AllTables()) {
    const Result<uint32_t> id = engine.FindTable(spec.name);
    if (absl::IsNotFound(id.status())) continue;
    RETURN_IF_ERROR(id);
    tables_[*id] = Crc32c(0, spec.name);
  }
  return Ok();
}

void StateHash::Extend(Index index, std::span<const tenon_op> ops) {
  uint64_t h = Mix(hash_ + index.value);
  for (const tenon_op& op : ops) {
    const auto table = tables_.find(op.table);
    CHECK_MSG(table != tables_.end(), fmt::format("table {} is in no list", op.table));
    const uint32_t key = Crc32c(table->second + op.type, storage::View(op.key));
    h = Mix(h ^ (uint64_t{key} << 32 | Crc32c(key, storage::View(op.val))));
  }
  hash_ = h;
  if (index.value % kMarkEvery != 0) return;
  MutexLock lock(&mutex_);
  marks_[index.value / kMarkEvery % kMarks] = {index, h};
}

void StateHash::Publish(Index applied) {
  MutexLock lock(&mutex_);
  now_ = {applied, hash_};
}

StateHash::Mark StateHash::Now() const {
  MutexLock lock(&mutex_);
  return now_;
}

std::optional<StateHash::Mark> StateHash::Newest(Index applied) const {
  const Index index(applied.value / kMarkEvery * kMarkEvery);
  const std::optional<uint64_t> hash = At(index);
  if (!hash) return std::nullopt;
  return Mark{index, *hash};
}

std::optional<uint64_t> StateHash::At(Index index) const {
  MutexLock lock(&mutex_);
  const Mark& mark = marks_[index.value / kMarkEvery % kMarks];
  if (index.value == 0 || mark.index != index) return std::nullopt;
  return mark.hash;
}

}  // namespace tenon::apply
