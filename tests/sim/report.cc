#include "tests/sim/report.h"

#include "fmt/format.h"
#include "fmt/ranges.h"

namespace tenon::sim {

std::string ReplayCommand(uint64_t seed, size_t members, const StrikeNumbers& only) {
  const std::string command = fmt::format("./dev sim 1 --seed {} --members {}", seed, members);
  return only.empty() ? command : fmt::format("{} --only-faults {}", command, fmt::join(only, ","));
}

std::string Describe(const std::vector<StrikeDone>& strikes) {
  std::string out;
  for (const StrikeDone& s : strikes) {
    if (s.words.empty()) continue;
    out += fmt::format("  {:4} at {:8.3f} s: {}\n", s.number, static_cast<double>(s.at_ns) * 1e-9, s.words);
  }
  return out;
}

std::string Failure(const Outcome& o) {
  return fmt::format("seed {} ({} members) FAILED after {} steps: {}\n  replay: {}\n", o.seed, o.members,
                     o.counts.steps, o.violation, ReplayCommand(o.seed, o.members));
}

void Batch::Add(const Outcome& outcome) {
  seeds_++;
  (outcome.members > 1 ? clusters_ : singles_) = true;
  failed_ += !outcome.violation.empty();
  hash_ = hash_ * 31 + outcome.trace_hash;
  counts_.Add(outcome.counts);
}

std::vector<std::string> Batch::Idle() const {
  std::vector<std::string> idle;
  for (int i = 0; i < kFaults; i++) {
    if (!clusters_ && i >= kSingleFaults) continue;
    if (counts_.faults[static_cast<size_t>(i)] == 0) idle.emplace_back(kFaultNames[i]);
  }
  const auto possible = [&](Check check) {
    switch (check) {
      case Check::kOneLeader:
      case Check::kLogsMatch:
      case Check::kStatesMatch:
      case Check::kFetched:
      case Check::kGaveUp:
      case Check::kStateHashes:
      case Check::kDiffers:
      case Check::kDifferHealed:
      case Check::kConverged: return clusters_;
      case Check::kNotApplied:
      case Check::kOtherEngine:
      case Check::kFromStream: return singles_;
      default: return true;
    }
  };
  for (int i = 0; i < kChecks; i++) {
    if (!possible(static_cast<Check>(i))) continue;
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
  if (clusters_) {
    out += fmt::format("network    {} messages, {} lost, {} repeated, {} calls\n", c.messages, c.messages_lost,
                       c.messages_repeated, c.calls);
  }
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
