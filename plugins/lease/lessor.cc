#include "plugins/lease/lessor.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "kernel/base/coding.h"
#include "plugins/lease/lease.h"

namespace tenon::lease_module {
namespace {

constexpr int64_t kMaxTtlS = 9'000'000'000;
constexpr int64_t kTickMs = 100;
constexpr size_t kLookAtOnce = 1000;                   // leases, with the mutex held
constexpr size_t kCheckpointsAtOnce = 1000;            // in one entry, as etcd
constexpr int64_t kRetryMs = 1000;                     // a revoke that failed
constexpr uint32_t kTable0 = 0;                        // "lease", the only one
constexpr uint32_t kRevokeOp = 9, kCheckpointOp = 11;  // lease_revoke, lease_checkpoint of InternalRaftRequest

// ---- bytes ----

// etcd's key of a row.
struct RowKey {
  explicit RowKey(int64_t id) { PutBigEndian64(bytes, static_cast<uint64_t>(id)); }
  tenon_slice slice() const { return sdk::Slice({bytes, sizeof bytes}); }
  char bytes[8];
};

void AppendField(std::string& to, int number, int64_t value) {
  if (value == 0) return;  // proto3
  AppendVarint(to, static_cast<uint64_t>(number) << 3);
  AppendVarint(to, static_cast<uint64_t>(value));
}

// leasepb.Lease { ID = 1, TTL = 2, RemainingTTL = 3 }; false: it is not one.
bool ParseRow(std::string_view bytes, int64_t (&fields)[4]) {
  while (!bytes.empty()) {
    uint64_t tag, value;
    if (!TakeVarint(bytes, tag) || (tag & 7) != 0 || !TakeVarint(bytes, value)) return false;
    if (tag >> 3 <= 3) fields[tag >> 3] = static_cast<int64_t>(value);
  }
  return true;
}

tenon_bufs Owned(std::string bytes) {
  struct Message {
    std::string bytes;
    tenon_slice part;
  };
  auto* message = new Message{std::move(bytes), {}};
  message->part = sdk::Slice(message->bytes);
  return {&message->part, 1, message, [](void* ctx) { delete static_cast<Message*>(ctx); }};
}

void Answer(const std::vector<tenon_lease_done>& waiting, tenon_status status) {
  for (const tenon_lease_done& done : waiting) done.fn(done.ctx, status, 0);
}

uint64_t TickAtOrAfter(int64_t ms) { return static_cast<uint64_t>((ms + kTickMs - 1) / kTickMs); }
uint64_t TickAtOrBefore(int64_t ms) { return static_cast<uint64_t>(ms / kTickMs); }

}  // namespace

const char kConfigSchema[] = R"({"type":"object","properties":{
  "checkpoint-interval":{"type":"string"},
  "max-revokes":{"type":"integer","minimum":1,"maximum":4000}
},"additionalProperties":false})";
const char* const kTables[] = {"lease", nullptr};

// ---- lifecycle ----

Lessor::Lessor(const sdk::Host& host, const sdk::Config& config)
    : host_(host),
      exec_(host.Get<tenon_host_exec_v1>(TENON_HOST_EXEC)),
      raft_(host.Get<tenon_host_raft_v1>(TENON_HOST_RAFT)),
      metrics_(host.Get<tenon_host_metrics_v1>(TENON_HOST_METRICS)) {
  if (exec_ == nullptr || raft_ == nullptr) {
    throw sdk::Error(TENON_PRECONDITION, "lease: the host offers no executor or no raft");
  }
  checkpoint_interval_ms_ =
      config.Duration("checkpoint-interval", std::chrono::minutes(5)) / std::chrono::milliseconds(1);
  if (checkpoint_interval_ms_ != 0 && checkpoint_interval_ms_ < 1000) {
    throw config.Wrong("checkpoint-interval", "must be 0 (no checkpoints) or at least 1s");
  }
  max_revokes_ = static_cast<size_t>(config.I64("max-revokes", 2000));
  if (metrics_ == nullptr) return;
  const auto counter = [&](const char* name, const char* help) {
    return metrics_->define(host_.raw(), TENON_COUNTER, name, help, nullptr, 0, nullptr, 0);
  };
  granted_ = counter("etcd_debugging_lease_granted_total", "The total number of granted leases.");
  revoked_ = counter("etcd_debugging_lease_revoked_total", "The total number of revoked leases.");
  renewed_ = counter("etcd_debugging_lease_renewed_total", "The number of renewed leases seen by the leader.");
  expired_ = counter("etcd_debugging_server_lease_expired_total", "The total number of expired leases.");
  double buckets[24];
  for (size_t i = 0; i < std::size(buckets); i++) buckets[i] = static_cast<double>(uint64_t{1} << i);
  ttls_ = metrics_->define(host_.raw(), TENON_HISTOGRAM, "etcd_debugging_lease_ttl_total",
                           "Bucketed histogram of lease TTLs.", nullptr, 0, buckets, std::size(buckets));
}

