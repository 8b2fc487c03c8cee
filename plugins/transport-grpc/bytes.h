// Messages cross between gRPC's slices and the ABI's parts without a copy, apart from small pieces.
#pragma once
#include <grpcpp/support/byte_buffer.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "plugins/transport-common/slice.h"
#include "tenon/abi/base.h"

namespace tenon::transport_grpc {

using transport::Length;
using transport::Slice;
using transport::Text;
using transport::View;

// The received message for the host, which releases it at any time later. Empties `buffer`.
tenon_bufs TakeMessage(grpc::ByteBuffer& buffer);

// Counts the host's replies that gRPC still holds: it frees them on threads of its own, some time after a connection.
class Lent {
 public:
  void Add() {
    std::lock_guard lock(mutex_);
    ++n_;
  }
  void Sub() {
    std::lock_guard lock(mutex_);
    if (--n_ == 0) none_.notify_all();
  }
  // Returns when all are back, or after five seconds: then gRPC has lost one, and we cannot help it.
  void AwaitNone() {
    std::unique_lock lock(mutex_);
    none_.wait_for(lock, std::chrono::seconds(5), [this] { return n_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  size_t n_ = 0;
};

// The message for gRPC. Takes `bufs`: released here if all of it was copied, else when gRPC has sent it.
grpc::ByteBuffer MakeMessage(tenon_bufs bufs, const std::shared_ptr<Lent>& lent);

}  // namespace tenon::transport_grpc
