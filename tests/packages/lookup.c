/* SPDX-License-Identifier: Apache-2.0
 * lookup NAME: prints the first IPv4 address that the C library finds for the name. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>

int main(int argc, char** argv) {
  struct addrinfo hints = {.ai_family = AF_INET}, *found;
  char text[INET_ADDRSTRLEN];
  if (argc != 2 || getaddrinfo(argv[1], NULL, &hints, &found) != 0) return 1;
  puts(inet_ntop(AF_INET, &((struct sockaddr_in*)found->ai_addr)->sin_addr, text, sizeof text));
  return 0;
}
