#include "tests/sim/member.h"

#include "kernel/base/check.h"
#include "kernel/base/errors.h"

namespace tenon::sim {

Result<std::unique_ptr<Member>> Member::Open(Scheduler& scheduler, MachineClock& clock, Threads& threads, SimDisk& disk,
                                             EngineDisk& engine_disk, LeaseLedger& ledger, Mutant mutant,
                                             const MemberOptions& options, Network::Port* port,
                                             std::function<void()> restart, std::function<void(const Status&)> fatal) {
  std::unique_ptr<Member> life(new Member(scheduler, threads, port));
  tenon::Member::Options o = options;
  o.data_dir = kDirectory;
  o.engine = "simulated";
  if (o.name.empty()) o.name = "sim";
  o.client_urls = {"http://127.0.0.1:2379"};
  if (o.peer_urls.empty()) o.peer_urls = {"http://127.0.0.1:2380"};
  o.cluster_token = "sim";
  life->engine_ = std::make_unique<SimEngine>(engine_disk, disk, std::string(kDirectory) + "/member/engine");
  auto engine = std::make_unique<storage::Engine>(life->engine_->table(), life->engine_->self());
  life->leases_ = std::make_unique<LeaseTwin>(clock, threads.pool, ledger, options.lease_checkpoint_interval_s, mutant);
  Executor& wal = options.own_wal_thread ? threads.wal : threads.node;
  ASSIGN_OR_RETURN(life->member_,
                   tenon::Member::Open({disk, clock, life->metrics_, threads.node, wal, threads.apply, threads.persist,
                                        threads.worker, threads.watch, threads.reader, std::move(fatal),
                                        &life->leases_->module(), port, std::move(restart)},
                                       std::move(engine), std::move(o)));
  CHECK_EQ(life->member_->data().wal(), kWalDirectory);
  if (port != nullptr) port->set_self({life->member_->membership().cluster_id(), life->id()});
  return life;
}

Status Member::MoveInto(EngineDisk& engine_disk, SimDisk& disk) {
  SimEngine sim(engine_disk, disk, std::string(kDirectory) + "/member/engine");
  storage::Engine engine(sim.table(), sim.self());
  RETURN_IF_ERROR(engine.Open("/"));
  RETURN_IF_ERROR(snapshot::StreamFiles(disk, kStreamDirectory).Load(engine));
  RETURN_IF_ERROR(engine.Persist(true));
  return engine.Close();
}

Member::~Member() {
  threads_.Clear();
  if (port_ != nullptr) port_->DropCalls();
  member_.reset();
  leases_.reset();
  threads_.Clear();
}

void Member::Start(absl::AnyInvocable<void()> ready) {
  leases_->Start(*member_);
  member_->Start([ready = std::move(ready)](const Status& status) mutable {
    CHECK_MSG(status.ok(), std::string(Message(status)));
    ready();
  });
}

void Member::Stop() {
  scheduler_.set_main_waits(true);
  member_->watch().CloseAll(errors::Stopped());  // as kernel/kernel.cc: a watch never ends by itself
  member_->Stop([this] {
    threads_.reader.Drain();
    threads_.apply.Drain();
  });
  for (Scheduler::Queue* queue : {&threads_.node, &threads_.wal, &threads_.persist, &threads_.worker, &threads_.watch,
                                  &threads_.pool, &threads_.net}) {
    queue->Drain();
  }
  scheduler_.set_main_waits(false);
}

}  // namespace tenon::sim
