// Serves the echo service of the tests on the loaded module, for a load generator:
//   TENON_TEST_TRANSPORT=h2 transport_echo_server http://127.0.0.1:23100 [threads]
//   h2load -c 10 -m 10 -n 100000 -d request.bin -H 'content-type: application/grpc' -H 'te: trailers'
//   URL/echo.Echo/Unary
// request.bin is a gRPC frame: 0, the length in four bytes, the message. Ends at SIGTERM and prints the CPU time used.
#include <signal.h>
#include <sys/resource.h>

#include <cstdio>

#include "tests/transport/loaded_transport.h"

int main(int argc, char** argv) {
  using namespace tenon::testing;
  if (argc < 2) return fprintf(stderr, "usage: transport_echo_server URL [THREADS]\n"), 2;
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  EchoKernel kernel;
  LoadedTransport transport(kernel, {{LoadedTransport::ThreadsKey(), argc > 2 ? argv[2] : "0"}});
  for (std::string error : {transport.Listen(argv[1]), transport.Start()}) {
    if (!error.empty()) return fprintf(stderr, "%s\n", error.c_str()), 1;
  }
  printf("serving %s\n", transport.Url().c_str());
  fflush(stdout);
  int signal;
  sigwait(&signals, &signal);
  transport.Stop();
  rusage used;
  getrusage(RUSAGE_SELF, &used);
  printf("%d calls, %ld.%06ld s user, %ld.%06ld s system, %ld voluntary switches\n", kernel.unary_calls.load(),
         used.ru_utime.tv_sec, used.ru_utime.tv_usec, used.ru_stime.tv_sec, used.ru_stime.tv_usec, used.ru_nvcsw);
}
