#include "kernel/snapshot/stream.h"

#include <algorithm>
#include <array>
#include <utility>

#include "kernel/base/coding.h"

namespace tenon::snapshot {
namespace {

constexpr std::string_view kFormat = TENON_STREAM_FORMAT;
constexpr std::string_view kKey = "key";
constexpr size_t kMaxKey = 511, kMaxValue = 64 << 20, kMaxTableName = 64;

// The first byte of a frame.
enum Kind : char { kHeader = 'H', kTable = 'T', kRows = 'R', kTrailer = 'E' };

void AppendBigEndian64(std::string& to, uint64_t v) {
  char bytes[8];
  PutBigEndian64(bytes, v);
  to.append(bytes, 8);
}

void AppendBytes(std::string& to, std::string_view bytes) {
  AppendVarint(to, bytes.size());
  to.append(bytes);
}

bool TakeBytes(std::string_view& from, size_t max, std::string_view& bytes) {
  uint64_t n;
  if (!TakeVarint(from, n) || n > from.size() || n > max) return false;
  bytes = from.substr(0, n);
  from.remove_prefix(n);
  return true;
}

bool TakeBigEndian64(std::string_view& from, uint64_t& v) {
  if (from.size() < 8) return false;
  v = GetBigEndian64(from.data());
  from.remove_prefix(8);
  return true;
}

// Where a reader's rows go; the default keeps nothing.
struct Target {
  virtual ~Target() = default;
  virtual Status Table(std::string_view, uint32_t) { return Ok(); }
  virtual Status Row(std::string_view, std::string_view) { return Ok(); }  // borrowed until FrameDone
  virtual Status FrameDone() { return Ok(); }
};

struct EngineTarget : Target {
  explicit EngineTarget(storage::Engine& to) : engine(to) {}
  Status Table(std::string_view name, uint32_t hint) override {
    ASSIGN_OR_RETURN(table, engine.Table(name, hint));
    if (name == "meta") meta = table;
    return Ok();
  }
  Status Row(std::string_view key, std::string_view value) override {
    if (table == meta && key == storage::meta::kConsistentIndex) {
      index_row = value;
    } else {
      ops.push_back(storage::PutOp(table, key, value));
    }
    return Ok();
  }
  Status FrameDone() override {
    RETURN_IF_ERROR(engine.Apply(ops, Index(0)));
    ops.clear();
    return Ok();
  }
  // The applied index comes last: a store that an error or a crash left half filled does not claim to hold anything.
  Status Finish(Index index) {
    if (index_row) ops.push_back(storage::PutOp(*meta, storage::meta::kConsistentIndex, *index_row));
    return engine.Apply(ops, index);
  }
  storage::Engine& engine;
  uint32_t table = 0;
  std::optional<uint32_t> meta;
  std::optional<std::string> index_row;
  std::vector<tenon_op> ops;
};

Result<Index> Read(const Source& source, Target& target) {
  FrameReader frames(source);
  ASSIGN_OR_RETURN(std::string_view frame, frames.Next());
  uint64_t index = 0, stored_index = 0;
  if (frame.empty() || frame[0] != kHeader || frame.substr(1, kFormat.size()) != kFormat) {
    return frames.Damaged(fmt::format("it does not begin as a {} stream", kFormat));
  }
  frame.remove_prefix(1 + kFormat.size());
  if (!TakeBigEndian64(frame, index) || !frame.empty()) return frames.Damaged("its header has the wrong size");

  std::vector<uint64_t> counts;
  std::vector<std::string> names;
  std::string last_key;
  for (;;) {
    ASSIGN_OR_RETURN(frame, frames.Next());
    if (frame.empty()) return frames.Damaged("it ends before its trailer");
    const char kind = frame[0];
    frame.remove_prefix(1);
    if (kind == kTable) {
      if (frame.empty()) return frames.Damaged("a table without a hint");
      const auto hint = static_cast<uint8_t>(frame[0]);
      frame.remove_prefix(1);
      if (frame.empty() || frame.size() > kMaxTableName) return frames.Damaged("a table's name has a wrong length");
      for (const std::string& name : names) {
        if (name == frame) return frames.Damaged(fmt::format("the table {} comes twice", name));
      }
      RETURN_IF_ERROR(target.Table(frame, hint));
      names.emplace_back(frame);
      counts.push_back(0);
      last_key.clear();
    } else if (kind == kRows) {
      if (names.empty()) return frames.Damaged("rows before the first table");
      while (!frame.empty()) {
        std::string_view key, value;
        if (!TakeBytes(frame, kMaxKey, key) || key.empty() || !TakeBytes(frame, kMaxValue, value)) {
          return frames.Damaged("a row's length is wrong");
        }
        if (key <= last_key) return frames.Damaged(fmt::format("rows of the table {} are not in order", names.back()));
        last_key.assign(key);
        counts.back()++;
        if (names.back() == "meta" && key == storage::meta::kConsistentIndex && value.size() == 8) {
          stored_index = GetBigEndian64(value.data());
        }
        RETURN_IF_ERROR(target.Row(key, value));
      }
      RETURN_IF_ERROR(target.FrameDone());
    } else if (kind == kTrailer) {
      uint64_t trailer_index, tables;
      bool equal = TakeBigEndian64(frame, trailer_index) && trailer_index == index && TakeVarint(frame, tables) &&
                   tables == counts.size();
      for (size_t i = 0; equal && i < counts.size(); i++) {
        uint64_t count;
        equal = TakeVarint(frame, count) && count == counts[i];
      }
      if (!equal || !frame.empty()) return frames.Damaged("its trailer does not match what came before");
      if (stored_index != index) {
        return frames.Damaged(fmt::format("the trailer says index {}, the table meta {}", index, stored_index));
      }
      ASSIGN_OR_RETURN(frame, frames.Next());
      if (!frame.empty()) return frames.Damaged("something follows its trailer");
      return Index(index);
    } else {
      return frames.Damaged("a frame of an unknown kind");
    }
  }
}

Result<Index> AppliedIndex(storage::Engine& engine, storage::Snapshot& snapshot) {
  const Result<uint32_t> meta = engine.FindTable("meta");
  if (absl::IsNotFound(meta.status())) return Index(0);
  RETURN_IF_ERROR(meta);
  const Result<std::string_view> row = snapshot.Get(*meta, storage::meta::kConsistentIndex);
  if (absl::IsNotFound(row.status())) return Index(0);
  RETURN_IF_ERROR(row);
  if (row->size() != 8)
    return absl::DataLossError(fmt::format("store: the applied index has {} bytes, not 8", row->size()));
  return Index(GetBigEndian64(row->data()));
}

}  // namespace

// ---- writing ----

StreamProducer::StreamProducer(storage::Engine& engine, storage::Snapshot at, bool keeps_rows)
    : engine_(engine), at_(std::move(at)), keeps_rows_(keeps_rows), frames_([this](std::string_view bytes) {
        to_->append(bytes);
        return Ok();
      }) {}

Result<std::unique_ptr<StreamProducer>> StreamProducer::Begin(storage::Engine& engine,
                                                              std::span<const storage::TableSpec> tables,
                                                              storage::Snapshot at, bool keeps_rows) {
  std::unique_ptr<StreamProducer> made(new StreamProducer(engine, std::move(at), keeps_rows));
  ASSIGN_OR_RETURN(made->index_, AppliedIndex(engine, *made->at_));
  for (const storage::TableSpec& spec : tables) {
    const Result<uint32_t> id = engine.FindTable(spec.name);
    if (absl::IsNotFound(id.status())) continue;
    RETURN_IF_ERROR(id);
    made->tables_.push_back({spec, *id});
  }
  std::stable_partition(made->tables_.begin(), made->tables_.end(), [](const Table& t) { return t.spec.name != kKey; });
  if (!made->tables_.empty() && made->tables_.back().spec.name == kKey) {
    ASSIGN_OR_RETURN(storage::Cursor cursor,
                     made->at_->OpenCursor(made->tables_.back().id, {}, {}, TENON_CUR_REVERSE | TENON_CUR_KEYS_ONLY));
    tenon_kv last;
    ASSIGN_OR_RETURN(const size_t n, cursor.Next({&last, 1}, 1));
    // Of a table without rows it is the least key that there may be.
    if (n > 0) made->key_end_ = storage::View(last.key);
    made->key_end_ += '\0';
  }
  return made;
}

Result<bool> StreamProducer::Produce(std::string& to, size_t n) {
  const size_t enough = to.size() > SIZE_MAX - n ? SIZE_MAX : to.size() + n;
  to_ = &to;
  if (!std::exchange(begun_, true)) RETURN_IF_ERROR(Header());
  while (!ended_ && to.size() < enough) {
    if (table_ == tables_.size()) {
      RETURN_IF_ERROR(Trailer());
      ended_ = true;
    } else {
      RETURN_IF_ERROR(Rows(tables_[table_], enough));
    }
  }
  return ended_;
}

Status StreamProducer::Header() {
  std::string frame(1, kHeader);
  frame += kFormat;
  AppendBigEndian64(frame, index_.value);
  return frames_.Write(frame);
}

Status StreamProducer::Trailer() {
  at_.reset();
  std::string frame(1, kTrailer);
  AppendBigEndian64(frame, index_.value);
  AppendVarint(frame, tables_.size());
  for (const Table& table : tables_) AppendVarint(frame, table.rows);
  return frames_.Write(frame);
}

// Until the stream has n bytes, or the table ends.
Status StreamProducer::Rows(Table& table, size_t n) {
  const bool is_key = table.spec.name == kKey;
  if (!std::exchange(in_table_, true)) {
    std::string frame = {static_cast<char>(kTable), static_cast<char>(table.spec.hint)};
    frame += table.spec.name;
    RETURN_IF_ERROR(frames_.Write(frame));
    next_key_.clear();
    frame_.assign(1, kRows);
    if (is_key && keeps_rows_) at_.reset();
  }
  std::optional<storage::Snapshot> fresh;
  if (!at_) {
    ASSIGN_OR_RETURN(fresh, engine_.OpenSnapshot());
  }
  ASSIGN_OR_RETURN(storage::Cursor cursor,
                   (fresh ? *fresh : *at_)
                       .OpenCursor(table.id, next_key_, is_key ? std::string_view(key_end_) : std::string_view(),
                                   TENON_CUR_NO_FILL));
  std::array<tenon_kv, 256> rows;
  bool end = false;
  do {
    ASSIGN_OR_RETURN(const size_t got, cursor.Next(rows, kFrameTarget));
    end = got == 0;
    for (size_t i = 0; i < got; i++) {
      // A row is never split: it begins a frame of its own if it does not fit.
      if (frame_.size() > 1 && frame_.size() + rows[i].key.n + rows[i].val.n > kFrameTarget) {
        RETURN_IF_ERROR(frames_.Write(frame_));
        frame_.assign(1, kRows);
      }
      AppendBytes(frame_, storage::View(rows[i].key));
      AppendBytes(frame_, storage::View(rows[i].val));
    }
    table.rows += got;
    if (got > 0) {
      next_key_.assign(storage::View(rows[got - 1].key));
      next_key_ += '\0';
    }
  } while (!end && to_->size() < n);
  if (!end) return Ok();
  if (frame_.size() > 1) RETURN_IF_ERROR(frames_.Write(frame_));
  in_table_ = false;
  table_++;
  return Ok();
}

Result<Index> WriteStream(storage::Engine& engine, std::span<const storage::TableSpec> tables, const Sink& sink) {
  ASSIGN_OR_RETURN(storage::Snapshot at, engine.OpenSnapshot());
  ASSIGN_OR_RETURN(const std::unique_ptr<StreamProducer> stream,
                   StreamProducer::Begin(engine, tables, std::move(at), /*keeps_rows=*/false));
  std::string piece;
  for (bool end = false; !end;) {
    piece.clear();
    ASSIGN_OR_RETURN(end, stream->Produce(piece, kFrameTarget));
    RETURN_IF_ERROR(sink(piece));
  }
  return stream->index();
}

// ---- reading ----

Result<Index> CheckStream(const Source& source) {
  Target nothing;
  return Read(source, nothing);
}

Result<Index> ReadStream(const Source& source, storage::Engine& engine) {
  EngineTarget target(engine);
  ASSIGN_OR_RETURN(const Index index, Read(source, target));
  RETURN_IF_ERROR(target.Finish(index));
  return index;
}

}  // namespace tenon::snapshot
