// How deep requests may nest.
//
// Protobuf stops at 100 nested messages, and a transaction inside another is two deeper. An entry holds a request one
// deeper than the client sent it: with one limit for both, a request that was accepted and answered could not be
// decoded any more when the log is replayed, and the member would never start again. So entries get the larger limit.
#pragma once
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/message_lite.h>

#include <cstdint>
#include <string_view>

namespace tenon::apply {

// More than the operations that a transaction may have (--max-txn-ops counts through nesting), so that etcd's error
// answers and not the decoder; little enough for any thread's stack.
inline constexpr int kMaxRequestDepth = 1000;
inline constexpr int kMaxEntryDepth = kMaxRequestDepth + 8;

inline bool ParseNested(std::string_view bytes, google::protobuf::MessageLite& message, int max_depth) {
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()),
                                            static_cast<int>(bytes.size()));
  in.SetRecursionLimit(max_depth);
  return message.ParseFromCodedStream(&in) && in.ConsumedEntireMessage();
}

}  // namespace tenon::apply
