#include "cli/plugin_check/echo_kernel.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "fmt/format.h"
#include "kernel/base/check.h"

namespace tenon::testing {
namespace {

constexpr const char* kPrefix = "/echo.Echo/";
enum MethodId : uint32_t {
  kUnary = 1,
  kLater,
  kFail,
  kShow,
  kHang,
  kStubborn,
  kBidi,
  kCollect,
  kProduce,
  kReluctant,
  kBusy
};
struct MethodRow {
  const char* name;
  uint32_t id, flags;
};
constexpr uint32_t kBoth = TENON_METHOD_CLIENT_STREAM | TENON_METHOD_SERVER_STREAM;
const MethodRow kMethods[] = {
    {"Unary", kUnary, 0},
    {"Later", kLater, 0},
    {"Fail", kFail, 0},
    {"Show", kShow, 0},
    {"Hang", kHang, 0},
    {"Stubborn", kStubborn, 0},
    {"Bidi", kBidi, kBoth},
    {"Collect", kCollect, TENON_METHOD_CLIENT_STREAM},
    {"Produce", kProduce, TENON_METHOD_SERVER_STREAM},
    {"Reluctant", kReluctant, kBoth},
    {"Busy", kBusy, kBoth},
};

EchoKernel& Kernel(const tenon_host* host) { return *static_cast<EchoKernel*>(plugin::Host::From(host).context()); }

std::string Flat(const tenon_bufs& bufs) {
  std::string out;
  for (size_t i = 0; i < bufs.n; ++i) out.append(reinterpret_cast<const char*>(bufs.part[i].p), bufs.part[i].n);
  return out;
}
std::string Text(tenon_slice s) { return {reinterpret_cast<const char*>(s.p), s.n}; }
tenon_slice Slice(std::string_view s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }

// The counted owner of a reply.
struct OwnedReply {
  EchoKernel* kernel;
  std::string text;
  std::vector<tenon_slice> parts;
};

// A request handed back as the reply: the transport must not care whose memory it is.
struct PassedOn {
  EchoKernel* kernel;
  tenon_bufs request;
};

tenon_bufs PassOn(EchoKernel* kernel, tenon_bufs request) {
  ++kernel->requests_unreleased;
  auto* owner = new PassedOn{kernel, request};
  return {request.part, request.n, owner, [](void* ctx) {
            auto* passed = static_cast<PassedOn*>(ctx);
            TENON_RELEASE(passed->request);
            --passed->kernel->requests_unreleased;
            passed->kernel->Changed();
            delete passed;
          }};
}

tenon_error ErrorOf(tenon_status code, const std::string& text) {
  tenon_error error{.size = sizeof error, .code = code};
  snprintf(error.msg, sizeof error.msg, "%s", text.c_str());
  return error;
}

std::string Show(const tenon_call_info& info) {
  std::string out = fmt::format("name={}\nremote={}\ntimeout_ns={}\n", Text(info.name), Text(info.cred->remote_addr),
                                info.timeout_ns);
  for (size_t i = 0; i < info.n_meta; ++i)
    out += fmt::format("{}={}\n", Text(info.meta[i].key), Text(info.meta[i].val));
  return out;
}

}  // namespace

tenon_cfg AsNode(const Config& config, const std::string& where) {
  std::vector<std::pair<std::string, tenon_cfg>> children;
  for (const auto& [name, text] : config) children.emplace_back(name, tenon_cfg::Scalar(text, where));
  return tenon_cfg::Map(std::move(children), where);
}

std::string EchoDescriptors() {
  auto field = [](int number, const std::string& bytes) {
    CHECK(bytes.size() < 128);
    return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
  };
  std::string options = "\x18\x01";  // a varint field to step over
  std::string service = field(1, "Echo") + field(2, "a method");
  return field(1, field(1, "echo.proto") + field(2, "echo") + options + field(6, service));
}

// One stream of the echo service, with an eye on what the transport calls. Kept a while after its end, so that a
// function called too late is seen and not a crash.
class EchoStream {
 public:
  EchoStream(EchoKernel& kernel, uint32_t method, tenon_call_out out) : kernel_(kernel), method_(method), out_(out) {
    ++kernel_.streams_begun;
  }

  static const tenon_call_in_v1 kIn;

  void Resume() {
    if (finished_) return;
    ++readables_;
    out_.fn->readable(out_.self);
  }

