#include "tests/sim/watch_log.h"

#include <algorithm>

namespace tenon::sim {
namespace {

using mvccpb::Event;

template <class... Args>
[[noreturn]] void Wrong(fmt::format_string<Args...> text, Args&&... args) {
  throw Violation("watch: " + fmt::format(text, std::forward<Args>(args)...));
}

std::string Text(const Event& e) {
  const bool put = e.type() == Event::PUT;
  std::string text = fmt::format("{}{}{}", e.kv().mod_revision(), put ? '+' : '-', e.kv().key());
  if (put) text += fmt::format("={}@{}#{}", e.kv().value().substr(0, 12), e.kv().create_revision(), e.kv().version());
  if (e.has_prev_kv()) text += fmt::format("({}@{})", e.prev_kv().value().substr(0, 12), e.prev_kv().mod_revision());
  return text;
}

std::string Text(const google::protobuf::RepeatedPtrField<Event>& events) {
  std::string text;
  for (const Event& e : events) text += " " + Text(e);
  return text.empty() ? " nothing" : text;
}

void Fill(mvccpb::KeyValue* kv, const std::string& key, const Value& v) {
  kv->set_key(key);
  kv->set_value(v.value);
  kv->set_create_revision(v.create);
  kv->set_mod_revision(v.mod);
  kv->set_version(v.version);
  kv->set_lease(v.lease);
}

Event Expected(const Row& row, int64_t revision) {
  Event e;
  if (row.tombstone) {
    e.set_type(Event::DELETE);
    e.mutable_kv()->set_key(row.key);
    e.mutable_kv()->set_mod_revision(revision);
  } else {
    Fill(e.mutable_kv(), row.key, row.value);
  }
  return e;
}

}  // namespace

WatchLog::WatchLog(Checker& checker, Counts& counts, Wish wish, int64_t start)
    : checker_(checker),
      counts_(counts),
      wish_(std::make_shared<const Wish>(std::move(wish))),
      told_(start == 0 ? -1 : start - 1) {}

void WatchLog::Asked(size_t machine) {
  asked_ = Request{checker_.FloorOf(machine), checker_.CompactedOf(machine), next(), machine};
}

void WatchLog::Lost(bool killed) {
  asked_ = {};
  resumed_ = told_ >= 0;
  killed_ = killed_ || (killed && resumed_);
}

void WatchLog::Created(int64_t revision) {
  if (!asked_ || asked_->created) Wrong("created, but nobody asked");
  asked_->created = true;
  checker_.Seen(revision, asked_->floor, "a created watch");
  checker_.SeenOf(asked_->machine, revision);
  if (told_ < 0) told_ = revision;
}

void WatchLog::Told(const mvcc::WatchResponse& response) {
  if (!asked_ || !asked_->created) Wrong("events before it was created, or after it was canceled");
  etcdserverpb::WatchResponse events;
  if (!events.ParseFromArray(response.events.view().data(), static_cast<int>(response.events.size()))) {
    Wrong("events that cannot be read");
  }
  if (asked_->start > 0 && asked_->start < asked_->compacted) {
    Wrong("asked for {}, which was compacted ({}), and told{}", asked_->start, asked_->compacted,
          Text(events.events()));
  }
  int64_t last = told_;
  for (const Event& e : events.events()) {
    const int64_t revision = e.kv().mod_revision();
    // A revision that was told of, or promised to be over, comes not again, whether the same or the rest of it.
    if (revision <= told_) Wrong("{} after it was told of all up to {} (asked for {})", Text(e), told_, asked_->start);
    if (revision < last) Wrong("{} behind one of {}", Text(e), last);
    counts_[Check::kWatchOrdered]++;
    last = revision;
    const bool tombstone = e.type() == Event::DELETE;
    if (!wish_->range.Contains(e.kv().key()) || !wish_->Takes(tombstone)) Wrong("{} was not asked for", Text(e));
    if (e.has_prev_kv() && !wish_->prev_kv) Wrong("{}: nobody asked for the former value", Text(e));
    const bool former = tombstone || e.kv().create_revision() != revision;
    if (wish_->prev_kv && former && !e.has_prev_kv() && !checker_.CompactionPossibleAbove(revision - 1)) {
      Wrong("{}: the former value is missing without a compaction", Text(e));
    }
  }
  if (response.revision < last) Wrong("a header of {} above an event of {}", response.revision, last);
  checker_.Seen(last, 0, "an event");
  checker_.SeenOf(asked_->machine, last);
  Compare(last, std::move(events), false);
}

void WatchLog::Promised(int64_t revision) {
  if (!asked_ || !asked_->created) Wrong("progress before it was created, or after it was canceled");
  if (revision < asked_->start) Wrong("progress of {} for one that begins at {}", revision, asked_->start);
  if (revision < told_) Wrong("progress of {} after it was told of all up to {}", revision, told_);
  checker_.Seen(revision, 0, "progress");
  Compare(revision, {}, true);
}

// From told_ on, `events` are all there are up to and with `through`.
void WatchLog::Compare(int64_t through, etcdserverpb::WatchResponse events, bool promise) {
  const bool resumed = std::exchange(resumed_, false), killed = std::exchange(killed_, false);
  const int64_t start = asked_->start, low = std::exchange(told_, through);
  const bool future = start > asked_->floor + 1;
  const auto judge = [&checker = checker_, &counts = counts_, wish = wish_, low, through, promise, resumed, killed,
                      start, future, events = std::move(events)] {
    int at = 0;
    for (auto step = checker.history().upper_bound(low); step != checker.history().end(); ++step) {
      const auto& [revision, done] = *step;
      if (revision > through) break;
      int changes = 0;
      for (const Row& row : done.rows) {
        if (!wish->range.Contains(row.key) || !wish->Takes(row.tombstone)) {
          counts[Check::kWatchFiltered]++;
          continue;
        }
        Event expected = Expected(row, revision);
        if (promise) {
          Wrong("progress of {} was promised to one that was not told of {} (asked for {}, told up to {})", through,
                Text(expected), start, low);
        }
        if (at == events.events_size()) Wrong("{} is missing behind{}", Text(expected), Text(events.events()));
        const Event& got = events.events(at++);
        changes++;
        if (got.has_prev_kv()) {
          const State& before = checker.history().at(revision - 1).after;
          const auto former = before.find(row.key);
          if (former != before.end()) Fill(expected.mutable_prev_kv(), former->first, former->second);
          counts[Check::kWatchFormer]++;
        }
        if (got.SerializeAsString() != expected.SerializeAsString()) {
          Wrong("{} instead of {} (asked for {}, told up to {})", Text(got), Text(expected), start, low);
        }
        counts[Check::kWatchCreates] += !row.tombstone;
        counts[Check::kWatchReliable]++;
      }
      counts[Check::kWatchAtomic] += changes > 1;
    }
    if (at < events.events_size()) Wrong("{} did not happen", Text(events.events(at)));
    counts[Check::kWatchBookmarks] += promise;
    counts[Check::kWatchResumed] += resumed || (start > 0 && low == start - 1);
    counts[Check::kWatchSurvived] += killed;
    counts[Check::kWatchFuture] += future;
  };
  checker_.WhenKnown(through, judge);
}

void WatchLog::Compacted(int64_t compact_revision) {
  if (!asked_ || !asked_->created) Wrong("canceled as compacted before it was created, or after it was canceled");
  counts_[Check::kWatchCompacted]++;
  if (compact_revision <= told_ + 1) {
    Wrong("canceled for the compaction at {}, but it was told of all up to {}", compact_revision, told_);
  }
  checker_.SeenCompacted(compact_revision);
  asked_ = {};
  told_ = compact_revision - 1;
}

bool WatchLog::Complete() {
  for (; due_of_ < checker_.known(); due_of_++) {
    for (const Row& row : checker_.history().at(due_of_ + 1).rows) {
      if (wish_->range.Contains(row.key) && wish_->Takes(row.tombstone)) due_ = due_of_ + 1;
    }
  }
  return told_ >= 0 && told_ >= due_;
}

}  // namespace tenon::sim
