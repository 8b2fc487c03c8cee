#include "kernel/base/sha.h"

#include <gtest/gtest.h>

#include <string>

#include "fmt/format.h"
#include "fmt/ranges.h"

namespace tenon {
namespace {

template <class Digest>
std::string Hex(const Digest& digest) {
  return fmt::format("{:02x}", fmt::join(digest, ""));
}

// FIPS 180-4's own examples.
TEST(ShaTest, DigestsAreThoseOfTheStandard) {
  constexpr std::string_view kTwoBlocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  EXPECT_EQ(Hex(Sha1("")), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(Hex(Sha1("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(Hex(Sha1(kTwoBlocks)), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(Hex(Sha1(std::string(1'000'000, 'a'))), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
  EXPECT_EQ(Hex(Sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Hex(Sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Hex(Sha256(kTwoBlocks)), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Hex(Sha256(std::string(1'000'000, 'a'))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// As `sha1sum` and `sha256sum` print them, where the end of the message and the end of a block meet.
TEST(ShaTest, AMessageMayEndAnywhereInABlock) {
  const struct {
    size_t size;
    const char *sha1, *sha256;
  } kCases[] = {
      {55, "cef734ba81a024479e09eb5a75b6ddae62e6abf1",
       "d5e285683cd4efc02d021a5c62014694958901005d6f71e89e0989fac77e4072"},
      {56, "901305367c259952f4e7af8323f480d59f81335b",
       "04c26261370ee7541549d16dee320c723e3fd14671e66a099afe0a377c16888e"},
      {63, "0ddc4e0cccd9a12850deb5abb0853a4425559fec",
       "75220b47218278e656f2013bb8f0c455a25eaf01e86c64924e9d48d89776d6f2"},
      {64, "bb2fa3ee7afb9f54c6dfb5d021f14b1ffe40c163",
       "7ce100971f64e7001e8fe5a51973ecdfe1ced42befe7ee8d5fd6219506b5393c"},
      {119, "4300320394f7ee239bcdce7d3b8bcee173a0cd5c",
       "000b48d4edf0fa7bee3c6236ecd2785baa5db4eeb8bb54341b029e0d9fa5fb0c"},
      {120, "ceb2821639c4b6dcb10bce0e522ca2e608ce056d",
       "13f05a0b594787f5ecd315edc96141bd3243203d1b7d4f0836f37308b276ba98"},
      {1000, "c3efa690fa3fdd2e2526853eed670538ea127638",
       "44f8354494a5ba03ba1792a8d3e9c534c47a9181980fde7a3f44b06ef2ae7c7f"},
  };
  for (const auto& c : kCases) {
    const std::string bytes(c.size, 'x');
    EXPECT_EQ(Hex(Sha1(bytes)), c.sha1) << c.size;
    EXPECT_EQ(Hex(Sha256(bytes)), c.sha256) << c.size;
  }
}

}  // namespace
}  // namespace tenon
