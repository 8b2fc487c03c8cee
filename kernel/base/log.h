// One JSON line per event, with the keys that etcd's logs have: level, ts, caller, msg, then the fields.
//
//   LOG_INFO("started serving", {"address", url}, {"plugins", count});
//
// The process has one sink, set once in main before any thread starts; tests set their own. Lines below the level
// cost one load. [any thread]
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

#include "kernel/base/ids.h"
#include "kernel/base/status.h"

namespace tenon {

enum class LogLevel : int { kDebug = 0, kInfo = 1, kWarn = 2, kError = 3, kFatal = 4 };

// A field: key and JSON text of the value, made from a string, number, bool or status.
class LogField {
 public:
  LogField(std::string_view key, std::string_view value);
  LogField(std::string_view key, const char* value) : LogField(key, std::string_view(value)) {}
  LogField(std::string_view key, const std::string& value) : LogField(key, std::string_view(value)) {}
  LogField(std::string_view key, const Status& status) : LogField(key, Message(status)) {}
  LogField(std::string_view key, bool value) : key_(key), json_(value ? "true" : "false") {}
  template <class T, std::enable_if_t<std::is_arithmetic_v<T> && !std::is_same_v<T, bool>, int> = 0>
  LogField(std::string_view key, T value) : key_(key), json_(absl::StrCat(value)) {}
  template <class Tag>
  LogField(std::string_view key, Counter<Tag> value) : LogField(key, value.value) {}

  // A member, cluster or lease id: 16 hex digits without leading zeros, as etcd prints them.
  static LogField Hex(std::string_view key, uint64_t id) { return LogField(key, absl::StrCat(absl::Hex(id))); }

  const std::string& key() const { return key_; }
  const std::string& json() const { return json_; }

 private:
  std::string key_, json_;
};

// Where lines go. `line` ends with a newline; the sink writes it in one call.
using LogSink = std::function<void(LogLevel, std::string_view line)>;

enum class LogFormat { kJson, kConsole };

void SetLogSink(LogSink sink);  // default: standard error
void SetLogLevel(LogLevel level);
void SetLogFormat(LogFormat format);
extern std::atomic<int> g_log_level;
inline bool LogEnabled(LogLevel level) {
  return static_cast<int>(level) >= g_log_level.load(std::memory_order_relaxed);
}

void WriteLog(LogLevel level, const char* file, int line, std::string_view msg, const LogField* fields, size_t n);
inline void WriteLog(LogLevel level, const char* file, int line, std::string_view msg,
                     std::initializer_list<LogField> fields) {
  WriteLog(level, file, line, msg, fields.begin(), fields.size());
}

// Appends `text` as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD.
void AppendJsonString(std::string& to, std::string_view text);

#define TENON_LOG(level, msg, ...)                                                                    \
  do {                                                                                                \
    if (::tenon::LogEnabled(level)) ::tenon::WriteLog(level, __FILE__, __LINE__, msg, {__VA_ARGS__}); \
  } while (0)
#define LOG_DEBUG(...) TENON_LOG(::tenon::LogLevel::kDebug, __VA_ARGS__)
#define LOG_INFO(...) TENON_LOG(::tenon::LogLevel::kInfo, __VA_ARGS__)
#define LOG_WARN(...) TENON_LOG(::tenon::LogLevel::kWarn, __VA_ARGS__)
#define LOG_ERROR(...) TENON_LOG(::tenon::LogLevel::kError, __VA_ARGS__)

}  // namespace tenon