Lessor::~Lessor() = default;

void Lessor::Stop() { Demote(); }

std::vector<tenon_lease_done> Lessor::TakeWaiting() {
  std::vector<tenon_lease_done> all;
  for (auto& [id, waiting] : renewals_) all.insert(all.end(), waiting.begin(), waiting.end());
  renewals_.clear();
  return all;
}

// ---- replicated state ----

void Lessor::Recover(const tenon_apply_v1& context) {
  std::vector<tenon_lease_done> waiting;
  {
    std::lock_guard lock(mutex_);
    wheel_.Reset(0, fresh_);
    for (Wheel::List* list : {&fresh_, &begun_, &ending_}) list->Forget();
    for (auto& shard : shards_) shard.clear();
    ended_.clear();
    epoch_++;
    waiting = TakeWaiting();
    const auto take = [](void* self, const tenon_kv* row) -> tenon_status {
      int64_t fields[4] = {};
      if (!ParseRow(sdk::View(row->val), fields)) return TENON_CORRUPT;
      auto& lessor = *static_cast<Lessor*>(self);
      Lease& lease = lessor.ShardOf(fields[1])[fields[1]];
      lease.id = fields[1];
      lease.ttl_s = fields[2];
      lease.remaining_s = fields[3];
      Wheel::Unlink(lease);
      lessor.fresh_.Append(lease);
      return TENON_OK;
    };
    const tenon_status status = context.scan(&context, kTable0, {}, 0, take, this);
    if (status != TENON_OK) throw sdk::Error(status, "lease: a row of the table lease is damaged or not readable");
  }
  Answer(waiting, TENON_UNAVAILABLE);
}

std::unordered_map<int64_t, Lessor::Lease>& Lessor::ShardOf(int64_t id) {
  // Fibonacci hashing: clients choose ids, in steps of any size.
  return shards_[(static_cast<uint64_t>(id) * 0x9e3779b97f4a7c15) >> 54];
}

Lessor::Lease* Lessor::Find(int64_t id) {
  auto& shard = ShardOf(id);
  const auto it = shard.find(id);
  return it == shard.end() ? nullptr : &it->second;
}

void Lessor::Save(const tenon_apply_v1& context, const Lease& lease) const {
  std::string row;
  AppendField(row, 1, lease.id);
  AppendField(row, 2, lease.ttl_s);
  AppendField(row, 3, lease.remaining_s);
  const tenon_status status = context.put(&context, kTable0, RowKey(lease.id).slice(), sdk::Slice(row));
  if (status != TENON_OK) throw sdk::Error(TENON_FATAL, "lease: the store refused a row");
}

tenon_status Lessor::Grant(const tenon_apply_v1& context, int64_t id, int64_t ttl_s, int64_t* granted) {
  if (ttl_s > kMaxTtlS) return TENON_RANGE;
  {
    std::lock_guard lock(mutex_);
    const auto [at, made] = ShardOf(id).try_emplace(id);
    if (!made) return TENON_EXISTS;
    Lease& lease = at->second;
    lease.id = id;
    lease.ttl_s = ttl_s;
    lease.epoch = epoch_;
    Save(context, lease);
    fresh_.Append(lease);
  }
  *granted = ttl_s;
  if (metrics_ != nullptr) {
    metrics_->add(host_.raw(), granted_, 1);
    metrics_->observe(host_.raw(), ttls_, static_cast<double>(ttl_s));
  }
  return TENON_OK;
}

