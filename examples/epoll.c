/* SPDX-License-Identifier: Apache-2.0
 * A server with a loop of its own (epoll): it registers itself, and follows a service.
 *   cc epoll.c $(pkg-config --cflags --libs outrider) && ./a.out NAME PORT FOLLOWED
 */
#include <outrider.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>

static void print(void* user, const char* json, size_t size) {
  (void)user;
  printf("%.*s\n", (int)size, json);
  fflush(stdout);
}

/* Milliseconds until the agent's deadline, for epoll_wait(). */
static int wait_of(outrider_agent* agent) {
  int64_t deadline = outrider_deadline(agent), wait;
  struct timespec now;
  if (deadline == INT64_MAX) return -1;
  clock_gettime(CLOCK_MONOTONIC, &now);
  wait = (deadline - (int64_t)now.tv_sec * 1000000000 - now.tv_nsec + 999999) / 1000000;
  return wait < 0 ? 0 : wait > 60000 ? 60000 : (int)wait;
}

int main(int argc, char** argv) {
  outrider_options options;
  outrider_agent* agent;
  char error[256], service[256];
  struct epoll_event event = {.events = EPOLLIN};
  int loop, stop;
  sigset_t signals;

  if (argc != 4) return fputs("usage: epoll NAME PORT FOLLOWED\n", stderr), 2;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  stop = signalfd(-1, &signals, 0);

  outrider_options_init(&options, sizeof options);
  options.name = argv[1];
  options.mode = OUTRIDER_FD;
  if (outrider_start(&agent, &options, error, sizeof error) < 0)
    return fprintf(stderr, "%s\n", error), 1;
  snprintf(service, sizeof service, "{\"name\": \"%s\", \"port\": %s}", argv[1], argv[2]);
  if (outrider_register(agent, service, NULL) < 0 ||
      outrider_watch(agent, argv[3], "healthy", print, NULL, NULL) < 0) {
    outrider_errmsg(agent, error, sizeof error);
    return fprintf(stderr, "%s\n", error), 1;
  }

  loop = epoll_create1(EPOLL_CLOEXEC);
  event.data.fd = outrider_fd(agent);
  epoll_ctl(loop, EPOLL_CTL_ADD, event.data.fd, &event);
  event.data.fd = stop;
  epoll_ctl(loop, EPOLL_CTL_ADD, stop, &event);
  /* The sockets of the server itself are added here as well. */
  for (;;) {
    int ready = epoll_wait(loop, &event, 1, wait_of(agent));
    if (ready == 1 && event.data.fd == stop) break;
    outrider_process(agent);
  }
  outrider_free(agent); /* says goodbye */
  return 0;
}
