#include "plugins/concurrency/service.h"

#include <tenon/sdk/sdk.hpp>

#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "plugins/concurrency/conversation.h"
#include "plugins/concurrency/observe.h"

namespace tenon::concurrency {
namespace {

constexpr uint32_t kStream = TENON_METHOD_SERVER_STREAM;
constexpr tenon_method kMethods[] = {
    {sizeof(tenon_method), 0, "/v3lockpb.Lock/Lock"},
    {sizeof(tenon_method), 0, "/v3lockpb.Lock/Unlock"},
    {sizeof(tenon_method), 0, "/v3electionpb.Election/Campaign"},
    {sizeof(tenon_method), 0, "/v3electionpb.Election/Proclaim"},
    {sizeof(tenon_method), 0, "/v3electionpb.Election/Leader"},
    {sizeof(tenon_method), 0, "/v3electionpb.Election/Resign"},
    {sizeof(tenon_method), kStream, "/v3electionpb.Election/Observe"},
};
constexpr MakeConversation kMake[] = {MakeLock, MakeUnlock, MakeCampaign, MakeProclaim, MakeLeader, MakeResign};

class Service {
 public:
  Service(const sdk::Host& host, const sdk::Config&) : client_(host) {}

  void Stop() {
    std::vector<std::shared_ptr<Conversation>> calls;
    std::vector<std::shared_ptr<Observe>> streams;
    {
      const std::scoped_lock lock(mutex_);
      for (auto& [id, weak] : calls_) {
        if (auto call = weak.lock()) calls.push_back(std::move(call));
      }
      for (auto& weak : streams_) {
        if (auto stream = weak.lock()) streams.push_back(std::move(stream));
      }
    }
    for (auto& call : calls) call->Cancel();
    for (auto& stream : streams) stream->Cancel();
    calls.clear();
    streams.clear();
    client_.WaitIdle();
  }

  void Unary(uint64_t id, uint32_t method, std::string request, tenon_done done) {
    auto call = kMake[method](client_, [this, id, done](const Failure& failure, std::string reply) {
      Forget(id);
      if (failure.ok()) return done.fn(done.ctx, TENON_OK, nullptr, ToBufs(std::move(reply)));
      tenon_error error{};
      error.size = sizeof error;
      sdk::Fail(&error, failure.code, failure.text.c_str());
      done.fn(done.ctx, failure.code, &error, tenon_bufs{});
    });
    {
      const std::scoped_lock lock(mutex_);
      calls_.emplace(id, call);
    }
    call->Begin(std::move(request));
  }

  void Cancel(uint64_t id) {
    std::shared_ptr<Conversation> call;
    {
      const std::scoped_lock lock(mutex_);
      if (const auto it = calls_.find(id); it != calls_.end()) call = it->second.lock();
    }
    if (call) call->Cancel();
  }

  void Stream(tenon_call_out out, tenon_call_in* in) {
    auto stream = std::make_shared<Observe>(client_, out);
    {
      const std::scoped_lock lock(mutex_);
      std::erase_if(streams_, [](const auto& weak) { return weak.expired(); });
      streams_.push_back(stream);
    }
    stream->Open(in);
  }

 private:
  void Forget(uint64_t id) {
    const std::scoped_lock lock(mutex_);
    calls_.erase(id);
  }

  Client client_;
  std::mutex mutex_;
  std::map<uint64_t, std::weak_ptr<Conversation>> calls_;
  std::vector<std::weak_ptr<Observe>> streams_;
};

Service& Of(void* self) { return *static_cast<Service*>(self); }

constexpr tenon_service_v1 MakeTable() {
  tenon_service_v1 t{};
  t.m = sdk::ModuleVt<Service>(sizeof(tenon_service_v1));
  t.methods = [](void*, size_t* n) -> const tenon_method* {
    *n = std::size(kMethods);
    return kMethods;
  };
  t.unary = [](void* self, uint64_t call, uint32_t method, const tenon_call_info*, const tenon_identity*,
               tenon_bufs request, tenon_done done) { Of(self).Unary(call, method, FromBufs(request), done); };
  t.unary_cancel = [](void* self, uint64_t call) { Of(self).Cancel(call); };
  t.stream = [](void* self, uint32_t, const tenon_call_info*, const tenon_identity*, tenon_call_out out,
                tenon_call_in* in) -> tenon_status {
    Of(self).Stream(out, in);
    return TENON_OK;
  };
  return t;
}

}  // namespace

const tenon_service_v1 kTable = MakeTable();

const char kConfigSchema[] = R"({"type":"object","additionalProperties":false,"properties":{}})";

}  // namespace tenon::concurrency
