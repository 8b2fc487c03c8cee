#include "kernel/base/log.h"

#include <unistd.h>

#include <cstdio>
#include <mutex>

#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "kernel/base/utf8.h"

namespace tenon {
namespace {

std::mutex sink_mutex;
LogSink sink;  // empty: standard error
LogFormat format = LogFormat::kJson;

const char* Name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarn: return "warn";
    case LogLevel::kError: return "error";
    case LogLevel::kFatal: return "fatal";
  }
  return "info";
}

// "kernel/wal/wal.cc" from an absolute __FILE__: what follows the last "kernel/" or "plugins/".
std::string_view ShortFile(std::string_view file) {
  for (const std::string_view root : {"kernel/", "plugins/"}) {
    if (const size_t at = file.rfind(root); at != std::string_view::npos) return file.substr(at);
  }
  return file;
}

}  // namespace

std::atomic<int> g_log_level{static_cast<int>(LogLevel::kInfo)};

void AppendJsonString(std::string& to, std::string_view text) {
  to += '"';
  while (!text.empty()) {
    const char c = text[0];
    const size_t n = Utf8Length(text);
    if (c == '"' || c == '\\') {
      to += '\\';
      to += c;
    } else if (c == '\n') {
      to += "\\n";
    } else if (c == '\t') {
      to += "\\t";
    } else if (n == 0) {
      to += "\\ufffd";
    } else if (n == 1 && static_cast<uint8_t>(c) < 0x20) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", c);
      to += code;
    } else {
      to.append(text.data(), n);
    }
    text.remove_prefix(n == 0 ? 1 : n);
  }
  to += '"';
}

LogField::LogField(std::string_view key, std::string_view value) : key_(key) { AppendJsonString(json_, value); }

void SetLogSink(LogSink next) {
  std::lock_guard lock(sink_mutex);
  sink = std::move(next);
}
void SetLogLevel(LogLevel level) { g_log_level.store(static_cast<int>(level), std::memory_order_relaxed); }
void SetLogFormat(LogFormat next) {
  std::lock_guard lock(sink_mutex);
  format = next;
}

void WriteLog(LogLevel level, const char* file, int line, std::string_view msg, const LogField* fields, size_t n) {
  const std::string ts = absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", absl::Now(), absl::UTCTimeZone());
  std::string out;
  std::lock_guard lock(sink_mutex);
  if (format == LogFormat::kJson) {
    out = absl::StrCat("{\"level\":\"", Name(level), "\",\"ts\":\"", ts, "\",\"caller\":\"",
                       std::string(ShortFile(file)), ":", line, "\",\"msg\":");
    AppendJsonString(out, msg);
    for (size_t i = 0; i < n; i++) {
      out += ',';
      AppendJsonString(out, fields[i].key());
      out += ':';
      out += fields[i].json();
    }
    out += "}\n";
  } else {
    out = absl::StrCat(ts, "\t", absl::AsciiStrToUpper(Name(level)), "\t", std::string(ShortFile(file)), ":", line,
                       "\t", std::string(msg));
    for (size_t i = 0; i < n; i++) absl::StrAppend(&out, "\t", fields[i].key(), "=", fields[i].json());
    out += '\n';
  }
  if (sink) {
    sink(level, out);
  } else if (::write(STDERR_FILENO, out.data(), out.size()) < 0) {
    // Nowhere left to complain: the log itself cannot be written.
  }
}

}  // namespace tenon
