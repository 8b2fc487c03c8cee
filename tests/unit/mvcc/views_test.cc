// Registered readers hold compaction back, but not for ever.
#include "kernel/mvcc/views.h"

#include <gtest/gtest.h>

#include "tests/support/manual_executor.h"

namespace tenon::mvcc {
namespace {

class ViewsTest : public ::testing::Test {
 protected:
  testing::ManualClock clock;
  Views views{clock, 1000};
};

TEST_F(ViewsTest, ReaderBelowHoldsCompactionBackUntilItGoes) {
  {
    const Views::Handle reader = views.Open(5).value();
    EXPECT_TRUE(views.NoneBelow(5));
    EXPECT_FALSE(views.NoneBelow(6));
  }
  EXPECT_TRUE(views.NoneBelow(6));
}

TEST_F(ViewsTest, MovedHandleIsReleasedOnce) {
  auto reader = std::make_unique<Views::Handle>(views.Open(5).value());
  auto moved = std::make_unique<Views::Handle>(std::move(*reader));
  reader.reset();
  EXPECT_FALSE(views.NoneBelow(6));
  moved.reset();
  EXPECT_TRUE(views.NoneBelow(6));
}

TEST_F(ViewsTest, CompactedRevisionCannotBeOpenedTheCompactRevisionCan) {
  views.SetCompactRevision(7);
  EXPECT_EQ(Message(views.Open(6).status()), "etcdserver: mvcc: required revision has been compacted");
  EXPECT_TRUE(views.Open(7).ok());
  EXPECT_EQ(views.OpenAtCompactRevision().revision(), 7);
}

TEST_F(ViewsTest, OldReaderIsEndedAndToldSo) {
  const Views::Handle reader = views.Open(5).value();
  const Views::Handle other = views.Open(9).value();
  clock.Advance(999);
  EXPECT_FALSE(views.NoneBelow(6));
  EXPECT_TRUE(reader.Check().ok());
  clock.Advance(1);
  EXPECT_TRUE(views.NoneBelow(6));
  EXPECT_TRUE(absl::IsOutOfRange(reader.Check()));
  EXPECT_TRUE(other.Check().ok());  // old as well, but nobody takes from it
}

}  // namespace
}  // namespace tenon::mvcc
