// Where the plain HTTP endpoints get what they say: this member.
#include <fstream>
#include <iterator>

#include "kernel/api/http.h"
#include "kernel/api/server.h"

namespace tenon::api {
namespace {

// etcd's "raft.status" of /debug/vars without vote and progress, which nobody outside of raft sees here.
std::string RaftStatusJson(const Server& server) {
  static constexpr std::string_view kRoles[] = {"StateFollower", "StateCandidate", "StateLeader", "StatePreCandidate"};
  const node::Node::State state = server.node.state();
  return fmt::format(R"({{"id":"{:x}","term":{},"commit":{},"lead":"{:x}","raftState":"{}","applied":{}}})",
                     server.membership.self(), state.term.value, state.commit.value, state.leader,
                     kRoles[static_cast<size_t>(state.role)], server.applier.applied().value);
}

}  // namespace

std::vector<std::string> CommandLine() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::string> arguments;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\0', at);
    arguments.push_back(text.substr(at, end - at));
    at = end == text.npos ? text.size() : end + 1;
  }
  return arguments;
}

Http::Sources HttpSourcesOf(Server& server) {
  Http::Sources sources;
  sources.health.alarms = [&server] {
    std::vector<etcdserverpb::AlarmType> types;
    for (const etcdserverpb::AlarmMember& m : server.alarms.List(etcdserverpb::NONE)) types.push_back(m.alarm());
    return types;
  };
  sources.health.has_leader = [&server] { return server.node.state().leader != 0; };
  sources.health.is_learner = [&server] { return server.membership.is_learner(); };
  sources.health.read = [&server](bool serializable, absl::AnyInvocable<void(Status)> done) {
    ProbeRead(server, serializable, std::move(done));
  };
  sources.cluster_version = [&server] {
    const std::optional<Version> version = server.membership.version();
    return version ? ToString(*version) : std::string();
  };
  sources.raft_status = [&server] { return RaftStatusJson(server); };
  sources.post = [&server](Task task) { server.readers.Post(std::move(task)); };
  return sources;
}

}  // namespace tenon::api
