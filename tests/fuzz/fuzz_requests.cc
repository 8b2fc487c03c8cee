// Any bytes as a client's request: refused, or validated and then applied to a small store, before and after a trip
// through the log, with the same answer both times.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "kernel/api/validate.h"
#include "kernel/apply/parse.h"
#include "kernel/apply/request.h"
#include "kernel/apply/txn.h"
#include "kernel/base/check.h"
#include "kernel/mvcc/read_view.h"
#include "kernel/mvcc/store.h"
#include "plugins/storage-memory/storage_memory.h"
#include "tests/abi/fake_host.h"
#include "tests/support/fake_leases.h"
#include "tests/support/manual_executor.h"

namespace {

using namespace tenon;  // NOLINT: a test's own file

struct World {
  testing::FakeHost host;
  testing::ManualClock clock;
  std::unique_ptr<storage::Engine> engine;
  storage::Tables tables;
  storage::Batch batch;
  std::unique_ptr<mvcc::Store> store;
  uint64_t index = 0;

  World() {
    engine = storage::Engine::Create(storage_memory::Vtable(), host.get(), nullptr).value();
    CHECK(engine->Open("").ok());
    tables = storage::Tables::Open(*engine).value();
    store = mvcc::Store::Open(*engine, tables, clock, {}).value();
    mvcc::WriteTxn txn = store->Write(batch);
    for (const char* key : {"a", "b", "k"}) txn.Put(key, "v", 0);
  }
  void Commit() {
    CHECK(engine->Apply(batch.ops(), Index(++index)).ok());
    batch.Clear();
    store->Publish();
  }
};

struct AnyLease : testing::FakeLeases {
  bool Exists(int64_t lease) const override { return lease % 2 == 0; }
};

std::string Carry(World& world, const apply::Operation& operation) {
  const AnyLease leases;
  const auto said = [](const auto& answer) -> std::string {
    if (!answer.ok()) {
      CHECK(apply::IsClientError(answer.status()));
      return std::string(Message(answer.status()));
    }
    std::string scratch;
    const Bufs bytes = Encode(*answer, {1, 2, 3, 4});
    return std::string(bytes.Flatten(scratch));
  };
  world.Commit();
  std::string answer;
  {
    mvcc::WriteTxn txn = world.store->Write(world.batch);
    if (const auto* put = std::get_if<etcdserverpb::PutRequest>(&operation))
      answer = said(apply::Put(txn, &leases, *put));
    if (const auto* del = std::get_if<etcdserverpb::DeleteRangeRequest>(&operation))
      answer = said(apply::DeleteRange(txn, *del));
    if (const auto* request = std::get_if<etcdserverpb::TxnRequest>(&operation))
      answer = said(apply::Txn(txn, &leases, *request));
  }
  if (const auto* request = std::get_if<etcdserverpb::CompactionRequest>(&operation)) {
    answer = std::string(Message(world.store->Compact(request->revision(), world.batch)));
  }
  world.Commit();
  while (world.store->CompactStep(world.batch).value() == mvcc::Store::Step::kMore) world.Commit();
  world.Commit();
  return answer;
}

template <class Request>
void Try(apply::Field field, std::string_view bytes) {
  Request request;
  if (!apply::ParseNested(bytes, request, apply::kMaxRequestDepth)) return;
  if constexpr (std::is_same_v<Request, etcdserverpb::TxnRequest>) {
    if (!api::Check(request, 128).ok()) return;
  } else if constexpr (!std::is_same_v<Request, etcdserverpb::CompactionRequest>) {
    if (!api::Check(request).ok()) return;
  }
  // What was accepted must be readable from the log, or the member never starts again.
  Result<apply::Request> entry = apply::DecodeEntry(apply::EncodeEntry(1, field, bytes));
  CHECK(entry.ok());
  World now, replayed;
  CHECK(Carry(now, request) == Carry(replayed, entry->operation));
  CHECK_EQ(now.store->revision(), replayed.store->revision());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0: Try<etcdserverpb::PutRequest>(apply::Field::kPut, bytes); break;
    case 1: Try<etcdserverpb::DeleteRangeRequest>(apply::Field::kDeleteRange, bytes); break;
    case 2: Try<etcdserverpb::TxnRequest>(apply::Field::kTxn, bytes); break;
    case 3: Try<etcdserverpb::CompactionRequest>(apply::Field::kCompaction, bytes); break;
    default: {
      etcdserverpb::RangeRequest request;
      if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || !api::Check(request).ok()) break;
      World world;
      world.Commit();
      mvcc::ReadView view = world.store->View();
      const auto answer = apply::Range(view, request);
      CHECK(answer.ok() || apply::IsClientError(answer.status()));
    }
  }
  return 0;
}
