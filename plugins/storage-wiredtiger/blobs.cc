#include "plugins/storage-wiredtiger/blobs.h"

#include <algorithm>

namespace tenon::storage_wiredtiger {

namespace {

// Key of a piece, in a buffer that lives as long as the cursor needs it.
class PieceKey {
 public:
  PieceKey(std::string_view table, uint64_t id, uint32_t piece) : size_(table.size() + 13) {
    char* at = bytes_;
    std::memcpy(at, table.data(), table.size());
    at += table.size();
    *at++ = '\0';
    id = __builtin_bswap64(id);
    std::memcpy(at, &id, 8);
    piece = __builtin_bswap32(piece);
    std::memcpy(at + 8, &piece, 4);
  }
  void Set(WT_CURSOR* cursor) {
    item_ = Item({bytes_, size_});
    cursor->set_key(cursor, &item_);
  }

 private:
  char bytes_[64 + 13];
  size_t size_;
  WT_ITEM item_;
};

}  // namespace

void AppendInline(Buffer& to, std::string_view value) {
  char* at = to.Extend(value.size() + 1);
  if (!value.empty()) std::memcpy(at, value.data(), value.size());
  at[value.size()] = 0;
}

void AppendReference(Buffer& to, Reference reference) {
  char* at = to.Extend(17);
  std::memcpy(at, &reference.id, 8);
  std::memcpy(at + 8, &reference.size, 8);
  at[16] = 1;
}

bool ParseValue(const Connection& connection, std::string_view stored, std::string_view* value, Reference* reference) {
  if (!stored.empty() && stored.back() == 0) {
    *value = stored.substr(0, stored.size() - 1);
    return true;
  }
  if (stored.size() != 17 || stored.back() != 1) connection.Corrupt("a row's value has an unknown form");
  std::memcpy(&reference->id, stored.data(), 8);
  std::memcpy(&reference->size, stored.data() + 8, 8);
  return false;
}

void WriteBlob(const Connection& connection, WT_CURSOR* cursor, std::string_view table, Reference reference,
               std::string_view value) {
  for (size_t piece = 0; piece < reference.Pieces(); piece++) {
    PieceKey key(table, reference.id, static_cast<uint32_t>(piece));
    key.Set(cursor);
    const WT_ITEM item = Item(value.substr(piece * kPiece, kPiece));
    cursor->set_value(cursor, &item);
    connection.Check(cursor->insert(cursor), "write a piece of a large value");
  }
}

void ReadBlob(const Connection& connection, WT_CURSOR* cursor, std::string_view table, Reference reference,
              Buffer& to) {
  const size_t start = to.size();
  for (size_t piece = 0; piece < reference.Pieces(); piece++) {
    // Pieces are neighbours: only the first one is searched.
    PieceKey key(table, reference.id, 0);
    if (piece == 0) key.Set(cursor);
    connection.Check(piece == 0 ? cursor->search(cursor) : cursor->next(cursor), "read a piece of a large value");
    WT_ITEM item{};
    connection.Check(cursor->get_value(cursor, &item), "read a piece of a large value");
    const size_t left = reference.size - (to.size() - start);
    if (item.size != std::min(left, kPiece)) connection.Corrupt("a piece of a large value has the wrong size");
    to.Append(View(item));
  }
  connection.Check(cursor->reset(cursor), "reset a cursor");
}

void RemoveBlob(const Connection& connection, WT_CURSOR* cursor, std::string_view table, Reference reference) {
  for (size_t piece = 0; piece < reference.Pieces(); piece++) {
    PieceKey key(table, reference.id, static_cast<uint32_t>(piece));
    key.Set(cursor);
    connection.Check(cursor->remove(cursor), "remove a piece of a large value");
  }
  connection.Check(cursor->reset(cursor), "reset a cursor");
}

bool LastBlob(const Connection& connection, WT_CURSOR* cursor, std::string_view table, uint64_t* id) {
  PieceKey end(table, UINT64_MAX, UINT32_MAX);
  end.Set(cursor);
  int exact = 0;
  int ret = cursor->search_near(cursor, &exact);
  if (ret == 0 && exact > 0) ret = cursor->prev(cursor);
  bool found = false;
  if (ret == 0) {
    WT_ITEM item{};
    connection.Check(cursor->get_key(cursor, &item), "read a key");
    const std::string_view key = View(item);
    if (key.size() == table.size() + 13 && key.starts_with(table) && key[table.size()] == '\0') {
      std::memcpy(id, key.data() + table.size() + 1, 8);
      *id = __builtin_bswap64(*id);
      found = true;
    }
  } else if (ret != WT_NOTFOUND) {
    connection.Fail(ret, "look for large values");
  }
  connection.Check(cursor->reset(cursor), "reset a cursor");
  return found;
}

}  // namespace tenon::storage_wiredtiger