 private:
  friend class EchoKernel;

  // Holds while a function of `in` runs: a second thread in one of them is the transport's fault.
  class Inside {
   public:
    Inside(EchoStream& stream, const char* function) : stream_(stream) {
      const std::thread::id nobody, me = std::this_thread::get_id();
      std::thread::id was = nobody;
      outermost_ = stream.inside_.compare_exchange_strong(was, me);
      if (!outermost_ && was != me) {
        stream.kernel_.Violation(
            fmt::format("in.{} was called while another thread is in a function of `in`", function));
      }
      if (stream.released_) stream.kernel_.Violation(fmt::format("in.{} was called after in.release", function));
    }
    ~Inside() {
      if (outermost_) stream_.inside_ = std::thread::id();
    }

   private:
    EchoStream& stream_;
    bool outermost_;
  };

  tenon_status OnMessage(tenon_bufs bufs) {
    Inside inside(*this, "message");
    if (half_closed_) kernel_.Violation("in.message was called after in.half_close");
    if (cancelled_) kernel_.Violation("in.message was called after in.cancel");
    if (agains_ > readables_) kernel_.Violation("in.message was called although it had said AGAIN before");
    ++kernel_.messages_in;
    kernel_.Changed();
    if (finished_) {
      TENON_RELEASE(bufs);
      return TENON_OK;
    }
    if (method_ == kCollect) {
      for (size_t i = 0; i < bufs.n; ++i) collected_ += bufs.part[i].n;
      TENON_RELEASE(bufs);
      return TENON_OK;
    }
    if (method_ == kProduce) {
      std::string text = Flat(bufs);
      TENON_RELEASE(bufs);
      sscanf(text.c_str(), "%d %zu", &to_produce_, &produce_bytes_);
      kernel_.Post([this] { Produce(); });
      return TENON_OK;
    }
    ++kernel_.messages_out;
    tenon_status status = out_.fn->message(out_.self, PassOn(&kernel_, bufs));
    if (status == TENON_AGAIN) {
      ++kernel_.holds;
      ++agains_;
      return TENON_AGAIN;  // the client must read before it sends more
    }
    if (method_ != kReluctant || !kernel_.reluctant()) return TENON_OK;
    ++agains_;
    return TENON_AGAIN;
  }

  void OnWritable() {
    Inside inside(*this, "writable");
    if (method_ == kProduce) return kernel_.Post([this] { Produce(); });
    Resume();
  }

  void OnHalfClose() {
    Inside inside(*this, "half_close");
    if (half_closed_.exchange(true)) kernel_.Violation("in.half_close was called twice");
    ++kernel_.streams_half_closed;
    kernel_.Changed();
    if (method_ == kProduce || finished_) return;
    if (method_ == kCollect) out_.fn->message(out_.self, kernel_.Reply(fmt::format("{} bytes", collected_)));
    Finish(TENON_OK);
  }

  void OnCancel() {
    Inside inside(*this, "cancel");
    ++kernel_.streams_cancelled;
    if (cancelled_.exchange(true)) kernel_.Violation("in.cancel was called twice");
    kernel_.Changed();
    if (method_ == kProduce) return kernel_.Post([this] { Produce(); });  // finish comes from the producer's thread
    if (!finished_) Finish(TENON_CANCELLED);
  }

  void OnRelease() {
    Inside inside(*this, "release");
    if (!finished_) kernel_.Violation("in.release was called before out.finish");
    if (released_.exchange(true)) return;  // Inside has said it
    ++kernel_.streams_released;
    kernel_.Changed();
    kernel_.Post([this] { kernel_.Bury(std::unique_ptr<EchoStream>(this)); });  // behind any Produce that still waits
  }

  // On the worker's thread, so one at a time.
  void Produce() {
    if (finished_) return;
    while (!cancelled_ && produced_ < to_produce_) {
      ++kernel_.messages_out;
      std::string text = fmt::format("{} ", produced_++);
      text.resize(std::max(text.size(), produce_bytes_), 'x');
      tenon_status status = out_.fn->message(out_.self, kernel_.Reply(std::move(text)));
      if (status == TENON_AGAIN) {
        ++kernel_.holds;
        kernel_.Changed();
        return;
      }
      if (status != TENON_OK) break;
    }
    if (!cancelled_ && produced_ < to_produce_) return;  // the cancel is on its way
    Finish(cancelled_ ? TENON_CANCELLED : TENON_OK);
  }

