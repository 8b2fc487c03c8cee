// grpc.health.v1.Health: SERVING as long as we serve.
#include "kernel/api/server.h"
#include "proto/health.pb.h"

namespace tenon::api {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using grpc::health::v1::HealthListRequest;
using grpc::health::v1::HealthListResponse;

HealthCheckResponse StatusOf(const std::string& service) {
  HealthCheckResponse r;
  // etcd registers its state under the empty name only.
  r.set_status(service.empty() ? HealthCheckResponse::SERVING : HealthCheckResponse::SERVICE_UNKNOWN);
  return r;
}

// Says the state once and stays: it does not change before the stream is cut off.
class HealthWatch : public ServerCall {
  bool OnMessage(Bufs message) override {
    asked_ = true;
    std::string scratch;
    const std::string_view bytes = message.Flatten(scratch);
    HealthCheckRequest request;
    if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      Finish(CannotParse());
    } else {
      Send(Serialize(StatusOf(request.service())));
    }
    return true;
  }
  void OnHalfClose() override {
    if (!asked_) Finish(absl::InternalError("grpc: the stream ended without a request"));
  }
  void OnAbort(const Status& why) override { Finish(why); }

  bool asked_ = false;
};

}  // namespace

void RegisterHealth(Dispatcher& d, Server&) {
  d.AddUnary("/grpc.health.v1.Health/Check", [](std::string_view bytes, Responder respond) {
    HealthCheckRequest request;
    if (!ParseText(bytes, request, respond)) return;
    const HealthCheckResponse r = StatusOf(request.service());
    if (r.status() == HealthCheckResponse::SERVICE_UNKNOWN)
      return respond.Error(absl::NotFoundError("unknown service"));
    respond.Ok(r);
  });
  d.AddUnary("/grpc.health.v1.Health/List", [](std::string_view bytes, Responder respond) {
    HealthListRequest request;
    if (!Parse(bytes, request, respond)) return;
    HealthListResponse r;
    (*r.mutable_statuses())[""] = StatusOf("");
    respond.Ok(r);
  });
  d.AddStream("/grpc.health.v1.Health/Watch", TENON_METHOD_SERVER_STREAM,
              [] { return std::make_shared<HealthWatch>(); });
}

}  // namespace tenon::api
