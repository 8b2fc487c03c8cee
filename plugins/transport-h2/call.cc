#include "plugins/transport-h2/call.h"

#include <algorithm>
#include <array>

#include "kernel/base/check.h"
#include "plugins/transport-common/slice.h"
#include "plugins/transport-h2/gzip.h"
#include "plugins/transport-h2/wire.h"

namespace tenon::transport_h2 {

using transport::Slice;

namespace {

constexpr size_t kKeptText = 4096;  // memory that an object keeps for its next call

nghttp2_nv Nv(std::string_view name, std::string_view value, uint8_t flags = NGHTTP2_NV_FLAG_NONE) {
  auto bytes = [](std::string_view s) { return reinterpret_cast<uint8_t*>(const_cast<char*>(s.data())); };
  return {bytes(name), bytes(value), name.size(), value.size(), flags};
}

constexpr uint8_t kStatic = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;

// Of a binary header gRPC sends base64.
std::vector<nghttp2_nv> WithFields(std::vector<nghttp2_nv> nv, const Fields& fields, Fields* encoded) {
  encoded->reserve(fields.size());
  for (const auto& [name, value] : fields) {
    if (name.size() > 4 && name.compare(name.size() - 4, 4, "-bin") == 0) {
      encoded->emplace_back(name, Base64Encode(value));
      nv.push_back(Nv(encoded->back().first, encoded->back().second));
    } else {
      nv.push_back(Nv(name, value));
    }
  }
  return nv;
}

std::string_view CodeText(tenon_status status) {
  static constexpr std::array<std::string_view, 17> kTexts = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                                              "9", "10", "11", "12", "13", "14", "15", "16"};
  // Tenon's own codes never reach a client.
  if (status < 0 || status > TENON_UNAUTHENTICATED) status = TENON_INTERNAL;
  return kTexts[static_cast<size_t>(status)];
}

}  // namespace

void Call::Open(Http2* http2, int32_t stream_id) {
  http2_ = http2;
  stream_id_ = stream_id;
  charged_ = kCharge;
  open_ = true;
  Hold();
}

Call::Add Call::AddField(std::string_view name, std::string_view value, size_t limit) {
  // As HTTP/2 counts a header list. One that is too large is read to its end, for the decoder's sake, but not kept;
  // one that is far too large is made of references to HPACK's table, and reading on is what it is for.
  header_list_bytes_ += 32 + name.size() + value.size();
  if (header_list_bytes_ > 4 * limit) return Add::kFarTooLarge;
  if (!rules_.Field(name, value)) return Add::kMalformed;
  if (header_list_bytes_ > limit) too_large_ = true;
  if (too_large_ || rules_.head_complete()) return Add::kOk;
  Field field;
  field.name = Append(name);
  field.name_n = static_cast<uint32_t>(name.size());
  field.value = Append(value);
  field.value_n = static_cast<uint32_t>(value.size());
  fields_.push_back(field);
  return Add::kOk;
}

uint32_t Call::Append(std::string_view text) {
  auto at = static_cast<uint32_t>(text_.size());
  text_.append(text);
  return at;
}

std::string_view Call::Find(std::string_view name) const {
  for (const Field& field : fields_) {
    if (Name(field) == name) return Value(field);
  }
  return {};
}

void Call::HeadersDone() {
  if (too_large_ || !Charge(text_.capacity())) {
    return Refuse(431, TENON_EXHAUSTED, "the request's headers are larger than the server takes");
  }
  std::string_view type = Find("content-type");
  uint32_t roles = http2_->connection().roles();
  bool grpc = (roles & TENON_LISTEN_GRPC) != 0;
  if (grpc && IsGrpcContentType(type)) return BeginGrpc();
  if ((roles & (TENON_LISTEN_HTTP | TENON_LISTEN_METRICS)) != 0) return BeginHttp();
  Refuse(415, TENON_INVALID, fmt::format("invalid gRPC request content-type {}", transport::Quote(type)));
}

