// A copy-on-write B+tree of rows: one writer edits, snapshots keep reading the roots they took.
//
// A batch is an Edit with a version of its own. A node made before the batch is copied when the batch first touches it
// and the old one is retired; a node of the same batch is changed in place. Retired memory may be freed once no
// snapshot is open whose version lies in [created, the retiring edit's version): garbage.h does that.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace tenon::storage_memory {

// A row, one allocation. Immutable; replaced as a whole.
struct Row {
  uint64_t created;
  uint32_t value_size;
  uint16_t key_size;
  char bytes[];  // key, value

  std::string_view key() const { return {bytes, key_size}; }
  std::string_view value() const { return {bytes + key_size, value_size}; }
};

// Memory that newer versions no longer reach.
struct Retired {
  void* memory;
  uint64_t created;
};

// One batch of changes.
struct Edit {
  uint64_t version;
  std::vector<Retired> retired;
  int64_t bytes = 0;  // allocated minus retired

  void Retire(void* memory, uint64_t created, size_t size) {
    retired.push_back({memory, created});
    bytes -= static_cast<int64_t>(size);
  }
};

struct Node;
using Root = Node*;  // nullptr: no rows

void Put(Root& root, std::string_view key, std::string_view value, Edit& edit);
void Delete(Root& root, std::string_view key, Edit& edit);
// [low, high); an empty bound is open.
void DeleteRange(Root& root, std::string_view low, std::string_view high, Edit& edit);
// nullptr: absent.
const Row* Find(const Node* root, std::string_view key);
// Frees all nodes and rows at once: nobody may read them any more.
void FreeAll(Root root);

// A position in an immutable tree.
class Iterator {
 public:
  explicit Iterator(const Node* root) : root_(root) { path_.reserve(6); }
  // Each returns the row it stands on, or nullptr past the end; Next and Previous need a row to stand on.
  const Row* SeekAtLeast(std::string_view key);  // "": the first row
  const Row* SeekBefore(std::string_view key);   // "": the last row
  const Row* Next();
  const Row* Previous();

 private:
  struct Level {
    const Node* node;
    int i;
  };
  const Row* Here() const;
  void Descend(const Node* node, bool to_last);

  const Node* root_;
  std::vector<Level> path_;  // from the root to a leaf
};

}  // namespace tenon::storage_memory
