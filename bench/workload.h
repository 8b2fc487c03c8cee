// What is asked and what must come back: requests as ready protobuf bytes, and a look at each answer.
//
// Nothing is encoded per request: a builder lays its request out once and then writes the key's digits and a stamp
// into it. The answers are walked at their top level only, enough to notice a server that is fast because it is wrong.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/status.h"

namespace tenon::bench {

enum class Operation { kPut, kTxnPut, kDelete, kRange, kList, kStream, kEmpty };

struct Shape {
  Operation operation = Operation::kPut;
  uint64_t key_space = 100'000;  // keys are numbered 0 .. key_space - 1
  size_t key_size = 8;           // prefix, then the number, filled with zeros to this size
  std::string prefix;
  size_t value_size = 256;
  bool serializable = false;
  uint64_t limit = 0;        // of kList and kStream; 0: all keys of the prefix
  bool expect_found = true;  // a kRange whose key is not there is an error
};

// InvalidArgument: the numbers of the key space do not fit into the key.
Status Validate(const Shape& shape);

// The method that serves the operation, as HTTP/2's :path.
std::string_view Path(Operation operation);

std::string Key(const Shape& shape, uint64_t number);

// Builds the requests of one client, one after the other in the same bytes.
class RequestBuilder {
 public:
  // `stamp_seed` makes the values of two clients differ.
  RequestBuilder(const Shape& shape, uint64_t stamp_seed);

  // The gRPC-framed request for the key with this number; valid until the next one.
  std::string_view Build(uint64_t number);

 private:
  size_t digits_;
  std::vector<size_t> keys_;  // where the number's digits stand, behind the prefix
  size_t stamp_ = 0;          // where 8 bytes of the value change with each request; 0: nowhere
  uint64_t stamp_value_;
  std::string framed_;
};

struct Answer {
  uint64_t keys = 0;  // returned, or deleted
};

// What an answer holds, or why it is not the answer to such a request. Of kStream: one of its messages.
Result<Answer> ReadAnswer(const Shape& shape, std::string_view message);

// Is `sum`, of all messages of a kStream, what was asked for?
Status CheckStream(const Shape& shape, const Answer& sum);

}  // namespace tenon::bench