  void Finish(tenon_status status) {
    finished_ = true;
    tenon_kv trailer{Slice("echo-trailer"), Slice("the end")};
    tenon_error error = ErrorOf(status, status == TENON_OK ? "" : "the stream was cancelled");
    out_.fn->finish(out_.self, status, &error, &trailer, 1);
  }

  EchoKernel& kernel_;
  uint32_t method_;
  tenon_call_out out_;
  std::atomic<std::thread::id> inside_{};
  std::atomic<bool> finished_{false}, cancelled_{false}, released_{false}, half_closed_{false};
  std::atomic<int> agains_{0}, readables_{0};
  size_t collected_ = 0;
  int to_produce_ = 0, produced_ = 0;
  size_t produce_bytes_ = 0;
};

const tenon_call_in_v1 EchoStream::kIn = {
    .size = sizeof(tenon_call_in_v1),
    .message = [](void* self, tenon_bufs bufs) { return static_cast<EchoStream*>(self)->OnMessage(bufs); },
    .writable = [](void* self) { static_cast<EchoStream*>(self)->OnWritable(); },
    .half_close = [](void* self) { static_cast<EchoStream*>(self)->OnHalfClose(); },
    .cancel = [](void* self) { static_cast<EchoStream*>(self)->OnCancel(); },
    .release = [](void* self) { static_cast<EchoStream*>(self)->OnRelease(); },
};

// One HTTP request. Answers on the worker's thread, as far as the client takes it.
class EchoHttp {
 public:
  EchoHttp(EchoKernel& kernel, tenon_call_out out, std::string path, std::string text)
      : kernel_(kernel), out_(out), path_(std::move(path)), text_(std::move(text)) {
    ++kernel_.http_begun;
    kernel_.Changed();
  }

  static const tenon_call_in_v1 kIn;

  void Begin() {
    if (path_ == "/hang") return;
    std::vector<std::pair<std::string, std::string>> fields = {{":status", path_ == "/teapot" ? "418" : "200"},
                                                               {"content-type", "text/plain"}};
    if (path_ == "/sized") fields.emplace_back("content-length", std::to_string(text_.size()));
    std::vector<tenon_kv> headers;
    for (const auto& [name, value] : fields) headers.push_back({Slice(name), Slice(value)});
    if (path_ != "/headless") out_.fn->headers(out_.self, headers.data(), headers.size());
    left_ = path_ == "/large" ? size_t{20} << 20 : text_.size();
    Go();
  }

