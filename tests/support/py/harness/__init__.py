"""What the process tests share: servers to start and kill, raw gRPC calls, messages, and the closing line.

Needs python3-grpcio and python3-protobuf of Debian and protoc; nothing else.
"""
