// A case of a contract: a name, a sentence that must hold, and the function that tries it.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "cli/plugin_check/echo_kernel.h"
#include "fmt/format.h"

namespace tenon::plugin_check {

// What a case throws; the text is what the author of the plugin reads.
struct Failed {
  explicit Failed(std::string why) : text(std::move(why)) {
    if (at_once != nullptr) at_once(text);
  }
  std::string text;
  // Hears of it before the case is unwound: that stops the module, and one that keeps a call for ever hangs there.
  static inline void (*at_once)(const std::string& text) = nullptr;
};
// This module does not claim what the case is about.
struct NotApplicable {
  std::string text;
};

template <class... Args>
void Want(bool holds, fmt::format_string<Args...> text, Args&&... args) {
  if (!holds) throw Failed{fmt::format(text, std::forward<Args>(args)...)};
}

struct Case {
  const char* name;      // "stream.cancel"
  const char* sentence;  // what holds
  // In a process of its own, whose working directory is empty and goes with it.
  void (*run)(const void* table, const testing::Config& config);
};

std::span<const Case> StorageCases();
std::span<const Case> TransportCases();

}  // namespace tenon::plugin_check
