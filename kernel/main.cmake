tenon_library(kernel
  SOURCES auto_compactor.cc first_start.cc kernel.cc listeners.cc server_metrics.cc
  DEPS tenon_api tenon_config tenon_member tenon_os tenon_peer tenon_plugin)
add_executable(tenond main.cc)
target_link_libraries(tenond PRIVATE tenon_kernel)
install(TARGETS tenond RUNTIME DESTINATION bin)
