#include "kernel/cluster/founding.h"

#include <algorithm>

#include "kernel/cluster/ids.h"

namespace tenon::cluster {

std::vector<Member> FoundingMembers(const std::vector<Founder>& founders, const std::string& token) {
  std::vector<Member> members;
  for (const Founder& founder : founders) {
    Member member;
    member.name = founder.name;  // as in etcd: the name is known, the client URLs are not
    member.peer_urls = founder.peer_urls;
    std::sort(member.peer_urls.begin(), member.peer_urls.end());
    member.id = ComputeMemberId(founder.peer_urls, token);
    members.push_back(std::move(member));
  }
  std::sort(members.begin(), members.end(), [](const Member& a, const Member& b) { return a.id < b.id; });
  return members;
}

std::vector<raft::Entry> FoundingEntries(const std::vector<Member>& members) {
  std::vector<raft::Entry> entries;
  for (const Member& member : members) {
    raft::Entry entry;
    entry.term = Term(1);
    entry.index = Index(entries.size() + 1);
    entry.type = raft::EntryType::kConfChange;
    entry.payload = std::make_shared<raft::Payload>(Encode({.type = raft::ConfChangeType::kAddNode, .member = member}));
    entries.push_back(std::move(entry));
  }
  return entries;
}

raft::ConfState FoundingConf(const std::vector<Member>& members) {
  raft::ConfState conf;
  for (const Member& member : members) conf.voters.push_back(member.id);
  return conf;
}

}  // namespace tenon::cluster
