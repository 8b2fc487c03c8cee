#include "plugins/transport-grpc/peer_session.h"

#include <grpc/support/time.h>
#include <grpcpp/create_channel_posix.h>

#include <algorithm>

#include "plugins/transport-common/peer_log.h"
#include "plugins/transport-common/peer_wire.h"

namespace tenon::transport_grpc {
namespace {

// A question waits behind the entry that is being written, over a slow line for a while; who takes nothing for so long
// is gone all the same.
constexpr uint64_t kStuckNs = 6 * transport::kSilenceNs;

gpr_timespec At(uint64_t mono_ns) {
  const uint64_t now = transport::MonoNs();
  const int64_t wait = mono_ns > now ? static_cast<int64_t>(std::min<uint64_t>(mono_ns - now, INT64_MAX / 2)) : 0;
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(wait, GPR_TIMESPAN));
}

Status FromGrpc(const grpc::Status& status) {
  return status.ok() ? Ok() : Status(static_cast<StatusCode>(status.error_code()), ToAbsl(status.error_message()));
}

std::shared_ptr<grpc::Channel> ChannelOn(int fd, const std::string& authority) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(transport::kMaxPeerMessage));
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, authority);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, transport::kPeerStreamWindow);
  return grpc::CreateCustomInsecureChannelFromFd(authority, fd, arguments);
}

}  // namespace

PeerSession::PeerSession(PeerLoop& loop, Owner* owner, int fd, const std::string& authority, Metadata metadata)
    : loop_(loop),
      owner_(owner),
      metadata_(std::move(metadata)),
      channel_(ChannelOn(fd, authority)),
      begun_ns_(loop.now_ns()) {
  loop_.Add(this);
  ping_ = {.fire = [](void* self) { static_cast<PeerSession*>(self)->Ping(); }, .self = this};
  Ping();
}

PeerSession::~PeerSession() { loop_.Remove(this); }

void PeerSession::Describe(grpc::ClientContext* context) const {
  for (const auto& [key, value] : metadata_) context->AddMetadata(std::string(key), value);
}

// ---- the stream of messages -----------------------------------------------------------------------------------------

void PeerSession::OpenStream() {
  Describe(&context_.emplace());
  stream_ = grpc::GenericStub(channel_).PrepareCall(&*context_, std::string(transport::kPeerMessages), loop_.cq());
  stream_->StartCall(started_.Begin());
}

void PeerSession::StepEnded(void (PeerSession::*then)(bool), bool ok) {
  --pending_;
  if (live()) (this->*then)(ok);
  DeleteIfDone();
}

void PeerSession::Started(bool ok) {
  if (!ok) return stream_->Finish(&end_, finish_.Begin());
  stream_->ReadInitialMetadata(headers_.Begin());
  owner_->Writable();
}

void PeerSession::HeadersCame(bool ok) {
  // A refusal is all trailers, and gRPC makes up headers for it that say nothing.
  const std::string_view key = transport::kFromKey;
  if (ok && context_->GetServerInitialMetadata().count({key.data(), key.size()}) > 0) {
    taken_ = true;
    owner_->StreamTaken();
  }
  if (live()) stream_->Read(&incoming_, read_.Begin());
}

// Nothing comes but the end.
void PeerSession::ReadEnded(bool ok) {
  incoming_.Clear();
  ok ? stream_->Read(&incoming_, read_.Begin()) : stream_->Finish(&end_, finish_.Begin());
}

void PeerSession::Finished(bool) { owner_->Ended(FromGrpc(end_)); }

void PeerSession::Write(const grpc::ByteBuffer& message, bool more) {
  grpc::WriteOptions options;
  if (more) options.set_buffer_hint();
  writing_since_ns_ = loop_.now_ns();
  stream_->Write(message, options, write_.Begin());
}

void PeerSession::WritesDone() { stream_->WritesDone(close_.Begin()); }

void PeerSession::Written(bool ok) {
  writing_since_ns_ = 0;
  if (ok) owner_->Writable();  // else the stream's end says why
}

