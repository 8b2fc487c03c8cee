// The members that take requests now, as clients know them.
#pragma once
#include <vector>

#include "tests/sim/machine.h"

namespace tenon::sim {

class Serving {
 public:
  explicit Serving(size_t machines) : at_(machines, nullptr) {}

  void Begin(Machine& machine) { at_[machine.index] = &machine; }
  void End(const Machine& machine) { at_[machine.index] = nullptr; }
  // Does that life go on?
  bool Is(size_t machine, int life) const { return at_[machine] != nullptr && at_[machine]->life == life; }
  // Any of them; null: there is none.
  Machine* Pick(Random& random) const {
    std::vector<Machine*> there;
    for (Machine* machine : at_) {
      if (machine != nullptr) there.push_back(machine);
    }
    return there.empty() ? nullptr : there[random.Below(there.size())];
  }
  // One that says that it leads, else any.
  Machine* PickLeader(Random& random) const {
    std::vector<Machine*> there;
    for (Machine* machine : at_) {
      if (machine != nullptr && machine->member->leads()) there.push_back(machine);
    }
    return there.empty() ? Pick(random) : there[random.Below(there.size())];
  }

 private:
  std::vector<Machine*> at_;
};

}  // namespace tenon::sim
