// check, listen, bound_url, start, stop: alone, again and side by side.
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "cli/plugin_check/served.h"
#include "cli/plugin_check/transport_cases.h"

namespace tenon::plugin_check {
namespace {

size_t Entries(const char* folder) {
  size_t n = 0;
  DIR* directory = opendir(folder);
  while (readdir(directory) != nullptr) ++n;
  closedir(directory);
  return n - 2;
}

struct Module {
  Module(const void* table, const Config& config) : module(static_cast<const tenon_transport_v1*>(table), kernel) {
    const Said created = module.Create(config);
    Want(created.ok(), "create refused the configuration: {}", created.text);
  }
  EchoKernel kernel;
  TransportModule module;
};

void Check(const void* table, const Config& config) {
  Module m(table, config);
  const size_t threads = Entries("/proc/self/task");
  for (const char* url : {"http://127.0.0.1:0", "http://127.0.0.1:23790"}) {
    const Said said = m.module.Check(url);
    Want(said.ok(), "check refused {} for gRPC: {} {}", url, said.status, said.text);
  }
  Want(Entries("/proc/self/task") == threads, "check started a thread");
}

void CheckRefuses(const void* table, const Config& config) {
  Module m(table, config);
  const auto wanted = [&](const char* what, const Said& said, bool must_refuse) {
    if (said.ok()) {
      Want(!must_refuse, "check took {}, which no transport can honour", what);
      return;
    }
    Want(!said.text.empty(), "check refused {} without a sentence", what);
    Want(said.status == TENON_UNIMPLEMENTED || (must_refuse && said.status == TENON_INVALID),
         "check refused {} with {} instead of UNIMPLEMENTED: {}", what, said.status, said.text);
  };
  const auto text = [](const char* s) { return tenon_slice{reinterpret_cast<const uint8_t*>(s), strlen(s)}; };
  wanted("a role that does not exist", m.module.Check("http://127.0.0.1:0", 1u << 30), true);
  wanted("the scheme gopher", m.module.Check("gopher://127.0.0.1:0"), true);
  wanted("the role of peers", m.module.Check("http://127.0.0.1:0", TENON_LISTEN_PEER), false);
  wanted("the role of HTTP", m.module.Check("http://127.0.0.1:0", TENON_LISTEN_GRPC | TENON_LISTEN_HTTP), false);
  wanted("the role of metrics", m.module.Check("http://127.0.0.1:0", TENON_LISTEN_METRICS), false);
  const tenon_tls certificate{.size = sizeof(tenon_tls), .cert_file = text("c.pem"), .key_file = text("k.pem")};
  tenon_tls tls = certificate;
  tls.client_auth = 77;
  wanted("a client_auth that does not exist", m.module.Check("https://127.0.0.1:0", TENON_LISTEN_GRPC, &tls), true);
  tls = certificate;
  tls.min_version = 0x0999;
  wanted("a TLS version that does not exist", m.module.Check("https://127.0.0.1:0", TENON_LISTEN_GRPC, &tls), true);
}

void Listens(const void* table, const Config& config) {
  Served s(table, config);
  Want(s.target.starts_with("127.0.0.1:") && s.target != "127.0.0.1:0", "bound_url is {}: not the real port",
       s.module.Url());
  WantAnswer(s.client->Ask("/echo.Echo/Unary", "x"), "x");
  const std::string first = s.target;
  const Said again = s.module.Listen("http://127.0.0.1:0");
  Want(again.ok(), "a second listener of a started module failed: {}", again.text);
  Client second(s.module.Target());
  Want(s.module.Target() != first && second.connected(), "the second listener is not reachable at once");
  WantAnswer(second.Ask("/echo.Echo/Unary", "y"), "y");
  s.Close();
}

void Taken(const void* table, const Config& config) {
  Served s(table, config);
  const Said said = s.module.Listen("http://" + s.target);
  Want(!said.ok(), "listen on a port that is in use succeeded");
  Want(!said.text.empty(), "listen failed without a sentence");
  WantAnswer(s.client->Ask("/echo.Echo/Unary", "x"), "x");
  s.Close();
}

void Inherited(const void* table, const Config& config) {
  Served s(table, config);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof address;
  Want(bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 && listen(fd, 16) == 0 &&
           getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0,
       "this machine gave no socket");
  const std::string target = fmt::format("127.0.0.1:{}", ntohs(address.sin_port));
  const Said said = s.module.Listen("http://" + target, TENON_LISTEN_GRPC, fd);
  Want(said.ok(), "listen refused an inherited socket: {} {}", said.status, said.text);
  Client client(target);
  WantAnswer(client.Ask("/echo.Echo/Unary", "x"), "x");
  s.Close();
  int listening = 0;
  size = sizeof listening;
  Want(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening == 1,
       "the inherited socket was closed: it is the kernel's");
  close(fd);
}

void Cycles(const void* table, const Config& config) {
  size_t threads[4] = {}, files[4] = {};
  for (int cycle = 0; cycle < 4; ++cycle) {
    Served s(table, config);
    WantAnswer(s.client->Ask("/echo.Echo/Unary", "x"), "x");
    s.Close();
    threads[cycle] = Entries("/proc/self/task");
    files[cycle] = Entries("/proc/self/fd");
  }
  // A library may keep threads after its first use; a module may not grow.
  Want(threads[3] <= threads[1], "threads after each cycle: {} {} {} {}", threads[0], threads[1], threads[2],
       threads[3]);
  Want(files[3] <= files[1], "descriptors after each cycle: {} {} {} {}", files[0], files[1], files[2], files[3]);
}

void SamePortAgain(const void* table, const Config& config) {
  std::string url;
  for (int cycle = 0; cycle < 2; ++cycle) {
    Module m(table, config);
    const Said said = m.module.Listen(cycle == 0 ? "http://127.0.0.1:0" : url);
    Want(said.ok(), "the port of an instance that ended cannot be bound again: {}", said.text);
    Want(m.module.Start().ok(), "start failed");
    url = m.module.Url();
    Client client(m.module.Target());
    WantAnswer(client.Ask("/echo.Echo/Unary", "x"), "x");
  }
}

void SideBySide(const void* table, const Config& config) {
  Served first(table, config), second(table, config);
  WantAnswer(first.client->Ask("/echo.Echo/Unary", "1"), "1");
  WantAnswer(second.client->Ask("/echo.Echo/Unary", "2"), "2");
  Want(first.kernel.unary_calls == 1 && second.kernel.unary_calls == 1, "a call went to the other instance's host");
  first.Close();
  WantAnswer(second.client->Ask("/echo.Echo/Unary", "3"), "3");
  second.Close();
}

void NeverStarted(const void* table, const Config& config) {
  Module m(table, config);
  const Said said = m.module.Listen("http://127.0.0.1:0");
  Want(said.ok(), "listen failed: {}", said.text);
  const std::string target = m.module.Target();
  m.module.Stop();  // destroy only: start never came
  Want(!Client(target).connected(), "a listener outlives its instance");
}

std::string Exchange(const std::string& target, std::string_view request, std::string_view until) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
  address.sin_port = htons(static_cast<uint16_t>(atoi(target.c_str() + target.rfind(':') + 1)));
  std::string answer;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
      send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size())) {
    char buffer[4096];
    pollfd wait{.fd = fd, .events = POLLIN};
    while (answer.find(until) == std::string::npos && poll(&wait, 1, 10'000) == 1) {
      const ssize_t n = recv(fd, buffer, sizeof buffer, 0);
      if (n <= 0) break;
      answer.append(buffer, static_cast<size_t>(n));
    }
  }
  close(fd);
  return answer;
}

