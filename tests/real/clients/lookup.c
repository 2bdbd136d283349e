// SPDX-License-Identifier: Apache-2.0
// lookup NAME...: what getaddrinfo says of each name, for each family. For glibc and musl alike.
//
// A line each: the name, 4, 6 or any, milliseconds, and the addresses or "! CODE TEXT".
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

static void look_up(const char *name, const char *which, int family) {
  struct addrinfo hints, *found = NULL;
  memset(&hints, 0, sizeof hints);
  hints.ai_family = family;
  hints.ai_socktype = SOCK_STREAM;
  const double begun = now_ms();
  const int failed = getaddrinfo(name, NULL, &hints, &found);
  printf("%s %s %.0f", name, which, now_ms() - begun);
  if (failed) printf(" ! %d %s", failed, gai_strerror(failed));
  for (const struct addrinfo *at = found; !failed && at; at = at->ai_next) {
    char text[INET6_ADDRSTRLEN];
    const void *address = at->ai_family == AF_INET
                              ? (const void *)&((struct sockaddr_in *)at->ai_addr)->sin_addr
                              : (const void *)&((struct sockaddr_in6 *)at->ai_addr)->sin6_addr;
    printf(" %s", inet_ntop(at->ai_family, address, text, sizeof text));
  }
  printf("\n");
  if (!failed) freeaddrinfo(found);
}

int main(int count, char **names) {
  for (int i = 1; i < count; ++i) {
    look_up(names[i], "4", AF_INET);
    look_up(names[i], "6", AF_INET6);
    look_up(names[i], "any", AF_UNSPEC);
  }
  return 0;
}
