#include "tests/peer/node.h"

#include <algorithm>
#include <future>

#include "kernel/base/check.h"
#include "kernel/base/log.h"

namespace tenon::testing {
namespace {

const plugin::LoadedModule& Load(const std::string& use) {
  static std::mutex mutex;
  static std::map<std::string, plugin::LoadedModule> loaded;
  std::lock_guard lock(mutex);
  const auto found = loaded.find(use);
  if (found != loaded.end()) return found->second;
  auto module = plugin::Loader(PEER_PLUGIN_DIR, {.probe = false}).Load({.kind = "peer", .use = use, .where = "test"});
  CHECK_MSG(module.ok(), std::string(Message(module.status())));
  return loaded.emplace(use, *module).first->second;
}

Bufs Own(std::string_view bytes) {
  BufsBuilder builder;
  builder.Append(bytes);
  return builder.Take();
}

}  // namespace

std::vector<Pair> Pairs() {
  std::vector<Pair> pairs;
  for (const char* from : {PEER_MODULES}) {
    for (const char* to : {PEER_MODULES}) pairs.push_back({from, to});
  }
  return pairs;
}

PeerNode::PeerNode(Options options, MemberId id) : id_(id) {
  SetLogLevel(LogLevel::kError);
  deliver = [](const PeerSender&, std::string_view) { return Ok(); };
  answer = [](const PeerSender& from, std::string_view method, std::string request, Done done) {
    done(Ok(), fmt::format("{} {} {}", method, from.member_id, request));
  };
  plugin::HostServices services;
  services.clock = &clock_;
  services.pool = &pool_;
  services.metrics = &metrics_;
  auto made = plugin::Instance::Create(Load(options.use), "peer", services, nullptr, [&](plugin::Host& host) {
    host.set_context(&module_);
    host.Provide(TENON_HOST_PEER, &peer::Module::kHostTable);
  });
  CHECK_MSG(made.ok(), std::string(Message(made.status())));
  instance_ = *std::move(made);
  module_.Attach(instance_->Table<tenon_peer_v1>(), instance_->self());
  module_.SetSelf(options.cluster_id, id);
  tenon_listener listener{.size = sizeof listener, .flags = 0, .roles = TENON_LISTEN_PEER, .fd = -1};
  listener.url = {reinterpret_cast<const uint8_t*>(options.url.data()), options.url.size()};
  const auto url = module_.Listen(listener);
  CHECK_MSG(url.ok(), std::string(Message(url.status())));
  url_ = *url;
  module_.Serve(this);
  CHECK(instance_->Start().ok());
}

PeerNode::~PeerNode() { Stop(); }

void PeerNode::Stop() {
  if (instance_ == nullptr) return;
  module_.Drain(0);
  module_.Serve(nullptr);
  instance_->Stop();
  instance_.reset();
}

bool PeerNode::Drain(uint64_t grace_ns) {
  const uint64_t begun = clock_.MonoNs();
  module_.Drain(grace_ns);
  return clock_.MonoNs() - begun < grace_ns;
}

void PeerNode::Send(MemberId to, bool urgent, std::string bytes) {
  std::vector<PeerMessage> messages(1);
  messages[0].to = to;
  messages[0].urgent = urgent;
  messages[0].bytes = Own(bytes);
  module_.Send(std::move(messages));
}

Answer PeerNode::Call(MemberId to, const std::string& method, const std::string& request, uint64_t timeout_ns,
                      const std::string& url) {
  std::promise<Answer> promise;
  module_.Call(to, url, method, request, timeout_ns, [&](Status status, std::string bytes) {
    promise.set_value({std::move(status), std::move(bytes)});
  });
  return promise.get_future().get();
}

std::vector<std::string> PeerNode::From(MemberId id) {
  std::lock_guard lock(mutex_);
  return received_[id];
}

size_t PeerNode::CountFrom(MemberId id) {
  std::lock_guard lock(mutex_);
  return received_[id].size();
}

bool PeerNode::Has(MemberId id, const std::string& message) {
  std::lock_guard lock(mutex_);
  const auto& all = received_[id];
  return std::find(all.begin(), all.end(), message) != all.end();
}

int PeerNode::Losses(MemberId id) {
  std::lock_guard lock(mutex_);
  return unreachable_[id];
}

bool PeerNode::Await(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(3);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::unique_lock lock(mutex_);  // what does not come as a message is looked for now and then
    changed_.wait_for(lock, std::chrono::milliseconds(5));
  }
  return true;
}

Status PeerNode::Deliver(const PeerSender& from, std::string_view message) {
  const Status verdict = deliver(from, message);
  if (!verdict.ok()) return verdict;
  std::lock_guard lock(mutex_);
  received_[from.member_id].emplace_back(message);
  changed_.notify_all();
  return verdict;
}

void PeerNode::Call(const PeerSender& from, std::string_view method, std::string request, Done done) {
  answer(from, method, std::move(request), std::move(done));
}

void PeerNode::Unreachable(MemberId id) {
  std::lock_guard lock(mutex_);
  ++unreachable_[id];
  changed_.notify_all();
}

}  // namespace tenon::testing
