cmake_minimum_required(VERSION 3.25)
# Writes git_sha.h when the commit changed: run at every build, so that --version never tells of an older commit.
execute_process(COMMAND git -C ${SOURCE} rev-parse --short=9 HEAD
  OUTPUT_VARIABLE sha OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(sha "Not provided")  # a source archive; the words are etcd's
endif()
file(CONFIGURE OUTPUT ${HEADER} CONTENT "#pragma once\n#define TENON_GIT_SHA \"@sha@\"\n" @ONLY)