tenon_status Lessor::Revoke(const tenon_apply_v1& context, int64_t id, tenon_lease_key_fn key, void* ctx) {
  std::vector<tenon_lease_done> waiting;
  {
    std::lock_guard lock(mutex_);
    Lease* lease = Find(id);
    if (lease == nullptr) return TENON_NOT_FOUND;
    if (lease->keys != nullptr) {
      for (const std::string& k : *lease->keys) {
        if (const tenon_status s = key(ctx, sdk::Slice(k)); s != TENON_OK) return s;
      }
    }
    if (context.del(&context, kTable0, RowKey(id).slice()) != TENON_OK) return TENON_FATAL;
    Wheel::Unlink(*lease);
    ShardOf(id).erase(id);
    if (const auto it = renewals_.find(id); it != renewals_.end()) {
      waiting = std::move(it->second);
      renewals_.erase(it);
    }
  }
  Answer(waiting, TENON_NOT_FOUND);
  if (metrics_ != nullptr) metrics_->add(host_.raw(), revoked_, 1);
  return TENON_OK;
}

tenon_status Lessor::Checkpoint(const tenon_apply_v1& context, int64_t id, int64_t remaining_s) {
  std::lock_guard lock(mutex_);
  Lease* lease = Find(id);
  if (lease == nullptr) return TENON_NOT_FOUND;
  BeginSincePromotion(*lease);  // with what the log said then
  lease->remaining_s = remaining_s;
  if (remaining_s > 0) lease->checkpointing = false;
  Save(context, *lease);
  return TENON_OK;
}

tenon_status Lessor::Attach(int64_t id, std::string_view key) {
  std::lock_guard lock(mutex_);
  Lease* lease = Find(id);
  if (lease == nullptr) return TENON_NOT_FOUND;
  if (lease->keys == nullptr) lease->keys = std::make_unique<Keys>();
  lease->keys->emplace(key);
  return TENON_OK;
}

void Lessor::Detach(int64_t id, std::string_view key) {
  std::lock_guard lock(mutex_);
  Lease* lease = Find(id);
  if (lease == nullptr || lease->keys == nullptr) return;
  const auto it = lease->keys->find(key);
  if (it != lease->keys->end()) lease->keys->erase(it);
}

// ---- the primary's clock ----

void Lessor::BeginSincePromotion(Lease& lease) {
  if (primary_ && lease.epoch != epoch_) Begin(lease, promoted_ms_, extend_ms_);
}

void Lessor::Begin(Lease& lease, int64_t now_ms, int64_t extend_ms) {
  const int64_t left_s = lease.LeftAtPromotion();
  lease.epoch = epoch_;
  lease.ending = false;
  lease.ends_ms = now_ms + left_s * 1000 + extend_ms;
  const bool is_long = checkpoint_interval_ms_ > 0 && left_s * 1000 > checkpoint_interval_ms_;
  lease.checkpoint_ms = is_long ? now_ms + checkpoint_interval_ms_ : 0;
}

void Lessor::BeginAnew(Lease& lease, int64_t now_ms) {
  Begin(lease, now_ms, 0);
  if (TickAtOrAfter(lease.ends_ms) < lease.tick) Wait(lease, 0);  // it had an extension
}

void Lessor::Wait(Lease& lease, int64_t not_before_ms) {
  const int64_t due = lease.checkpoint_ms > 0 ? std::min(lease.ends_ms, lease.checkpoint_ms) : lease.ends_ms;
  wheel_.Add(lease, TickAtOrAfter(std::max(due, not_before_ms)));
}

