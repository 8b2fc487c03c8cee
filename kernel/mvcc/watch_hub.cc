#include "kernel/mvcc/watch_hub.h"

#include <algorithm>
#include <array>
#include <optional>

#include "kernel/base/check.h"
#include "kernel/base/errors.h"
#include "kernel/base/mutant.h"

namespace tenon::mvcc {

enum class WatcherState : uint8_t { kSynced, kBehind, kReading, kParked, kGone };

// There may be a million of them.
struct WatchStream::Watcher {
  WatchStream* stream;
  int64_t id;
  int64_t start;  // as it was asked for; 0: now
  RangeMap<WatchHub::Audience>::Node* range = nullptr;
  int64_t from;         // nothing older is sent
  size_t position = 0;  // in range->value.watchers, while synced
  WatcherState state = WatcherState::kGone;
  bool no_put, no_delete, prev_kv, fragment;
  bool progress;      // is told of progress
  bool quiet = true;  // nothing was sent since the last tick

  bool slow() const { return state != WatcherState::kSynced && state != WatcherState::kGone; }
};

WatchHub::WatchHub(Store& store, Executor& executor, Executor& history, std::function<void(Status)> fatal,
                   Options options)
    : store_(store),
      executor_(executor),
      history_(history),
      fatal_(std::move(fatal)),
      options_(options),
      handed_(store.revision()) {}

WatchHub::~WatchHub() = default;

// ---- what the applier hands over ----

void WatchHub::Publish(std::vector<Event> events, int64_t revision) {
  if (events.empty()) return;
  {
    std::lock_guard lock(mutex_);
    handed_ = revision;
    if (!active_ || overflow_) return;
    for (const Event& e : events) turns_bytes_ += e.row.size() + e.former.size();
    if (turns_bytes_ > options_.backlog_bytes) {
      overflow_ = true;
      turns_.clear();
      turns_bytes_ = 0;
    } else if (turns_.empty()) {
      turns_ = std::move(events);
    } else {
      std::move(events.begin(), events.end(), std::back_inserter(turns_));
    }
    if (std::exchange(scheduled_, true)) return;
  }
  executor_.Post([this] { TakeTurns(); });
}

void WatchHub::TakeTurns() {
  std::vector<Event> events;
  int64_t revision;
  bool overflow;
  {
    std::lock_guard lock(mutex_);
    events.swap(turns_);
    turns_bytes_ = 0;
    revision = handed_;
    overflow = std::exchange(overflow_, false);
    scheduled_ = false;
  }
  if (streams_.empty()) return;
  if (overflow) return AllFallBehind(revision);
  if (events.empty()) return;
  Distribute(ranges_, events, revision);
  revision_ = revision;
  if (!reading_ || meanwhile_lost_) return;
  for (const Event& e : events) meanwhile_bytes_ += e.row.size() + e.former.size();
  meanwhile_lost_ = meanwhile_bytes_ > options_.backlog_bytes;
  if (meanwhile_lost_) {
    meanwhile_.clear();
  } else {
    std::move(events.begin(), events.end(), std::back_inserter(meanwhile_));
  }
}

void WatchHub::AllFallBehind(int64_t revision) {
  for (const auto& [number, stream] : streams_) {
    for (const auto& [id, watcher] : stream->watchers_) {
      if (watcher->state != WatcherState::kSynced || watcher->from > revision) continue;
      Leave(*watcher);
      watcher->from = std::max(watcher->from, revision_ + 1);
      Lag(watcher);
    }
  }
  revision_ = revision;
  meanwhile_lost_ = true;
  ReadOn();
}

// ---- what clients ask ----

void WatchHub::Post(std::shared_ptr<WatchStream> stream, absl::AnyInvocable<void(WatchStream&)> fn) {
  executor_.Post([this, stream = std::move(stream), fn = std::move(fn)]() mutable {
    TakeTurns();  // what was published before the client asked comes first
    if (stream->open_) fn(*stream);
  });
}

void WatchHub::Open(std::shared_ptr<WatchStream> stream) {
  executor_.Post([this, stream = std::move(stream)] {
    if (!closing_.ok()) return stream->End(closing_);
    stream->open_ = true;
    if (streams_.empty()) {
      std::lock_guard lock(mutex_);
      active_ = true;
      revision_ = handed_;
    }
    stream->number_ = ++opened_;
    streams_.emplace(stream->number_, stream);
    counts_.streams++;
  });
}

void WatchHub::Create(std::shared_ptr<WatchStream> stream, WatchRequest request) {
  Post(std::move(stream), [this, request = std::move(request)](WatchStream& s) mutable {
    DoCreate(s, std::move(request));
    Answered(s);
  });
}

void WatchHub::Cancel(std::shared_ptr<WatchStream> stream, int64_t id) {
  Post(std::move(stream), [this, id](WatchStream& s) {
    DoCancel(s, id);
    Answered(s);
  });
}

void WatchHub::Progress(std::shared_ptr<WatchStream> stream) {
  Post(std::move(stream), [this](WatchStream& s) {
    AnswerProgress(s);
    Answered(s);
  });
}

void WatchHub::Ignore(std::shared_ptr<WatchStream> stream) {
  Post(std::move(stream), [this](WatchStream& s) { Answered(s); });
}

void WatchHub::Writable(std::shared_ptr<WatchStream> stream) {
  Post(std::move(stream), [this](WatchStream& s) {
    s.writable_ = true;
    Flush(s);
  });
}

void WatchHub::Close(std::shared_ptr<WatchStream> stream, Status status) {
  executor_.Post([this, stream = std::move(stream), status = std::move(status)] { DoClose(stream, status); });
}

void WatchHub::CloseAll(Status status) {
  executor_.Post([this, status = std::move(status)] {
    closing_ = status;
    while (!streams_.empty()) DoClose(streams_.begin()->second, status);
  });
}

void WatchHub::DoCreate(WatchStream& stream, WatchRequest request) {
  const int64_t now = store_.revision();
  const auto refuse = [&](std::string_view reason) {
    WatchResponse response{WatchStream::kNoWatcher, now};
    response.created = response.canceled = true;
    response.cancel_reason = reason;
    Reply(stream, response);
  };
  if (request.start < 0) return refuse("etcdserver: mvcc: required revision has been compacted");
  if (request.range.empty()) return refuse("mvcc: watcher range is empty");
  if (request.id == 0) {
    while (stream.watchers_.contains(stream.next_id_)) stream.next_id_++;
    request.id = stream.next_id_++;
  } else if (stream.watchers_.contains(request.id)) {
    return refuse("mvcc: duplicate watch ID provided on the WatchStream");
  }

  auto watcher = std::make_shared<Watcher>();
  watcher->stream = &stream;
  watcher->id = request.id;
  watcher->start = request.start;
  watcher->from = request.start == 0 ? now + 1 : request.start;
  if (Planted(Mutant::kFutureTellsOld) && request.start > now) watcher->from = now + 1;
  watcher->no_put = request.no_put;
  watcher->no_delete = request.no_delete;
  watcher->prev_kv = request.prev_kv;
  watcher->fragment = request.fragment;
  watcher->progress = request.progress;
  watcher->range = &ranges_.At(request.range);
  watcher->range->value.users++;
  stream.watchers_.emplace(watcher->id, watcher);
  counts_.watchers++;
  WatchResponse response{watcher->id, now};
  response.created = true;
  Reply(stream, response);
  if (watcher->progress) StartTicking(stream);
  if (watcher->from > revision_) return Join(watcher);
  Lag(watcher);
  ReadOn();
}

void WatchHub::DoCancel(WatchStream& stream, int64_t id) {
  const auto it = stream.watchers_.find(id);
  if (it == stream.watchers_.end()) return;  // as in etcd: no answer
  const WatcherPtr watcher = it->second;
  stream.watchers_.erase(it);
  Forget(*watcher);
  WatchResponse response{id, store_.revision()};
  response.canceled = true;
  Reply(stream, response);
}

void WatchHub::DoClose(const std::shared_ptr<WatchStream>& held, const Status& status) {
  const std::shared_ptr<WatchStream> stream = held;  // `held` may be the set's own
  if (!std::exchange(stream->open_, false)) return;
  for (const auto& [id, watcher] : stream->watchers_) Forget(*watcher);
  stream->watchers_.clear();
  stream->parked_.clear();
  for (const WatchResponse& response : stream->queue_) counts_.pending -= response.event_count;
  stream->queue_.clear();
  streams_.erase(stream->number_);
  counts_.streams--;
  if (streams_.empty()) {
    std::lock_guard lock(mutex_);
    active_ = false;
    turns_.clear();
    turns_bytes_ = 0;
    overflow_ = false;
  }
  stream->End(status);
}

// A client that does not read its answers must not fill the memory with them.
void WatchHub::Answered(WatchStream& stream) {
  static constexpr size_t kMostAnswers = 64;
  if (stream.queue_.size() > kMostAnswers) {
    stream.owed_++;
  } else {
    stream.Handled(1);
  }
}

// ---- progress ----

void WatchHub::AnswerProgress(WatchStream& stream) {
  stream.wants_progress_ = false;
  bool any = false;
  for (const auto& [id, watcher] : stream.watchers_) {
    if (watcher->state == WatcherState::kGone) continue;
    if (watcher->start > revision_) return;  // it begins in the future: nothing to say, as in etcd
    if (watcher->slow() && !Planted(Mutant::kProgressFirst)) {
      stream.wants_progress_ = true;
      return;
    }
    any = true;
  }
  if (any) Reply(stream, {WatchStream::kNoWatcher, revision_});
}

void WatchHub::StartTicking(WatchStream& stream) {
  if (std::exchange(stream.ticking_, true)) return;
  const std::shared_ptr<WatchStream>& held = streams_.at(stream.number_);
  // Up to a tenth more, a different one for each stream: not all clients are told at once.
  const uint64_t interval = options_.progress_interval_ns + options_.progress_interval_ns / 10 * (tickers_++ % 16) / 16;
  struct Again {
    WatchHub& hub;
    std::weak_ptr<WatchStream> stream;
    uint64_t interval;
    void operator()() const {
      const std::shared_ptr<WatchStream> s = stream.lock();
      if (s == nullptr || !s->open_) return;
      hub.TakeTurns();
      hub.Tick(*s);
      hub.executor_.PostAfter(interval, *this);
    }
  };
  executor_.PostAfter(interval, Again{*this, held, interval});
}

void WatchHub::Tick(WatchStream& stream) {
  for (const auto& [id, watcher] : stream.watchers_) {
    if (!watcher->progress) continue;
    const bool due =
        std::exchange(watcher->quiet, true) && watcher->state == WatcherState::kSynced && watcher->start <= revision_;
    if (due && stream.queue_.empty()) Reply(stream, {id, revision_});
  }
}

// ---- sending ----

void WatchHub::Distribute(Ranges& ranges, std::span<Event> events, int64_t revision) {
  std::vector<Audience*> concerned;
  for (uint32_t i = 0; i < events.size(); i++) {
    ranges.Visit(events[i].key, [&](Ranges::Node& node) {
      Audience& audience = node.value;
      if (audience.watchers.empty()) return;
      if (audience.events.empty()) concerned.push_back(&audience);
      audience.events.push_back(i);
    });
  }
  for (Audience* audience : concerned) {
    SendTo(*audience, events, revision);
    audience->events.clear();
  }
  for (const WatcherPtr& watcher : std::exchange(parting_, {})) {
    Leave(*watcher);
    watcher->state = WatcherState::kParked;
    watcher->stream->parked_.push_back(watcher);
  }
}

void WatchHub::SendTo(Audience& audience, std::span<Event> events, int64_t revision) {
  const std::span<const uint32_t> all = audience.events;
  for (size_t begin = 0, end; begin < all.size(); begin = end) {
    // Whole revisions, until there is enough for a response.
    const int64_t first = events[all[begin]].revision.main;
    size_t bytes = 0;
    for (end = begin; end < all.size(); end++) {
      const bool next = end > begin && events[all[end]].revision.main != events[all[end - 1]].revision.main;
      if (next && bytes >= options_.response_bytes) break;
      bytes += EncodedSize(events[all[end]], true);
    }
    const std::span<const uint32_t> part = all.subspan(begin, end - begin);
    const int64_t last = events[part.back()].revision.main;
    const int64_t upto = end == all.size() ? revision : last;
    std::array<std::optional<Encoded>, 8> shared;  // by what the watchers want
    for (const WatcherPtr& watcher : audience.watchers) {
      if (watcher->state != WatcherState::kSynced && watcher->state != WatcherState::kReading) continue;
      if (watcher->from > last) continue;
      if (watcher->from > first) {
        const auto at = std::partition_point(part.begin(), part.end(),
                                             [&](uint32_t i) { return events[i].revision.main < watcher->from; });
        Deliver(watcher, Encode(events, {at, part.end()}, *watcher), watcher->from, upto);
        continue;
      }
      const Watcher& r = *watcher;
      std::optional<Encoded>& encoded = shared[size_t{r.no_put} | size_t{r.no_delete} << 1 | size_t{r.prev_kv} << 2];
      if (!encoded) encoded = Encode(events, part, *watcher);
      Deliver(watcher, *encoded, first, upto);
    }
    counts_.visited.fetch_add(audience.watchers.size(), std::memory_order_relaxed);
  }
}

WatchHub::Encoded WatchHub::Encode(std::span<Event> events, std::span<const uint32_t> which, const Watcher& watcher) {
  std::vector<uint32_t> wanted;
  if (watcher.no_put || watcher.no_delete) {
    for (const uint32_t i : which) {
      if (!(events[i].tombstone ? watcher.no_delete : watcher.no_put)) wanted.push_back(i);
    }
    which = wanted;
  }
  if (which.empty()) return {};
  if (watcher.prev_kv) {
    for (const uint32_t i : which) {
      Event& e = events[i];
      if (e.before == Revision{} || e.former) continue;
      Result<Block> row = store_.ReadRow(e.before);
      if (row.ok()) {
        e.former = *std::move(row);
      } else if (absl::IsNotFound(row.status())) {
        e.before = {};  // compacted meanwhile: etcd sends none either
      } else {
        fatal_(row.status());
        return {};
      }
    }
  }
  return {EncodeEvents(events, which, watcher.prev_kv), which.size()};
}

void WatchHub::Deliver(const WatcherPtr& watcher, const Encoded& events, int64_t first, int64_t revision) {
  if (events.count == 0) return;
  WatchStream& stream = *watcher->stream;
  const bool waits = !stream.writable_ || !stream.queue_.empty();
  if (waits && stream.queued_bytes_ + events.bytes.size() > options_.stream_bytes) {
    watcher->from = first;
    if (watcher->state == WatcherState::kSynced) {
      watcher->state = WatcherState::kParked;
      counts_.slow++;
      parting_.push_back(watcher);  // the audience is being walked through
    } else {
      watcher->state = WatcherState::kParked;
      stream.parked_.push_back(watcher);
    }
    return;
  }
  watcher->quiet = false;
  counts_.events.fetch_add(events.count, std::memory_order_relaxed);
  WatchResponse response{watcher->id, revision};
  response.may_split = watcher->fragment;
  response.events = events.bytes;
  response.event_count = static_cast<uint32_t>(events.count);
  Reply(stream, std::move(response));
}

void WatchHub::Reply(WatchStream& stream, WatchResponse response) {
  if (stream.writable_ && stream.queue_.empty()) {
    stream.writable_ = stream.Send(response);
  } else {
    stream.queued_bytes_ += response.events.size();
    counts_.pending += response.event_count;
    stream.queue_.push_back(std::move(response));
  }
}

void WatchHub::Flush(WatchStream& stream) {
  while (stream.writable_ && !stream.queue_.empty()) {
    const WatchResponse response = std::move(stream.queue_.front());
    stream.queue_.pop_front();
    stream.queued_bytes_ -= response.events.size();
    counts_.pending -= response.event_count;
    stream.writable_ = stream.Send(response);
  }
  if (!stream.writable_) return;
  if (stream.owed_ > 0) stream.Handled(std::exchange(stream.owed_, 0));
  if (stream.parked_.empty() || Planted(Mutant::kParkedForGood)) return;
  for (WatcherPtr& watcher : std::exchange(stream.parked_, {})) {
    if (watcher->state == WatcherState::kParked) Lag(std::move(watcher));
  }
  ReadOn();
}

// ---- watchers that are behind ----

void WatchHub::Join(const WatcherPtr& watcher) {
  if (watcher->slow()) counts_.slow--;
  watcher->state = WatcherState::kSynced;
  auto& watchers = watcher->range->value.watchers;
  watcher->position = watchers.size();
  watchers.push_back(watcher);
}

void WatchHub::Leave(Watcher& watcher) {
  auto& watchers = watcher.range->value.watchers;
  CHECK(watchers[watcher.position].get() == &watcher);
  watchers.back()->position = watcher.position;
  std::swap(watchers[watcher.position], watchers.back());
  watchers.pop_back();
}

void WatchHub::Lag(WatcherPtr watcher) {
  if (!watcher->slow()) counts_.slow++;
  watcher->state = WatcherState::kBehind;
  behind_.push_back(std::move(watcher));
}

void WatchHub::Forget(Watcher& watcher) {
  if (watcher.state == WatcherState::kGone) return;
  if (watcher.state == WatcherState::kSynced) Leave(watcher);
  if (watcher.slow()) counts_.slow--;
  watcher.state = WatcherState::kGone;
  counts_.watchers--;
  if (--watcher.range->value.users == 0) ranges_.Erase(*watcher.range);
  watcher.range = nullptr;
}

// The stream goes on knowing its id, as in etcd: a cancel is answered once more.
void WatchHub::EndCompacted(const WatcherPtr& watcher) {
  Forget(*watcher);
  WatchResponse response{watcher->id};
  response.canceled = true;
  response.compact_revision = store_.compact_revision();
  Reply(*watcher->stream, response);
}

void WatchHub::ReadOn() {
  while (!reading_) {
    // Who waits longest says where the window begins; all that are inside it read along.
    const int64_t compacted = store_.compact_revision();
    std::vector<WatcherPtr> readers;
    std::deque<WatcherPtr> others;
    for (WatcherPtr& watcher : behind_) {
      if (watcher->state != WatcherState::kBehind) continue;  // gone
      if (watcher->from < compacted) {
        EndCompacted(watcher);
        continue;
      }
      const int64_t begin = readers.empty() ? watcher->from : readers.front()->from;
      const bool inside = watcher->from >= begin && watcher->from < begin + options_.window_rows;
      if (inside) {
        readers.push_back(std::move(watcher));
      } else {
        others.push_back(std::move(watcher));
      }
    }
    behind_ = std::move(others);
    if (readers.empty()) return;

    HistoryWindow window{readers.front()->from, store_.revision()};
    CHECK_LE(window.from, window.through);
    window.most_rows = static_cast<size_t>(options_.window_rows);
    window.most_bytes = options_.window_bytes;
    // One revision earlier shows what the first one replaced.
    std::unique_ptr<Views::Handle> pin;
    for (const int64_t at : {window.from - 1, window.from}) {
      Result<Views::Handle> view = store_.views().Open(at);
      if (pin == nullptr && view.ok()) pin = std::make_unique<Views::Handle>(*std::move(view));
    }
    if (pin == nullptr) {  // compacted since we looked
      for (WatcherPtr& watcher : readers) behind_.push_front(std::move(watcher));
      continue;
    }
    std::vector<KeyRange> ranges;
    for (const WatcherPtr& watcher : readers) {
      watcher->state = WatcherState::kReading;
      window.formers = window.formers || watcher->prev_kv;
      ranges.push_back(watcher->range->range());
    }
    reading_ = true;
    meanwhile_.clear();
    meanwhile_bytes_ = 0;
    meanwhile_lost_ = false;
    history_.Post([this, window, pin = std::move(pin), readers = std::move(readers),
                   wanted = KeySet(std::move(ranges))]() mutable {
      Result<History> read = ReadHistory(store_, *pin, window, wanted);
      pin.reset();
      executor_.Post([this, readers = std::move(readers), asked = window.through, read = std::move(read)]() mutable {
        HaveRead(readers, asked, std::move(read));
      });
    });
  }
}

void WatchHub::HaveRead(const std::vector<WatcherPtr>& readers, int64_t asked, Result<History> read) {
  TakeTurns();
  reading_ = false;
  const auto still = [](const WatcherPtr& watcher) { return watcher->state == WatcherState::kReading; };
  bool caught_up = false;
  if (read.ok()) {
    Ranges now;
    for (const WatcherPtr& watcher : readers) {
      if (still(watcher)) now.At(watcher->range->range()).value.watchers.push_back(watcher);
    }
    if (Planted(Mutant::kDeleteLost)) {
      std::erase_if(read->events,
                    [&](const Event& e) { return e.tombstone && e.revision.main == store_.compact_revision(); });
    }
    Distribute(now, read->events, read->through);
    // The store shows a turn before it is handed over: what was lost meanwhile may all have been read.
    caught_up = read->through == asked && (!meanwhile_lost_ || revision_ <= asked);
    const int64_t next = read->through + (Planted(Mutant::kDuplicate) ? 0 : 1);
    for (const WatcherPtr& watcher : readers) {
      if (still(watcher)) watcher->from = std::max(watcher->from, next);
    }
    if (caught_up) Distribute(now, meanwhile_, revision_);
  } else if (!absl::IsOutOfRange(read.status())) {  // its view was ended: they try again, or are too late
    return fatal_(read.status());
  }
  meanwhile_.clear();
  for (const WatcherPtr& watcher : readers) {
    if (!still(watcher)) continue;
    if (caught_up) {
      Join(watcher);
    } else {
      Lag(watcher);
    }
  }
  for (const WatcherPtr& watcher : readers) {
    if (watcher->state == WatcherState::kSynced && watcher->stream->wants_progress_) AnswerProgress(*watcher->stream);
  }
  ReadOn();
}

}  // namespace tenon::mvcc