void Http(const void* table, const Config& config) {
  {
    Module m(table, config);
    const Said said = m.module.Check("http://127.0.0.1:0", TENON_LISTEN_GRPC | TENON_LISTEN_HTTP);
    if (!said.ok()) throw NotApplicable{said.text};
  }
  Served s(table, config);
  const Said said = s.module.Listen("http://127.0.0.1:0", TENON_LISTEN_GRPC | TENON_LISTEN_HTTP);
  Want(said.ok(), "check took HTTP beside gRPC, listen did not: {}", said.text);
  const std::string target = s.module.Target();
  const std::string answer = Exchange(target, "GET /health?a=b HTTP/1.1\r\nHost: check\r\n\r\n", "body=");
  Want(answer.starts_with("HTTP/1.1 200"), "GET /health over HTTP/1.1 was answered \"{}\"", answer.substr(0, 60));
  Want(answer.find("GET /health query=a=b ") != std::string::npos, "the host's body did not come");
  const std::string posted =
      Exchange(target, "POST /x HTTP/1.1\r\nHost: check\r\nContent-Length: 4\r\n\r\nbody", "body=body");
  Want(posted.find("body=body") != std::string::npos, "a body did not reach the host: \"{}\"", posted.substr(0, 60));
  Client both(target);
  WantAnswer(both.Ask("/echo.Echo/Unary", "the same port"), "the same port");
  s.Close();
  Want(s.kernel.http_released == s.kernel.http_begun, "{} of {} HTTP requests had their in.release",
       s.kernel.http_released.load(), s.kernel.http_begun.load());
}

}  // namespace

std::vector<Case> LifecycleCases() {
  return {
      {"lifecycle.check", "check takes a plain gRPC listener and starts no thread", Check},
      {"lifecycle.refuses", "check refuses what cannot be honoured, with UNIMPLEMENTED and a sentence", CheckRefuses},
      {"lifecycle.listen", "bound_url has the real port, also of a listener added while serving", Listens},
      {"lifecycle.port-taken", "listen on a port in use is an error with a sentence, and the others go on", Taken},
      {"lifecycle.inherited", "an inherited socket is accepted on and never closed", Inherited},
      {"lifecycle.cycles", "four lives, one after the other, leave no thread and no descriptor", Cycles},
      {"lifecycle.same-port", "a port can be bound again at once", SamePortAgain},
      {"lifecycle.two", "two instances serve side by side and apart", SideBySide},
      {"lifecycle.never-started", "an instance that was never started closes its listeners", NeverStarted},
      {"lifecycle.http", "HTTP/1.1 beside gRPC on one port, where check takes it", Http},
  };
}

}  // namespace tenon::plugin_check