// Something about it may be due, unless it was renewed since.
void Lessor::LookAt(Lease& lease, int64_t now_ms) {
  if (now_ms >= lease.ends_ms) {
    lease.ending = true;
    ended_.push_back(lease.id);
    return ending_.Append(lease);
  }
  if (lease.checkpoint_ms > 0 && now_ms >= lease.checkpoint_ms) {
    const int64_t left_s = (lease.ends_ms - now_ms + 999) / 1000;
    if (left_s < lease.ttl_s) {
      checkpoints_.emplace_back(lease.id, left_s);
      lease.checkpointing = true;
    }
    lease.checkpoint_ms = left_s * 1000 > checkpoint_interval_ms_ ? now_ms + checkpoint_interval_ms_ : 0;
  }
  Wait(lease, now_ms + 1);
}

void Lessor::Promote(uint64_t term, int64_t extend_ns) {
  Demote();  // of a former term, if nobody said so
  const int64_t now_ms = NowMs();
  {
    std::lock_guard lock(mutex_);
    primary_ = true;
    term_ = term;
    promoted_ms_ = now_ms;
    extend_ms_ = extend_ns / 1'000'000;
    wheel_.Reset(TickAtOrBefore(now_ms), fresh_);
    fresh_.TakeAll(begun_);
    fresh_.TakeAll(ending_);
  }
  const uint64_t timer = exec_->timer(host_.raw(), kTickMs * 1'000'000, kTickMs * 1'000'000, OnTimer, this);
  std::lock_guard lock(mutex_);
  timer_ = timer;
}

void Lessor::Demote() {
  std::vector<tenon_lease_done> waiting;
  uint64_t timer = 0;
  {
    std::lock_guard lock(mutex_);
    primary_ = false;
    epoch_++;
    ended_.clear();
    checkpoints_.clear();
    timer = std::exchange(timer_, 0);
    waiting = TakeWaiting();
  }
  if (timer != 0) exec_->timer_cancel(host_.raw(), timer);
  Answer(waiting, TENON_UNAVAILABLE);
}

void Lessor::Tick() {
  uint64_t epoch = 0, term = 0;
  {
    std::lock_guard lock(mutex_);
    if (!primary_) return;
    epoch = epoch_;
    term = term_;
    begun_.TakeAll(fresh_);
  }
  const int64_t now_ms = NowMs();  // not before anything in begun_ was granted
  for (bool done = false; !done;) {
    std::vector<std::pair<int64_t, int64_t>> checkpoints;
    {
      std::lock_guard lock(mutex_);
      if (epoch_ != epoch) return;
      size_t budget = kLookAtOnce;
      for (; !begun_.empty() && budget > 0; budget--) {
        auto& lease = static_cast<Lease&>(*begun_.front());
        BeginSincePromotion(lease);
        if (lease.ends_ms == 0) Begin(lease, now_ms, 0);
        Wait(lease, 0);
      }
      done = wheel_.Advance(TickAtOrBefore(now_ms), budget, [&](Wheel::Node& node) {
        LookAt(static_cast<Lease&>(node), now_ms);
      }) && begun_.empty();
      checkpoints.swap(checkpoints_);
    }
    ProposeCheckpoints(std::move(checkpoints), term);
  }
  ProposeRevokes();
}

// ---- proposals ----

void Lessor::ProposeRevokes() {
  for (;;) {
    Flight* flight = nullptr;
    uint64_t term = 0;
    {
      std::lock_guard lock(mutex_);
      while (flight == nullptr) {
        if (!primary_ || ended_.empty() || revoking_ >= max_revokes_) return;
        const int64_t id = ended_.front();
        ended_.pop_front();
        if (Find(id) == nullptr) continue;  // a client was faster
        flight = new Flight{this, id, epoch_};
      }
      revoking_++;
      term = term_;
    }
    std::string request;
    AppendField(request, 1, flight->id);
    raft_->propose(host_.raw(), kRevokeOp, term, Owned(std::move(request)),
                   {flight, [](void* ctx, tenon_status status, const tenon_error*, tenon_bufs reply) {
                      TENON_RELEASE(reply);
                      const std::unique_ptr<Flight> ended(static_cast<Flight*>(ctx));
                      ended->lessor->RevokeEnded(*ended, status);
                    }});
  }
}