void Call::BeginGrpc() {
  int64_t timeout_ns = 0;
  if (std::string_view text = Find("grpc-timeout"); text.data() != nullptr) {  // empty is malformed
    Result<int64_t> parsed = ParseTimeout(text);
    if (!parsed.ok()) {
      return Refuse(400, TENON_INTERNAL, fmt::format("malformed grpc-timeout: {}", tenon::Message(parsed.status())));
    }
    if (*parsed == 0) return Refuse(200, TENON_DEADLINE, "context deadline exceeded");
    timeout_ns = *parsed;
  }
  if (Status read = ReadMetadata(); !read.ok()) return Refuse(400, TENON_INTERNAL, std::string(tenon::Message(read)));
  if (std::string_view method = Find(":method"); method != "POST") {
    return Refuse(
        405, TENON_INTERNAL,
        fmt::format("Received a HEADERS frame with :method {} which should be POST", transport::Quote(method)));
  }
  std::string_view path = Find(":path");
  transport::Method method = loop_.methods().Find(path);
  if (method.id == 0) return Fail(TENON_UNIMPLEMENTED, loop_.shared().services.Unknown(path));
  std::string_view encoding = Find("grpc-encoding");
  gzip_ = encoding == "gzip";
  if (!gzip_ && !encoding.empty() && encoding != "identity") {
    end_.trailers.emplace_back("grpc-accept-encoding", "identity,gzip");
    return Fail(TENON_UNIMPLEMENTED,
                fmt::format("grpc: Decompressor is not installed for grpc-encoding {}", transport::Quote(encoding)));
  }
  FillInfo(method.id, timeout_ns);
  if (timeout_ns > 0 && timeout_ns < INT64_MAX / 4) {
    deadline_.fire = [](void* self) { static_cast<Call*>(self)->Expire(); };
    deadline_.self = this;
    loop_.timers().Set(&deadline_, loop_.now_ns() + static_cast<uint64_t>(timeout_ns));
  }
  kind_ = method.flags == 0 ? Kind::kUnary : Kind::kStream;
  if (kind_ == Kind::kStream) BeginStream();
}

Status Call::ReadMetadata() {
  for (Field& field : fields_) {
    std::string_view name = Name(field);
    if (name.size() <= 4 || name.substr(name.size() - 4) != "-bin" || !IsMetadata(name)) continue;
    std::string bytes;
    if (Status decoded = AppendBase64Decoded(Value(field), &bytes); !decoded.ok()) {
      return absl::InternalError(
          ToAbsl(fmt::format("malformed binary metadata {} in header {}: {}", transport::Quote(Value(field)),
                             transport::Quote(name), tenon::Message(decoded))));
    }
    field.value = Append(bytes);
    field.value_n = static_cast<uint32_t>(bytes.size());
  }
  return Ok();
}

// Behind this text_ may not grow: the host has views of it.
void Call::FillCred() {
  const std::string& remote = http2_->connection().remote_address();
  uint32_t at = Append(remote);
  cred_ = {.size = sizeof cred_, .remote_addr = Slice(std::string_view(text_).substr(at))};
}

void Call::FillInfo(uint32_t method, int64_t timeout_ns) {
  FillCred();
  meta_.clear();
  for (const Field& field : fields_) {
    if (IsMetadata(Name(field))) meta_.push_back({Slice(Name(field)), Slice(Value(field))});
  }
  info_ = {.size = sizeof info_,
           .method = method,
           .name = Slice(Find(":path")),
           .meta = meta_.data(),
           .n_meta = meta_.size(),
           .cred = &cred_,
           .timeout_ns = timeout_ns};
}

bool Call::Charge(size_t bytes) {
  if (!http2_->Charge(bytes)) return false;
  charged_ += bytes;
  return true;
}

// ---- the request ----------------------------------------------------------------------------------------------------

