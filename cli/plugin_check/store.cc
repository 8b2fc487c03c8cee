#include "cli/plugin_check/store.h"

#include <algorithm>
#include <filesystem>
#include <mutex>

#include "kernel/metrics/metrics.h"
#include "kernel/os/clock.h"
#include "kernel/os/thread.h"
#include "kernel/plugin/host.h"

namespace tenon::plugin_check {

struct Store::Host {
  void Fatal(const Status& why) {
    const std::scoped_lock lock(mutex);
    fatals.emplace_back(Message(why));
  }

  OsClock clock;
  metrics::Registry metrics;
  Thread pool{"check-pool"};
  std::mutex mutex;
  std::vector<std::string> fatals;
  plugin::Host host{
      {.plugin = "plugin-check", .instance = "storage", .kind = "storage", .module = "checked"},
      {.clock = &clock, .pool = &pool, .metrics = &metrics, .fatal = [this](const Status& why) { Fatal(why); }}};
};

Store::Store(const void* module, const Config& config, std::string folder)
    : table(static_cast<const tenon_storage_v1*>(module)),
      config_(config),
      folder_((std::filesystem::current_path() / folder).string()),
      host_(std::make_unique<Host>()) {
  std::filesystem::create_directories(folder_);
  engine = Create();
  Must(engine->Open(folder_), "open");
  t = Must(engine->Table("t", TENON_TABLE_RANDOM), "table");
  log = Must(engine->Table("log", TENON_TABLE_APPEND), "table");
  index = engine->DurableIndex().value;
}

Store::~Store() { engine.reset(); }

std::unique_ptr<Engine> Store::Create() {
  const tenon_cfg node = testing::AsNode(config_, "--config:1:1");
  return Must(Engine::Create(table, host_->host.abi(), &node), "create");
}

Status Store::OpenAgain() { return Create()->Open(folder_); }

void Store::Close() {
  engine.reset();
  host_->host.Close();
  for (const std::string& why : host_->fatals) throw Failed{fmt::format("the module called host->fatal: {}", why)};
}

void Store::Apply(const std::vector<tenon_op>& ops) { Must(engine->Apply(ops, Index(++index)), "apply"); }

std::vector<std::pair<std::string, std::string>> ReadAll(Cursor& cursor, size_t max_rows, size_t max_bytes) {
  std::vector<std::pair<std::string, std::string>> all;
  std::vector<tenon_kv> rows(max_rows);
  while (true) {
    const size_t n = Must(cursor.Next(rows, max_bytes), "cursor_next");
    if (n == 0) return all;
    Want(n <= max_rows, "cursor_next gave {} rows, of at most {}", n, max_rows);
    for (size_t i = 0; i < n; i++) all.emplace_back(View(rows[i].key), View(rows[i].val));
  }
}

std::vector<std::pair<std::string, std::string>> ReadRange(Snapshot& snapshot, uint32_t table, std::string_view low,
                                                           std::string_view high, uint32_t flags) {
  Cursor cursor = Must(snapshot.OpenCursor(table, low, high, flags), "cursor_open");
  return ReadAll(cursor);
}

std::vector<std::pair<std::string, std::string>> Expected(const Rows& model, const std::string& low,
                                                          const std::string& high, uint32_t flags) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (auto it = model.lower_bound(low); it != model.end() && (high.empty() || it->first < high); ++it) {
    rows.emplace_back(it->first, (flags & TENON_CUR_KEYS_ONLY) != 0 ? "" : it->second);
  }
  if ((flags & TENON_CUR_REVERSE) != 0) std::reverse(rows.begin(), rows.end());
  return rows;
}

void WantRows(Snapshot& snapshot, uint32_t table, const Rows& model, std::string_view when) {
  const auto rows = ReadRange(snapshot, table, "", "");
  auto wanted = model.begin();
  for (const auto& [key, value] : rows) {
    Want(wanted != model.end() && key == wanted->first, "{}: the row {} came, wanted {}", when, Shown(key),
         wanted == model.end() ? "the end" : Shown(wanted->first));
    Want(value == wanted->second, "{}: the value of {} has {} bytes {}, wanted {} bytes {}", when, Shown(key),
         value.size(), Shown(value), wanted->second.size(), Shown(wanted->second));
    ++wanted;
  }
  Want(wanted == model.end(), "{}: {} rows came, wanted {}", when, rows.size(), model.size());
}

std::string Noise(size_t n, uint64_t seed) {
  std::string out(n, '\0');
  uint64_t x = 0x9e3779b97f4a7c15ull * (seed + 1);
  for (char& c : out) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    c = static_cast<char>(x);
  }
  return out;
}

std::string Shown(std::string_view bytes) {
  constexpr size_t kMost = 24;
  std::string text = "\"";
  for (const char c : bytes.substr(0, kMost)) {
    if (c >= ' ' && c <= '~') {
      text += c;
    } else {
      text += fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
    }
  }
  return text + (bytes.size() > kMost ? "\"..." : "\"");
}

}  // namespace tenon::plugin_check
