#include "plugins/storage-memory/tree.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

namespace tenon::storage_memory {

namespace {
constexpr int kFull = 64;    // entries of a node
constexpr int kSparse = 16;  // below it a node is merged with a neighbour
constexpr int kMerged = 48;  // what a merge may give, so that it does not split again at once
}  // namespace

// An entry of a leaf is a row; of a branch a child and the child's smallest row. The first eight bytes of the key lie
// beside the pointer, so that most comparisons touch no row.
struct Node {
  uint64_t created;
  uint16_t count;
  bool leaf;
  uint64_t prefix[kFull];
  Row* row[kFull];
  // A branch has one more array; a leaf is allocated without it.
  Node* child[kFull];
};

namespace {

constexpr size_t kLeafBytes = offsetof(Node, child);
size_t NodeBytes(const Node* n) { return n->leaf ? kLeafBytes : sizeof(Node); }
size_t RowBytes(const Row* r) { return sizeof(Row) + r->key_size + r->value_size; }

uint64_t Prefix(std::string_view key) {
  uint64_t p = 0;
  std::memcpy(&p, key.data(), std::min<size_t>(8, key.size()));
  return __builtin_bswap64(p);
}

// A key with its prefix: what a search compares.
struct Probe {
  explicit Probe(std::string_view k) : key(k), prefix(Prefix(k)) {}
  // Is entry i of n smaller than the key?
  bool IsAfter(const Node* n, int i) const {
    if (n->prefix[i] != prefix) return n->prefix[i] < prefix;
    return n->row[i]->key() < key;
  }
  std::string_view key;
  uint64_t prefix;
};

// First entry >= the key, or count.
int LowerBound(const Node* n, const Probe& probe) {
  int low = 0, high = n->count;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (probe.IsAfter(n, middle)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

bool Holds(const Node* leaf, int i, const Probe& probe) {
  return i < leaf->count && leaf->prefix[i] == probe.prefix && leaf->row[i]->key() == probe.key;
}

// The child that holds the key, if any does.
int ChildFor(const Node* branch, const Probe& probe) {
  const int i = LowerBound(branch, probe);
  if (Holds(branch, i, probe)) return i;
  return std::max(0, i - 1);
}

void* Allocate(size_t bytes) {
  void* memory = std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

Node* NewNode(bool leaf, Edit& edit) {
  const size_t bytes = leaf ? kLeafBytes : sizeof(Node);
  auto* n = static_cast<Node*>(Allocate(bytes));
  n->created = edit.version;
  n->count = 0;
  n->leaf = leaf;
  edit.bytes += static_cast<int64_t>(bytes);
  return n;
}

Row* NewRow(std::string_view key, std::string_view value, Edit& edit) {
  auto* r = static_cast<Row*>(Allocate(sizeof(Row) + key.size() + value.size()));
  r->created = edit.version;
  r->value_size = static_cast<uint32_t>(value.size());
  r->key_size = static_cast<uint16_t>(key.size());
  std::memcpy(r->bytes, key.data(), key.size());
  if (!value.empty()) std::memcpy(r->bytes + key.size(), value.data(), value.size());
  edit.bytes += static_cast<int64_t>(RowBytes(r));
  return r;
}

void RetireNode(Node* n, Edit& edit) { edit.Retire(n, n->created, NodeBytes(n)); }
void RetireRow(Row* r, Edit& edit) { edit.Retire(r, r->created, RowBytes(r)); }

// Makes n changeable by this edit.
void Own(Node*& n, Edit& edit) {
  if (n->created == edit.version) return;
  Node* copy = NewNode(n->leaf, edit);
  std::memcpy(static_cast<void*>(copy), n, NodeBytes(n));
  copy->created = edit.version;
  RetireNode(n, edit);
  n = copy;
}

void MoveEntries(Node* to, int to_at, const Node* from, int from_at, int n) {
  std::memmove(to->prefix + to_at, from->prefix + from_at, n * sizeof(uint64_t));
  std::memmove(to->row + to_at, from->row + from_at, n * sizeof(Row*));
  if (!from->leaf) std::memmove(to->child + to_at, from->child + from_at, n * sizeof(Node*));
}

void EraseEntries(Node* n, int from, int to) {
  MoveEntries(n, from, n, to, n->count - to);
  n->count = static_cast<uint16_t>(n->count - (to - from));
}

void SetEntry(Node* n, int i, Row* row, Node* child) {
  n->prefix[i] = Prefix(row->key());
  n->row[i] = row;
  if (!n->leaf) n->child[i] = child;
}

// Puts an entry at i into an owned node. Returns the new right neighbour if the node had to be split, else nullptr.
Node* AddEntry(Node* n, int i, Row* row, Node* child, Edit& edit) {
  Node* right = nullptr;
  if (n->count == kFull) {
    right = NewNode(n->leaf, edit);
    // Keys that arrive in order fill their nodes: nothing moves when the new entry is the last.
    const int keep = i == kFull ? kFull : kFull / 2;
    MoveEntries(right, 0, n, keep, kFull - keep);
    right->count = static_cast<uint16_t>(kFull - keep);
    n->count = static_cast<uint16_t>(keep);
    if (i >= keep) {
      n = right;
      i -= keep;
    }
  }
  MoveEntries(n, i + 1, n, i, n->count - i);
  n->count++;
  SetEntry(n, i, row, child);
  return right;
}

// Returns the new right neighbour of n, if it was split.
Node* Insert(Node*& n, const Probe& probe, Row* row, Edit& edit) {
  Own(n, edit);
  if (n->leaf) {
    const int i = LowerBound(n, probe);
    if (!Holds(n, i, probe)) return AddEntry(n, i, row, nullptr, edit);
    RetireRow(n->row[i], edit);
    SetEntry(n, i, row, nullptr);
    return nullptr;
  }
  const int i = ChildFor(n, probe);
  Node* right = Insert(n->child[i], probe, row, edit);
  SetEntry(n, i, n->child[i]->row[0], n->child[i]);
  return right == nullptr ? nullptr : AddEntry(n, i + 1, right->row[0], right, edit);
}

// After entries left child i of an owned branch: drops it when empty, joins it with a neighbour when sparse.
void Tidy(Node* n, int i, Edit& edit) {
  Node* child = n->child[i];
  if (child->count == 0) {
    RetireNode(child, edit);
    return EraseEntries(n, i, i + 1);
  }
  SetEntry(n, i, child->row[0], child);
  if (child->count >= kSparse || n->count == 1) return;
  const int left = i + 1 < n->count ? i : i - 1;
  Node* right = n->child[left + 1];
  if (n->child[left]->count + right->count > kMerged) return;
  Own(n->child[left], edit);
  Node* to = n->child[left];
  MoveEntries(to, to->count, right, 0, right->count);
  to->count = static_cast<uint16_t>(to->count + right->count);
  RetireNode(right, edit);
  EraseEntries(n, left + 1, left + 2);
}

// The key must be there.
void Remove(Node*& n, const Probe& probe, Edit& edit) {
  Own(n, edit);
  if (n->leaf) {
    const int i = LowerBound(n, probe);
    RetireRow(n->row[i], edit);
    return EraseEntries(n, i, i + 1);
  }
  const int i = ChildFor(n, probe);
  Remove(n->child[i], probe, edit);
  Tidy(n, i, edit);
}

void RetireSubtree(Node* n, Edit& edit) {
  for (int i = 0; i < n->count; i++) {
    if (n->leaf) {
      RetireRow(n->row[i], edit);
    } else {
      RetireSubtree(n->child[i], edit);
    }
  }
  RetireNode(n, edit);
}

// [low, high) with open ends where null.
void RemoveRange(Node*& n, const Probe* low, const Probe* high, Edit& edit) {
  int from = 0;  // first entry that may be hit
  if (low != nullptr) from = n->leaf ? LowerBound(n, *low) : ChildFor(n, *low);
  const int to = high != nullptr ? LowerBound(n, *high) : n->count;  // first one that cannot
  if (from >= to) return;
  Own(n, edit);
  if (n->leaf) {
    for (int i = from; i < to; i++) RetireRow(n->row[i], edit);
    return EraseEntries(n, from, to);
  }
  // The children strictly between the two ends go as a whole; the ends are searched.
  const int last = to - 1;
  if (last > from) RemoveRange(n->child[last], nullptr, high, edit);
  RemoveRange(n->child[from], low, last > from ? nullptr : high, edit);
  for (int i = from + 1; i < last; i++) RetireSubtree(n->child[i], edit);
  if (last > from + 1) EraseEntries(n, from + 1, last);
  if (last > from) Tidy(n, from + 1, edit);
  Tidy(n, from, edit);
}

void ShrinkRoot(Root& root, Edit& edit) {
  while (root != nullptr && (root->count == 0 || (!root->leaf && root->count == 1))) {
    Node* next = root->count == 0 ? nullptr : root->child[0];
    RetireNode(root, edit);
    root = next;
  }
}

}  // namespace

void Put(Root& root, std::string_view key, std::string_view value, Edit& edit) {
  if (root == nullptr) root = NewNode(true, edit);
  Node* right = Insert(root, Probe(key), NewRow(key, value, edit), edit);
  if (right == nullptr) return;
  Node* top = NewNode(false, edit);
  top->count = 2;
  SetEntry(top, 0, root->row[0], root);
  SetEntry(top, 1, right->row[0], right);
  root = top;
}

void Delete(Root& root, std::string_view key, Edit& edit) {
  if (Find(root, key) == nullptr) return;
  Remove(root, Probe(key), edit);
  ShrinkRoot(root, edit);
}

void DeleteRange(Root& root, std::string_view low, std::string_view high, Edit& edit) {
  if (root == nullptr || (!high.empty() && low >= high)) return;
  const Probe from(low), to(high);
  RemoveRange(root, low.empty() ? nullptr : &from, high.empty() ? nullptr : &to, edit);
  ShrinkRoot(root, edit);
}

const Row* Find(const Node* root, std::string_view key) {
  if (root == nullptr) return nullptr;
  const Probe probe(key);
  const Node* n = root;
  while (!n->leaf) n = n->child[ChildFor(n, probe)];
  const int i = LowerBound(n, probe);
  return Holds(n, i, probe) ? n->row[i] : nullptr;
}

void FreeAll(Root root) {
  if (root == nullptr) return;
  for (int i = 0; i < root->count; i++) {
    if (root->leaf) {
      std::free(root->row[i]);
    } else {
      FreeAll(root->child[i]);
    }
  }
  std::free(root);
}

const Row* Iterator::Here() const { return path_.empty() ? nullptr : path_.back().node->row[path_.back().i]; }

void Iterator::Descend(const Node* node, bool to_last) {
  while (true) {
    const int i = to_last ? node->count - 1 : 0;
    path_.push_back({node, i});
    if (node->leaf) return;
    node = node->child[i];
  }
}

const Row* Iterator::SeekAtLeast(std::string_view key) {
  path_.clear();
  if (root_ == nullptr) return nullptr;
  const Probe probe(key);
  const Node* n = root_;
  for (; !n->leaf; n = n->child[path_.back().i]) path_.push_back({n, ChildFor(n, probe)});
  path_.push_back({n, LowerBound(n, probe)});
  if (path_.back().i < n->count) return Here();
  path_.back().i--;  // the last row of this leaf is smaller: the next leaf begins behind it
  return Next();
}

const Row* Iterator::SeekBefore(std::string_view key) {
  path_.clear();
  if (root_ == nullptr) return nullptr;
  if (key.empty()) {
    Descend(root_, true);
    return Here();
  }
  const Probe probe(key);
  const Node* n = root_;
  for (; !n->leaf; n = n->child[path_.back().i]) path_.push_back({n, ChildFor(n, probe)});
  path_.push_back({n, LowerBound(n, probe)});
  return Previous();
}

const Row* Iterator::Next() {
  while (!path_.empty() && path_.back().i + 1 >= path_.back().node->count) path_.pop_back();
  if (path_.empty()) return nullptr;
  Level& level = path_.back();
  level.i++;
  if (!level.node->leaf) Descend(level.node->child[level.i], false);
  return Here();
}

const Row* Iterator::Previous() {
  while (!path_.empty() && path_.back().i == 0) path_.pop_back();
  if (path_.empty()) return nullptr;
  Level& level = path_.back();
  level.i--;
  if (!level.node->leaf) Descend(level.node->child[level.i], true);
  return Here();
}

}  // namespace tenon::storage_memory
