#include "tests/transport/raw_client.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <future>

#include "kernel/base/check.h"

namespace tenon::testing {
namespace {

using Done = std::promise<bool>;

bool Wait(Done* done) {
  auto answer = done->get_future();
  CHECK_MSG(answer.wait_for(std::chrono::seconds(60)) == std::future_status::ready, "a client's operation hangs");
  return answer.get();
}

grpc::ByteBuffer Bytes(const std::string& text) {
  grpc::Slice slice(text);
  return grpc::ByteBuffer(&slice, 1);
}

std::string Text(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  (void)bytes.Dump(&slices);
  std::string out;
  for (const grpc::Slice& slice : slices) out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return out;
}

Metadata Copy(const std::multimap<grpc::string_ref, grpc::string_ref>& from) {
  Metadata out;
  for (const auto& [key, value] : from)
    out.emplace(std::string(key.data(), key.size()), std::string(value.data(), value.size()));
  return out;
}

grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of one's own
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  return arguments;
}

}  // namespace

RawClient::RawClient(const std::string& target)
    : channel_(grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), Arguments())), stub_(channel_) {
  pump_ = std::thread([this] {
    void* tag;
    bool ok;
    while (queue_.Next(&tag, &ok)) static_cast<Done*>(tag)->set_value(ok);
  });
}

RawClient::~RawClient() {
  queue_.Shutdown();
  pump_.join();
}

std::unique_ptr<RawStream> RawClient::Open(const std::string& method, const CallOptions& options) {
  std::unique_ptr<RawStream> stream(new RawStream);
  for (const auto& [key, value] : options.metadata) stream->context_.AddMetadata(key, value);
  if (options.deadline.count() > 0) stream->context_.set_deadline(std::chrono::system_clock::now() + options.deadline);
  if (options.gzip) stream->context_.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  stream->io_ = stub_.PrepareCall(&stream->context_, method, &queue_);
  Done started;
  stream->io_->StartCall(&started);
  Wait(&started);
  return stream;
}

UnaryResult RawClient::Unary(const std::string& method, const std::string& request, const CallOptions& options) {
  UnaryResult result;
  auto stream = Open(method, options);
  if (stream->Write(request)) stream->HalfClose();
  if (auto reply = stream->Read()) result.reply = *reply;
  result.status = stream->Finish();
  result.headers = Copy(stream->context_.GetServerInitialMetadata());
  result.trailers = stream->Trailers();
  return result;
}

RawStream::~RawStream() {
  if (finished_) return;
  Cancel();
  Finish();
}

bool RawStream::Write(const std::string& message) {
  Done done;
  io_->Write(Bytes(message), &done);
  return Wait(&done);
}

std::optional<std::string> RawStream::Read() {
  Done done;
  grpc::ByteBuffer message;
  io_->Read(&message, &done);
  if (!Wait(&done)) return std::nullopt;
  return Text(message);
}

bool RawStream::HalfClose() {
  Done done;
  io_->WritesDone(&done);
  return Wait(&done);
}

grpc::Status RawStream::Finish() {
  Done done;
  grpc::Status status;
  io_->Finish(&status, &done);
  Wait(&done);
  finished_ = true;
  return status;
}

Metadata RawStream::Headers() {
  Done done;
  io_->ReadInitialMetadata(&done);
  Wait(&done);
  return Copy(context_.GetServerInitialMetadata());
}

Metadata RawStream::Trailers() const { return Copy(context_.GetServerTrailingMetadata()); }

}  // namespace tenon::testing
