// Large values, cut into rows of a table of their own.
//
// A value that does not fit a page would become an overflow item, which WiredTiger 3.2.1 may lose from a checkpoint
// (WT-7984), so none is ever written. A row's stored value ends with a tag byte: 0, and the bytes before it are the
// value; or 1, and they are a Reference to pieces in the table "tenon_blobs", whose keys are
//
//   table name, NUL, id (8 bytes, big endian), number of the piece (4 bytes, big endian)
//
// Cursors of the table itself never meet a piece, so order, bounds and direction need no care.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <string_view>

#include "plugins/storage-wiredtiger/connection.h"

namespace tenon::storage_wiredtiger {

constexpr size_t kInlineMax = 8 << 10;  // bytes of a value kept in its row; a 32 KiB page takes three
constexpr size_t kPiece = 32 << 10;     // bytes of a piece; a 256 KiB page takes seven
constexpr char kBlobsUri[] = "table:tenon_blobs";
constexpr char kBlobsConfig[] =
    "key_format=u,value_format=u,leaf_page_max=256KB,leaf_value_max=64KB,internal_page_max=16KB,split_pct=90";

struct Reference {
  uint64_t id, size;
  size_t Pieces() const { return (size + kPiece - 1) / kPiece; }
};

// Bytes that grow; pointers into it are made when it is complete.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  ~Buffer() { std::free(data_); }
  void Clear() { size_ = 0; }
  // Gives back what a rare large value took.
  void Trim() {
    if (capacity_ > kKeep) Release();
    size_ = 0;
  }
  char* data() const { return data_; }
  size_t size() const { return size_; }
  char* Extend(size_t n) {
    if (size_ + n > capacity_) Grow(size_ + n);
    char* at = data_ + size_;
    size_ += n;
    return at;
  }
  void Append(std::string_view bytes) {
    char* at = Extend(bytes.size());
    if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
  }

 private:
  static constexpr size_t kKeep = 256 << 10;
  void Grow(size_t need) {
    const size_t capacity = need > 2 * capacity_ ? need + 64 : 2 * capacity_;
    void* data = std::realloc(data_, capacity);
    if (data == nullptr) throw std::bad_alloc();
    data_ = static_cast<char*>(data);
    capacity_ = capacity;
  }
  void Release() {
    std::free(data_);
    data_ = nullptr;
    capacity_ = 0;
  }
  char* data_ = nullptr;
  size_t size_ = 0, capacity_ = 0;
};

// Stored form of a row's value, and back. ParseValue: true if inline; else *reference is set. CORRUPT if neither.
void AppendInline(Buffer& to, std::string_view value);
void AppendReference(Buffer& to, Reference reference);
bool ParseValue(const Connection& connection, std::string_view stored, std::string_view* value, Reference* reference);

// `cursor` is one on kBlobsUri; all throw.
void WriteBlob(const Connection& connection, WT_CURSOR* cursor, std::string_view table, Reference reference,
               std::string_view value);
void ReadBlob(const Connection& connection, WT_CURSOR* cursor, std::string_view table, Reference reference, Buffer& to);
void RemoveBlob(const Connection& connection, WT_CURSOR* cursor, std::string_view table, Reference reference);
// Id of the table's last blob; false: it has none.
bool LastBlob(const Connection& connection, WT_CURSOR* cursor, std::string_view table, uint64_t* id);

}  // namespace tenon::storage_wiredtiger
