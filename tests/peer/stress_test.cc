#include <algorithm>
#include <atomic>
#include <random>
#include <set>

#include "tests/peer/node.h"
#include "tests/peer/proxy.h"

namespace tenon::testing {
namespace {

class PeerStress : public PeerTest {};
INSTANTIATE_TEST_SUITE_P(, PeerStress, ::testing::ValuesIn(Pairs()), NameOf);

constexpr size_t kNumbered = 11;
std::string Numbered(bool urgent, int number, size_t more) {
  return fmt::format("{} {:08} {}", urgent ? 'u' : 'b', number,
                     std::string(more, static_cast<char>('a' + number % 26)));
}

// Three members send and ask while their connections break. What arrives is whole and comes once; each call ends
// once; and afterwards everybody reaches everybody.
TEST_P(PeerStress, WhileConnectionsBreakNothingIsMixedUp) {
  constexpr int kRounds = 300;
  std::mt19937 random(20261123);
  std::vector<std::unique_ptr<PeerNode>> nodes;
  for (MemberId id = 1; id <= 3; ++id) nodes.push_back(std::make_unique<PeerNode>(id % 2 == 1 ? From() : To(), id));
  std::vector<std::unique_ptr<Proxy>> wires;
  for (auto& to : nodes) {
    wires.push_back(std::make_unique<Proxy>(to->port()));
    for (auto& from : nodes) {
      if (from != to) from->Knows(to->id(), wires.back()->url());
    }
  }
  std::atomic<int> asked{0}, answered{0}, right{0}, wrong{0};
  int sent = 0;
  // On a busy machine all rounds may be over before the first connection stands.
  for (auto& from : nodes) {
    for (auto& to : nodes) {
      if (from == to) continue;
      ASSERT_TRUE(to->Await([&] {
        from->Send(to->id(), false, Numbered(false, sent++, 10));
        return to->CountFrom(from->id()) > 0;
      }));
      right += from->Call(to->id(), "ReadState", "?").bytes == fmt::format("ReadState {} ?", from->id());
    }
  }
  for (int round = 0; round < kRounds; ++round) {
    for (auto& from : nodes) {
      for (auto& to : nodes) {
        if (from == to) continue;
        for (int i = 0; i < 5; ++i, ++sent) {
          const bool urgent = random() % 2 == 0;
          from->Send(to->id(), urgent, Numbered(urgent, sent, random() % 50 == 0 ? 300'000 : random() % 500));
        }
        const std::string request = fmt::format("{}", sent);
        const std::string expected = fmt::format("ReadState {} {}", from->id(), request);
        ++asked;
        from->peers().Call(to->id(), "", "ReadState", request, 60 * kSecond,
                           [&, expected](Status s, std::string bytes) {
                             if (s.ok()) ++(bytes == expected ? right : wrong);
                             ++answered;
                           });
      }
    }
    if (random() % 10 == 0) wires[random() % wires.size()]->BreakAll();
    if (random() % 40 == 0) {  // something got through meanwhile
      const int before = answered;
      EXPECT_TRUE(nodes[0]->Await([&] { return answered > before || answered == asked; }));
    }
  }
  EXPECT_TRUE(nodes[0]->Await([&] { return answered == asked; })) << answered << " of " << asked;
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(right, 0);
  for (auto& from : nodes) {
    for (auto& to : nodes) {
      if (from == to) continue;
      EXPECT_TRUE(to->Await([&] {
        from->Send(to->id(), true, "u 99999999 end");
        from->Send(to->id(), false, "b 99999999 end");
        return to->Has(from->id(), "u 99999999 end") && to->Has(from->id(), "b 99999999 end");
      }));
      // A new connection may be read before what the broken one left behind, so only repetitions are faults.
      std::set<std::string> numbers;
      size_t in_between = 0;
      for (const std::string& message : to->From(from->id())) {
        const std::string number = message.substr(2, 8);
        if (number == "99999999") continue;
        EXPECT_EQ(message, Numbered(message[0] == 'u', std::stoi(number), message.size() - kNumbered));
        EXPECT_TRUE(numbers.insert(number).second) << from->id() << " to " << to->id() << ": " << number << " again";
        ++in_between;
      }
      EXPECT_GT(in_between, 0u);
    }
  }
}

}  // namespace
}  // namespace tenon::testing
