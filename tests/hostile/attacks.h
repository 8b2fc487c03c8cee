// Every attack by its name.
#pragma once
#include <vector>

#include "tests/hostile/swarm.h"

namespace tenon::hostile {

struct Attack {
  const char* name;
  const char* what;
  Plan (*plan)();
};

// A group of HTTP/2 frames and one of HTTP/1.1. `big/` in the store are keys whose values make a large answer.
std::vector<Attack> Http2Attacks();
std::vector<Attack> Http1Attacks();

}  // namespace tenon::hostile