void Lessor::RevokeEnded(const Flight& flight, tenon_status status) {
  if (status == TENON_OK && metrics_ != nullptr) metrics_->add(host_.raw(), expired_, 1);
  bool post = false;
  {
    std::lock_guard lock(mutex_);
    revoking_--;
    Lease* lease = Find(flight.id);
    if (lease != nullptr && status != TENON_OK && flight.epoch == epoch_ && primary_ && lease->ending) {
      Wait(*lease, static_cast<int64_t>(wheel_.now()) * kTickMs + kRetryMs);
    }
    // The next ones go from the pool, many at a time: this may be anybody's thread.
    post = !ended_.empty() && primary_ && revoking_ <= max_revokes_ / 2 && !std::exchange(more_posted_, true);
  }
  if (!post) return;
  const auto more = [](void* self) {
    auto& lessor = *static_cast<Lessor*>(self);
    {
      std::lock_guard lock(lessor.mutex_);
      lessor.more_posted_ = false;
    }
    lessor.ProposeRevokes();
  };
  if (exec_->post(host_.raw(), 0, more, this) == TENON_OK) return;
  std::lock_guard lock(mutex_);
  more_posted_ = false;  // the next tick goes on
}

void Lessor::ProposeCheckpoints(std::vector<std::pair<int64_t, int64_t>> left, uint64_t term) {
  struct Checkpoints {
    Lessor* lessor;
    std::vector<int64_t> ids;
  };
  for (size_t from = 0; from < left.size(); from += kCheckpointsAtOnce) {
    std::string request;
    std::vector<int64_t> ids;
    for (size_t i = from; i < std::min(left.size(), from + kCheckpointsAtOnce); i++) {
      ids.push_back(left[i].first);
      std::string one;
      AppendField(one, 1, left[i].first);
      AppendField(one, 2, left[i].second);
      AppendVarint(request, 1 << 3 | 2);
      AppendVarint(request, one.size());
      request += one;
    }
    // One that is lost costs a lease some precision after the next election; the next one comes after the interval.
    raft_->propose(host_.raw(), kCheckpointOp, term, Owned(std::move(request)),
                   {new Checkpoints{this, std::move(ids)},
                    [](void* ctx, tenon_status status, const tenon_error*, tenon_bufs reply) {
                      TENON_RELEASE(reply);
                      const std::unique_ptr<Checkpoints> proposed(static_cast<Checkpoints*>(ctx));
                      if (status != TENON_OK) proposed->lessor->CheckpointsLost(proposed->ids);
                    }});
  }
}

void Lessor::CheckpointsLost(const std::vector<int64_t>& ids) {
  std::lock_guard lock(mutex_);
  for (const int64_t id : ids) {
    Lease* lease = Find(id);
    if (lease == nullptr) continue;
    lease->checkpointing = false;
    lease->lost = true;
  }
}

// ---- clients ----

void Lessor::Renew(int64_t id, tenon_lease_done done) {
  const int64_t now_ms = NowMs();
  tenon_status status = TENON_OK;
  int64_t ttl_s = 0;
  {
    std::unique_lock lock(mutex_);
    Lease* lease = Find(id);
    if (lease != nullptr) BeginSincePromotion(*lease);
    if (!primary_) {
      status = TENON_UNAVAILABLE;
    } else if (lease == nullptr) {
      status = TENON_NOT_FOUND;
    } else if (lease->ending || (lease->ends_ms > 0 && now_ms >= lease->ends_ms)) {
      renewals_[id].push_back(done);  // until it is gone, as in etcd
      return;
    } else if (lease->IsShortened()) {
      const uint64_t term = term_;
      lease->lost = false;  // what we propose now comes behind it
      lock.unlock();
      return ClearCheckpoint(id, term, done);
    } else {
      BeginAnew(*lease, now_ms);
      ttl_s = lease->ttl_s;
    }
  }
  if (status == TENON_OK && metrics_ != nullptr) metrics_->add(host_.raw(), renewed_, 1);
  done.fn(done.ctx, status, ttl_s);
}

