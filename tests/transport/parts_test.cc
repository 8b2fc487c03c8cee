// The pure parts of transport-h2.
#include <gtest/gtest.h>
#include <zlib.h>

#include <random>
#include <set>

#include "plugins/transport-common/timers.h"
#include "plugins/transport-h2/gzip.h"
#include "plugins/transport-h2/wire.h"

namespace tenon::transport_h2 {
namespace {

TEST(WireFormatTest, Timeouts) {
  EXPECT_EQ(*ParseTimeout("1H"), 3'600'000'000'000);
  EXPECT_EQ(*ParseTimeout("99999999M"), 99'999'999ll * 60'000'000'000);
  EXPECT_EQ(*ParseTimeout("99999999H"), INT64_MAX) << "clamped";
  EXPECT_EQ(*ParseTimeout("007S"), 7'000'000'000);
  EXPECT_EQ(*ParseTimeout("0n"), 0);
  for (const char* bad : {"", "S", "5", "5s", "-5S", "5 S", "+5S", "123456789S", "aS"}) {
    EXPECT_FALSE(ParseTimeout(bad).ok()) << bad;
  }
}

TEST(WireFormatTest, PercentEncoding) {
  EXPECT_EQ(PercentEncode("etcdserver: key not found"), "etcdserver: key not found");
  EXPECT_EQ(PercentEncode("100%\n\xc3\xbc~\x7f"), "100%25%0A%C3%BC~%7F");
}

TEST(WireFormatTest, Base64BothWays) {
  std::mt19937 random(1);
  for (size_t n = 0; n < 100; ++n) {
    std::string bytes(n, '\0'), back = "kept";
    for (char& c : bytes) c = static_cast<char>(random());
    std::string text = Base64Encode(bytes);
    ASSERT_TRUE(AppendBase64Decoded(text, &back).ok());
    EXPECT_EQ(back, "kept" + bytes);
    text.append((4 - text.size() % 4) % 4, '=');
    ASSERT_TRUE(AppendBase64Decoded(text, &back).ok()) << "padded";
  }
  std::string out;
  for (const char* bad : {"A", "AAAAA", "A=", "AA==A", "A?AA", "====", "AAA==", "AA=A"}) {
    EXPECT_FALSE(AppendBase64Decoded(bad, &out).ok()) << bad;
  }
}

TEST(WireFormatTest, ContentTypes) {
  for (const char* good :
       {"application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8", "Application/GRPC+json"}) {
    EXPECT_TRUE(IsGrpcContentType(good)) << good;
  }
  for (const char* bad : {"", "application/json", "application/grpcx", "application/grpc-web", "text/html"}) {
    EXPECT_FALSE(IsGrpcContentType(bad)) << bad;
  }
}

TEST(TimersTest, FireInOrderWhateverHappens) {
  using transport::Timer;
  using transport::Timers;
  struct Alarm {
    Timer timer;
    uint64_t when = 0;
    bool fired = false;
  };
  std::mt19937 random(7);
  Timers timers;
  std::vector<Alarm> alarms(500);
  for (Alarm& alarm : alarms) {
    alarm.timer.fire = [](void* self) { static_cast<Alarm*>(self)->fired = true; };
    alarm.timer.self = &alarm;
  }
  uint64_t now = 0;
  for (int step = 0; step < 20000; ++step) {
    Alarm& alarm = alarms[random() % alarms.size()];
    switch (random() % 4) {
      case 0:
      case 1:
        alarm.when = now + 1 + random() % 1000;
        alarm.fired = false;
        timers.Set(&alarm.timer, alarm.when);
        break;
      case 2: timers.Cancel(&alarm.timer); break;
      default: {
        std::set<Alarm*> due;
        now += random() % 20;
        uint64_t next = UINT64_MAX;
        for (Alarm& a : alarms) {
          if (a.timer.set() && a.when <= now) due.insert(&a);
          if (a.timer.set() && a.when > now) next = std::min(next, a.when);
        }
        timers.Fire(now);
        for (Alarm& a : alarms) {
          if (due.count(&a) != 0) {
            ASSERT_TRUE(a.fired && !a.timer.set());
          }
        }
        ASSERT_EQ(timers.next_ns(), next);
      }
    }
  }
}

std::string Gzip(const std::string& bytes) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, bytes.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string TextOf(MessagePtr message) {
  tenon_bufs bufs = Message::Give(std::move(message));
  std::string out(reinterpret_cast<const char*>(bufs.part[0].p), bufs.part[0].n);
  TENON_RELEASE(bufs);
  return out;
}

TEST(GzipTest, InflatesUpToTheLimit) {
  for (size_t n : {0, 1, 4095, 4096, 4097, 100000}) {
    std::string text;
    for (size_t i = 0; i < n; ++i) text += static_cast<char>(i * i % 251);
    auto inflated = Gunzip(Gzip(text), n);
    ASSERT_TRUE(inflated.ok()) << n << tenon::Message(inflated.status());
    EXPECT_TRUE(TextOf(*std::move(inflated)) == text);
    if (n > 0) {
      EXPECT_EQ(Gunzip(Gzip(text), n - 1).status().code(), absl::StatusCode::kResourceExhausted);
    }
  }
}

TEST(GzipTest, DamageIsAnError) {
  std::string packed = Gzip(std::string(1000, 'a') + "end");
  for (size_t cut = 0; cut < packed.size(); ++cut) {
    EXPECT_FALSE(Gunzip(packed.substr(0, cut), 10'000).ok()) << cut;
  }
  for (size_t at = 12; at < packed.size(); ++at) {  // behind the header, whose time and system mean nothing
    std::string damaged = packed;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    EXPECT_FALSE(Gunzip(damaged, 10'000).ok()) << at;
  }
}

}  // namespace
}  // namespace tenon::transport_h2
