#include "plugins/lease/wheel.h"

#include <algorithm>

namespace tenon::lease_module {

void Wheel::List::Append(Node& node) {
  node.before = head_.before;
  node.behind = &head_;
  head_.before->behind = &node;
  head_.before = &node;
}

void Wheel::List::TakeAll(List& from) {
  if (from.empty()) return;
  Node *first = from.head_.behind, *last = from.head_.before;
  first->before = head_.before;
  head_.before->behind = first;
  last->behind = &head_;
  head_.before = last;
  from.Forget();
}

void Wheel::List::Forget() { head_.before = head_.behind = &head_; }

void Wheel::Unlink(Node& node) {
  if (!node.linked()) return;
  node.before->behind = node.behind;
  node.behind->before = node.before;
  node.before = node.behind = nullptr;
}

void Wheel::Reset(uint64_t now, List& rest) {
  now_ = now;
  rest.TakeAll(due_);
  for (auto& level : slots_) {
    for (List& slot : level) rest.TakeAll(slot);
  }
}

void Wheel::Add(Node& node, uint64_t tick) {
  Unlink(node);
  node.tick = tick;
  if (tick <= now_) return due_.Append(node);
  Place(node);
}

void Wheel::Place(Node& node) {
  constexpr uint64_t kFarthest = (uint64_t{1} << (kBits * kLevels)) - 1;
  const uint64_t distance = std::min(node.tick - now_, kFarthest);
  const uint64_t at = now_ + distance;
  int level = 0;
  while (level + 1 < kLevels && distance >> (kBits * (level + 1)) != 0) level++;
  slots_[level][(at >> (kBits * level)) % kSlots].Append(node);
}

void Wheel::Step() {
  now_++;
  for (int level = 0; level < kLevels; level++) {
    due_.TakeAll(slots_[level][(now_ >> (kBits * level)) % kSlots]);
    if ((now_ >> (kBits * level)) % kSlots != 0) return;
  }
}

}  // namespace tenon::lease_module
