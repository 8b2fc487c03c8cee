// CHECK: we are wrong, and going on would make it worse. Prints the numbers and aborts.
//
// Always on, also in release builds. A test that wants to see a CHECK fail installs a handler that throws.
#pragma once
#include <sstream>
#include <string>

namespace tenon {

// Ends the process after printing `message`; a test's handler may throw instead. Never returns.
[[noreturn]] void CheckFailed(const char* file, int line, const std::string& message);

// Replaces what CheckFailed calls before it aborts; returns the former handler. For tests; not thread safe.
using CheckHandler = void (*)(const char* file, int line, const std::string& message);
CheckHandler SetCheckHandler(CheckHandler handler);

namespace internal {
template <class A, class B>
[[noreturn]] void CheckOpFailed(const char* file, int line, const char* text, const A& a, const B& b) {
  std::ostringstream out;
  out << text << " (" << a << " vs. " << b << ")";
  CheckFailed(file, line, out.str());
}
}  // namespace internal

#define CHECK(condition)                                                    \
  do {                                                                      \
    if (!(condition)) ::tenon::CheckFailed(__FILE__, __LINE__, #condition); \
  } while (0)
#define CHECK_MSG(condition, message)                                                                     \
  do {                                                                                                    \
    if (!(condition)) ::tenon::CheckFailed(__FILE__, __LINE__, std::string(#condition ": ") + (message)); \
  } while (0)
#define TENON_CHECK_OP(op, a, b)                                                                   \
  do {                                                                                             \
    const auto& check_a_ = (a);                                                                    \
    const auto& check_b_ = (b);                                                                    \
    if (!(check_a_ op check_b_))                                                                   \
      ::tenon::internal::CheckOpFailed(__FILE__, __LINE__, #a " " #op " " #b, check_a_, check_b_); \
  } while (0)
#define CHECK_EQ(a, b) TENON_CHECK_OP(==, a, b)
#define CHECK_NE(a, b) TENON_CHECK_OP(!=, a, b)
#define CHECK_LT(a, b) TENON_CHECK_OP(<, a, b)
#define CHECK_LE(a, b) TENON_CHECK_OP(<=, a, b)
#define CHECK_GT(a, b) TENON_CHECK_OP(>, a, b)
#define CHECK_GE(a, b) TENON_CHECK_OP(>=, a, b)

}  // namespace tenon
