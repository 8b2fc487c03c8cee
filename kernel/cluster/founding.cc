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

Result<raft::ConfState> ConfAfter(raft::ConfState conf, Index behind, const std::vector<raft::Entry>& entries) {
  for (const raft::Entry& entry : entries) {
    if (entry.index <= behind || entry.type != raft::EntryType::kConfChange) continue;
    ASSIGN_OR_RETURN(const MemberChange change, DecodeMemberChange(entry.bytes()));
    // One that does not fit was refused when it was applied, too.
    if (auto next = raft::Apply(conf, change.ForRaft()); next.ok()) conf = *std::move(next);
  }
  return conf;
}

std::vector<raft::Entry> EntriesToBeAlone(const raft::ConfState& conf, MemberId self, Index last, Term term) {
  std::vector<MemberChange> changes;
  // In front of the removals: somebody must be left to vote.
  if (std::find(conf.learners.begin(), conf.learners.end(), self) != conf.learners.end()) {
    changes.push_back({.type = raft::ConfChangeType::kAddNode, .member = {.id = self}, .promote = true});
  }
  for (const std::vector<MemberId>& ids : {conf.voters, conf.learners}) {
    for (const MemberId id : ids) {
      if (id != self) changes.push_back({.type = raft::ConfChangeType::kRemoveNode, .member = {.id = id}});
    }
  }
  std::vector<raft::Entry> entries;
  for (const MemberChange& change : changes) {
    raft::Entry entry;
    entry.term = term;
    entry.index = last + (entries.size() + 1);
    entry.type = raft::EntryType::kConfChange;
    entry.payload = std::make_shared<raft::Payload>(Encode(change));
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
