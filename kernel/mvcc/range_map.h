// Ranges of keys -> values, asked for "all ranges that hold this key".
//
// Single keys are in a hash table; the others in an interval tree: a treap in the order of the ranges' first keys, each
// node knowing the farthest end below it. A look costs what it finds and O(log n), whatever else is there.
#pragma once
#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "kernel/base/status.h"

namespace tenon::mvcc {

// As in etcd's requests: `end` empty: the one key; "\0": from the key on; else [key, end).
struct KeyRange {
  std::string key, end;

  bool single() const { return end.empty(); }
  bool open() const { return end.size() == 1 && end[0] == '\0'; }
  bool empty() const { return !single() && !open() && key >= end; }
  bool EndsAtOrBefore(std::string_view k) const { return !open() && end <= k; }  // of one that is not single
  bool Contains(std::string_view k) const { return single() ? k == key : k >= key && !EndsAtOrBefore(k); }
};

template <class T>
class RangeMap {
 public:
  class Node {
   public:
    const KeyRange& range() const { return range_; }
    T value;

   private:
    friend class RangeMap;
    KeyRange range_;
    uint64_t priority_ = 0;
    Node *left_ = nullptr, *right_ = nullptr;
    const Node* farthest_ = this;  // of the subtree, the one with the greatest end
  };

  RangeMap() = default;
  RangeMap(const RangeMap&) = delete;
  ~RangeMap() { Free(root_); }

  size_t size() const { return singles_.size() + ranges_; }

  // The range's node, made if it is not there; it stays where it is until it is erased.
  Node& At(const KeyRange& range) {
    if (range.single()) {
      std::unique_ptr<Node>& node = singles_[range.key];
      if (node == nullptr) {
        node = std::make_unique<Node>();
        node->range_ = range;
      }
      return *node;
    }
    Node* at = root_;
    while (at != nullptr) {
      const auto order = Compare(range, at->range_);
      if (order == 0) return *at;
      at = order < 0 ? at->left_ : at->right_;
    }
    auto* node = new Node();
    node->range_ = range;
    node->priority_ = NextPriority();
    root_ = Insert(root_, node);
    ranges_++;
    return *node;
  }

  void Erase(Node& node) {
    if (node.range_.single()) {
      singles_.erase(node.range_.key);
      return;
    }
    root_ = Remove(root_, &node);
    ranges_--;
    delete &node;
  }

  // Calls fn(Node&) for each range that holds the key. fn must not change the map.
  template <class Fn>
  void Visit(std::string_view key, Fn fn) {
    if (const auto it = singles_.find(ToAbsl(key)); it != singles_.end()) fn(*it->second);
    VisitBelow(root_, key, fn);
  }

 private:
  static std::strong_ordering CompareEnds(const KeyRange& a, const KeyRange& b) {
    if (a.open() || b.open()) return a.open() <=> b.open();
    return a.end <=> b.end;
  }
  static std::strong_ordering Compare(const KeyRange& a, const KeyRange& b) {
    const auto keys = a.key <=> b.key;
    return keys != 0 ? keys : CompareEnds(a, b);
  }
  uint64_t NextPriority() {  // xorshift: the tree's shape must not follow the order of the keys
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return random_;
  }

  static Node* Update(Node* n) {
    n->farthest_ = n;
    for (const Node* child : {n->left_, n->right_}) {
      if (child != nullptr && CompareEnds(n->farthest_->range_, child->farthest_->range_) < 0) {
        n->farthest_ = child->farthest_;
      }
    }
    return n;
  }
  // What is before `range` and what is behind it.
  static std::pair<Node*, Node*> Split(Node* n, const KeyRange& range) {
    if (n == nullptr) return {nullptr, nullptr};
    if (Compare(n->range_, range) < 0) {
      auto [before, behind] = Split(n->right_, range);
      n->right_ = before;
      return {Update(n), behind};
    }
    auto [before, behind] = Split(n->left_, range);
    n->left_ = behind;
    return {before, Update(n)};
  }
  static Node* Insert(Node* n, Node* node) {
    if (n == nullptr) return node;
    if (node->priority_ > n->priority_) {
      std::tie(node->left_, node->right_) = Split(n, node->range_);
      return Update(node);
    }
    Node*& side = Compare(node->range_, n->range_) < 0 ? n->left_ : n->right_;
    side = Insert(side, node);
    return Update(n);
  }
  static Node* Join(Node* a, Node* b) {  // all of a before all of b
    if (a == nullptr || b == nullptr) return a == nullptr ? b : a;
    if (a->priority_ > b->priority_) {
      a->right_ = Join(a->right_, b);
      return Update(a);
    }
    b->left_ = Join(a, b->left_);
    return Update(b);
  }
  static Node* Remove(Node* n, const Node* node) {
    if (n == node) return Join(n->left_, n->right_);
    Node*& side = Compare(node->range_, n->range_) < 0 ? n->left_ : n->right_;
    side = Remove(side, node);
    return Update(n);
  }
  static void Free(Node* n) {
    if (n == nullptr) return;
    Free(n->left_);
    Free(n->right_);
    delete n;
  }
  template <class Fn>
  static void VisitBelow(Node* n, std::string_view key, Fn& fn) {
    if (n == nullptr || n->farthest_->range_.EndsAtOrBefore(key)) return;
    VisitBelow(n->left_, key, fn);
    if (key < n->range_.key) return;
    if (!n->range_.EndsAtOrBefore(key)) fn(*n);
    VisitBelow(n->right_, key, fn);
  }

  absl::flat_hash_map<std::string, std::unique_ptr<Node>> singles_;
  Node* root_ = nullptr;
  size_t ranges_ = 0;
  uint64_t random_ = 0x9e3779b97f4a7c15;
};

}  // namespace tenon::mvcc