void Call::Data(const uint8_t* bytes, size_t n) {
  size_t used = n;
  if (kind_ == Kind::kHttp && !discarding_) {
    AddToBody(bytes, n);
  } else if (held_) {
    used = 0;
  } else {
    used = Feed(bytes, n);
  }
  if (used < n) pending_.append(reinterpret_cast<const char*>(bytes) + used, n - used);
  nghttp2_session_consume_stream(http2_->session(), stream_id_, used);
}

size_t Call::Feed(const uint8_t* bytes, size_t n) {
  size_t at = 0;
  while (at < n && !held_) {
    if (discarding_) return n;
    if (prefix_n_ < kPrefixBytes) {
      prefix_[prefix_n_++] = bytes[at++];
      if (prefix_n_ < kPrefixBytes || !BeginMessage()) continue;
    } else {
      size_t take = std::min(n - at, message_bytes_ - message_n_);
      memcpy(message_->data() + message_n_, bytes + at, take);
      message_n_ += take;
      at += take;
    }
    if (message_n_ == message_bytes_) EndMessage();
  }
  return at;
}

// The prefix is complete. False: the call failed.
bool Call::BeginMessage() {
  size_t most = loop_.shared().options.max_message_bytes();
  message_bytes_ = ReadLength(prefix_);
  message_n_ = 0;
  if (prefix_[0] > 1) {
    Fail(TENON_INTERNAL, fmt::format("grpc: received unexpected payload format {}", prefix_[0]));
  } else if (prefix_[0] == 1 && !gzip_) {
    Fail(TENON_INTERNAL, "grpc: compressed flag set with identity or empty encoding");
  } else if (message_bytes_ > most) {
    Fail(TENON_EXHAUSTED, fmt::format("grpc: received message larger than max ({} vs. {})", message_bytes_, most));
  } else if (!Charge(message_bytes_)) {
    Fail(TENON_EXHAUSTED, "grpc: the requests on this connection need more memory than the server gives them");
  } else {
    message_ = Message::Make(message_bytes_);
    // A large message in one go, instead of in pieces of the usual window.
    auto window = nghttp2_session_get_stream_effective_local_window_size(http2_->session(), stream_id_);
    if (message_bytes_ > static_cast<size_t>(std::max(window, 0))) {
      nghttp2_session_set_local_window_size(http2_->session(), NGHTTP2_FLAG_NONE, stream_id_,
                                            static_cast<int32_t>(message_bytes_ + kPrefixBytes));
    }
    return true;
  }
  return false;
}

void Call::EndMessage() {
  prefix_n_ = 0;
  http2_->Refund(message_bytes_);
  charged_ -= message_bytes_;
  message_->set_size(message_bytes_);
  MessagePtr message = std::move(message_);
  if (prefix_[0] == 0) return Deliver(std::move(message));
  auto inflated = Gunzip({reinterpret_cast<const char*>(message->data()), message_bytes_},
                         loop_.shared().options.max_message_bytes());
  if (inflated.ok()) return Deliver(*std::move(inflated));
  Fail(static_cast<tenon_status>(inflated.status().code()), std::string(tenon::Message(inflated.status())));
}

void Call::Deliver(MessagePtr message) {
  if (kind_ == Kind::kStream) {
    tenon_status status = in_.fn->message(in_.self, Message::Give(std::move(message)));
    held_ = status == TENON_AGAIN;
    discarding_ = status != TENON_OK && status != TENON_AGAIN;
    return;
  }
  discarding_ = true;  // a unary call has one message
  replies_.Begin(true, 0);
  host_ = true;
  Hold();
  Shared& shared = loop_.shared();
  handle_ = shared.dispatch->unary(shared.host, &info_, Message::Give(std::move(message)), {this, &Call::UnaryDone});
}

