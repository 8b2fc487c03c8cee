// What a crash of the simulator itself leaves behind: the command that leads to it again.
#pragma once
#include <string_view>

namespace tenon::sim {

// From now on SIGSEGV, SIGBUS, SIGFPE and SIGABRT write this line before they do what they did.
void SetCrashLine(std::string_view replay);

}  // namespace tenon::sim
