// Any bytes as a committed entry of the log: it is applied, or the member stops because of it; never anything else.
//
// The first byte chooses: the decoder alone, or the applier with an entry of one of the three types.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "kernel/apply/request.h"
#include "kernel/base/check.h"
#include "kernel/base/log.h"
#include "tests/support/member_fixture.h"

namespace {

using namespace tenon;  // NOLINT: a test's own file

void Decode(std::string_view bytes) {
  const auto request = apply::DecodeEntry(bytes);
  CHECK(request.ok() || absl::IsDataLoss(request.status()));
}

void Apply(raft::EntryType type, std::string_view bytes) {
  tenon::testing::MemberFixture m;
  raft::Entry entry;
  entry.term = Term(1);
  entry.index = Index(1);
  entry.type = type;
  entry.payload = std::make_shared<raft::Payload>(std::string(bytes));
  m.applier->Enqueue({entry});
  while (m.apply_thread.RunOne() || m.reader_thread.RunOne()) {  // not the node: it would append to a log of its own
  }
  if (m.fatals.empty()) {
    CHECK_EQ(m.applier->applied(), Index(1));
    CHECK(apply::ReadAppliedState(*m.s.engine, m.s.tables).value().index == Index(1));
  } else {
    CHECK(absl::IsDataLoss(m.fatals[0]) || absl::IsUnimplemented(m.fatals[0]));
    CHECK_EQ(m.applier->applied(), Index(0));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  SetLogLevel(LogLevel::kError);
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0: Decode(bytes); break;
    case 1: Apply(raft::EntryType::kNormal, bytes); break;
    case 2: Apply(raft::EntryType::kConfChange, bytes); break;
    default: Apply(raft::EntryType::kConfChangeV2, bytes);
  }
  return 0;
}