void Call::EndOfRequest() {
  request_ended_ = true;
  if (kind_ == Kind::kHttp && !discarding_) return CallHttp();
  if (discarding_ || held_ || !pending_.empty()) return;
  if (prefix_n_ > 0) return Fail(TENON_INTERNAL, "unexpected EOF");
  if (kind_ == Kind::kStream) return in_.fn->half_close(in_.self);
  Fail(TENON_UNKNOWN, "EOF");  // as grpc-go for a missing request
}

// ---- the unary answer -----------------------------------------------------------------------------------------------

void Call::UnaryDone(void* self, tenon_status status, const tenon_error* error, tenon_bufs reply) {
  auto* call = static_cast<Call*>(self);
  call->unary_reply_ = reply;
  call->unary_status_ = status;
  if (status != TENON_OK && error != nullptr) call->unary_message_ = error->msg;
  call->loop_.Post(call);
}

void Call::TakeUnaryDone() {
  HostEnded();
  if (open_ && !ended_) {
    ended_ = true;
    end_.status = unary_status_;
    end_.message = std::move(unary_message_);
    if (unary_status_ == TENON_OK) replies_.Add(std::exchange(unary_reply_, {}));
    Answer();
  }
  TENON_RELEASE(unary_reply_);
  unary_reply_ = {};
  Drop();
}

void Call::Arrived() {
  if (kind_ == Kind::kUnary) return TakeUnaryDone();
  TakeNews();
}

// ---- the response ---------------------------------------------------------------------------------------------------

void Call::Answer() {
  if (!open_) return;
  if (!answering_) {
    if (replies_.bytes() == 0) {
      if (!ended_) return;
      return SubmitEnd(200);
    }
    SubmitHeaders({});
  } else if (std::exchange(deferred_, false)) {
    nghttp2_session_resume_data(http2_->session(), stream_id_);
  }
  http2_->MarkDirty();
}

void Call::SubmitHeaders(const Fields& more) {
  static const std::vector<nghttp2_nv> kHead = {Nv(":status", "200", kStatic),
                                                Nv("content-type", "application/grpc", kStatic)};
  answering_ = true;
  nghttp2_data_provider body{.source = {.ptr = this}, .read_callback = Http2::ReadBody()};
  if (more.empty()) {
    nghttp2_submit_response(http2_->session(), stream_id_, kHead.data(), kHead.size(), &body);
  } else {
    Fields encoded;
    std::vector<nghttp2_nv> nv = WithFields(kHead, more, &encoded);
    nghttp2_submit_response(http2_->session(), stream_id_, nv.data(), nv.size(), &body);
  }
  http2_->MarkDirty();
}

void Call::SubmitEnd(int http_status) {
  answering_ = true;
  std::string status = fmt::format("{}", http_status), message = PercentEncode(end_.message);
  Fields encoded;
  std::vector<nghttp2_nv> nv = {Nv(":status", status), Nv("content-type", "application/grpc"),
                                Nv("grpc-status", CodeText(end_.status))};
  if (!message.empty()) nv.push_back(Nv("grpc-message", message));
  nv = WithFields(std::move(nv), end_.trailers, &encoded);
  nghttp2_submit_response(http2_->session(), stream_id_, nv.data(), nv.size(), nullptr);
  http2_->MarkDirty();
}

void Call::SubmitTrailers() {
  static const nghttp2_nv kOk = Nv("grpc-status", "0", kStatic);
  if (end_.status == TENON_OK && end_.trailers.empty()) {
    nghttp2_submit_trailer(http2_->session(), stream_id_, &kOk, 1);
    return;
  }
  std::string message = PercentEncode(end_.message);
  Fields encoded;
  std::vector<nghttp2_nv> nv = {Nv("grpc-status", CodeText(end_.status))};
  if (!message.empty()) nv.push_back(Nv("grpc-message", message));
  nv = WithFields(std::move(nv), end_.trailers, &encoded);
  nghttp2_submit_trailer(http2_->session(), stream_id_, nv.data(), nv.size());
}

