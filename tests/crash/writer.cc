// Writes to a server until it dies, and says what was acknowledged.
//
//   crash-writer ADDRESS SLOTS CHANNELS KEYS SEED FIRST_SEQUENCE
//
// A slot has one request on its way at a time and its own keys, so that what a key may hold after a crash is known
// exactly: what was acknowledged last, or what was on its way. A slot stops at its first failure; the program ends when
// all have stopped. Lines on stdout:
//   A OPERATION SLOT KEY SEQUENCE REVISION    acknowledged
//   U OPERATION SLOT KEY SEQUENCE CODE TEXT   no answer, or an error: it may have happened
// Operations: put and delete of KEY, pair and unpair: a txn that puts or deletes KEY/a and KEY/b together.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "proto/rpc.pb.h"

namespace {

namespace pb = etcdserverpb;

constexpr size_t kValueSize = 120;
constexpr int kLinesPerFlush = 50;
constexpr auto kCallTimeout = std::chrono::seconds(20);

enum class Operation { kPut, kDelete, kPair, kUnpair };

const char* Name(Operation operation) {
  switch (operation) {
    case Operation::kPut: return "put";
    case Operation::kDelete: return "delete";
    case Operation::kPair: return "pair";
    case Operation::kUnpair: return "unpair";
  }
  return "";
}

struct Request {
  const char* method;
  std::string bytes;
};

std::string ValueOf(long sequence) {
  std::string value = std::to_string(sequence);
  value.resize(kValueSize, '.');
  return value;
}

Request Encode(Operation operation, const std::string& key, long sequence) {
  switch (operation) {
    case Operation::kPut: {
      pb::PutRequest put;
      put.set_key(key);
      put.set_value(ValueOf(sequence));
      return {"/etcdserverpb.KV/Put", put.SerializeAsString()};
    }
    case Operation::kDelete: {
      pb::DeleteRangeRequest remove;
      remove.set_key(key);
      return {"/etcdserverpb.KV/DeleteRange", remove.SerializeAsString()};
    }
    case Operation::kPair:
    case Operation::kUnpair: break;
  }
  pb::TxnRequest txn;
  for (const char* half : {"/a", "/b"}) {
    pb::RequestOp& op = *txn.add_success();
    if (operation == Operation::kPair) {
      op.mutable_request_put()->set_key(key + half);
      op.mutable_request_put()->set_value(ValueOf(sequence));
    } else {
      op.mutable_request_delete_range()->set_key(key + half);
    }
  }
  return {"/etcdserverpb.KV/Txn", txn.SerializeAsString()};
}

// The header is field 1 of all three answers, so one type reads them all.
long RevisionOf(const grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  pb::PutResponse response;
  if (!buffer.DumpToSingleSlice(&slice).ok() ||
      !response.ParseFromArray(slice.begin(), static_cast<int>(slice.size()))) {
    fmt::print(stderr, "an answer that does not parse\n");
    std::exit(2);
  }
  return response.header().revision();
}

class Writer {
 public:
  Writer(const std::string& address, int slots, int channels, int keys, unsigned seed, long first)
      : random_(seed), keys_(keys), sequence_(first) {
    for (int i = 0; i < channels; ++i) {
      grpc::ChannelArguments arguments;
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
      stubs_.push_back(std::make_unique<grpc::GenericStub>(
          grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments)));
    }
    slots_.resize(slots);
    for (int i = 0; i < slots; ++i) slots_[i].number = i;
  }

  void Run() {
    for (Slot& slot : slots_) Send(slot);
    void* tag = nullptr;
    bool ok = false;
    while (running_ > 0 && queue_.Next(&tag, &ok)) Answered(*static_cast<Slot*>(tag));
    std::fflush(stdout);
  }

 private:
  struct Slot {
    int number = 0;
    Operation operation = Operation::kPut;
    std::string key;
    long sequence = 0;
    std::unique_ptr<grpc::ClientContext> context;
    std::unique_ptr<grpc::ClientAsyncResponseReader<grpc::ByteBuffer>> call;
    grpc::ByteBuffer answer;
    grpc::Status status;
  };

  void Send(Slot& slot) {
    const unsigned dice = random_() % 100;
    slot.operation = dice < 55   ? Operation::kPut
                     : dice < 65 ? Operation::kDelete
                     : dice < 92 ? Operation::kPair
                                 : Operation::kUnpair;
    const bool pair = slot.operation == Operation::kPair || slot.operation == Operation::kUnpair;
    slot.key = fmt::format("c/{:03}/{}{:02}", slot.number, pair ? 'p' : 'k', random_() % keys_);
    slot.sequence = sequence_++;

    Request request = Encode(slot.operation, slot.key, slot.sequence);
    grpc::Slice slice(request.bytes);
    grpc::ByteBuffer buffer(&slice, 1);
    slot.context = std::make_unique<grpc::ClientContext>();
    slot.context->set_deadline(std::chrono::system_clock::now() + kCallTimeout);
    slot.answer.Clear();
    grpc::GenericStub& stub = *stubs_[slot.number % stubs_.size()];
    slot.call = stub.PrepareUnaryCall(slot.context.get(), request.method, buffer, &queue_);
    slot.call->StartCall();
    slot.call->Finish(&slot.answer, &slot.status, &slot);
    ++running_;
  }

  void Answered(Slot& slot) {
    --running_;
    const std::string what = fmt::format("{} {} {} {}", Name(slot.operation), slot.number, slot.key, slot.sequence);
    if (!slot.status.ok()) {
      fmt::print("U {} {} {}\n", what, static_cast<int>(slot.status.error_code()), slot.status.error_message());
      return;
    }
    fmt::print("A {} {}\n", what, RevisionOf(slot.answer));
    if (++lines_ % kLinesPerFlush == 0) std::fflush(stdout);
    Send(slot);
  }

  std::mt19937 random_;
  const int keys_;
  long sequence_;
  long lines_ = 0;
  int running_ = 0;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  std::vector<Slot> slots_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    fmt::print(stderr, "usage: crash-writer ADDRESS SLOTS CHANNELS KEYS SEED FIRST_SEQUENCE\n");
    return 2;
  }
  Writer writer(argv[1], std::atoi(argv[2]), std::atoi(argv[3]), std::atoi(argv[4]),
                static_cast<unsigned>(std::atol(argv[5])), std::atol(argv[6]));
  writer.Run();
  return 0;
}
