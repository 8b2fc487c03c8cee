// grpc.reflection v1 and v1alpha: what grpcurl asks for. From the FileDescriptorSet, in a pool of our own.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <set>

#include "kernel/api/dispatcher.h"
#include "kernel/api/server.h"
#include "kernel/base/check.h"
#include "proto/reflection_v1.pb.h"
#include "proto/reflection_v1alpha.pb.h"

namespace tenon::api {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;
using google::protobuf::FileDescriptorProto;
using google::protobuf::FileDescriptorSet;

class Catalog {
 public:
  Catalog(std::vector<std::string> services, const std::string& descriptors) : services(std::move(services)) {
    FileDescriptorSet set;
    CHECK(set.ParseFromArray(descriptors.data(), static_cast<int>(descriptors.size())));
    for (const FileDescriptorProto& file : set.file()) CHECK(pool.BuildFile(file) != nullptr);
  }
  const std::vector<std::string> services;
  DescriptorPool pool;
};

// The file and all it imports, each once, as serialized FileDescriptorProtos.
void AddFile(const FileDescriptor* file, std::set<const FileDescriptor*>& seen, auto& response) {
  if (!seen.insert(file).second) return;
  FileDescriptorProto proto;
  file->CopyTo(&proto);
  response.add_file_descriptor_proto(proto.SerializeAsString());
  for (int i = 0; i < file->dependency_count(); i++) AddFile(file->dependency(i), seen, response);
}

template <class Request, class Response>
Response Answer(const Catalog& catalog, const Request& request) {
  Response r;
  r.set_valid_host(request.host());
  *r.mutable_original_request() = request;
  const auto not_found = [&](const std::string& what) {
    r.mutable_error_response()->set_error_code(static_cast<int>(StatusCode::kNotFound));
    r.mutable_error_response()->set_error_message(what);
  };
  const FileDescriptor* file = nullptr;
  switch (request.message_request_case()) {
    case Request::kListServices:
      for (const std::string& name : catalog.services)
        r.mutable_list_services_response()->add_service()->set_name(name);
      return r;
    case Request::kFileByFilename: file = catalog.pool.FindFileByName(request.file_by_filename()); break;
    case Request::kFileContainingSymbol:
      file = catalog.pool.FindFileContainingSymbol(request.file_containing_symbol());
      break;
    default: break;  // there are no extensions
  }
  if (file == nullptr) {
    not_found("not found");
  } else {
    std::set<const FileDescriptor*> seen;
    AddFile(file, seen, *r.mutable_file_descriptor_response());
  }
  return r;
}

template <class Request, class Response>
class ReflectionCall : public ServerCall {
 public:
  explicit ReflectionCall(const Catalog& catalog) : catalog_(catalog) {}

 private:
  bool OnMessage(Bufs message) override {
    std::string scratch;
    const std::string_view bytes = message.Flatten(scratch);
    Request request;
    if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      Finish(CannotParse());
      return true;
    }
    return Send(Serialize(Answer<Request, Response>(catalog_, request)));
  }
  void OnWritable() override { Readable(); }
  void OnHalfClose() override { Finish(Ok()); }
  void OnAbort(const Status& why) override { Finish(why); }
  const Catalog& catalog_;
};

}  // namespace

void RegisterReflection(Dispatcher& d) {
  namespace v1 = grpc::reflection::v1;
  namespace v1alpha = grpc::reflection::v1alpha;
  std::vector<std::string> services = d.Services();
  services.push_back("grpc.reflection.v1.ServerReflection");
  services.push_back("grpc.reflection.v1alpha.ServerReflection");
  const auto catalog = std::make_shared<Catalog>(std::move(services), d.descriptors());
  const uint32_t both = TENON_METHOD_CLIENT_STREAM | TENON_METHOD_SERVER_STREAM;
  d.AddStream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", both, [catalog] {
    return std::make_shared<ReflectionCall<v1::ServerReflectionRequest, v1::ServerReflectionResponse>>(*catalog);
  });
  d.AddStream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", both, [catalog] {
    return std::make_shared<ReflectionCall<v1alpha::ServerReflectionRequest, v1alpha::ServerReflectionResponse>>(
        *catalog);
  });
}

}  // namespace tenon::api
