#include "cli/tenonutl/replace.h"

#include <algorithm>

#include "fmt/ranges.h"
#include "kernel/base/errors.h"
#include "kernel/cluster/membership.h"
#include "kernel/wal/wal.h"
#include "proto/wal.pb.h"

namespace tenon::utl {
namespace {

using cluster::Member;

std::string NameOf(const Member& m) { return m.name.empty() ? "not started" : m.name; }
std::string Describe(const Member& m) {
  return fmt::format("{:x} ({}) at {}", m.id, NameOf(m), fmt::join(m.peer_urls, ","));
}

std::string List(const Cluster::View& view) {
  std::string out;
  for (const Member& m : view.members) {
    out += fmt::format("\n  {}{}", Describe(m), m.learner ? ", a learner" : "");
  }
  return out;
}

bool Share(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::any_of(a.begin(), a.end(),
                     [&](const auto& url) { return std::find(b.begin(), b.end(), url) != b.end(); });
}

// As the cluster keeps them.
std::vector<std::string> Sorted(std::vector<std::string> urls) {
  std::sort(urls.begin(), urls.end());
  return urls;
}

std::string AsideOf(const std::string& path, MemberId id) { return fmt::format("{}.of-{:x}", path, id); }

}  // namespace

Status Replace::Run() {
  ASSIGN_OR_RETURN(const bool there, world_.disk.Exists(options_.data_dir));
  if (!there) {
    return absl::InvalidArgumentError(fmt::format(
        "there is no {}: is that the server's data-dir? If it was lost with its disk, make it (mkdir -m 700)",
        options_.data_dir));
  }
  RETURN_IF_ERROR(DataDir::IsMarked(world_.disk, options_.data_dir));
  // Its name is on disk before the file in it.
  RETURN_IF_ERROR(DataDir::Make(world_.disk, options_.data_dir, options_.wal_dir));
  Result<DataDir::Locks> locks = DataDir::Lock(world_.disk, options_.data_dir, options_.wal_dir);
  if (absl::IsFailedPrecondition(locks.status())) return AlreadyServes(locks.status());
  ASSIGN_OR_RETURN(locks_, std::move(locks));
  ASSIGN_OR_RETURN(replacement_, Replacement::Read(world_.disk, options_.data_dir));
  RETURN_IF_ERROR(Prepare());
  return over_ ? Ok() : Await();
}

// Until the file names the new member. Each turn does one thing.
Status Replace::Prepare() {
  if (replacement_) Say(fmt::format("going on with the replacement of {:x}", replacement_->former));
  for (bool looked = false;; looked = true) {
    ASSIGN_OR_RETURN(const View view, Members());
    if (replacement_ && replacement_->cluster_id != view.id) {
      return absl::FailedPreconditionError(
          fmt::format("{} waits for a member of cluster {:x}; the endpoints are of cluster {:x}", options_.data_dir,
                      replacement_->cluster_id, view.id));
    }
    if (replacement_ && replacement_->member != 0) {
      if (looked) return Ok();  // just named
      RETURN_IF_ERROR(Restart(view));
      if (replacement_ && replacement_->member != 0) return Ok();
      continue;
    }
    RETURN_IF_ERROR(replacement_ ? GoOn(view) : Begin(view));
    if (over_) return Ok();
  }
}

// ---- which one, and may it be? ----

Status Replace::Begin(const View& view) {
  ASSIGN_OR_RETURN(const MemberId of_log, OwnerOfTheLog(view.id));
  if (of_log != 0 && options_.id != 0 && view.Find(options_.id) == nullptr && view.Find(of_log) != nullptr &&
      wal::Wal::Read(world_.disk, Wal()).ok()) {
    Say(fmt::format("{:x} is none of the members, and the log in {} is whole and of member {:x}: nothing is left to do",
                    options_.id, Wal(), of_log));
    over_ = true;
    return Ok();
  }
  ASSIGN_OR_RETURN(const Member* const lost, WhoIsLost(view, of_log));
  ASSIGN_OR_RETURN(const std::string wrong, WhatIsWrongWithTheLog());
  RETURN_IF_ERROR(MayBeReplaced(view, *lost));
  Replacement begun{
      view.id, lost->id, 0, Sorted(options_.peer_urls.empty() ? lost->peer_urls : options_.peer_urls), {}};
  for (const Member& m : view.members) {
    if (m.id == lost->id) continue;
    if (Share(m.peer_urls, begun.peer_urls)) {
      return absl::FailedPreconditionError(
          fmt::format("{} are taken by member {}", fmt::join(begun.peer_urls, ","), Describe(m)));
    }
    begun.others.insert(begun.others.end(), m.peer_urls.begin(), m.peer_urls.end());
  }
  const std::string plan = fmt::format(
      "member {} of cluster {:x} is to be replaced: {}\nthe cluster removes it for ever and adds a learner "
      "at {}; what {} holds is kept under another name; the new member gets its data from the others",
      Describe(*lost), view.id, wrong, fmt::join(begun.peer_urls, ","), options_.data_dir);
  if (options_.dry_run) {
    Say(plan);
    Say("nothing was changed (--dry-run)");
    over_ = true;
    return Ok();
  }
  if (!world_.confirm(plan)) return absl::CancelledError("not confirmed: nothing was changed");
  RETURN_IF_ERROR(begun.Write(world_.disk, options_.data_dir));
  replacement_ = std::move(begun);
  world_.done("begun");
  return Ok();
}

Result<const Member*> Replace::WhoIsLost(const View& view, MemberId of_log) {
  MemberId id = options_.id != 0 ? options_.id : of_log;
  if (options_.id == 0 && !options_.name.empty()) {
    id = 0;
    for (const Member& m : view.members) {
      if (m.name != options_.name) continue;
      if (id != 0) {
        return absl::InvalidArgumentError(
            fmt::format("several members are called {}: say which one with --id:{}", options_.name, List(view)));
      }
      id = m.id;
    }
    if (id == 0) {
      return absl::InvalidArgumentError(
          fmt::format("no member is called {}: say which one with --id:{}", options_.name, List(view)));
    }
  }
  if (id == 0) {
    // Only one is away: nobody else can have lost anything.
    for (const Member& m : view.members) {
      const Result<MemberId> serves = world_.cluster.WhoServes(m.client_urls);
      if (serves.ok() && *serves == m.id) continue;
      if (id != 0) {
        return absl::InvalidArgumentError(fmt::format(
            "neither the data directory nor who is down tells which member it is: say it with --id:{}", List(view)));
      }
      id = m.id;
    }
    if (id == 0) {
      return absl::InvalidArgumentError(fmt::format("all members serve: say which one with --id:{}", List(view)));
    }
  }
  const Member* const member = view.Find(id);
  if (member == nullptr) {
    return absl::InvalidArgumentError(
        fmt::format("{:x} is none of the members of cluster {:x}:{}", id, view.id, List(view)));
  }
  if (of_log != 0 && of_log != id) {
    return absl::FailedPreconditionError(
        fmt::format("the log in {} is of member {:x}, not of {}: is this its "
                    "data directory?",
                    Wal(), of_log, Describe(*member)));
  }
  return member;
}

// What the head of its log says; 0: nothing is there that could tell.
Result<MemberId> Replace::OwnerOfTheLog(uint64_t cluster_id) {
  const Result<std::string> bytes = wal::Wal::Metadata(world_.disk, Wal());
  walpb::Metadata metadata;
  if (!bytes.ok() || !metadata.ParseFromString(*bytes)) return 0;
  if (metadata.clusterid() != cluster_id) {
    return absl::FailedPreconditionError(
        fmt::format("the log in {} is of cluster {:x}, the endpoints are of cluster {:x}", Wal(), metadata.clusterid(),
                    cluster_id));
  }
  return metadata.nodeid();
}

Result<std::string> Replace::WhatIsWrongWithTheLog() {
  const auto log = wal::Wal::Read(world_.disk, Wal());
  if (absl::IsNotFound(log.status())) return fmt::format("there is no log in {}", Wal());
  if (absl::IsDataLoss(log.status())) return fmt::format("its log is damaged: {}", Message(log.status()));
  RETURN_IF_ERROR(log);
  if (options_.log_is_damaged) return fmt::format("its log in {} is not to be trusted (--log-is-damaged)", Wal());
  return absl::FailedPreconditionError(
      fmt::format("the log in {} is whole, so the member may vote: just start it; what else is damaged or lost it "
                  "fetches from the others by itself. If its start says that the log is shorter than what was applied, "
                  "give --log-is-damaged",
                  Wal()));
}

Status Replace::MayBeReplaced(const View& view, const Member& member) {
  if (view.members.size() == 1) {
    return absl::FailedPreconditionError(
        fmt::format("{} is the cluster's only member: nobody else has its data; restore a backup", Describe(member)));
  }
  if (member.client_urls.empty()) {
    return absl::FailedPreconditionError(
        fmt::format("{} has never started, so it has lost nothing: start it, with --initial-cluster-state=existing",
                    Describe(member)));
  }
  const Result<MemberId> serves = world_.cluster.WhoServes(member.client_urls);
  if (serves.ok() && *serves == member.id) {
    return absl::FailedPreconditionError(
        fmt::format("{} serves at {}: it is not lost", Describe(member), fmt::join(member.client_urls, ",")));
  }
  size_t voters = 0, up = 0, learners = 0;
  std::vector<std::string> down;
  for (const Member& m : view.members) {
    if (m.id == member.id) continue;
    learners += m.learner;
    if (m.learner) continue;
    voters++;
    const Result<MemberId> answers = world_.cluster.WhoServes(m.client_urls);
    if (answers.ok() && *answers == m.id) {
      up++;
    } else {
      down.push_back(fmt::format("{}: {}", Describe(m),
                                 !answers.ok()   ? std::string(Message(answers.status()))
                                 : *answers == 0 ? "it knows no leader"
                                                 : fmt::format("{:x} answers in its place", *answers)));
    }
  }
  if (up < voters / 2 + 1) {
    return absl::FailedPreconditionError(
        fmt::format("without it only {} of {} voters serve, and {} are needed; bring these back first:\n  {}", up,
                    voters, voters / 2 + 1, fmt::join(down, "\n  ")));
  }
  if (!down.empty()) {
    return absl::FailedPreconditionError(
        fmt::format("the cluster takes no new member while a voter is away (strict-reconfig-check); bring these back "
                    "first:\n  {}",
                    fmt::join(down, "\n  ")));
  }
  if (learners >= cluster::Membership::kMaxLearners) {
    return absl::FailedPreconditionError(fmt::format(
        "the cluster has as many learners as it may have ({}): promote or remove one first:{}", learners, List(view)));
  }
  return Ok();
}

// ---- the steps ----

Status Replace::GoOn(const View& view) {
  const Replacement& now = *replacement_;
  if (options_.dry_run) {
    Say("a replacement is under way; without --dry-run it goes on");
    over_ = true;
    return Ok();
  }
  if (const Member* const former = view.Find(now.former)) {
    RETURN_IF_ERROR(MayBeReplaced(view, *former));
    Say(fmt::format("removing member {}", Describe(*former)));
    RETURN_IF_ERROR(Try(world_.cluster.Remove(now.former)));
    world_.done("removed");
    return Ok();
  }
  RETURN_IF_ERROR(SetAside());
  const auto added = std::find_if(view.members.begin(), view.members.end(),
                                  [&](const Member& m) { return Sorted(m.peer_urls) == now.peer_urls; });
  if (added == view.members.end()) {
    Say(fmt::format("adding a learner at {}", fmt::join(now.peer_urls, ",")));
    RETURN_IF_ERROR(Try(world_.cluster.AddLearner(now.peer_urls)));
    world_.done("added");
    return Ok();
  }
  if (!added->client_urls.empty()) {
    return absl::FailedPreconditionError(
        fmt::format("{} has been added and started elsewhere: remove it (etcdctl member remove {:x}), or, if it is to "
                    "stay, remove {}/REPLACE",
                    Describe(*added), added->id, options_.data_dir));
  }
  Say(fmt::format("the new member is {:x}", added->id));
  return Name(added->id, "named");
}

Status Replace::Name(MemberId member, std::string_view step) {
  Replacement next = *replacement_;
  next.member = member;
  RETURN_IF_ERROR(next.Write(world_.disk, options_.data_dir));
  replacement_ = std::move(next);
  world_.done(step);
  return Ok();
}

// The new member has its id: it may have begun, been removed by somebody, or lost its log in its turn.
Status Replace::Restart(const View& view) {
  const MemberId id = replacement_->member;
  const Member* const member = view.Find(id);
  if (options_.dry_run) {
    Say(fmt::format("member {:x} has its place; without --dry-run its promotion goes on", id));
    over_ = true;
    return Ok();
  }
  if (member == nullptr) {
    Say(fmt::format("member {:x} was removed before it voted: another one is added", id));
    return Name(0, "forgotten");
  }
  const auto log = wal::Wal::Read(world_.disk, Wal());
  const bool lost = absl::IsDataLoss(log.status()) || (absl::IsNotFound(log.status()) && !member->client_urls.empty());
  if (!lost) return log.ok() || absl::IsNotFound(log.status()) ? Ok() : log.status();
  Say(fmt::format("member {:x} has lost its log in its turn", id));
  RETURN_IF_ERROR(MayBeReplaced(view, *member));
  Replacement next = *replacement_;
  next.former = std::exchange(next.member, 0);
  RETURN_IF_ERROR(next.Write(world_.disk, options_.data_dir));
  replacement_ = std::move(next);
  return Ok();
}

// Whatever lies where a server looks: no member of this id will ever use it again.
Status Replace::SetAside() {
  std::vector<std::string> paths = {options_.data_dir + "/member"};
  if (!options_.wal_dir.empty()) paths.push_back(options_.wal_dir);
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(const bool there, world_.disk.Exists(path));
    std::string aside = AsideOf(path, replacement_->former);
    for (int n = 2; there; n++) {
      ASSIGN_OR_RETURN(const bool taken, world_.disk.Exists(aside));
      if (!taken) break;
      aside = fmt::format("{}-{}", AsideOf(path, replacement_->former), n);
    }
    if (there) {
      RETURN_IF_ERROR(world_.disk.Rename(path, aside));
      Say(fmt::format("set the old data aside as {}: it may be removed when all is well", aside));
    }
    // Also if somebody who was cut off has renamed it. A wal_dir may lie in what was just renamed.
    const Status synced = world_.disk.SyncDirectory(ParentOf(path));
    if (!synced.ok() && !absl::IsNotFound(synced)) return synced;
    if (there) world_.done("set aside");
  }
  return Ok();
}

