// Raft's values as a line of text each, in etcd's words: "1->2 MsgVote Term:1 Log:1/2".
#pragma once
#include <string>

#include "kernel/raft/raft.h"

namespace tenon::raft {

std::string Render(const Entry& e);  // 1/12 "x": term, index, bytes
std::string Render(const std::vector<Entry>& entries);
std::string Render(const Message& m);
std::string Render(const ConfState& conf);  // voters=(1 2)&(2 3) learners=(4)
std::string Render(const HardState& h);
std::string Render(const Ready& ready);  // a line per part, each ends with a newline and begins with two spaces
std::string RoleName(Role role);

}  // namespace tenon::raft
