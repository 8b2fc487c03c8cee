// The part of a Call that serves plain HTTP over HTTP/2: everything whose content type is not gRPC's.
#include <algorithm>
#include <cstring>

#include "plugins/transport-common/slice.h"
#include "plugins/transport-h2/call.h"

namespace tenon::transport_h2 {

using transport::Slice;

namespace {

constexpr size_t kFirstBody = 1024;

nghttp2_nv Nv(std::string_view name, std::string_view value) {
  auto bytes = [](std::string_view s) { return reinterpret_cast<uint8_t*>(const_cast<char*>(s.data())); };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

// Those of a connection have no place in HTTP/2.
bool MayBeSent(std::string_view name) {
  return name != "connection" && name != "keep-alive" && name != "transfer-encoding" && name != "upgrade" &&
         name != "proxy-connection";
}

}  // namespace

void Call::BeginHttp() {
  kind_ = Kind::kHttp;
  FillCred();
  meta_.clear();
  std::string_view host = Find(":authority"), target = Find(":path");
  if (!host.empty()) meta_.push_back({Slice("host"), Slice(host)});
  for (const Field& field : fields_) {
    std::string_view name = Name(field);
    if (name.front() == ':' || (name == "host" && !host.empty())) continue;
    meta_.push_back({Slice(name), Slice(Value(field))});
  }
  size_t mark = target.find('?');
  http_info_ = {
      .size = sizeof http_info_,
      .roles = http2_->connection().roles(),
      .method = Slice(Find(":method")),
      .path = Slice(target.substr(0, mark)),
      .query = mark == std::string_view::npos ? tenon_slice{} : Slice(target.substr(mark + 1)),
      .headers = meta_.data(),
      .n_headers = meta_.size(),
      .cred = &cred_,
  };
}

void Call::AddToBody(const uint8_t* bytes, size_t n) {
  size_t most = loop_.shared().options.max_message_bytes();
  if (message_n_ + n > most) return RefuseHttp("413", "request body too large");
  if (message_n_ + n > message_bytes_) {
    size_t capacity = std::min(most, std::max({kFirstBody, message_bytes_ * 2, message_n_ + n}));
    if (!Charge(capacity - message_bytes_)) return RefuseHttp("503", "too much is in use on this connection");
    MessagePtr larger = Message::Make(capacity);
    if (message_n_ > 0) memcpy(larger->data(), message_->data(), message_n_);
    message_ = std::move(larger);
    message_bytes_ = capacity;
  }
  memcpy(message_->data() + message_n_, bytes, n);
  message_n_ += n;
}

void Call::CallHttp() {
  discarding_ = true;
  tenon_bufs body{};
  if (message_ != nullptr) {
    message_->set_size(message_n_);
    body = Message::Give(std::move(message_));
  }
  replies_.Begin(false, loop_.shared().options.stream_buffer_bytes);
  host_ = true;
  Hold();  // the host, until its finish was taken
  Shared& shared = loop_.shared();
  if (shared.dispatch->http(shared.host, &http_info_, body, replies_.out(), &in_) == TENON_OK) return;
  in_ = {};
  host_ = false;
  RefuseHttp("404", "404 page not found");
  Drop();
}

// The host's headers, ":status" first.
void Call::SubmitHttpHeaders() {
  const Fields& fields = replies_.headers();
  std::vector<nghttp2_nv> nv;
  for (const auto& [name, value] : fields) {
    if (MayBeSent(name)) nv.push_back(Nv(name, value));
  }
  answering_ = true;
  bool head = transport::View(http_info_.method) == "HEAD";
  nghttp2_data_provider body{.source = {.ptr = this}, .read_callback = Http2::ReadBody()};
  nghttp2_submit_response(http2_->session(), stream_id_, nv.data(), nv.size(), head ? nullptr : &body);
  http2_->MarkDirty();
}

// The transport answers by itself, in plain text.
void Call::RefuseHttp(std::string_view status, std::string text) {
  discarding_ = ended_ = true;
  message_.reset();
  auto* line = new std::string(std::move(text) + "\n");
  auto* part = new tenon_slice(Slice(*line));
  struct Owned {
    std::string* line;
    tenon_slice* part;
  };
  replies_.Add({part, 1, new Owned{line, part}, [](void* ctx) {
                  auto* owned = static_cast<Owned*>(ctx);
                  delete owned->line;
                  delete owned->part;
                  delete owned;
                }});
  std::string length = fmt::format("{}", line->size());
  nghttp2_nv nv[] = {Nv(":status", status), Nv("content-type", "text/plain; charset=utf-8"),
                     Nv("content-length", length)};
  answering_ = true;
  nghttp2_data_provider body{.source = {.ptr = this}, .read_callback = Http2::ReadBody()};
  nghttp2_submit_response(http2_->session(), stream_id_, nv, std::size(nv), &body);
  http2_->MarkDirty();
}

}  // namespace tenon::transport_h2
