#include "tests/sim/watchers.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "kernel/base/errors.h"
#include "kernel/mvcc/fragments.h"

namespace tenon::sim {
namespace {

template <class... Args>
[[noreturn]] void Wrong(fmt::format_string<Args...> text, Args&&... args) {
  throw Violation("watch: " + fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace

// What it is sent has arrived; the hub's thread calls.
class Watchers::Stream : public mvcc::WatchStream, public std::enable_shared_from_this<Stream> {
 public:
  Stream(Watchers& owner, Machine& machine, bool slow)
      : machine(machine), owner_(owner), member_(*machine.member), slow(slow), room(owner.random_.Between(50, 1000)) {}
  ~Stream() override = default;

  mvcc::WatchHub& hub() { return member_.watch(); }

  const Machine& machine;

 private:
  Watchers& owner_;
  Member& member_;

 public:
  const bool slow;
  const size_t room;  // of a fragment
  bool open = true;
  bool full = false;  // it said "hold"
  size_t asked = 0, handled = 0;
  std::deque<Watch*> creating;     // null: one that must be refused
  std::map<int64_t, Watch*> live;  // by id
  std::set<int64_t> given_up;      // ids of those that were compacted away after their cancel was asked for
  int64_t promised = 0;            // by progress of the whole stream
  bool last_progress_asked = false;

 private:
  bool Send(const mvcc::WatchResponse& response) override {
    if (full) Wrong("a stream that asked to wait is sent more");
    if (!open) return true;  // nobody reads it
    owner_.Got(*this, response.may_split ? Joined(response) : response);
    const bool hold = !owner_.quiet_ && owner_.random_.Chance(slow ? 30 : 1);
    if (!hold) return true;
    full = true;
    const uint64_t pause_ns = slow ? owner_.random_.Between(1'000'000, 4'000'000'000) : 1'000'000;
    owner_.queue_.PostAfter(pause_ns, [self = shared_from_this()] {
      if (!self->open) return;
      self->full = false;
      self->hub().Writable(self);
    });
    return false;
  }
  // What a client makes of the fragments that kernel/api sends.
  mvcc::WatchResponse Joined(mvcc::WatchResponse response) {
    std::string joined;
    size_t parts = 0;
    for (std::string_view rest = response.events.view(); !rest.empty(); parts++) {
      const size_t size = mvcc::EncodedEventsWithin(rest, room);
      const bool dropped = owner_.mutant_ == Mutant::kFragmentDropped && parts > 0 && size == rest.size();
      if (!dropped) joined += rest.substr(0, size);
      rest.remove_prefix(size);
    }
    owner_.counts_[Check::kWatchFragments] += parts > 1;
    response.events = Block::Copy(joined);
    return response;
  }
  void Handled(size_t requests) override {
    handled += requests;
    if (handled > asked) Wrong("{} requests of {} were dealt with", handled, asked);
  }
  void End(const Status&) override {
    if (open) owner_.Leave(shared_from_this(), false);
  }
};

Watchers::Watchers(Scheduler::Queue& queue, const Serving& serving, Checker& checker, Counts& counts, Trace& trace,
                   Mutant mutant, uint64_t seed, std::function<std::string(Random&)> random_key)
    : queue_(queue),
      serving_(serving),
      checker_(checker),
      counts_(counts),
      trace_(trace),
      mutant_(mutant),
      random_(seed),
      random_key_(std::move(random_key)),
      think_ns_(random_.Between(50'000'000, 300'000'000)),
      most_streams_(random_.Between(1, 3)),
      most_watches_(random_.Between(2, 8)),
      slow_percent_(random_.Chance(30) ? 0 : random_.Between(10, 70)) {}

Watchers::~Watchers() = default;

void Watchers::Start() {
  queue_.PostAfter(random_.Between(1, 2 * think_ns_), [this] {
    Turn();
    Start();
  });
}

void Watchers::Serve(Machine&) {
  // Some come back at once, others when it is their turn.
  for (uint64_t n = random_.Below(watches_.size() + 1); n > 0; n--) Reconnect();
}

void Watchers::Disconnect(const Machine& machine) {
  for (const StreamPtr& stream : std::vector<StreamPtr>(streams_)) {
    if (&stream->machine == &machine) Leave(stream, true);
  }
}

void Watchers::Quiet() { quiet_ = true; }

// ---- what they ask for ----

void Watchers::Turn() {
  if (quiet_ || random_.Chance(30)) return Reconnect();
  const uint64_t dice = random_.Below(100);
  if (dice < 35) return NewWatch();
  if (dice < 50) return Cancel();
  if (dice < 53) return AskForOneTwice();
  if (streams_.empty()) return;
  const StreamPtr stream = streams_[random_.Below(streams_.size())];
  if (dice < 90) {
    stream->asked++;
    return stream->hub().Progress(stream);
  }
  if (dice < 95) {
    Leave(stream, false);
    return stream->hub().Close(stream, Status(StatusCode::kCancelled, "gone"));
  }
  const auto waits = std::find_if(watches_.begin(), watches_.end(), [](const auto& w) { return w->on == nullptr; });
  if (waits != watches_.end()) watches_.erase(waits);
}

Watchers::StreamPtr Watchers::OpenStream() {
  if (!streams_.empty() && (streams_.size() >= most_streams_ || random_.Chance(70))) {
    return streams_[random_.Below(streams_.size())];
  }
  Machine* const machine = serving_.Pick(random_);
  if (machine == nullptr) return nullptr;
  streams_.push_back(std::make_shared<Stream>(*this, *machine, !quiet_ && random_.Chance(slow_percent_)));
  streams_.back()->hub().Open(streams_.back());
  return streams_.back();
}

void Watchers::NewWatch() {
  if (watches_.size() >= most_watches_) return;
  WatchLog::Wish wish{RandomRange()};
  wish.no_put = random_.Chance(10);
  wish.no_delete = random_.Chance(15);
  wish.prev_kv = random_.Chance(50);
  wish.progress = random_.Chance(30);
  watches_.push_back(std::make_unique<Watch>(Watch{WatchLog(checker_, counts_, std::move(wish), RandomStart())}));
  Reconnect();
}

// One that has no stream gets one.
void Watchers::Reconnect() {
  std::vector<Watch*> waiting;
  for (const auto& watch : watches_) {
    if (watch->on == nullptr) waiting.push_back(watch.get());
  }
  if (waiting.empty()) return;
  Watch& watch = *waiting[random_.Below(waiting.size())];
  const StreamPtr stream = OpenStream();
  if (stream == nullptr) return;
  const WatchLog::Wish& wish = watch.log.wish();
  mvcc::WatchRequest request;
  request.range = wish.range;
  request.start = watch.log.next();
  request.id = random_.Chance(50) ? 0 : next_id_++;
  request.no_put = wish.no_put;
  request.no_delete = wish.no_delete;
  request.prev_kv = wish.prev_kv;
  request.progress = wish.progress;
  request.fragment = random_.Chance(30);
  watch.on = stream.get();
  watch.id = request.id;
  watch.created = watch.cancel_asked = false;
  watch.log.Asked(stream->machine.index);
  stream->creating.push_back(&watch);
  stream->asked++;
  stream->hub().Create(stream, std::move(request));
}

void Watchers::Cancel() {
  if (watches_.empty()) return;
  Watch& watch = *watches_[random_.Below(watches_.size())];
  if (!watch.created || watch.cancel_asked) return;
  watch.cancel_asked = true;
  watch.on->asked++;
  watch.on->hub().Cancel(watch.on->shared_from_this(), watch.id);
}

void Watchers::AskForOneTwice() {
  for (const auto& watch : watches_) {
    if (!watch->created || watch->cancel_asked || watch->id == 0) continue;
    watch->on->creating.push_back(nullptr);
    watch->on->asked++;
    return watch->on->hub().Create(watch->on->shared_from_this(), {{"k", ""}, 0, watch->id});
  }
}

void Watchers::Leave(const StreamPtr& stream, bool killed) {
  stream->open = false;
  for (const auto& watch : watches_) {
    if (watch->on != stream.get()) continue;
    watch->on = nullptr;
    watch->created = false;
    watch->log.Lost(killed);
  }
  std::erase(streams_, stream);
}

// ---- what they are told ----

void Watchers::Got(Stream& stream, const mvcc::WatchResponse& r) {
  for (const int64_t n : {r.id, r.revision, r.compact_revision}) trace_.Add(static_cast<uint64_t>(n));
  trace_.Add(r.events.view());
  if (r.created) return GotCreated(stream, r);
  if (r.canceled) return GotCanceled(stream, r);
  if (r.id == mvcc::WatchStream::kNoWatcher) {
    if (r.events || stream.live.empty()) Wrong("events or progress for nobody");
    for (const auto& [id, watch] : stream.live) watch->log.Promised(r.revision);
    stream.promised = r.revision;
    if (r.revision < checker_.known()) stream.last_progress_asked = false;  // a lease ended meanwhile: asked again
    return;
  }
  const auto live = stream.live.find(r.id);
  if (live == stream.live.end()) Wrong("a response for {}, which is not there", r.id);
  WatchLog& log = live->second->log;
  if (r.events) return log.Told(r);
  if (!log.wish().progress) Wrong("progress of {}, which did not ask for it", r.id);
  log.Promised(r.revision);
}

void Watchers::GotCreated(Stream& stream, const mvcc::WatchResponse& r) {
  if (stream.creating.empty()) Wrong("{} was created, and nobody asked for it", r.id);
  Watch* watch = stream.creating.front();
  stream.creating.pop_front();
  if (watch == nullptr) {
    // Its namesake may have been canceled by then.
    if (r.canceled && r.id == mvcc::WatchStream::kNoWatcher) return;
    Wrong("an id that is in use was given again: {}", r.id);
  }
  if (r.canceled) Wrong("a watch was refused: {}", r.cancel_reason);
  const bool mine = watch->id == 0 ? r.id < 1000 : r.id == watch->id;
  if (!mine || stream.live.contains(r.id)) Wrong("{} was created with the id {}", watch->id, r.id);
  watch->id = r.id;
  watch->created = true;
  stream.live[r.id] = watch;
  watch->log.Created(r.revision);
}

void Watchers::GotCanceled(Stream& stream, const mvcc::WatchResponse& r) {
  if (r.compact_revision == 0 && stream.given_up.erase(r.id) > 0) return;
  const auto live = stream.live.find(r.id);
  if (live == stream.live.end()) Wrong("{} was canceled, which is not there", r.id);
  Watch& watch = *live->second;
  stream.live.erase(live);
  if (r.compact_revision > 0) {
    watch.log.Compacted(r.compact_revision);
    if (watch.cancel_asked) stream.given_up.insert(r.id);
  } else if (watch.cancel_asked) {
    watch.log.Lost(false);
  } else {
    Wrong("{} was canceled, and nobody asked for it", r.id);
  }
  watch.on = nullptr;
  watch.created = false;
}

bool Watchers::Complete() {
  for (const auto& watch : watches_) {
    if (!watch->created || !watch->log.Complete()) return false;
  }
  bool promised = true;
  for (const StreamPtr& stream : streams_) {
    const bool future =
        std::any_of(stream->live.begin(), stream->live.end(), [&](const auto& w) { return w.second->log.InFuture(); });
    if (future || stream->live.empty()) continue;
    if (!std::exchange(stream->last_progress_asked, true)) {
      stream->asked++;
      stream->hub().Progress(stream);
    }
    promised = promised && stream->promised >= checker_.known();
  }
  return promised;
}

// ---- requests ----

mvcc::KeyRange Watchers::RandomRange() {
  static const std::string kOpen(1, '\0');
  std::string key = random_key_(random_);
  const uint64_t dice = random_.Below(100);
  if (dice < 30) return {key, ""};
  if (dice < 45) {
    std::string end = random_key_(random_);
    if (key == end) return {key, ""};
    return {std::min(key, end), std::max(key, end)};
  }
  if (dice < 65) {
    key.resize(random_.Between(1, key.size()));
    std::string end = key;
    end.back()++;
    return {key, end};
  }
  return dice < 75 ? mvcc::KeyRange{key, kOpen} : mvcc::KeyRange{kOpen, kOpen};
}

int64_t Watchers::RandomStart() {
  const int64_t compacted = checker_.compacted(), floor = checker_.floor();
  const uint64_t dice = random_.Below(100);
  if (dice < 30) return 0;
  if (dice < 45) return std::max<int64_t>(compacted, 1);
  if (dice < 50) return std::max<int64_t>(compacted - static_cast<int64_t>(random_.Below(5)), 1);
  if (dice < 65) return floor + 1 + static_cast<int64_t>(random_.Below(20));
  const int64_t low = std::max<int64_t>(compacted, 1);
  return low + static_cast<int64_t>(random_.Below(static_cast<uint64_t>(std::max<int64_t>(floor - low, 0) + 1)));
}

}  // namespace tenon::sim
