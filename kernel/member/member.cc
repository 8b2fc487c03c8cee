#include "kernel/member/member.h"

#include <algorithm>
#include <future>
#include <utility>

#include "kernel/base/errors.h"
#include "kernel/base/log.h"
#include "kernel/cluster/version.h"
#include "kernel/member/install.h"
#include "proto/peer.pb.h"
#include "proto/wal.pb.h"

namespace tenon {
namespace {

constexpr uint64_t kAskAgainNs = 10'000'000;
constexpr char kOfLog[] = "tenon/log";

Status OfLog(Status status) {
  status.SetPayload(kOfLog, absl::Cord());
  return status;
}

}  // namespace

struct Member::Log {
  std::unique_ptr<wal::Wal> wal;
  walpb::Metadata metadata;
  raft::Config raft;
  std::optional<std::pair<std::vector<raft::Entry>, raft::ConfState>> bootstrap;  // of a cluster that is founded here
};

// ---- the disk ----

Result<std::unique_ptr<Member>> Member::Open(World world, std::unique_ptr<storage::Engine> engine, Options options) {
  ASSIGN_OR_RETURN(DataDir data, DataDir::Open(world.disk, options.data_dir, options.wal_dir, options.engine));
  wal::Options log;
  log.segment_bytes = options.log_segment_bytes;
  log.sync = options.log_sync;
  if (options.state_lost) RETURN_IF_ERROR(SetStateAside(world.disk, data));
  RETURN_IF_ERROR(InstallFetchedState(world.disk, data, *engine, log));
  RETURN_IF_ERROR(engine->Open(data.engine()));
  std::unique_ptr<Member> member(new Member(std::move(world), std::move(options), std::move(data)));
  member->engine_ = std::move(engine);
  RETURN_IF_ERROR(member->OpenStore());
  RETURN_IF_ERROR(member->OpenNode());
  return member;
}

// Kept for whoever wants to know what happened to it, until the next time.
Status Member::SetStateAside(Disk& disk, const DataDir& data) {
  for (const std::string& path : {data.engine(), data.streams()}) {
    ASSIGN_OR_RETURN(const bool there, disk.Exists(path));
    if (!there) continue;
    const std::string aside = path + ".damaged";
    RETURN_IF_ERROR(disk.RemoveTree(aside));
    RETURN_IF_ERROR(disk.Rename(path, aside));
    RETURN_IF_ERROR(disk.MakeDirectory(path));
    LOG_WARN("set the damaged state aside; it may be removed", {"path", aside});
  }
  RETURN_IF_ERROR(disk.RemoveTree(data.index()));
  RETURN_IF_ERROR(disk.MakeDirectory(data.index()));
  return disk.SyncDirectory(data.path() + "/member");
}

bool Member::IsOfLog(const Status& status) { return status.GetPayload(kOfLog).has_value(); }

Result<bool> Member::LogOutlivesState(Disk& disk, const Options& options) {
  const auto log = wal::Wal::Read(disk, DataDir::WalOf(options.data_dir, options.wal_dir));
  if (absl::IsNotFound(log.status())) return false;
  RETURN_IF_ERROR(log);
  const auto& [from, recovered] = *log;
  ASSIGN_OR_RETURN(const raft::ConfState conf, cluster::ConfAfter(from.conf, Index(0), recovered.entries));
  return conf.voters.size() + conf.learners.size() > 1;
}

// Whoever still waits for an entry is told when the log that holds it goes: while all that may be told are there.
Member::~Member() {
  node_.reset();
  applier_.reset();
}

Status Member::OpenStore() {
  if (!engine_->persistent()) {
    streams_.emplace(world_.disk, data_.streams());
    RETURN_IF_ERROR(streams_->Load(*engine_));
  }
  ASSIGN_OR_RETURN(tables_, storage::Tables::Open(*engine_));
  mvcc::Store::Options options;
  options.record_cache_bytes = options_.record_cache_bytes;
  options.view_max_age_ns = options_.view_max_age_ns;
  options.index_snapshot = &index_snapshot_.emplace(world_.disk, data_.index(), world_.clock, options_.index_snapshot);
  ASSIGN_OR_RETURN(store_, mvcc::Store::Open(*engine_, tables_, world_.clock, options));
  RETURN_IF_ERROR(OpenLeases());
  watch_ = std::make_unique<mvcc::WatchHub>(*store_, world_.watch, world_.history, world_.fatal, options_.watch);
  return alarms_.Restore(*engine_, tables_.alarm);
}

Status Member::OpenLeases() {
  if (world_.leases != nullptr) return world_.leases->Recover(*engine_, *store_);
  ASSIGN_OR_RETURN(const bool any, lease::Module::AnyIn(*engine_));
  if (!any) return Ok();
  return absl::FailedPreconditionError(
      fmt::format("{} holds leases, but no lease module is configured, so nobody would end them: add \"lease: {{ use: "
                  "lease }}\" under modules",
                  data_.path()));
}

Result<Member::Log> Member::OpenLog(const apply::AppliedState& applied) {
  wal::Options options;
  options.segment_bytes = options_.log_segment_bytes;
  options.background = &world_.worker;
  options.clock = &world_.clock;
  options.sync = options_.log_sync;
  ASSIGN_OR_RETURN(const bool began, wal::Wal::Began(world_.disk, data_.wal()));
  return began ? RecoverLog(applied, options) : FoundLog(applied, options);
}

Result<Member::Log> Member::FoundLog(const apply::AppliedState& applied, const wal::Options& wal_options) {
  if (applied.index.value > 0) {
    return OfLog(absl::DataLossError(fmt::format("the engine holds {} applied entries but there is no log in {}",
                                                 applied.index.value, data_.wal())));
  }
  std::vector<cluster::Founder> founders = options_.founders;
  if (founders.empty()) founders.push_back({options_.name, options_.peer_urls});
  const std::vector<cluster::Member> members = cluster::FoundingMembers(founders, options_.cluster_token);
  Log log;
  if (options_.join) {
    log.metadata.set_nodeid(options_.join->self);
    log.metadata.set_clusterid(options_.join->cluster_id);
  } else {
    std::vector<MemberId> ids;
    for (const cluster::Member& m : members) {
      ids.push_back(m.id);
      if (m.name == options_.name) log.metadata.set_nodeid(m.id);
    }
    if (log.metadata.nodeid() == 0) {
      return absl::InvalidArgumentError(fmt::format("initial-cluster does not name this member, {}", options_.name));
    }
    log.metadata.set_clusterid(cluster::ComputeClusterId(ids));
    log.bootstrap.emplace(cluster::FoundingEntries(members), cluster::FoundingConf(members));
  }
  ASSIGN_OR_RETURN(log.wal, wal::Wal::Create(world_.disk, data_.wal(), log.metadata.SerializeAsString(), wal_options));
  return log;
}

Result<Member::Log> Member::RecoverLog(const apply::AppliedState& applied, const wal::Options& wal_options) {
  ASSIGN_OR_RETURN(const std::vector<raft::SnapshotMeta> snapshots, wal::Wal::Snapshots(world_.disk, data_.wal()));
  raft::SnapshotMeta from;
  for (const raft::SnapshotMeta& s : snapshots) {
    if ((s.index <= applied.index || options_.state_lost) && s.index >= from.index) from = s;
  }
  auto found = wal::Wal::Open(world_.disk, data_.wal(), from, applied.index, wal_options);
  if (absl::IsNotFound(found.status()) && streams_) {
    return absl::DataLossError(fmt::format(
        "the newest sound stream in {} ends at index {}, and the log no longer reaches back that far ({}): restore a "
        "stream, or start with an empty data-dir",
        data_.streams(), applied.index.value, Message(found.status())));
  }
  if (absl::IsNotFound(found.status())) {
    return absl::DataLossError(fmt::format(
        "the engine in {} ends at index {}, and the log does not reach back that far ({}): remove this member from the "
        "cluster and let it join again with an empty data-dir, or restore a backup into an empty one",
        data_.engine(), applied.index.value, Message(found.status())));
  }
  if (absl::IsDataLoss(found.status())) return OfLog(found.status());
  ASSIGN_OR_RETURN(auto opened, std::move(found));
  wal::Recovered& recovered = opened.second;
  if (recovered.dropped) {
    LOG_WARN("dropped the torn tail of the log: a crash left it half written, and nothing in it was acknowledged",
             {"file", recovered.dropped->file}, {"offset", recovered.dropped->offset},
             {"reason", recovered.dropped->why});
  }
  Log log;
  if (!log.metadata.ParseFromString(recovered.metadata)) {
    return OfLog(absl::DataLossError("the log's metadata record is damaged"));
  }
  if (options_.join && options_.join->self != log.metadata.nodeid()) {
    return absl::FailedPreconditionError(
        fmt::format("the log in {} is member {:x}'s, and this is to be member {:x}: if tenonutl member replace was not "
                    "told of this wal-dir, move it away",
                    data_.wal(), log.metadata.nodeid(), options_.join->self));
  }
  log.wal = std::move(opened.first);
  log.raft.hard_state = recovered.hard_state;
  // All that the engine has was committed, whatever the last state on disk says (it may be a little older).
  log.raft.hard_state.commit = std::max(log.raft.hard_state.commit, applied.index);
  log.raft.compacted = from;
  log.raft.entries = std::move(recovered.entries);
  log.raft.applied = options_.state_lost ? from.index : applied.index;
  return log;
}

// Source: etcd server/etcdserver/bootstrap.go, --force-new-cluster. All that the log holds counts as committed: the
// newest of it may have been acknowledged, though nobody told us (etcd drops it). The changes behind it are on disk as
// committed ones too before anybody hears of them.
Status Member::LeaveOthers(const raft::ConfState& applied_conf, Log& log) {
  raft::HardState& state = log.raft.hard_state;
  std::vector<raft::Entry>& entries = log.raft.entries;
  const MemberId self = log.metadata.nodeid();
  ASSIGN_OR_RETURN(const raft::ConfState conf, cluster::ConfAfter(applied_conf, log.raft.applied, entries));
  const auto has = [self](const std::vector<MemberId>& ids) {
    return std::find(ids.begin(), ids.end(), self) != ids.end();
  };
  if (!has(conf.voters) && !has(conf.learners)) {
    return absl::FailedPreconditionError(
        fmt::format("force-new-cluster: this member, {:x}, was removed from its cluster", self));
  }
  const Term term = state.term + 1;
  const Index last = entries.empty() ? state.commit : entries.back().index;
  std::vector<raft::Entry> changes = cluster::EntriesToBeAlone(conf, self, last, term);
  if (changes.empty()) {
    LOG_INFO("force-new-cluster: this member is alone already; the flag may go");
    return Ok();
  }
  LOG_WARN("force-new-cluster: removing all other members; what only they had is lost",
           LogField::Hex("local-member-id", self), {"changes", changes.size()}, {"commit", state.commit},
           {"last", last});
  state = {term, 0, changes.back().index};
  RETURN_IF_ERROR(log.wal->Append(&state, changes));
  RETURN_IF_ERROR(log.wal->Sync());
  std::move(changes.begin(), changes.end(), std::back_inserter(entries));
  return Ok();
}

Status Member::OpenNode() {
  ASSIGN_OR_RETURN(apply::AppliedState applied, apply::ReadAppliedState(*engine_, tables_));
  ASSIGN_OR_RETURN(Log log, OpenLog(applied));
  const MemberId self = log.metadata.nodeid();
  if (options_.state_lost) applied = {log.raft.compacted.index, log.raft.compacted.term, log.raft.compacted.conf, 0};
  // Versions that ran one member alone kept no configuration.
  if (applied.index.value > 0 && applied.conf.voters.empty()) applied.conf.voters = {self};
  if (options_.force_new_cluster) RETURN_IF_ERROR(LeaveOthers(applied.conf, log));
  log.raft.conf = applied.conf;
  log.raft.id = self;
  log.raft.seed = world_.clock.WallNs() ^ self;
  log.raft.election_ticks = options_.election_ticks;
  log.raft.pre_vote = options_.pre_vote;

  uint64_t log_bytes_behind = 0;
  for (const raft::Entry& e : log.raft.entries) {
    if (e.index > applied.index) log_bytes_behind += e.bytes().size();
  }

  membership_ = std::make_unique<cluster::Membership>(log.metadata.clusterid(), self, options_.version);
  RETURN_IF_ERROR(membership_->Restore(*engine_, tables_));
  if (options_.state_lost) membership_->Assume(*options_.state_lost);
  ids_ = std::make_unique<cluster::RequestIds>(self, world_.clock.WallNs());
  if (options_.quota) {
    quota_ = std::make_unique<apply::Quota>(*options_.quota, options_.quota_self, *engine_, world_.clock,
                                            options_.quota_bytes);
  }
  applier_ = std::make_unique<apply::Applier>(
      apply::Applier::Parts{*engine_, tables_, *store_, *watch_, alarms_, *membership_, world_.clock, world_.apply,
                            world_.worker, world_.metrics, world_.fatal,
                            [this](absl::AnyInvocable<void()> done) { persister_->BeforeRemoval(std::move(done)); },
                            world_.leases, quota_.get(),
                            [this](absl::AnyInvocable<void()> done) { RaiseNoSpace(std::move(done)); },
                            options_.state_lost.has_value()},
      applied, options_.apply);
  node_ = std::make_unique<node::Node>(
      node::Node::Parts{std::move(log.wal), std::move(log.raft), std::move(log.bootstrap), *applier_, world_.clock,
                        world_.node, world_.wal, world_.metrics, world_.fatal, world_.peers,
                        [this](raft::Message message) { FetchState(std::move(message)); },
                        [this](const cluster::MemberChange& change) { OnMemberChanged(change); }, world_.restart},
      options_.node);
  peer_desk_ = std::make_unique<node::PeerDesk>(*node_, *membership_);
  version_watch_ = std::make_unique<node::VersionWatch>(
      node::VersionWatch::Parts{world_.worker, *node_, *membership_, *ids_, world_.peers});
  if (world_.peers != nullptr) OpenTransfer();

  if (world_.leases != nullptr) {
    // On the apply thread: in order, and before whatever the new leader's term applies here.
    node_->OnRole([this](bool leads, Term term) {
      world_.apply.Post([leases = world_.leases, leads, term,
                         extend_ns = static_cast<uint64_t>(options_.election_ticks) * options_.node.tick_ns] {
        leads ? leases->Promote(term, extend_ns) : leases->Demote();
      });
    });
  }

  node::Persister::Options persist;
  persist.interval_ns = options_.persist_interval_ns;
  persist.log_bytes = options_.persist_log_bytes;
  persist.streams = streams_ ? &*streams_ : nullptr;
  persist.index_snapshot = &*index_snapshot_;
  persist.log_bytes_behind = log_bytes_behind;
  persister_ = std::make_unique<node::Persister>(*engine_, *applier_, *node_, world_.clock, world_.persist,
                                                 world_.metrics, world_.fatal, persist);
  no_space_ = std::make_unique<node::NoSpace>(
      node::NoSpace::Parts{world_.disk, data_.full_mark(), data_.quota_mark(), world_.worker, *node_, *ids_, self,
                           alarms_, [this] { return quota_ == nullptr || quota_->Recovered(); }});
  disk_watch_ = std::make_unique<node::DiskWatch>(world_.disk, std::vector{data_.path(), data_.wal()},
                                                  options_.disk_watermark, data_.ballasts(), world_.worker, *no_space_);
  return Ok();
}

// ---- running ----

void Member::Start(absl::AnyInvocable<void(const Status&)> ready) {
  ready_ = std::move(ready);
  started_ = true;
  if (world_.peers != nullptr) ServePeers();
  node_->Start();
  if (options_.state_lost) return healer_->Begin("it is lost");  // this life never becomes ready
  AwaitReplay();
}

// ---- the other members ----

void Member::ServePeers() {
  peer_desk_->Add("Propose", [this](const PeerSender&, std::string request, PeerHandler::Done done) {
    node_->Forwarded(std::move(request), std::move(done));
  });
  peer_desk_->Add("Members", [this](const PeerSender&, std::string, PeerHandler::Done done) {
    etcdserverpb::MemberListResponse response;
    response.mutable_header()->set_cluster_id(membership_->cluster_id());
    response.mutable_header()->set_member_id(membership_->self());
    for (const cluster::Member& m : membership_->List()) *response.add_members() = cluster::ToProto(m);
    done(Ok(), response.SerializeAsString());
  });
  peer_desk_->Add("Version", [this](const PeerSender&, std::string, PeerHandler::Done done) {
    done(Ok(), version_watch_->Answer());
  });
  corruption_watch_ = std::make_unique<node::CorruptionWatch>(node::CorruptionWatch::Parts{
      world_.worker, *node_, *applier_, alarms_, *membership_, *ids_, *world_.peers,
      [this](std::string_view why) { healer_->Begin(why); }, [this] { return healing(); }});
  peer_desk_->Add("Heal", [this](const PeerSender& from, std::string, PeerHandler::Done done) {
    if (from.member_id == node_->state().leader) healer_->Begin("the leader found that most members agree on another");
    done(Ok(), {});
  });
  peer_desk_->Add("StateHash", [this](const PeerSender&, std::string, PeerHandler::Done done) {
    done(Ok(), corruption_watch_->Answer());
  });
  const auto set = [this](const std::vector<cluster::Member>& members) {
    for (const cluster::Member& m : members) {
      if (m.id != membership_->self() && !membership_->IsRemoved(m.id)) world_.peers->Set(m.id, m.peer_urls);
    }
  };
  // Founders and who joins must reach the others before the log has told who they are.
  set(options_.join && !options_.join->members.empty()
          ? options_.join->members
          : cluster::FoundingMembers(options_.founders, options_.cluster_token));
  if (const auto known = membership_->List(); !known.empty()) set(known);
  world_.peers->Serve(&*peer_desk_);
}

void Member::OpenTransfer() {
  snapshot::StateSource::Parts parts{*engine_, world_.clock, world_.apply, world_.history, {}, {}, world_.fatal, {}};
  parts.keep_rows = [this] { return std::make_shared<mvcc::Views::Handle>(store_->views().KeepAll()); };
  parts.conf = [this](storage::Snapshot& snapshot) -> Result<raft::ConfState> {
    const Result<std::string_view> row = snapshot.Get(tables_.meta, storage::meta::kConfState);
    RETURN_IF_ERROR(row);
    return cluster::ConfStateFromJson(*row);
  };
  parts.ended = [](MemberId, bool) {};  // the node asks until the member follows
  state_source_ = std::make_unique<snapshot::StateSource>(std::move(parts));
  for (const char* name : {"OpenState", "ReadState", "CloseState"}) {
    peer_desk_->Add(name, [this, name](const PeerSender& from, std::string request, PeerHandler::Done done) {
      if (healing()) return done(absl::FailedPreconditionError("the state here is not to be trusted"), {});
      state_source_->Call(from, name, std::move(request), std::move(done));
    });
  }
  state_fetch_ = std::make_unique<snapshot::StateFetch>(
      world_.disk, world_.clock, world_.worker, data_.streams(),
      [peers = world_.peers](MemberId to, std::string_view method, std::string request, uint64_t timeout_ns,
                             Peers::Done done) {
        peers->Call(to, {}, method, std::move(request), timeout_ns, std::move(done));
      },
      options_.fetch);
  healer_ = std::make_unique<Healer>(
      Healer::Parts{*node_, *applier_, *state_fetch_, *membership_, world_.worker, [this] { BeginHealing(); }});
}

void Member::BeginHealing() {
  persister_->Abandon();  // the log stays, from where the state was sound
  watch_->CloseAll(errors::Corrupt());
}

void Member::FetchState(raft::Message message) {
  const MemberId from = message.from;
  const Index least = message.snapshot->index;
  const bool begun =
      state_fetch_->Start(from, least, [this, message = std::move(message)](Result<raft::SnapshotMeta> meta) mutable {
        if (absl::IsCancelled(meta.status())) return;
        if (meta.ok()) {
          message.snapshot = *std::move(meta);
          node_->Restored(std::move(message));
        } else {
          LOG_WARN("cannot fetch the state: it is asked for again", {"error", meta.status()});
        }
      });
  if (begun) {
    LOG_INFO("fetching the state of another member: this one is too far behind its log", LogField::Hex("from", from),
             {"least-index", least});
  }
}

void Member::OnMemberChanged(const cluster::MemberChange& change) {
  const MemberId id = change.member.id;
  if (id == 0 || world_.peers == nullptr) return;
  const std::optional<cluster::Member> member = membership_->Find(id);
  if (member && id != membership_->self()) return world_.peers->Set(id, member->peer_urls);
  if (member) return;
  // It is told of its removal by what is still on its way; then it is not reached any more.
  world_.worker.PostAfter(static_cast<uint64_t>(options_.election_ticks) * options_.node.tick_ns, [this, id] {
    if (stopped_) return;
    if (id != membership_->self()) return world_.peers->Set(id, {});
    LOG_INFO("the member has been permanently removed from the cluster", LogField::Hex("removed-member-id", id));
    if (world_.removed) world_.removed();
  });
}

void Member::ProposeChange(cluster::MemberChange change, absl::AnyInvocable<void(Status)> done) {
  change.request_id = ids_->Next();
  apply::Request request;
  request.id = change.request_id;
  node_->Propose(std::make_shared<const apply::Proposal>(
      cluster::Encode(change), std::move(request),
      [done = std::move(done)](Status status, Bufs) mutable { done(std::move(status)); },
      raft::EntryType::kConfChange));
}

void Member::HandOver() {
  if (!started_) return;
  std::promise<void> done;
  node_->HandOver([&] { done.set_value(); });
  done.get_future().wait();
}

void Member::AwaitReplay() {
  // A read that waits for all that was ever committed: the replay of the log is over when it is answered.
  node_->ReadBarrier([this](const Status& status) {
    if (stopped_) return;
    if (status.ok()) {
      world_.worker.Post([this] {
        applier_->StartServing();
        const std::vector<cluster::Member> members = membership_->List();
        if (!membership_->version()) {
          membershippb::ClusterVersionSetRequest request;
          request.set_ver(ToString(cluster::kLeastVersion));
          announcements_.emplace_back(apply::Field::kClusterVersionSet, std::move(request));
        }
        for (const cluster::Member& m : members) {
          if (m.id != membership_->self() || (m.name == options_.name && m.client_urls == options_.client_urls))
            continue;
          membershippb::ClusterMemberAttrSetRequest request;
          request.set_member_id(m.id);
          request.mutable_member_attributes()->set_name(options_.name);
          for (const std::string& url : options_.client_urls) {
            request.mutable_member_attributes()->add_client_urls(url);
          }
          announcements_.emplace_back(apply::Field::kClusterMemberAttrSet, std::move(request));
        }
        Announce();
      });
    } else if (absl::IsUnavailable(status)) {  // no leader yet
      world_.worker.PostAfter(kAskAgainNs, [this] { AwaitReplay(); });
    } else {
      Ready(status);
    }
  });
}

void Member::Announce() {
  if (announcements_.empty()) {
    persister_->Start();
    no_space_->Start();
    disk_watch_->Start();
    if (corruption_watch_) corruption_watch_->Start();
    version_watch_->Start();
    return Ready(Ok());
  }
  const auto& [field, operation] = announcements_.back();
  const auto* message = std::visit(
      [](const auto& request) { return static_cast<const google::protobuf::MessageLite*>(&request); }, operation);
  Propose(field, *message, operation, [this](const Status& status, Bufs) {
    if (stopped_) return;
    if (status.ok()) {
      world_.worker.Post([this] {
        announcements_.pop_back();
        Announce();
      });
    } else if (absl::IsUnavailable(status) || status == errors::TooManyRequests()) {
      // Lost, nobody leads any more, or the leader has too much to do: saying it twice does no harm.
      world_.worker.PostAfter(kAskAgainNs, [this] { Announce(); });
    } else {
      Ready(status);
    }
  });
}

void Member::Ready(const Status& status) {
  // Whatever it captured goes with it: it may stand on a stack that is gone afterwards.
  std::exchange(ready_, nullptr)(status);
}

void Member::Stop(const std::function<void()>& join) {
  stopped_ = true;
  if (corruption_watch_) corruption_watch_->Stop();
  version_watch_->Stop();
  disk_watch_->Stop();
  no_space_->Stop();
  persister_->Stop();
  if (world_.peers != nullptr) {
    world_.peers->Serve(nullptr);
    healer_->Stop();
    state_fetch_->Stop();
  }
  node_->Stop();
  join();
  if (!healing()) persister_->Final();
}

Status Member::Close() {
  state_source_.reset();
  watch_.reset();
  store_.reset();
  return engine_->Close();
}

void Member::Propose(apply::Field field, std::string_view message, apply::Operation operation, Term term,
                     apply::Proposal::Done done) {
  node_->Propose(apply::MakeProposal(ids_->Next(), field, message, std::move(operation), std::move(done), term));
}

}  // namespace tenon
