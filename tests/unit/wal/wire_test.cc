// The hand-written bytes against protobuf's own.
#include "kernel/wal/wire.h"

#include <gtest/gtest.h>

#include "raft.pb.h"
#include "wal.pb.h"

namespace tenon::raft {
namespace {

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return hex;
}

Message FullMessage() {
  return {.type = MessageType::kApp,
          .to = 1,
          .from = UINT64_MAX,
          .term = Term(3),
          .log_term = Term(2),
          .index = Index(300),
          .entries = {{.term = Term(3), .index = Index(301), .payload = std::make_shared<Payload>("abc")},
                      {.term = Term(3), .index = Index(302), .type = EntryType::kConfChangeV2}},
          .commit = Index(299),
          .snapshot = SnapshotMeta{.index = Index(200),
                                   .term = Term(2),
                                   .conf = {.voters = {1, 2},
                                            .learners = {3},
                                            .voters_outgoing = {4},
                                            .learners_next = {5},
                                            .auto_leave = true}},
          .reject = true,
          .reject_hint = Index(77),
          .context = 0x0102030405060708};
}

TEST(WireTest, AnEntryIsWrittenAsEtcdWritesIt) {
  std::string bytes;
  AppendEntry(bytes, {.term = Term(2), .index = Index(300), .payload = std::make_shared<Payload>("hi")});
  EXPECT_EQ(Hex(bytes),
            "0800"
            "1002"
            "18ac02"
            "22026869");
  bytes.clear();
  AppendEntry(bytes, {.term = Term(1), .index = Index(1)});
  EXPECT_EQ(Hex(bytes),
            "0800"
            "1001"
            "1801");
}

TEST(WireTest, ProtobufReadsAMessage) {
  std::string bytes;
  AppendMessage(bytes, FullMessage());
  raftpb::Message m;
  ASSERT_TRUE(m.ParseFromString(bytes));
  EXPECT_EQ(m.type(), raftpb::MsgApp);
  EXPECT_EQ(m.from(), UINT64_MAX);
  ASSERT_EQ(m.entries_size(), 2);
  EXPECT_EQ(m.entries(0).data(), "abc");
  EXPECT_EQ(m.entries(1).type(), raftpb::EntryConfChangeV2);
  EXPECT_FALSE(m.entries(1).has_data());
  EXPECT_EQ(m.snapshot().metadata().conf_state().voters_size(), 2);
  EXPECT_TRUE(m.snapshot().metadata().conf_state().auto_leave());
  EXPECT_EQ(m.context(), std::string("\1\2\3\4\5\6\7\10"));
  EXPECT_EQ(m.SerializeAsString(), bytes) << "the same fields in the same order";
}

TEST(WireTest, AMessageComesBackAsItWas) {
  std::string bytes, again;
  AppendMessage(bytes, FullMessage());
  const Result<Message> m = DecodeMessage(bytes);
  ASSERT_TRUE(m.ok()) << m.status();
  AppendMessage(again, *m);
  EXPECT_EQ(Hex(again), Hex(bytes));
  EXPECT_EQ(m->snapshot, FullMessage().snapshot);
}

TEST(WireTest, EveryCutOfAMessageIsRefusedOrShorter) {
  std::string bytes;
  AppendMessage(bytes, FullMessage());
  for (size_t n = 0; n < bytes.size(); n++) {
    raftpb::Message reference;
    const bool ok = reference.ParsePartialFromString(bytes.substr(0, n));
    EXPECT_EQ(DecodeMessage(std::string_view(bytes).substr(0, n)).ok(), ok) << n;
  }
}

TEST(WireTest, PackedMembersAndUnknownFieldsAreAccepted) {
  const std::string_view bytes(
      "\x0a\x03\x01\xac\x02"
      "\x10\x05"
      "\x7a\x01x",
      10);
  const Result<ConfState> conf = DecodeConfState(bytes);
  ASSERT_TRUE(conf.ok()) << conf.status();
  EXPECT_EQ(conf->voters, (std::vector<MemberId>{1, 300}));
  EXPECT_EQ(conf->learners, (std::vector<MemberId>{5}));
}

TEST(WireTest, AStateIsReadStrictlyInTheLog) {
  std::string entry;
  AppendEntry(entry, {.term = Term(2), .index = Index(3), .payload = std::make_shared<Payload>("x")});
  EXPECT_TRUE(DecodeHardState(entry).ok());
  EXPECT_FALSE(DecodeHardState(entry, /*strict=*/true).ok());
}

TEST(WireTest, ASnapshotRecordIsWalpbs) {
  const SnapshotMeta meta{.index = Index(9), .term = Term(2), .conf = {.voters = {7}}};
  std::string bytes;
  wal::AppendSnapshotRecord(bytes, meta);
  walpb::Snapshot s;
  ASSERT_TRUE(s.ParseFromString(bytes));
  EXPECT_EQ(s.index(), 9u);
  EXPECT_EQ(s.term(), 2u);
  EXPECT_EQ(s.conf_state().voters(0), 7u);
  EXPECT_EQ(wal::DecodeSnapshotRecord(bytes).value(), meta);
}

TEST(WireTest, HostileNumbersAreRefused) {
  EXPECT_FALSE(DecodeEntry("\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").ok()) << "a length beyond the end";
  EXPECT_FALSE(DecodeEntry("\x08\x03").ok()) << "an entry type that is not known";
  EXPECT_FALSE(DecodeMessage("\x62\x01x").ok()) << "a context that is not a round";
  EXPECT_FALSE(DecodeMessage("\x0b").ok()) << "a group";
}

}  // namespace
}  // namespace tenon::raft