 private:
  void Go() {
    while (left_ > 0 && !cancelled_) {
      std::string piece = path_ == "/large" ? std::string(100'000, 'l') : text_;
      piece.resize(std::min(piece.size(), left_));
      left_ -= piece.size();
      if (out_.fn->message(out_.self, kernel_.Reply(std::move(piece))) != TENON_AGAIN) continue;
      ++kernel_.holds;
      kernel_.Changed();
      return;
    }
    Finish(cancelled_ ? TENON_CANCELLED : path_ == "/broken" ? TENON_INTERNAL : TENON_OK);
  }
  void Finish(tenon_status status) {
    if (!finished_.exchange(true)) out_.fn->finish(out_.self, status, nullptr, nullptr, 0);
  }
  void OnCancel() {
    ++kernel_.http_cancelled;
    cancelled_ = true;
    kernel_.Changed();
    kernel_.Post([this] { Finish(TENON_CANCELLED); });
  }
  void OnRelease() {
    CHECK(finished_);
    ++kernel_.http_released;
    kernel_.Changed();
    kernel_.Post([this] { delete this; });
  }

  EchoKernel& kernel_;
  tenon_call_out out_;
  std::string path_, text_;
  size_t left_ = 0;
  std::atomic<bool> finished_{false}, cancelled_{false};
};

const tenon_call_in_v1 EchoHttp::kIn = {
    .size = sizeof(tenon_call_in_v1),
    .message = nullptr,
    .writable =
        [](void* self) {
          auto* http = static_cast<EchoHttp*>(self);
          http->kernel_.Post([http] { http->Go(); });
        },
    .half_close = nullptr,
    .cancel = [](void* self) { static_cast<EchoHttp*>(self)->OnCancel(); },
    .release = [](void* self) { static_cast<EchoHttp*>(self)->OnRelease(); },
};

namespace {

const std::string& DescriptorBytes() {
  static const std::string bytes = EchoDescriptors();
  return bytes;
}

}  // namespace

EchoKernel::EchoKernel()
    : pool_("echo-pool"),
      host_({.plugin = "plugin-check", .instance = "transport"},
            {.clock = &clock_, .pool = &pool_, .metrics = &metrics_, .fatal = [this](Status why) {
               Violation(fmt::format("host.fatal: {}", Message(why)));
             }}) {
  static const tenon_host_dispatch_v1 dispatch = {
      .size = sizeof(tenon_host_dispatch_v1),
      .method = [](const tenon_host*, tenon_slice name, uint32_t* flags) -> uint32_t {
        for (const MethodRow& row : kMethods) {
          if (Text(name) != std::string(kPrefix) + row.name) continue;
          *flags = row.flags;
          return row.id;
        }
        return 0;
      },
      .unary = [](const tenon_host* host, const tenon_call_info* info, tenon_bufs request,
                  tenon_done done) { return Kernel(host).Unary(info, request, done); },
      .unary_cancel = [](const tenon_host* host, uint64_t call) { Kernel(host).CancelUnary(call); },
      .stream = [](const tenon_host* host, const tenon_call_info* info, tenon_call_out out,
                   tenon_call_in* in) { return Kernel(host).Stream(info, out, in); },
      .http = [](const tenon_host* host, const tenon_http_info* info, tenon_bufs body, tenon_call_out out,
                 tenon_call_in* in) { return Kernel(host).Http(info, body, out, in); },
      .descriptors = [](const tenon_host*) { return Slice(DescriptorBytes()); },
  };
  host_.Provide(TENON_HOST_DISPATCH, &dispatch);
  host_.set_context(this);
  worker_ = std::thread([this] { Work(); });
}

EchoKernel::~EchoKernel() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    work_ready_.notify_all();
  }
  worker_.join();
  host_.Close();
  pool_.Stop();
}

void EchoKernel::Violation(const std::string& what) {
  std::lock_guard lock(violations_mutex_);
  if (violations_.size() < 20 && std::find(violations_.begin(), violations_.end(), what) == violations_.end()) {
    violations_.push_back(what);
  }
}

std::vector<std::string> EchoKernel::violations() const {
  std::lock_guard lock(violations_mutex_);
  return violations_;
}

void EchoKernel::Bury(std::unique_ptr<EchoStream> stream) {
  constexpr size_t kKept = 20'000;
  graves_.push_back(std::move(stream));
  if (graves_.size() > kKept) graves_.pop_front();
}

void EchoKernel::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_ready_.wait(lock, [this] { return stopping_ || !work_.empty(); });
    if (work_.empty()) return;
    auto work = std::move(work_.front());
    work_.pop_front();
    lock.unlock();
    work();
    lock.lock();
  }
}

void EchoKernel::Post(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  work_.push_back(std::move(work));
  if (work_.size() == 1) work_ready_.notify_one();
}

void EchoKernel::Changed() {
  if (awaiting_ == 0) return;  // so that a load generator does not measure this
  std::lock_guard lock(mutex_);
  changed_.notify_all();
}

bool EchoKernel::Await(const std::function<bool()>& holds) {
  ++awaiting_;
  std::unique_lock lock(mutex_);
  bool held = changed_.wait_for(lock, std::chrono::seconds(60), holds);
  --awaiting_;
  return held;
}

bool EchoKernel::reluctant() {
  std::lock_guard lock(mutex_);
  return !let_go_;
}

void EchoKernel::LetGo() {
  std::set<EchoStream*> streams;
  std::vector<tenon_done> stubborn;
  {
    std::lock_guard lock(mutex_);
    let_go_ = true;
    streams = reluctant_;
    stubborn.swap(stubborn_);
  }
  for (const tenon_done& done : stubborn) done.fn(done.ctx, TENON_OK, nullptr, {});
  for (EchoStream* stream : streams) stream->Resume();
}

