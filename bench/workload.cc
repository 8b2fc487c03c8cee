#include "bench/workload.h"

#include <algorithm>

#include "kernel/base/check.h"
#include "kernel/base/coding.h"

namespace tenon::bench {
namespace {

// Field numbers are those of proto/rpc.proto and proto/health.proto; tests/bench decodes what is built here.
void AppendBytes(std::string& to, int field, std::string_view bytes) {
  AppendVarint(to, static_cast<uint64_t>(field) << 3 | 2);
  AppendVarint(to, bytes.size());
  to.append(bytes);
}

void AppendNumber(std::string& to, int field, uint64_t value) {
  AppendVarint(to, static_cast<uint64_t>(field) << 3);
  AppendVarint(to, value);
}

size_t DigitsOf(uint64_t n) {
  size_t digits = 1;
  while (n >= 10) {
    n /= 10;
    digits++;
  }
  return digits;
}

void WriteDigits(char* to, size_t digits, uint64_t n) {
  for (size_t i = digits; i-- > 0; n /= 10) to[i] = static_cast<char>('0' + n % 10);
}

uint64_t Mix(uint64_t x) {  // splitmix64
  x += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

// Bytes that no engine can compress.
std::string Noise(size_t size, uint64_t seed) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; i++) bytes[i] = static_cast<char>(Mix(seed + i) >> 32);
  return bytes;
}

std::string PutRequest(const Shape& shape, uint64_t seed) {
  std::string request;
  AppendBytes(request, 1, Key(shape, 0));
  AppendBytes(request, 2, Noise(shape.value_size, Mix(seed)));
  return request;
}

// If the key's version is above -1, which it always is, put: a transaction that compares and writes.
std::string TxnPutRequest(const Shape& shape, uint64_t seed) {
  std::string compare;
  AppendNumber(compare, 1, 1);  // GREATER
  AppendNumber(compare, 2, 0);  // VERSION
  AppendBytes(compare, 3, Key(shape, 0));
  AppendNumber(compare, 4, static_cast<uint64_t>(-1));
  std::string operation;
  AppendBytes(operation, 2, PutRequest(shape, seed));
  std::string request;
  AppendBytes(request, 1, compare);
  AppendBytes(request, 2, operation);
  return request;
}

std::string RangeRequest(const Shape& shape) {
  std::string request;
  AppendBytes(request, 1, Key(shape, 0));
  if (shape.serializable) AppendNumber(request, 7, 1);
  return request;
}

// The first `limit` keys of the prefix, as clients write it: the end is the prefix plus one, or "\0" for all keys.
std::string ListRequest(const Shape& shape) {
  std::string end = shape.prefix;
  while (!end.empty() && end.back() == '\xff') end.pop_back();
  if (!end.empty()) end.back()++;
  const std::string zero(1, '\0');
  std::string request;
  AppendBytes(request, 1, shape.prefix.empty() ? zero : shape.prefix);
  AppendBytes(request, 2, end.empty() ? zero : end);
  if (shape.limit > 0) AppendNumber(request, 3, shape.limit);
  if (shape.serializable) AppendNumber(request, 7, 1);
  return request;
}

std::string FirstRequest(const Shape& shape, uint64_t seed) {
  switch (shape.operation) {
    case Operation::kPut: return PutRequest(shape, seed);
    case Operation::kTxnPut: return TxnPutRequest(shape, seed);
    case Operation::kDelete:
    case Operation::kRange: return RangeRequest(shape);  // both begin with the key
    case Operation::kList:
    case Operation::kStream: return ListRequest(shape);
    case Operation::kEmpty: return "";  // a health check of the whole server
  }
  return "";
}

struct Field {
  uint64_t number = 0;
  uint64_t value = 0;
  std::string_view bytes;
};

// Takes the next field of a message that has varints and lengths only, as all answers here. False: it has not.
bool TakeField(std::string_view& from, Field& field) {
  uint64_t tag;
  if (!TakeVarint(from, tag) || !TakeVarint(from, field.value)) return false;
  field.number = tag >> 3;
  if ((tag & 7) == 0) return true;
  if ((tag & 7) != 2 || field.value > from.size()) return false;
  field.bytes = from.substr(0, field.value);
  from.remove_prefix(field.value);
  return true;
}

}  // namespace

Status Validate(const Shape& shape) {
  if (shape.key_space == 0) return absl::InvalidArgumentError("the key space is empty");
  if (shape.key_size >= shape.prefix.size() + DigitsOf(shape.key_space - 1)) return Ok();
  return absl::InvalidArgumentError(fmt::format("keys of {} bytes cannot number {} keys behind the prefix \"{}\"",
                                                shape.key_size, shape.key_space, shape.prefix));
}

