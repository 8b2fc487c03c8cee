#include "tests/sim/member.h"

#include "kernel/base/check.h"
#include "kernel/wal/wal.h"
#include "proto/raft.pb.h"
#include "proto/wal.pb.h"

namespace tenon::sim {
namespace {

raft::Entry FoundingEntry(const cluster::Member& member) {
  raftpb::ConfChange change;
  change.set_id(0);
  change.set_type(raftpb::ConfChangeAddNode);
  change.set_node_id(member.id);
  change.set_context(cluster::ToJson(member));
  raft::Entry entry;
  entry.term = Term(1);
  entry.index = Index(1);
  entry.type = raft::EntryType::kConfChange;
  entry.payload = std::make_shared<raft::Payload>(change.SerializeAsString());
  return entry;
}

}  // namespace

Result<std::unique_ptr<Member>> Member::Open(Scheduler& scheduler, Threads& threads, SimDisk& disk,
                                             EngineDisk& engine_disk, MemberOptions options,
                                             std::function<void(Status)> fatal) {
  std::unique_ptr<Member> member(new Member(scheduler, threads, disk, options, std::move(fatal)));
  RETURN_IF_ERROR(member->OpenEngine(engine_disk));
  RETURN_IF_ERROR(member->OpenNode());
  member->persister_ =
      std::make_unique<node::Persister>(*member->engine_, *member->applier_, *member->node_, scheduler, threads.persist,
                                        member->metrics_, member->fatal_, options.persister);
  member->disk_watch_ = std::make_unique<node::DiskWatch>(disk, std::vector{member->data_->path()},
                                                          options.disk_watermark, threads.worker, *member->node_,
                                                          *member->ids_, member->membership_->self(), member->alarms_);
  member->node_->Start();
  return member;
}

Member::~Member() { threads_.Clear(); }

Status Member::OpenEngine(EngineDisk& engine_disk) {
  ASSIGN_OR_RETURN(data_, DataDir::Open(disk_, kDirectory, "", "simulated"));
  CHECK_EQ(data_->wal(), kWalDirectory);
  sim_engine_ = std::make_unique<SimEngine>(engine_disk, disk_, data_->engine());
  engine_ = std::make_unique<storage::Engine>(sim_engine_->table(), sim_engine_->self());
  RETURN_IF_ERROR(engine_->Open(data_->engine()));
  ASSIGN_OR_RETURN(tables_, storage::Tables::Open(*engine_));
  mvcc::Store::Options options;
  options.record_cache_bytes = options_.record_cache_bytes;
  options.view_max_age_ns = options_.view_max_age_ns;
  ASSIGN_OR_RETURN(store_, mvcc::Store::Open(*engine_, tables_, scheduler_, options));
  return alarms_.Restore(*engine_, tables_.alarm);
}

Status Member::OpenNode() {
  ASSIGN_OR_RETURN(const apply::AppliedState applied, apply::ReadAppliedState(*engine_, tables_));
  wal::Options wal_options;
  wal_options.segment_bytes = options_.segment_bytes;
  wal_options.background = &threads_.worker;
  wal_options.clock = &scheduler_;

  std::unique_ptr<wal::Wal> log;
  raft::Config raft;
  std::optional<std::pair<std::vector<raft::Entry>, raft::ConfState>> bootstrap;
  walpb::Metadata metadata;
  ASSIGN_OR_RETURN(const bool exists, wal::Wal::Exists(disk_, data_->wal()));
  if (!exists) {
    if (applied.index.value > 0) return absl::DataLossError("the engine holds applied entries but there is no log");
    cluster::Member self;
    self.name = "sim";
    self.peer_urls = {"http://127.0.0.1:2380"};
    self.id = cluster::ComputeMemberId(self.peer_urls, "sim");
    metadata.set_nodeid(self.id);
    metadata.set_clusterid(cluster::ComputeClusterId({self.id}));
    ASSIGN_OR_RETURN(log, wal::Wal::Create(disk_, data_->wal(), metadata.SerializeAsString(), wal_options));
    raft::ConfState conf;
    conf.voters = {self.id};
    bootstrap.emplace(std::vector<raft::Entry>{FoundingEntry(self)}, std::move(conf));
  } else {
    ASSIGN_OR_RETURN(const std::vector<raft::SnapshotMeta> snapshots, wal::Wal::Snapshots(disk_, data_->wal()));
    raft::SnapshotMeta from;
    for (const raft::SnapshotMeta& s : snapshots) {
      if (s.index <= applied.index && s.index >= from.index) from = s;
    }
    ASSIGN_OR_RETURN(auto opened, wal::Wal::Open(disk_, data_->wal(), from, applied.index, wal_options));
    wal::Recovered& recovered = opened.second;
    if (!metadata.ParseFromString(recovered.metadata))
      return absl::DataLossError("the log's metadata record is damaged");
    log = std::move(opened.first);
    raft.hard_state = recovered.hard_state;
    raft.hard_state.commit = std::max(raft.hard_state.commit, applied.index);
    raft.compacted = from;
    raft.entries = std::move(recovered.entries);
    raft.applied = applied.index;
    raft.conf.voters = {metadata.nodeid()};
  }
  raft.id = metadata.nodeid();
  raft.seed = scheduler_.WallNs() ^ metadata.nodeid();

  membership_ = std::make_unique<cluster::Membership>(metadata.clusterid(), metadata.nodeid());
  RETURN_IF_ERROR(membership_->Restore(*engine_, tables_));
  ids_ = std::make_unique<cluster::RequestIds>(metadata.nodeid(), scheduler_.WallNs());
  applier_ = std::make_unique<apply::Applier>(
      apply::Applier::Parts{*engine_, tables_, *store_, alarms_, *membership_, scheduler_, threads_.apply,
                            threads_.worker, metrics_, fatal_},
      applied, apply::Applier::Options());
  Executor& wal_thread = options_.own_wal_thread ? threads_.wal : threads_.node;
  node_ =
      std::make_unique<node::Node>(node::Node::Parts{std::move(log), std::move(raft), std::move(bootstrap), *applier_,
                                                     scheduler_, threads_.node, wal_thread, metrics_, fatal_},
                                   options_.node);
  return Ok();
}

void Member::BecomeReady(absl::AnyInvocable<void()> ready) {
  ready_ = std::move(ready);
  node_->ReadBarrier([this](const Status& status) {
    if (!status.ok()) {
      threads_.worker.PostAfter(10'000'000, [this] { BecomeReady(std::move(ready_)); });
      return;
    }
    threads_.worker.Post([this] {
      applier_->StartServing();
      Announce();
    });
  });
}

void Member::Announce() {
  if (membership_->version() != "3.7.0") {
    membershippb::ClusterVersionSetRequest request;
    request.set_ver("3.7.0");
    Propose(apply::Field::kClusterVersionSet, request, request, [this](const Status&, Bufs) {
      threads_.worker.PostAfter(1'000'000, [this] { Announce(); });  // looks whether it is done
    });
    return;
  }
  persister_->Start();
  disk_watch_->Start();
  ready_();
}

void Member::Propose(apply::Field field, const google::protobuf::MessageLite& message, apply::Operation operation,
                     apply::Proposal::Done done) {
  apply::Request request{ids_->Next(), std::move(operation)};
  std::string entry = apply::EncodeEntry(request.id, field, message.SerializeAsString());
  node_->Propose(std::make_shared<const apply::Proposal>(std::move(entry), std::move(request), std::move(done)));
}

void Member::Stop() {
  scheduler_.set_main_waits(true);
  disk_watch_->Stop();
  persister_->Stop();
  node_->Stop();
  threads_.reader.Drain();
  threads_.apply.Drain();
  persister_->Final();
  for (Scheduler::Queue* queue : {&threads_.node, &threads_.wal, &threads_.persist, &threads_.worker}) queue->Drain();
  scheduler_.set_main_waits(false);
}

}  // namespace tenon::sim