tenon_bufs EchoKernel::Reply(std::string text, size_t part_bytes) {
  auto* reply = new OwnedReply{this, std::move(text), {}};
  std::string_view left = reply->text;
  if (part_bytes == 0) part_bytes = std::max<size_t>(left.size(), 1);
  for (; !left.empty(); left.remove_prefix(std::min(part_bytes, left.size()))) {
    reply->parts.push_back(Slice(left.substr(0, part_bytes)));
  }
  ++replies_unreleased;
  int64_t now = bytes_unreleased += static_cast<int64_t>(reply->text.size());
  for (int64_t most = most_bytes_unreleased; most < now && !most_bytes_unreleased.compare_exchange_weak(most, now);) {
  }
  return {reply->parts.data(), reply->parts.size(), reply, [](void* ctx) {
            auto* owned = static_cast<OwnedReply*>(ctx);
            owned->kernel->bytes_unreleased -= static_cast<int64_t>(owned->text.size());
            --owned->kernel->replies_unreleased;
            owned->kernel->Changed();
            delete owned;
          }};
}

uint64_t EchoKernel::Unary(const tenon_call_info* info, tenon_bufs request, tenon_done done) {
  ++unary_calls;
  switch (info->method) {
    case kUnary: done.fn(done.ctx, TENON_OK, nullptr, PassOn(this, request)); return 0;
    case kLater: {
      Post([this, request, done] { done.fn(done.ctx, TENON_OK, nullptr, PassOn(this, request)); });
      return 1;  // never hangs, so never cancelled
    }
    case kFail: {
      std::string text = Flat(request);
      TENON_RELEASE(request);
      char* rest;
      auto code = static_cast<tenon_status>(strtol(text.c_str(), &rest, 10));
      tenon_error error = ErrorOf(code, *rest == ' ' ? rest + 1 : rest);
      done.fn(done.ctx, code, &error, {});
      return 0;
    }
    case kShow: {
      TENON_RELEASE(request);
      done.fn(done.ctx, TENON_OK, nullptr, Reply(Show(*info), 7));
      return 0;
    }
    case kStubborn: {
      TENON_RELEASE(request);
      {
        std::lock_guard lock(mutex_);
        changed_.notify_all();
        if (!let_go_) {
          stubborn_.push_back(done);
          return 1;  // not one of hanging_
        }
      }
      done.fn(done.ctx, TENON_OK, nullptr, {});
      return 0;
    }
    default: {
      TENON_RELEASE(request);
      std::lock_guard lock(mutex_);
      if (last_handle_ == 0) last_handle_ = 1;
      hanging_[++last_handle_] = done;
      changed_.notify_all();
      return last_handle_;
    }
  }
}

void EchoKernel::CancelUnary(uint64_t call) {
  tenon_done done;
  {
    std::lock_guard lock(mutex_);
    auto found = hanging_.find(call);
    if (found == hanging_.end()) return;
    done = found->second;
    hanging_.erase(found);
    ++unary_cancels;
    changed_.notify_all();
  }
  done.fn(done.ctx, TENON_CANCELLED, nullptr, {});
}

tenon_status EchoKernel::Http(const tenon_http_info* info, tenon_bufs body, tenon_call_out out, tenon_call_in* in) {
  std::string path = Text(info->path);
  std::string text = fmt::format("{} {} query={} roles={} remote={} body={}\n", Text(info->method), path,
                                 Text(info->query), info->roles, Text(info->cred->remote_addr), Flat(body));
  for (size_t i = 0; i < info->n_headers; ++i) {
    text += fmt::format("{}={}\n", Text(info->headers[i].key), Text(info->headers[i].val));
  }
  TENON_RELEASE(body);
  if (path == "/refused") return TENON_UNIMPLEMENTED;
  auto* http = new EchoHttp(*this, out, path, text);
  *in = {&EchoHttp::kIn, http};
  if (path == "/inline") {
    http->Begin();
  } else {
    Post([http] { http->Begin(); });
  }
  return TENON_OK;
}

tenon_status EchoKernel::Stream(const tenon_call_info* info, tenon_call_out out, tenon_call_in* in) {
  if (info->method == kBusy) return TENON_EXHAUSTED;
  auto* stream = new EchoStream(*this, info->method, out);
  *in = {&EchoStream::kIn, stream};
  if (info->method == kReluctant) {
    tenon_kv header{Slice("echo-header"), Slice("reluctantly")};
    out.fn->headers(out.self, &header, 1);
    std::lock_guard lock(mutex_);
    reluctant_.insert(stream);
  }
  Changed();
  return TENON_OK;
}

}  // namespace tenon::testing
