/* SPDX-License-Identifier: Apache-2.0
 * embed_host bare|linked|thread|fd|connect: the smallest program that embeds an agent, or does not.
 * It registers a service, prints when it began to start the agent (nanoseconds of CLOCK_MONOTONIC),
 * and waits to be ended. With BARE it is not linked with the library. */
#define _POSIX_C_SOURCE 200809L
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef BARE
int main(void) {
  puts("ready 0");
  fflush(stdout);
  return pause();
}
#else
#include <outrider.h>

int main(int argc, char** argv) {
  const char* mode = argc > 1 ? argv[1] : "linked";
  outrider_options options;
  outrider_agent* agent;
  struct timespec now;
  int code;
  char error[512];
  outrider_options_init(&options, sizeof options);
  options.name = "host";
  if (strcmp(mode, "linked") == 0) {
    puts("ready 0");
    fflush(stdout);
    return pause();
  }
  if (strcmp(mode, "fd") == 0) options.mode = OUTRIDER_FD;
  if (argc > 2) options.socket = argv[2];
  clock_gettime(CLOCK_MONOTONIC, &now);
  code = strcmp(mode, "connect") == 0 ? outrider_connect(&agent, &options, error, sizeof error)
                                      : outrider_start(&agent, &options, error, sizeof error);
  if (code < 0) return puts(error), 1;
  if (outrider_register(agent, "{\"name\": \"embedded\", \"port\": 8080}", NULL) < 0) return 1;
  printf("ready %lld\n", (long long)now.tv_sec * 1000000000 + now.tv_nsec);
  fflush(stdout);
  if (options.mode != OUTRIDER_FD) return pause();
  for (struct pollfd wait = {outrider_fd(agent), POLLIN, 0};;) {
    const int64_t due = outrider_deadline(agent);
    clock_gettime(CLOCK_MONOTONIC, &now);
    const int64_t left = due - ((int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
    poll(&wait, 1, due == INT64_MAX ? -1 : left <= 0 ? 0 : (int)(left / 1000000 + 1));
    outrider_process(agent);
  }
}
#endif
