// A gRPC client of raw bytes with blocking functions; each waits at most a minute.
#pragma once
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

namespace tenon::testing {

using Metadata = std::multimap<std::string, std::string>;

struct CallOptions {
  Metadata metadata;
  std::chrono::milliseconds deadline{0};  // 0: none
  bool gzip = false;
};

struct UnaryResult {
  grpc::Status status;
  std::string reply;
  Metadata headers, trailers;
};

class RawStream {
 public:
  ~RawStream();

  bool Write(const std::string& message);
  std::optional<std::string> Read();
  bool HalfClose();
  void Cancel() { context_.TryCancel(); }
  grpc::Status Finish();
  Metadata Headers();  // waits for them
  Metadata Trailers() const;

 private:
  friend class RawClient;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> io_;
  bool finished_ = false;
};

class RawClient {
 public:
  explicit RawClient(const std::string& target);
  ~RawClient();

  UnaryResult Unary(const std::string& method, const std::string& request, const CallOptions& options = {});
  std::unique_ptr<RawStream> Open(const std::string& method, const CallOptions& options = {});

 private:
  std::shared_ptr<grpc::Channel> channel_;
  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
  std::thread pump_;
};

}  // namespace tenon::testing
