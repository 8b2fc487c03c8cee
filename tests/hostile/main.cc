// tenon-hostile: one attack on a server for some time. run.py says what must hold meanwhile.
//   tenon-hostile --list
//   tenon-hostile ATTACK PORT MILLISECONDS [SEED]     prints one line of JSON
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "fmt/format.h"
#include "tests/hostile/attacks.h"

int main(int argc, char** argv) {
  using namespace tenon::hostile;
  std::vector<Attack> all = Http2Attacks();
  for (const Attack& attack : Http1Attacks()) all.push_back(attack);
  if (argc == 2 && strcmp(argv[1], "--list") == 0) {
    for (const Attack& attack : all) printf("%-32s %s\n", attack.name, attack.what);
    return 0;
  }
  if (argc < 4) return fprintf(stderr, "usage: tenon-hostile --list | ATTACK PORT MILLISECONDS [SEED]\n"), 2;
  rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  const uint32_t seed = argc > 4 ? static_cast<uint32_t>(atoi(argv[4])) : 1;
  for (const Attack& attack : all) {
    if (strcmp(attack.name, argv[1]) != 0) continue;
    Plan plan = attack.plan();
    // As many as this machine lets a process hold; the server needs some descriptors for itself.
    plan.connections = static_cast<int>(std::min<rlim_t>(static_cast<rlim_t>(plan.connections), files.rlim_cur - 300));
    const Tally tally =
        Swarm(static_cast<uint16_t>(atoi(argv[2])), plan, std::chrono::milliseconds(atoi(argv[3])), seed);
    fmt::print("{{\"connections\": {}, \"refused\": {}, \"closed_by_server\": {}, \"sent\": {}, \"received\": {}}}\n",
               tally.connections, tally.refused, tally.closed_by_server, tally.bytes_sent, tally.bytes_received);
    return 0;
  }
  return fprintf(stderr, "no such attack: %s\n", argv[1]), 2;
}
