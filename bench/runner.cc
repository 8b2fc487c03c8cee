#include "bench/runner.h"

#include <algorithm>
#include <memory>

#include "bench/h2_client.h"
#include "bench/process.h"
#include "kernel/base/check.h"

namespace tenon::bench {
namespace {

class Runner {
 public:
  explicit Runner(const Plan& plan) : plan_(plan), random_(plan.seed) {}

  Status Connect();
  Result<Outcome> Drive();

 private:
  // One request in flight at a time.
  class Client : public Call {
   public:
    Client(Runner& runner, Connection& connection, uint64_t number)
        : runner_(runner), connection_(connection), builder_(runner.plan_.shape, number) {}

    void Start(uint64_t key, uint64_t since_ns, bool counted) {
      since_ns_ = since_ns;
      counted_ = counted;
      answered_ = false;
      if (!connection_.Start(*this, Path(runner_.plan_.shape.operation), builder_.Build(key))) {
        runner_.Lost(*this);
      }
    }

    void OnMessage(std::string_view message) override {
      Result<Answer> part = ReadAnswer(runner_.plan_.shape, message);
      if (!answered_ || !part.ok()) {
        answer_ = std::move(part);
      } else if (answer_.ok()) {  // a stream's next message
        answer_->keys += part->keys;
      }
      answered_ = true;
    }
    void OnDone(const CallResult& result) override { runner_.Done(*this, result); }

    Runner& runner_;
    Connection& connection_;
    RequestBuilder builder_;
    uint64_t since_ns_ = 0;
    bool counted_ = false;
    bool answered_ = false;
    Result<Answer> answer_ = Answer{};
  };

  bool MayStart() const;
  void StartNext(Client& client, uint64_t since_ns);
  void StartDue();
  void BeginMeasuring();
  void EndMeasuring();
  void Done(Client& client, const CallResult& result);
  void Lost(Client& client);
  void CountError(StatusCode code, std::string_view text);
  int64_t NextTurnNs() const;
  uint64_t NextKey();
  uint64_t BytesRead() const;
  uint64_t BytesWritten() const;

  const Plan plan_;
  Loop loop_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<Client*> idle_;
  size_t in_flight_ = 0;