Status Replace::Await() {
  locks_ = {};  // the server's, from now on
  const MemberId id = replacement_->member;
  bool started = false;
  for (;;) {
    ASSIGN_OR_RETURN(const View view, Members());
    const Member* const member = view.Find(id);
    if (member == nullptr) {
      return absl::FailedPreconditionError(fmt::format("member {:x} was removed by somebody else", id));
    }
    // Only who has made itself known is promoted: from then on a server that finds no log here does not join again.
    if (!member->client_urls.empty()) {
      started = true;
      Say(fmt::format("member {:x} has started as {}", id, NameOf(*member)));
      if (!member->learner) break;
      const Status promoted = world_.cluster.Promote(id);
      if (promoted.ok()) continue;  // to be seen
      if (promoted != errors::LearnerNotReady()) RETURN_IF_ERROR(Try(promoted));
    } else {
      Say(fmt::format("start the server of {} as always, with its usual configuration", options_.data_dir));
    }
    if (world_.again()) continue;
    return absl::DeadlineExceededError(
        started ? fmt::format("member {:x} has not caught up with the leader yet", id)
                : fmt::format("member {:x} has not started yet: start the server of {} with its usual configuration",
                              id, options_.data_dir));
  }
  world_.done("promoted");
  RETURN_IF_ERROR(Replacement::Remove(world_.disk, options_.data_dir));
  Say(fmt::format("member {:x} votes: {:x} is replaced", id, replacement_->former));
  return Ok();
}

