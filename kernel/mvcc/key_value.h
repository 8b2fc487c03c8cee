// mvccpb.KeyValue in canonical protobuf: the value of a row of the table `key`, and what a Range answers.
//
// Written and read by hand, since each put writes one and each answer copies its bytes unread. The bytes are the ones
// that Go's marshaller makes (fields in order, zero fields left out), because HashKV is a checksum over them.
#pragma once
#include <cstdint>
#include <string_view>

#include "kernel/base/block.h"

namespace tenon::mvcc {

// The fields; key and value are views of somebody's bytes.
struct KeyValue {
  std::string_view key;
  int64_t create_revision = 0;
  int64_t mod_revision = 0;
  int64_t version = 0;
  std::string_view value;
  int64_t lease = 0;
};

size_t EncodedSize(const KeyValue& kv);
char* Encode(const KeyValue& kv, char* to);  // writes EncodedSize(kv) bytes, returns the end
Block EncodeBlock(const KeyValue& kv);

// False: `bytes` are not a KeyValue. Unknown fields are skipped. The views of `kv` point into `bytes`.
bool Decode(std::string_view bytes, KeyValue& kv);

}  // namespace tenon::mvcc
