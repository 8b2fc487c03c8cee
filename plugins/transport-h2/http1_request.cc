#include "plugins/transport-h2/http1_request.h"

#include <time.h>

#include <algorithm>
#include <boost/beast/http/status.hpp>
#include <charconv>

#include "plugins/transport-common/slice.h"

namespace tenon::transport_h2 {

using transport::Slice;

namespace {

constexpr size_t kFillBytes = 256 * 1024;  // into one write

std::string DateNow() {
  time_t now = time(nullptr);
  tm utc{};
  gmtime_r(&now, &utc);
  char text[64];
  return {text, strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc)};
}

// A host's line that would end the header is left out: it could forge an answer.
bool IsSafe(std::string_view text) { return text.find_first_of(std::string_view("\r\n\0", 3)) == text.npos; }

// Lines that say how we write the body, which only we know.
bool IsOurs(std::string_view name) {
  return name == "connection" || name == "keep-alive" || name == "transfer-encoding" || name == "upgrade";
}

}  // namespace

Http1Request::Http1Request(Http1* http1, HttpHead head)
    : http1_(http1),
      loop_(http1->connection().loop()),
      head_(std::move(head)),
      remote_(http1->connection().remote_address()),
      replies_(loop_, this) {
  loop_.ExchangeBegan();
  Hold();
}

void Http1Request::Call(MessagePtr body) {
  for (const auto& [name, value] : head_.headers) headers_.push_back({Slice(name), Slice(value)});
  cred_ = {.size = sizeof cred_, .remote_addr = Slice(remote_)};
  std::string_view target = head_.target;
  size_t mark = target.find('?');
  info_ = {
      .size = sizeof info_,
      .roles = http1_->connection().roles(),
      .method = Slice(head_.method),
      .path = Slice(target.substr(0, mark)),
      .query = mark == target.npos ? tenon_slice{} : Slice(target.substr(mark + 1)),
      .headers = headers_.data(),
      .n_headers = headers_.size(),
      .cred = &cred_,
  };
  Shared& shared = loop_.shared();
  replies_.Begin(false, shared.options.stream_buffer_bytes);
  Hold();  // the host, until its finish was taken
  tenon_bufs bytes = body == nullptr ? tenon_bufs{} : Message::Give(std::move(body));
  if (shared.dispatch->http(shared.host, &info_, bytes, replies_.out(), &in_) == TENON_OK) return;
  in_ = {};
  AnswerPlainly(404, "404 page not found\n");
  Drop();
}

void Http1Request::AnswerPlainly(unsigned status, std::string_view text) {
  replies_.headers() = {{":status", fmt::format("{}", status)}, {"content-type", "text/plain; charset=utf-8"}};
  MessagePtr message = Message::Make(text.size());
  text.copy(reinterpret_cast<char*>(message->data()), text.size());
  message->set_size(text.size());
  replies_.Add(Message::Give(std::move(message)));
  answered_ = finished_ = true;
  http1_->connection().MarkDirty();
}

void Http1Request::Arrived() {
  Replies::News news = replies_.Take();
  answered_ |= news.headers;
  if (news.finished) {
    finished_ = true;
    broken_ |= replies_.end().status != TENON_OK || !answered_;
    in_.fn->release(in_.self);
    in_ = {};
  }
  if (http1_ != nullptr) http1_->connection().MarkDirty();
  if (news.writable && in_.fn != nullptr) in_.fn->writable(in_.self);
  if (news.finished) Drop();
}

void Http1Request::WriteHead(Output* output) {
  head_sent_ = true;
  unsigned status = 500;
  std::string lines, length;
  bool dated = false;
  for (const auto& [name, value] : replies_.headers()) {
    if (name == ":status") {
      std::from_chars(value.data(), value.data() + value.size(), status);
    } else if (name == "content-length") {
      length = value;
    } else if (name == "connection") {
      head_.keep_alive &= value != "close";
    } else if (!IsOurs(name) && IsSafe(name) && IsSafe(value)) {
      dated |= name == "date";
      lines += fmt::format("{}: {}\r\n", name, value);
    }
  }
  bool no_body_ever = status < 200 || status == 204 || status == 304;
  bodyless_ = no_body_ever || head_.method == "HEAD";
  if (length.empty() && finished_ && !broken_) length = fmt::format("{}", replies_.bytes());
  if (no_body_ever) {
    // says nothing of a body
  } else if (!length.empty()) {
    lines += fmt::format("content-length: {}\r\n", length);
  } else if (head_.http10) {
    head_.keep_alive = false;  // its end is the connection's
  } else {
    chunked_ = true;
    lines += "transfer-encoding: chunked\r\n";
  }
  if (!head_.keep_alive) {
    lines += "connection: close\r\n";
  } else if (head_.http10) {
    lines += "connection: keep-alive\r\n";
  }
  if (!dated) lines += fmt::format("date: {}\r\n", DateNow());
  auto reason = boost::beast::http::obsolete_reason(boost::beast::http::int_to_status(status));
  std::string head =
      fmt::format("HTTP/1.1 {} {}\r\n{}\r\n", status, std::string_view(reason.data(), reason.size()), lines);
  output->Copy(head.data(), head.size());
}

bool Http1Request::Fill(Output* output) {
  if (!answered_) return finished_;
  if (!head_sent_) WriteHead(output);
  size_t n = std::min(replies_.bytes(), kFillBytes);
  if (bodyless_) {
    Output nowhere;
    replies_.Send(n, &nowhere);
  } else if (n > 0) {
    if (chunked_) {
      std::string size = fmt::format("{:x}\r\n", n);
      output->Copy(size.data(), size.size());
    }
    replies_.Send(n, output);
    if (chunked_) output->Copy("\r\n", 2);
  }
  if (!finished_ || replies_.bytes() > 0) return false;
  if (chunked_ && !bodyless_ && !broken_) output->Copy("0\r\n\r\n", 5);
  return true;
}

void Http1Request::Leave() {
  http1_ = nullptr;
  replies_.Kill();
  if (in_.fn != nullptr) in_.fn->cancel(in_.self);
  Drop();
}

void Http1Request::Unheld() {
  loop_.ExchangeEnded();
  replies_.Reset();
  delete this;
}

}  // namespace tenon::transport_h2