// A server runs here: perhaps as the new member already.
Status Replace::AlreadyServes(const Status& locked) {
  ASSIGN_OR_RETURN(replacement_, Replacement::Read(world_.disk, options_.data_dir));
  if (replacement_ && replacement_->member != 0 && !options_.dry_run) return Await();
  ASSIGN_OR_RETURN(const View view, Members());
  ASSIGN_OR_RETURN(const MemberId of_log, OwnerOfTheLog(view.id));
  if (options_.id == 0 || of_log == 0 || view.Find(options_.id) != nullptr || view.Find(of_log) == nullptr) {
    return locked;
  }
  Say(fmt::format("a server runs in {} as member {:x}, and {:x} is none of the members: nothing is left to do",
                  options_.data_dir, of_log, options_.id));
  return Ok();
}

void Replace::Say(const std::string& line) {
  if (said_.insert(line).second) world_.say(line);
}

// ---- patience ----

Result<Cluster::View> Replace::Members() {
  for (;;) {
    Result<View> view = world_.cluster.Members();
    if (view.ok()) return view;
    if (!absl::IsUnavailable(view.status()) && !absl::IsDeadlineExceeded(view.status())) return view.status();
    if (begun() && world_.again()) continue;
    return absl::UnavailableError(
        fmt::format("no quorum of the cluster answers at the endpoints ({}): without one no member can be replaced; "
                    "bring the others back, or see --force-new-cluster of tenond",
                    Message(view.status())));
  }
}

// What may pass, or may have been done all the same, is looked at again.
Status Replace::Try(const Status& outcome) {
  if (outcome.ok()) return Ok();
  const bool passes = absl::IsUnavailable(outcome) || absl::IsDeadlineExceeded(outcome) ||
                      outcome == errors::MemberNotFound() || outcome == errors::PeerUrlExists();
  if (!passes || !world_.again()) return outcome;
  Say(fmt::format("not yet: {}", Message(outcome)));
  return Ok();
}

}  // namespace tenon::utl
