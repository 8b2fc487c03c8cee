// The log's reader, its frames and raft's messages, fed with anything.
//
// The first byte chooses: segments as they are; records whose checksums are made right, so that the fuzzer gets past
// them to what entries, states and snapshots say; or one message between members.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "kernel/wal/recovery.h"
#include "kernel/wal/wire.h"

namespace tenon::wal {
namespace {

void Check(bool holds) {
  if (!holds) std::abort();
}

void Recover(std::string_view segment, raft::SnapshotMeta from) {
  Recovery recovery(from, Index(0));
  if (!recovery.Read("fuzz.wal", segment, /*newest=*/true).ok() || !recovery.Finish().ok()) return;
  // Whatever came through is a log that raft may hold.
  Index last = from.index;
  Term term = from.term;
  for (const raft::Entry& entry : recovery.recovered().entries) {
    Check(entry.index == last + 1 && entry.term >= term);
    last = entry.index;
    term = entry.term;
  }
  Check(recovery.end() <= segment.size() && recovery.recovered().hard_state.commit <= last);
  Check(recovery.recovered().hard_state.term >= term || recovery.recovered().entries.empty());
}

// [type][length][data] ... as good records behind a good head.
void RecoverRecords(std::string_view input) {
  RecordWriter writer;
  writer.Crc();
  writer.Data(RecordType::kMetadata, "m");
  writer.Data(RecordType::kSnapshot, std::string_view("\x08\0\x10\0", 4));
  while (input.size() >= 2) {
    const auto type = static_cast<RecordType>(1 + static_cast<uint8_t>(input[0]) % 5);
    const size_t n = std::min<size_t>(static_cast<uint8_t>(input[1]), input.size() - 2);
    if (type == RecordType::kCrc) {
      writer.Crc();
    } else {
      writer.Data(type, input.substr(2, n));
    }
    input.remove_prefix(2 + n);
  }
  Recover(writer.bytes(), {});
}

void RoundTrip(std::string_view input) {
  const Result<raft::Message> message = raft::DecodeMessage(input);
  if (!message.ok()) return;
  std::string bytes, again;
  raft::AppendMessage(bytes, *message);
  const Result<raft::Message> decoded = raft::DecodeMessage(bytes);
  Check(decoded.ok());
  raft::AppendMessage(again, *decoded);
  Check(bytes == again);
}

}  // namespace
}  // namespace tenon::wal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0: tenon::wal::Recover(input, {}); break;
    case 1: tenon::wal::Recover(input, {.index = tenon::Index(5), .term = tenon::Term(2)}); break;
    case 2: tenon::wal::RecoverRecords(input); break;
    default: tenon::wal::RoundTrip(input);
  }
  return 0;
}
