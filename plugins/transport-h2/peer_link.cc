#include "plugins/transport-h2/peer_link.h"

#include <algorithm>
#include <utility>

#include "plugins/transport-common/peer_wire.h"
#include "plugins/transport-h2/peer_call.h"
#include "plugins/transport-h2/peer_client.h"
#include "plugins/transport-h2/wire.h"

namespace tenon::transport_h2 {

using transport::Address;
using transport::PeerId;

namespace {

std::string Authority(const Address& to) {
  if (to.local) return "localhost";
  if (to.host.find(':') != std::string::npos) return fmt::format("[{}]:{}", to.host, to.port);
  return fmt::format("{}:{}", to.host, to.port);
}

}  // namespace

PeerLink::PeerLink(PeerClient& client, uint64_t id, bool urgent)
    : client_(client),
      id_(id),
      urgent_(urgent),
      backoff_ns_(transport::kFirstBackoffNs),
      news_(client.host()),
      trouble_(client.host()) {
  redial_ = {.fire = [](void* self) { static_cast<PeerLink*>(self)->Dial(); }, .self = this};
}

Loop& PeerLink::loop() { return client_.loop(); }

std::string PeerLink::Where() const {
  const Address& to = address();
  return fmt::format("{}://{}", to.scheme, to.local ? to.host : Authority(to));
}

// ---- to be connected ------------------------------------------------------------------------------------------------

void PeerLink::SetAddresses(std::vector<Address> addresses) {
  const auto same = [](const Address& a, const Address& b) {
    return a.local == b.local && a.host == b.host && a.port == b.port;
  };
  if (session_ != nullptr) {
    const auto now =
        std::find_if(addresses.begin(), addresses.end(), [&](const Address& a) { return same(a, address()); });
    if (now != addresses.end()) {
      attempt_ = static_cast<size_t>(now - addresses.begin());
      addresses_ = std::move(addresses);
      return;
    }
    Close("its addresses changed");
  }
  addresses_ = std::move(addresses);
  attempt_ = 0;
  backoff_ns_ = transport::kFirstBackoffNs;
  if (!loop().draining() && !draining_) Dial();
}

void PeerLink::Dial() {
  loop().timers().Cancel(&redial_);
  state_ = State::kConnecting;
  ++dials_;
  uint64_t cluster_id = 0, member_id = 0;
  client_.Self(&cluster_id, &member_id);
  if (id_ != 0 && cluster_id == 0) return Failed("this member does not know its cluster yet");
  const auto endpoints = ResolveNow(address());
  if (!absl::IsNotFound(endpoints.status())) return Resolved(endpoints);
  // A name. Whether we are still there, and still want to know, shows when the answer comes.
  client_.Resolve(address(), [weak = weak_from_this(), dial = dials_](const auto& found) {
    const std::shared_ptr<PeerLink> link = weak.lock();
    if (link != nullptr && link->state_ == State::kConnecting && link->dials_ == dial) link->Resolved(found);
  });
}

void PeerLink::Resolved(const Result<std::vector<Endpoint>>& endpoints) {
  if (!endpoints.ok()) return Failed(std::string(tenon::Message(endpoints.status())));
  const size_t round = attempt_ / addresses_.size();
  const Result<int> fd = transport_h2::Dial((*endpoints)[round % endpoints->size()]);
  if (!fd.ok()) return Failed(std::string(tenon::Message(fd.status())));
  session_ = ClientSession::On(loop().Open(*fd, 0), this, transport::kSilenceNs);
  if (id_ == 0) return;
  stream_open_ = true;
  deferred_ = false;
  session_->Open(this, Headers(transport::kPeerMessages, UINT64_MAX));
}

Fields PeerLink::Headers(std::string_view path, uint64_t deadline_ns) const {
  uint64_t cluster_id = 0, member_id = 0;
  client_.Self(&cluster_id, &member_id);
  Fields fields = {{":method", "POST"},
                   {":scheme", "http"},
                   {":path", std::string(path)},
                   {":authority", Authority(address())},
                   {"content-type", "application/grpc"},
                   {"te", "trailers"},
                   {std::string(transport::kClusterKey), PeerId(cluster_id)},
                   {std::string(transport::kFromKey), PeerId(member_id)},
                   {std::string(transport::kToKey), PeerId(id_)}};
  if (deadline_ns != UINT64_MAX) {
    const uint64_t now = Loop::NowNs();
    fields.emplace_back("grpc-timeout", FormatTimeout(deadline_ns > now ? static_cast<int64_t>(deadline_ns - now) : 1));
  }
  return fields;
}

void PeerLink::Greeted() {
  if (id_ == 0) Ready();
}

void PeerLink::Ready() {
  if (state_ != State::kConnecting) return;
  state_ = State::kReady;
  session_->Answered();
  backoff_ns_ = transport::kFirstBackoffNs;
  if (id_ != 0) {
    if (urgent_) client_.SetActive(id_, loop().now_ns());
    news_.Info("connected to a peer", {{"remote-member-id", PeerId(id_)},
                                       {"remote-url", Where()},
                                       {"for", urgent_ ? "urgent messages" : "entries and state"}});
  }
  const std::vector<PeerCall*> calls = calls_;
  for (PeerCall* call : calls) Send(call);
  EndIfDrained();
}

void PeerLink::RoundTrip(uint64_t ns) { client_.CountRoundTrip(id_, ns); }

// ---- and not to be --------------------------------------------------------------------------------------------------

// The messages' stream ended, which it never does by itself.
void PeerLink::Closed() {
  stream_open_ = false;
  const Status said = Outcome();
  // Wrong cluster, wrong member, removed: that will not be better so soon.
  const bool refused = !said.ok() && !absl::IsUnavailable(said) && !absl::IsCancelled(said);
  if (refused) backoff_ns_ = transport::kMaxBackoffNs;
  if (draining_ && said.ok()) return EndIfDrained();
  session_->Close(said.ok() ? "it ended the stream" : std::string(tenon::Message(said)));
}

void PeerLink::Gone(const std::string& why) {
  session_ = nullptr;
  stream_open_ = false;
  Failed(why);
}

void PeerLink::Failed(const std::string& why) {
  const std::shared_ptr<PeerLink> alive = shared_from_this();
  const bool was_ready = state_ == State::kReady;
  const bool over = draining_ || id_ == 0;
  state_ = over ? State::kIdle : State::kWaiting;
  if (id_ != 0 && !draining_) {
    trouble_.Warn(was_ready ? "lost the connection to a peer" : "cannot connect to a peer",
                  {{"remote-member-id", PeerId(id_)}, {"remote-url", Where()}, {"error", why}});
  }
  if (was_ready && urgent_ && id_ != 0) client_.SetInactive(id_);
  if (was_ready && !over) client_.Lost(id_);
  DropAll(why);
  if (id_ == 0) client_.GuestEnded(this);
  if (over) return;
  ++attempt_;
  loop().timers().Set(&redial_, loop().now_ns() + backoff_ns_);
  backoff_ns_ = std::min(2 * backoff_ns_, transport::kMaxBackoffNs);
}

// All that waits is lost: the messages, and the calls that a connection carried or was to carry.
void PeerLink::DropAll(const std::string& why) {
  client_.CountFailures(id_, queued_);
  if (queued_ > 0) client_.Lost(id_);
  while (!queue_.empty()) queue_.Pop()->Drop();
  queued_ = queued_bytes_ = 0;
  const Status lost = absl::UnavailableError(ToAbsl(fmt::format("peer: {}: {}", Where(), why)));
  for (PeerCall* call : std::exchange(calls_, {})) call->Lost(lost);
}

void PeerLink::Close(const char* why) {
  const std::shared_ptr<PeerLink> alive = shared_from_this();
  loop().timers().Cancel(&redial_);
  const bool was_ready = state_ == State::kReady;
  state_ = State::kIdle;
  stream_open_ = false;
  if (ClientSession* session = std::exchange(session_, nullptr); session != nullptr) session->Abandon();
  if (was_ready && urgent_ && id_ != 0) client_.SetInactive(id_);
  if (!addresses_.empty()) DropAll(why);
}

void PeerLink::Drain() {
  if (std::exchange(draining_, true)) return;
  if (state_ != State::kReady) return Close("this member is stopping");
  if (stream_open_ && std::exchange(deferred_, false)) session_->Resume(this);
  EndIfDrained();
}

void PeerLink::EndIfDrained() {
  if ((draining_ || id_ == 0) && session_ != nullptr && calls_.empty() && !stream_open_) session_->Close("done");
}

// ---- what is sent ---------------------------------------------------------------------------------------------------

void PeerLink::Send(Reply* message) {
  const bool open = (state_ == State::kConnecting || state_ == State::kReady) && !draining_;
  const bool full = queued_ >= transport::kMaxQueuedMessages ||
                    (queued_ > 0 && queued_bytes_ + message->bytes > transport::kMaxQueuedBytes);
  message->Hold();
  if (!open || full || message->bytes > transport::kMaxPeerMessage) {
    client_.CountFailures(id_, 1);
    client_.Lost(id_);
    return message->Drop();
  }
  queue_.Push(message);
  ++queued_;
  queued_bytes_ += message->bytes;
  if (stream_open_ && std::exchange(deferred_, false)) session_->Resume(this);
}

ssize_t PeerLink::NextData(size_t room, uint32_t* flags) {
  const size_t n = std::min(room, queued_bytes_);
  if (n > 0) *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (n == queued_bytes_ && draining_) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
  } else if (n == 0) {
    deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  return static_cast<ssize_t>(n);
}

void PeerLink::SendData(size_t n, Output* output) {
  queued_bytes_ -= n;
  size_t sent = 0;
  while (n > 0) {
    Reply* message = queue_.first;
    const size_t take = std::min(n, message->bytes);
    output->Take(message, take);
    n -= take;
    if (message->bytes > 0) break;
    sent += transport::Length(message->bufs);
    --queued_;
    queue_.Pop()->Drop();
  }
  client_.CountSent(id_, sent);
}

void PeerLink::Call(PeerCall* call) {
  if ((state_ != State::kConnecting && state_ != State::kReady) || draining_) {
    return call->Fail(absl::UnavailableError(
        ToAbsl(fmt::format("peer: member {:x} is not reachable: {}", id_, draining_ ? "we are stopping" : Where()))));
  }
  calls_.push_back(call);
  call->BelongTo(this);
  if (state_ == State::kReady) Send(call);
}

void PeerLink::CallAt(const Address& address, PeerCall* call) {
  calls_.push_back(call);
  call->BelongTo(this);
  SetAddresses({address});
}

void PeerLink::Send(PeerCall* call) {
  call->Send(session_, Headers(std::string(transport::kPeerService) + call->method(), call->deadline_ns()));
}

void PeerLink::CallEnded(PeerCall* call) {
  std::erase(calls_, call);
  EndIfDrained();
}

}  // namespace tenon::transport_h2
