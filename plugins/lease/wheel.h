// A timer wheel: nodes that are due at a tick, added and removed in constant time, however many there are.
//
// Four levels of 256 slots. A node waits in the level that its distance needs and moves to a finer one when that slot's
// time comes; one that is too far for the last level goes round again. Nodes are links inside of what they time.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace tenon::lease_module {

class Wheel {
 public:
  struct Node {
    Node *before = nullptr, *behind = nullptr;
    uint64_t tick = 0;  // when it is due
    bool linked() const { return before != nullptr; }
  };
  // A circle of nodes.
  class List {
   public:
    List() { head_.before = head_.behind = &head_; }
    List(const List&) = delete;
    bool empty() const { return head_.behind == &head_; }
    Node* front() { return head_.behind; }
    void Append(Node& node);
    void TakeAll(List& from);
    void Forget();  // as if its nodes had never been there; they keep their links

   private:
    Node head_;
  };
  static void Unlink(Node& node);

  // Sets the time; what was in the wheel goes to `rest`, in a time that does not depend on how much that is.
  void Reset(uint64_t now, List& rest);
  uint64_t now() const { return now_; }

  // A tick that has passed is due at the next Advance.
  void Add(Node& node, uint64_t tick);

  // Time is `to` now: unlinks the nodes that are due and calls fn(node), which may add it again. Stops after looking at
  // `budget` nodes; false: call again.
  template <class Fn>
  bool Advance(uint64_t to, size_t budget, Fn fn) {
    for (;;) {
      for (; !due_.empty(); budget--) {
        if (budget == 0) return false;
        Node& node = *due_.front();
        Unlink(node);
        if (node.tick <= now_) {
          fn(node);
        } else {
          Place(node);
        }
      }
      if (now_ >= to) return true;
      Step();
    }
  }

 private:
  static constexpr int kBits = 8, kLevels = 4;
  static constexpr uint64_t kSlots = 1 << kBits;

  void Place(Node& node);
  void Step();  // one tick on: what may be due goes to due_

  uint64_t now_ = 0;
  List due_;
  std::array<std::array<List, kSlots>, kLevels> slots_;
};

}  // namespace tenon::lease_module
