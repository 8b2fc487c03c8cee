#include "tests/sim/report.h"

#include "fmt/format.h"

namespace tenon::sim {

void Batch::Add(const Outcome& outcome) {
  seeds_++;
  failed_ += !outcome.violation.empty();
  hash_ = hash_ * 31 + outcome.trace_hash;
  counts_.Add(outcome.counts);
}

std::vector<std::string> Batch::Idle() const {
  std::vector<std::string> idle;
  for (int i = 0; i < kFaults; i++) {
    if (counts_.faults[static_cast<size_t>(i)] == 0) idle.emplace_back(kFaultNames[i]);
  }
  for (int i = 0; i < kChecks; i++) {
    if (counts_.checks[static_cast<size_t>(i)] == 0) idle.emplace_back(kCheckNames[i]);
  }
  return idle;
}

std::string Batch::Summary() const {
  const Counts& c = counts_;
  std::string out = fmt::format("{} seeds, {} failed; {} simulated seconds, {} steps, {} starts\n", seeds_, failed_,
                                c.simulated_ms / 1000, c.steps, c.starts);
  out += fmt::format("requests   {} sent, {} writes acknowledged, {} refused, {} never answered\n", c.operations,
                     c.acknowledged, c.refused, c.unknown);
  out += "faults    ";
  for (int i = 0; i < kFaults; i++)
    out += fmt::format(" {} {}{}", kFaultNames[i], c.faults[static_cast<size_t>(i)], i + 1 < kFaults ? "," : "\n");
  out += "checked   ";
  for (int i = 0; i < kChecks; i++)
    out += fmt::format(" {} {}{}", kCheckNames[i], c.checks[static_cast<size_t>(i)], i + 1 < kChecks ? "," : "\n");
  for (const std::string& idle : Idle()) out += fmt::format("never at work: {}\n", idle);
  out += fmt::format("trace      {:016x}\n", hash_);
  return out;
}

}  // namespace tenon::sim