std::string_view Path(Operation operation) {
  switch (operation) {
    case Operation::kPut: return "/etcdserverpb.KV/Put";
    case Operation::kTxnPut: return "/etcdserverpb.KV/Txn";
    case Operation::kDelete: return "/etcdserverpb.KV/DeleteRange";
    case Operation::kRange:
    case Operation::kList: return "/etcdserverpb.KV/Range";
    case Operation::kStream: return "/etcdserverpb.KV/RangeStream";
    case Operation::kEmpty: return "/grpc.health.v1.Health/Check";
  }
  return "";
}

std::string Key(const Shape& shape, uint64_t number) {
  std::string key = shape.prefix;
  key.resize(shape.key_size);
  WriteDigits(key.data() + shape.prefix.size(), shape.key_size - shape.prefix.size(), number);
  return key;
}

RequestBuilder::RequestBuilder(const Shape& shape, uint64_t stamp_seed)
    : digits_(shape.key_size - shape.prefix.size()), stamp_value_(Mix(stamp_seed)) {
  const std::string request = FirstRequest(shape, stamp_seed);
  framed_.push_back('\0');  // not compressed
  for (int shift = 24; shift >= 0; shift -= 8) framed_.push_back(static_cast<char>(request.size() >> shift));
  framed_ += request;

  if (shape.operation == Operation::kList || shape.operation == Operation::kStream ||
      shape.operation == Operation::kEmpty)
    return;
  const std::string key = Key(shape, 0);
  const bool puts = shape.operation == Operation::kPut || shape.operation == Operation::kTxnPut;
  const size_t value = puts ? framed_.size() - shape.value_size : framed_.size();  // it is always the last field
  // The key is written with its tag and size, so that no byte before it can be taken for it.
  std::string tagged;
  AppendVarint(tagged, key.size());
  tagged += key;
  for (size_t at = framed_.find(tagged, 5); at < value; at = framed_.find(tagged, at + tagged.size())) {
    keys_.push_back(at + tagged.size() - digits_);
  }
  CHECK_EQ(keys_.size(), shape.operation == Operation::kTxnPut ? 2u : 1u);
  if (puts && shape.value_size >= 8) stamp_ = value;
}

std::string_view RequestBuilder::Build(uint64_t number) {
  for (const size_t at : keys_) WriteDigits(framed_.data() + at, digits_, number);
  if (stamp_ != 0) PutLittleEndian64(framed_.data() + stamp_, stamp_value_++);
  return framed_;
}

namespace {

Status CheckCount(const Shape& shape, uint64_t keys) {
  const uint64_t expected = shape.limit == 0 ? shape.key_space : std::min(shape.limit, shape.key_space);
  if (!shape.expect_found || keys == expected) return Ok();
  return absl::DataLossError(fmt::format("the answer has {} keys, not {}", keys, expected));
}

}  // namespace

Status CheckStream(const Shape& shape, const Answer& sum) { return CheckCount(shape, sum.keys); }

Result<Answer> ReadAnswer(const Shape& shape, std::string_view message) {
  if (shape.operation == Operation::kEmpty) {
    if (message == std::string_view("\x08\x01", 2)) return Answer{};
    return absl::DataLossError("the server does not say SERVING");
  }
  Answer answer;
  bool header = false;
  bool succeeded = false;
  const bool stream = shape.operation == Operation::kStream;
  const bool ranges = stream || shape.operation == Operation::kRange || shape.operation == Operation::kList;
  Field field;
  if (stream) {  // a RangeResponse in a message of its own
    if (!TakeField(message, field) || field.number != 1) return absl::DataLossError("the answer is no RangeStream's");
    message = field.bytes;
  }
  while (!message.empty()) {
    if (!TakeField(message, field)) return absl::DataLossError("the answer is not protobuf");
    if (field.number == 1) header = true;
    if (field.number != 2) continue;
    if (ranges) answer.keys++;
    if (shape.operation == Operation::kDelete) answer.keys = field.value;
    if (shape.operation == Operation::kTxnPut) succeeded = field.value == 1;
  }
  if (!header && !stream) return absl::DataLossError("the answer has no header");
  if (shape.operation == Operation::kTxnPut && !succeeded)
    return absl::DataLossError("the transaction did not succeed");
  if (shape.operation == Operation::kRange && shape.expect_found && answer.keys != 1) {
    return absl::DataLossError("the key is not there: load the key space first (--preload)");
  }
  if (shape.operation == Operation::kList) RETURN_IF_ERROR(CheckCount(shape, answer.keys));
  return answer;
}

}  // namespace tenon::bench
