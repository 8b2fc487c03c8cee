// When a persist is due, for an engine that keeps nothing on disk.
#include "kernel/node/persister.h"

#include <gtest/gtest.h>

#include "tests/support/member_fixture.h"

namespace tenon::node {
namespace {

using testing::MemberFixture;

class PersisterTest : public ::testing::Test {
 protected:
  // A persister whose log has `behind` bytes from before the start and may have 1,000 in all.
  void Start(uint64_t behind) {
    m.Lead();
    Persister::Options options;
    options.log_bytes = 1000;
    options.streams = &streams;
    options.log_bytes_behind = behind;
    persister = std::make_unique<Persister>(*m.s.engine, *m.applier, *m.node, m.s.clock, m.reader_thread, m.metrics,
                                            m.Fatal(), options);
    persister->Start();
  }
  void PutAndLook() {
    m.Put("put");
    m.Run();
    m.Tick(5'000'000'000);
  }
  size_t Streams() { return m.disk.Exists("/member/snap").value() ? m.disk.List("/member/snap")->size() : 0; }

  MemberFixture m;
  snapshot::StreamFiles streams{m.disk, "/member/snap"};
  std::unique_ptr<Persister> persister;
};

TEST_F(PersisterTest, LittleLogIsNotWorthAStream) {
  Start(0);
  PutAndLook();
  EXPECT_EQ(Streams(), 0u);
}

TEST_F(PersisterTest, LogThatAFormerLifeLeftBehindCounts) {
  Start(900);
  PutAndLook();
  EXPECT_EQ(Streams(), 1u);
  PutAndLook();
  EXPECT_EQ(Streams(), 1u) << "only once";
}

}  // namespace
}  // namespace tenon::node