// ---- calls ----------------------------------------------------------------------------------------------------------

std::shared_ptr<PeerRpc> PeerSession::Call(const std::string& path, grpc::ByteBuffer request, uint64_t deadline_ns,
                                           Then then) {
  std::shared_ptr<PeerRpc> rpc(new PeerRpc(*this, path, request, deadline_ns, std::move(then)));
  rpcs_.push_back(rpc);
  return rpc;
}

PeerRpc::PeerRpc(PeerSession& session, const std::string& path, const grpc::ByteBuffer& request, uint64_t deadline_ns,
                 PeerSession::Then then)
    : PeerLoop::Operation(session.loop_), session_(session), then_(std::move(then)) {
  session.Describe(&context_);
  if (deadline_ns != UINT64_MAX) context_.set_deadline(At(deadline_ns));
  reader_ = grpc::GenericStub(session.channel_).PrepareUnaryCall(&context_, path, request, session.loop_.cq());
  reader_->StartCall();
  ++session.pending_;
  reader_->Finish(&answer_, &status_, Begin());
}

void PeerRpc::Forget() {
  then_ = nullptr;
  context_.TryCancel();
}

void PeerRpc::Ended(bool) {
  PeerSession& session = session_;
  const auto at =
      std::find_if(session.rpcs_.begin(), session.rpcs_.end(), [this](auto& rpc) { return rpc.get() == this; });
  const std::shared_ptr<PeerRpc> self = std::move(*at);
  session.rpcs_.erase(at);
  if (const PeerSession::Then then = std::exchange(then_, nullptr)) then(FromGrpc(status_), answer_);
  --session.pending_;
  session.DeleteIfDone();
}

// Asked each second; the answer is also how we know that the way there and the way back are whole.
void PeerSession::Ping() {
  const uint64_t now = loop_.now_ns();
  if (asked_ns_ != 0) {
    const uint64_t patience = writing_since_ns_ != 0 ? kStuckNs : transport::kSilenceNs;
    if (now >= asked_ns_ + patience) return Break("it says nothing");
  } else {
    asked_ns_ = now;
    Call(std::string(transport::kPeerPing), MakeMessage({}, loop_.lent()), UINT64_MAX,
         [this](const Status& answered, grpc::ByteBuffer&) { PingEnded(answered); });
  }
  if (stream_ != nullptr && !taken_ && now >= begun_ns_ + transport::kSilenceNs) return Break("it does not answer");
  loop_.timers().Set(&ping_, now + transport::kPingNs);
}

// Any answer will do, also that of a member that does not know the question.
void PeerSession::PingEnded(const Status& answered) {
  if (absl::IsUnavailable(answered)) return Break(std::string(tenon::Message(answered)));
  const uint64_t asked_ns = std::exchange(asked_ns_, 0);
  owner_->RoundTrip(transport::MonoNs() - asked_ns);
  if (!std::exchange(heard_, true)) owner_->Alive();
}

// ---- the end --------------------------------------------------------------------------------------------------------

void PeerSession::Break(std::string why) {
  if (!live()) return;
  broken_ = true;
  CancelAll();
  ++pending_;
  loop_.ExchangeBegan();
  loop_.Run([this, why = std::move(why)] {
    loop_.ExchangeEnded();
    --pending_;
    if (Owner* owner = std::exchange(owner_, nullptr)) owner->Gone(why);
    DeleteIfDone();
  });
}

void PeerSession::Abandon() {
  owner_ = nullptr;
  CancelAll();
  DeleteIfDone();
}

void PeerSession::CancelAll() {
  loop_.timers().Cancel(&ping_);
  if (context_.has_value()) context_->TryCancel();
  for (const auto& rpc : rpcs_) rpc->Forget();
}

void PeerSession::DeleteIfDone() {
  if (owner_ == nullptr && pending_ == 0) delete this;
}

}  // namespace tenon::transport_grpc