ssize_t Call::NextData(size_t room, uint32_t* flags) {
  size_t there = replies_.bytes(), n = std::min(there, room);
  if (there == 0 && !ended_) {
    deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  // A body that cannot be completed is cut off by a reset, never taken for a whole one.
  if (there == 0 && kind_ == Kind::kHttp && end_.status != TENON_OK) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  if (n > 0) *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (n < there || !ended_) return static_cast<ssize_t>(n);
  if (kind_ != Kind::kHttp) {
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    SubmitTrailers();
  } else if (end_.status == TENON_OK) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
  }
  return static_cast<ssize_t>(n);
}

void Call::Refuse(int http_status, tenon_status status, std::string message) {
  discarding_ = ended_ = true;
  end_.status = status;
  end_.message = std::move(message);
  SubmitEnd(http_status);
}

void Call::Fail(tenon_status status, std::string message) {
  discarding_ = true;
  pending_.clear();
  message_.reset();
  if (ended_) return;
  ended_ = true;
  end_.status = status;
  end_.message = std::move(message);
  replies_.Kill();
  CancelHost();
  // Trailers wait for the client's window like the data before them; a client that takes neither gets a reset.
  if (answering_ && !deferred_ && nghttp2_session_get_stream_remote_window_size(http2_->session(), stream_id_) <= 0) {
    nghttp2_submit_rst_stream(http2_->session(), NGHTTP2_FLAG_NONE, stream_id_, NGHTTP2_CANCEL);
    return http2_->MarkDirty();
  }
  Answer();
}

void Call::Expire() { Fail(TENON_DEADLINE, "context deadline exceeded"); }

// ---- the end --------------------------------------------------------------------------------------------------------

void Call::CancelHost() {
  if (!host_) return;
  Shared& shared = loop_.shared();
  if (kind_ == Kind::kUnary) {
    if (handle_ != 0) shared.dispatch->unary_cancel(shared.host, handle_);
  } else if (in_.fn != nullptr) {
    in_.fn->cancel(in_.self);
  }
}

void Call::HostEnded() {
  host_ = false;
  if (in_.fn != nullptr) in_.fn->release(in_.self);
  in_ = {};
  if (std::exchange(orphan_, false) && http2_ != nullptr) http2_->OrphanEnded();
}

void Call::StreamClosed() {
  if (!std::exchange(open_, false)) return;
  loop_.timers().Cancel(&deadline_);
  replies_.Kill();
  message_.reset();
  pending_.clear();
  discarding_ = true;
  if (host_) {
    orphan_ = true;
    http2_->OrphanBegan();
    if (!ended_) CancelHost();
  }
  ended_ = true;
  Drop();
}

void Call::ConnectionClosed() {
  Hold();
  StreamClosed();
  http2_ = nullptr;
  Drop();
}

void Call::Unheld() {
  if (http2_ != nullptr) {
    http2_->Refund(charged_);
    http2_->Unlink(this);
  }
  loop_.timers().Cancel(&deadline_);
  http2_ = nullptr;
  stream_id_ = 0;
  kind_ = Kind::kNone;
  open_ = host_ = orphan_ = too_large_ = discarding_ = request_ended_ = held_ = answering_ = deferred_ = ended_ =
      gzip_ = false;
  handle_ = 0;
  charged_ = 0;
  text_.clear();
  if (text_.capacity() > kKeptText) text_.shrink_to_fit();
  fields_.clear();
  rules_ = RequestRules();
  header_list_bytes_ = 0;
  meta_.clear();
  if (fields_.capacity() > 64) fields_.shrink_to_fit(), meta_.shrink_to_fit();
  prefix_n_ = 0;
  message_bytes_ = message_n_ = 0;
  message_.reset();
  std::string().swap(pending_);
  replies_.Reset();
  end_ = End();
  unary_message_.clear();
  loop_.Recycle(this);
}

}  // namespace tenon::transport_h2