// The log says that little is left of it, or is about to. Before its holder may rely on all of it, the log must say
// that.
void Lessor::ClearCheckpoint(int64_t id, uint64_t term, tenon_lease_done done) {
  struct Renewal {
    Lessor* lessor;
    int64_t id;
    tenon_lease_done done;
  };
  std::string one, request;
  AppendField(one, 1, id);
  AppendVarint(request, 1 << 3 | 2);
  AppendVarint(request, one.size());
  request += one;
  raft_->propose(
      host_.raw(), kCheckpointOp, term, Owned(std::move(request)),
      {new Renewal{this, id, done}, [](void* ctx, tenon_status status, const tenon_error*, tenon_bufs reply) {
         TENON_RELEASE(reply);
         const std::unique_ptr<Renewal> r(static_cast<Renewal*>(ctx));
         if (status != TENON_OK) {
           r->lessor->CheckpointsLost({r->id});
           return r->done.fn(r->done.ctx, TENON_UNAVAILABLE, 0);
         }
         r->lessor->FinishRenew(r->id, r->done);
       }});
}

void Lessor::FinishRenew(int64_t id, tenon_lease_done done) {
  const int64_t now_ms = NowMs();
  tenon_status status = TENON_OK;
  int64_t ttl_s = 0;
  {
    std::unique_lock lock(mutex_);
    Lease* lease = Find(id);
    if (lease != nullptr) BeginSincePromotion(*lease);
    if (!primary_) {
      status = TENON_UNAVAILABLE;
    } else if (lease == nullptr) {
      status = TENON_NOT_FOUND;
    } else if (lease->ending) {
      renewals_[id].push_back(done);  // it ended meanwhile and is being revoked
      return;
    } else if (lease->IsShortened()) {
      const uint64_t term = term_;
      lease->lost = false;
      lock.unlock();
      return ClearCheckpoint(id, term, done);  // another one was decided meanwhile
    } else {
      BeginAnew(*lease, now_ms);
      ttl_s = lease->ttl_s;
    }
  }
  if (status == TENON_OK && metrics_ != nullptr) metrics_->add(host_.raw(), renewed_, 1);
  done.fn(done.ctx, status, ttl_s);
}

// As if its time began now, while that is not known.
int64_t Lessor::EndsMs(const Lease& lease, int64_t now_ms) const {
  const int64_t left_ms = lease.LeftAtPromotion() * 1000;
  if (!primary_) return now_ms + left_ms;
  if (lease.epoch != epoch_) return promoted_ms_ + extend_ms_ + left_ms;
  return lease.ends_ms == 0 ? now_ms + left_ms : lease.ends_ms;
}

// Seconds that are surely left.
int64_t Lessor::LeftSeconds(const Lease& lease, int64_t now_ms) const {
  if (!primary_) return lease.LeftAtPromotion();
  return std::max<int64_t>((EndsMs(lease, now_ms) - now_ms - 1) / 1000, 0);
}

tenon_lease_info Lessor::Lease::Info(int64_t left_s) const {
  tenon_lease_info info{};
  info.size = sizeof info;
  info.id = id;
  info.granted_ttl_s = ttl_s;
  info.remaining_ttl_s = left_s;
  info.keys = keys == nullptr ? 0 : keys->size();
  return info;
}

tenon_status Lessor::Lookup(int64_t id, tenon_lease_info* out, tenon_lease_key_fn key, void* ctx) {
  const int64_t now_ms = out == nullptr ? 0 : NowMs();
  std::vector<std::string> keys;
  {
    std::lock_guard lock(mutex_);
    const Lease* lease = Find(id);
    if (lease == nullptr) return TENON_NOT_FOUND;
    if (out != nullptr) {
      const uint32_t size = out->size;
      const tenon_lease_info info = lease->Info(LeftSeconds(*lease, now_ms));
      std::memcpy(out, &info, std::min<size_t>(size, sizeof info));
      out->size = size;
    }
    if (key != nullptr && lease->keys != nullptr) keys.assign(lease->keys->begin(), lease->keys->end());
  }
  for (const std::string& k : keys) {
    if (const tenon_status s = key(ctx, sdk::Slice(k)); s != TENON_OK) return s;
  }
  return TENON_OK;
}

