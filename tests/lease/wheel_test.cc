// The timer wheel: nothing early, nothing lost, whatever the distance.
#include "plugins/lease/wheel.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

namespace tenon::lease_module {
namespace {

TEST(Wheel, EachNodeIsDueAtItsTickHoweverFar) {
  for (const uint64_t start : {uint64_t{0}, uint64_t{255}, uint64_t{65'530}, (uint64_t{1} << 24) - 3}) {
    auto wheel = std::make_unique<Wheel>();
    Wheel::List none;
    wheel->Reset(start, none);
    std::vector<Wheel::Node> nodes(70'000);
    for (size_t i = 0; i < nodes.size(); i++) wheel->Add(nodes[i], start + i);
    size_t next = 0;
    for (uint64_t now = start; now < start + nodes.size(); now++) {
      ASSERT_TRUE(wheel->Advance(now, SIZE_MAX, [&](Wheel::Node& node) {
        ASSERT_EQ(&node, &nodes[next]);
        ASSERT_EQ(node.tick, now);
        next++;
      }));
      ASSERT_EQ(next, now - start + 1);
    }
  }
}

TEST(Wheel, TimeMayJump) {
  auto wheel = std::make_unique<Wheel>();
  Wheel::List none;
  wheel->Reset(100, none);
  std::mt19937_64 random(1);
  std::vector<Wheel::Node> nodes(2000);
  for (Wheel::Node& node : nodes) wheel->Add(node, 100 + random() % 3'000'000);
  uint64_t now = 100;
  size_t seen = 0;
  while (seen < nodes.size()) {
    const uint64_t before = now;
    now += random() % 10'000;
    wheel->Advance(now, SIZE_MAX, [&](Wheel::Node& node) {
      EXPECT_LE(node.tick, now);
      EXPECT_GE(node.tick, before);
      seen++;
    });
    ASSERT_LT(now, 4'000'000u);
  }
}

TEST(Wheel, ABudgetIsKept) {
  auto wheel = std::make_unique<Wheel>();
  Wheel::List none;
  wheel->Reset(0, none);
  std::vector<Wheel::Node> nodes(1000);
  for (Wheel::Node& node : nodes) wheel->Add(node, 300);  // they move to a finer level first
  size_t fired = 0, calls = 0;
  while (!wheel->Advance(300, 10, [&](Wheel::Node&) { fired++; })) calls++;
  EXPECT_EQ(fired, 1000u);
  EXPECT_GE(calls, 2 * 1000 / 10 - 1);
}

TEST(Wheel, AResetHandsOutAllThatWaits) {
  auto wheel = std::make_unique<Wheel>();
  std::vector<Wheel::Node> nodes(1000);
  for (size_t i = 0; i < nodes.size(); i++) wheel->Add(nodes[i], uint64_t{1} << (i % 40));
  wheel->Advance(3, 1, [](Wheel::Node&) {});  // it stops among those that are due
  Wheel::List rest;
  wheel->Reset(7, rest);
  size_t n = 0;
  for (; !rest.empty(); n++) Wheel::Unlink(*rest.front());
  EXPECT_EQ(n, 999u);
  EXPECT_TRUE(wheel->Advance(1 << 20, SIZE_MAX, [](Wheel::Node&) { ADD_FAILURE() << "it was handed out"; }));
}

TEST(Wheel, WhatIsBehindTheLastLevelGoesRoundAgain) {
  auto wheel = std::make_unique<Wheel>();
  Wheel::List none;
  wheel->Reset(5, none);
  Wheel::Node far;
  wheel->Add(far, UINT64_MAX);
  bool fired = false;
  wheel->Advance(5 + (1 << 20), SIZE_MAX, [&](Wheel::Node&) { fired = true; });
  EXPECT_FALSE(fired);
  EXPECT_TRUE(far.linked());
  Wheel::Unlink(far);
  EXPECT_FALSE(far.linked());
}

}  // namespace
}  // namespace tenon::lease_module