  bool measuring_ = false;
  bool stopped_ = false;   // an error ends the run
  uint64_t phase_ns_ = 0;  // when the warm-up, later the measured part, began
  uint64_t started_ = 0;   // requests of this phase
  uint64_t next_key_ = 0;
  uint64_t random_;
  double own_cpu_us_ = 0;
  uint64_t bytes_read_ = 0, bytes_written_ = 0;
  ProcessSample server_before_;
  Outcome outcome_;
};

Status Runner::Connect() {
  for (size_t i = 0; i < std::max<size_t>(plan_.connections, 1); i++) {
    const std::string& endpoint = plan_.endpoints[i % plan_.endpoints.size()];
    ASSIGN_OR_RETURN(auto connection, Connection::Open(loop_, endpoint));
    connections_.push_back(std::move(connection));
  }
  for (size_t i = 0; i < std::max<size_t>(plan_.clients, 1); i++) {
    clients_.push_back(std::make_unique<Client>(*this, *connections_[i % connections_.size()], plan_.seed << 32 | i));
    idle_.push_back(clients_.back().get());
  }
  return Ok();
}

Result<Outcome> Runner::Drive() {
  if (plan_.server != 0) RETURN_IF_ERROR(SampleProcess(plan_.server));
  phase_ns_ = NowNs();
  if (plan_.warmup_ns == 0) BeginMeasuring();
  while (true) {
    if (!measuring_ && NowNs() >= phase_ns_ + static_cast<uint64_t>(plan_.warmup_ns)) BeginMeasuring();
    StartDue();
    if (in_flight_ == 0 && (stopped_ || (measuring_ && !MayStart()))) break;
    loop_.Turn(NextTurnNs());
  }
  if (!measuring_) BeginMeasuring();  // the warm-up failed
  EndMeasuring();
  return std::move(outcome_);
}

bool Runner::MayStart() const {
  if (stopped_) return false;
  if (!measuring_) return true;
  if (plan_.total > 0) return started_ < plan_.total;
  return loop_.now_ns() < phase_ns_ + static_cast<uint64_t>(plan_.duration_ns);
}

// Gives idle clients what is due: at once, or at the plan's rate. A request that had to wait for a free client counts
// from when it was due, so that a server that stalls cannot hide it by keeping us from asking.
void Runner::StartDue() {
  const uint64_t now = NowNs();
  while (!idle_.empty() && MayStart()) {
    uint64_t since = now;
    if (plan_.rate > 0) {
      since = phase_ns_ + static_cast<uint64_t>(static_cast<double>(started_) * 1e9 / plan_.rate);
      if (since > now) return;
    }
    Client* client = idle_.back();
    idle_.pop_back();
    StartNext(*client, since);
  }
}

int64_t Runner::NextTurnNs() const {
  const uint64_t now = NowNs();
  uint64_t until = UINT64_MAX;
  if (!measuring_) until = phase_ns_ + static_cast<uint64_t>(plan_.warmup_ns);
  if (plan_.rate > 0 && !idle_.empty() && MayStart()) {
    until = std::min(until, phase_ns_ + static_cast<uint64_t>(static_cast<double>(started_) * 1e9 / plan_.rate));
  }
  if (until == UINT64_MAX) return -1;
  return until <= now ? 0 : static_cast<int64_t>(until - now);
}

void Runner::StartNext(Client& client, uint64_t since_ns) {
  started_++;
  in_flight_++;
  client.Start(NextKey(), since_ns, measuring_);
}

uint64_t Runner::NextKey() {
  if (plan_.order == Order::kSequential) return next_key_++ % plan_.shape.key_space;
  random_ ^= random_ << 13;  // xorshift64
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return random_ % plan_.shape.key_space;
}

void Runner::BeginMeasuring() {
  measuring_ = true;
  phase_ns_ = NowNs();
  started_ = 0;
  own_cpu_us_ = OwnCpuUs();
  bytes_read_ = BytesRead();
  bytes_written_ = BytesWritten();
  if (plan_.server != 0) {
    if (auto sample = SampleProcess(plan_.server); sample.ok()) server_before_ = *std::move(sample);
  }
}

void Runner::EndMeasuring() {
  const uint64_t end = std::max(outcome_.answered_at_ns, phase_ns_);
  outcome_.seconds = static_cast<double>(end - phase_ns_) / 1e9;
  outcome_.own_cpu_us = OwnCpuUs() - own_cpu_us_;
  outcome_.bytes_read = BytesRead() - bytes_read_;
  outcome_.bytes_written = BytesWritten() - bytes_written_;
  if (plan_.server == 0) return;
  const auto after = SampleProcess(plan_.server);
  if (!after.ok()) return;  // it died; the requests tell
  outcome_.server = ServerUse{after->user_us - server_before_.user_us, after->system_us - server_before_.system_us,
                              SwitchesBetween(server_before_, *after), after->rss_bytes, after->rss_anon_bytes};
}

void Runner::Done(Client& client, const CallResult& result) {
  in_flight_--;
  if (plan_.shape.operation == Operation::kStream && client.answered_ && client.answer_.ok()) {
    if (Status status = CheckStream(plan_.shape, *client.answer_); !status.ok()) client.answer_ = std::move(status);
  }
  if (result.code != StatusCode::kOk) {
    CountError(result.code, result.message);
  } else if (!client.answered_) {
    CountError(StatusCode::kDataLoss, "OK without an answer");
  } else if (!client.answer_.ok()) {
    CountError(client.answer_.status().code(), Message(client.answer_.status()));
  } else if (client.counted_) {
    const uint64_t now = loop_.now_ns();
    const uint64_t latency = now > client.since_ns_ ? now - client.since_ns_ : 0;
    outcome_.latency_ns.Record(latency);
    if (outcome_.each_ns.size() < 100) outcome_.each_ns.push_back(latency);
    outcome_.keys += client.answer_->keys;
    outcome_.answered_at_ns = now;
  }
  // At full speed the next request goes out with this turn's write; at a rate, StartDue decides.
  if (plan_.rate == 0 && !client.connection_.lost() && MayStart()) return StartNext(client, loop_.now_ns());
  idle_.push_back(&client);
}

void Runner::Lost(Client& client) {
  in_flight_--;
  stopped_ = true;  // there is nobody to ask
  CountError(StatusCode::kUnavailable, "the connection is lost");
  idle_.push_back(&client);
}

void Runner::CountError(StatusCode code, std::string_view text) {
  outcome_.errors[code]++;
  if (outcome_.first_error.empty()) outcome_.first_error = text;
  if (!plan_.allow_errors) stopped_ = true;
}

uint64_t Runner::BytesRead() const {
  uint64_t sum = 0;
  for (const auto& connection : connections_) sum += connection->bytes_read();
  return sum;
}

uint64_t Runner::BytesWritten() const {
  uint64_t sum = 0;
  for (const auto& connection : connections_) sum += connection->bytes_written();
  return sum;
}

}  // namespace

Result<Outcome> RunPlan(const Plan& plan) {
  RETURN_IF_ERROR(Validate(plan.shape));
  if (plan.endpoints.empty()) return absl::InvalidArgumentError("no endpoint");
  Runner runner(plan);
  RETURN_IF_ERROR(runner.Connect());
  return runner.Drive();
}

}  // namespace tenon::bench