tenon_status Lessor::List(tenon_status (*row)(void* ctx, const tenon_lease_info*), void* ctx) {
  const int64_t now_ms = NowMs();
  std::vector<std::pair<int64_t, tenon_lease_info>> all;  // by the millisecond it ends
  // A shard at a time: apply and renewals must not wait for a million leases. What is granted or ends meanwhile may be
  // in the list or not.
  decltype(all) some;
  for (const auto& shard : shards_) {
    std::unique_lock lock(mutex_);
    for (const auto& [id, lease] : shard) {
      some.emplace_back(EndsMs(lease, now_ms), lease.Info(LeftSeconds(lease, now_ms)));
    }
    lock.unlock();
    all.insert(all.end(), some.begin(), some.end());
    some.clear();
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : a.second.id < b.second.id;
  });
  for (const auto& [ends, info] : all) {
    if (const tenon_status s = row(ctx, &info); s != TENON_OK) return s;
  }
  return TENON_OK;
}

// ---- the table ----

namespace {

Lessor& Of(void* self) { return *static_cast<Lessor*>(self); }

constexpr tenon_lease_v1 Table() {
  tenon_lease_v1 t{};
  t.m = sdk::ModuleVt<Lessor>(sizeof t, 0, TENON_F_DETERMINISTIC);
  t.recover = [](void* self, const tenon_apply_v1* context, tenon_error* error) noexcept -> tenon_status {
    return sdk::Guard(error, [&] { Of(self).Recover(*context); });
  };
  t.grant = [](void* self, const tenon_apply_v1* context, int64_t id, int64_t ttl_s, int64_t* granted,
               tenon_error* error) noexcept -> tenon_status {
    return sdk::Guard(error, [&] { return Of(self).Grant(*context, id, ttl_s, granted); });
  };
  t.revoke = [](void* self, const tenon_apply_v1* context, int64_t id, tenon_lease_key_fn key, void* ctx,
                tenon_error* error) noexcept -> tenon_status {
    return sdk::Guard(error, [&] { return Of(self).Revoke(*context, id, key, ctx); });
  };
  t.checkpoint = [](void* self, const tenon_apply_v1* context, int64_t id, int64_t remaining_s,
                    tenon_error* error) noexcept -> tenon_status {
    return sdk::Guard(error, [&] { return Of(self).Checkpoint(*context, id, remaining_s); });
  };
  t.attach = [](void* self, int64_t id, tenon_slice key) noexcept -> tenon_status {
    return sdk::Guard(nullptr, [&] { return Of(self).Attach(id, sdk::View(key)); });
  };
  t.detach = [](void* self, int64_t id, tenon_slice key) noexcept { Of(self).Detach(id, sdk::View(key)); };
  t.promote = [](void* self, uint64_t term, int64_t extend_ns) noexcept { Of(self).Promote(term, extend_ns); };
  t.demote = [](void* self) noexcept { Of(self).Demote(); };
  t.renew = [](void* self, int64_t id, tenon_lease_done done) noexcept { Of(self).Renew(id, done); };
  t.lookup = [](void* self, int64_t id, tenon_lease_info* info, tenon_lease_key_fn key,
                void* ctx) noexcept -> tenon_status {
    return sdk::Guard(nullptr, [&] { return Of(self).Lookup(id, info, key, ctx); });
  };
  t.list = [](void* self, tenon_status (*row)(void*, const tenon_lease_info*), void* ctx) noexcept -> tenon_status {
    return sdk::Guard(nullptr, [&] { return Of(self).List(row, ctx); });
  };
  return t;
}

}  // namespace

extern constexpr tenon_lease_v1 kTable = Table();

}  // namespace tenon::lease_module
