#include "plugins/transport-h2/http1.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/status.hpp>
#include <cstring>
#include <utility>

#include "plugins/transport-h2/http1_request.h"

namespace tenon::transport_h2 {

namespace http = boost::beast::http;

namespace {

constexpr uint32_t kMaxHeader = 64 * 1024;
constexpr size_t kMaxAhead = 64 * 1024;  // of requests that wait for the one before
constexpr uint64_t kHeaderNs = 10'000'000'000;
constexpr uint64_t kBodyNs = 30'000'000'000;  // between two pieces
constexpr uint64_t kIdleNs = 120'000'000'000;

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  return out;
}

std::string_view View(boost::beast::string_view text) { return {text.data(), text.size()}; }

unsigned StatusOf(boost::system::error_code error) {
  if (error == http::error::header_limit) return 431;
  if (error == http::error::body_limit) return 413;
  return 400;
}

}  // namespace

struct Http1::Parser : http::request_parser<http::string_body> {};

Http1::Http1(Connection& connection) : connection_(connection) {
  patience_ = {.fire = [](void* self) { static_cast<Http1*>(self)->connection_.Close(); }, .self = this};
}

Http1::~Http1() { Abort(); }

void Http1::WaitFor(uint64_t ns) {
  Loop& loop = connection_.loop();
  loop.timers().Set(&patience_, loop.now_ns() + ns);
}

Protocol::Then Http1::Receive(const uint8_t* bytes, size_t n) {
  if (last_) return Then::kGoOn;
  input_.append(reinterpret_cast<const char*>(bytes), n);
  return Parse();
}

Protocol::Then Http1::Parse() {
  if (request_ != nullptr || input_.empty() || last_) return Then::kGoOn;
  if (parser_ == nullptr) {
    parser_ = std::make_unique<Parser>();
    parser_->header_limit(kMaxHeader);
    parser_->body_limit(connection_.loop().shared().options.max_message_bytes());
    parser_->eager(true);
    continued_ = false;
    WaitFor(kHeaderNs);
  }
  boost::system::error_code error;
  size_t used = parser_->put(boost::asio::buffer(input_.data(), input_.size()), error);
  input_.erase(0, used);
  if (error && error != http::error::need_more) return Reject(StatusOf(error));
  if (parser_->is_done()) {
    if (parser_->get().version() >= 11 && parser_->get().count(http::field::host) != 1) return Reject(400);
    Begin();
    return Then::kGoOn;
  }
  if (input_.size() > kMaxHeader) return Reject(431);
  if (!parser_->is_header_done()) return Then::kGoOn;
  WaitFor(kBodyNs);
  if (!continued_ && Lower(View(parser_->get()[http::field::expect])) == "100-continue") {
    continued_ = true;
    text_ += "HTTP/1.1 100 Continue\r\n\r\n";
  }
  return Then::kGoOn;
}

Protocol::Then Http1::Reject(unsigned status) {
  last_ = true;
  parser_.reset();
  input_.clear();
  auto reason = View(http::obsolete_reason(http::int_to_status(status)));
  text_ +=
      fmt::format("HTTP/1.1 {0} {1}\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n\r\n{0} {1}",
                  status, reason);
  return Then::kClose;
}

// The request is complete.
void Http1::Begin() {
  connection_.loop().timers().Cancel(&patience_);
  auto& request = parser_->get();
  HttpHead head;
  head.method = View(request.method_string());
  head.target = View(request.target());
  head.http10 = request.version() < 11;
  head.keep_alive = request.keep_alive() && !ended_ && !connection_.draining();
  for (const auto& field : request) head.headers.emplace_back(Lower(View(field.name_string())), View(field.value()));
  MessagePtr body;
  if (!request.body().empty()) {
    body = Message::Make(request.body().size());
    memcpy(body->data(), request.body().data(), request.body().size());
    body->set_size(request.body().size());
  }
  parser_.reset();
  request_ = new Http1Request(this, std::move(head));
  request_->Call(std::move(body));
}

bool Http1::WantsInput() const { return !ended_ && !last_ && (request_ == nullptr || input_.size() < kMaxAhead); }

// A client may close its half and still wait for the answer.
Protocol::Then Http1::EndOfInput() {
  ended_ = true;
  if (request_ == nullptr) return Then::kClose;
  request_->Close();
  return Then::kGoOn;
}

Protocol::Then Http1::Fill(Output* output) {
  for (;;) {
    output->Copy(text_.data(), text_.size());
    text_.clear();
    if (last_) return Then::kClose;
    if (request_ == nullptr || !request_->Fill(output)) return Then::kGoOn;
    bool close = !request_->keep_alive() || request_->broken();
    std::exchange(request_, nullptr)->Leave();
    if (close) return Then::kClose;
    WaitFor(kIdleNs);
    Parse();  // what came meanwhile
  }
}

void Http1::Drain() {
  if (request_ != nullptr) return request_->Close();
  if (parser_ == nullptr) last_ = true;
}

void Http1::Abort() {
  connection_.loop().timers().Cancel(&patience_);
  if (request_ != nullptr) std::exchange(request_, nullptr)->Leave();
}

}  // namespace tenon::transport_h2
