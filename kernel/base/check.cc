#include "kernel/base/check.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace tenon {
namespace {
CheckHandler handler = nullptr;
}

CheckHandler SetCheckHandler(CheckHandler next) { return std::exchange(handler, next); }

void CheckFailed(const char* file, int line, const std::string& message) {
  if (handler != nullptr) handler(file, line, message);
  std::fprintf(stderr, "{\"level\":\"fatal\",\"caller\":\"%s:%d\",\"msg\":\"CHECK failed: %s\"}\n", file, line,
               message.c_str());
  std::fflush(stderr);
  std::abort();
}

}  // namespace tenon
