/* SPDX-License-Identifier: Apache-2.0
 * A program on libuv that follows a service: the agent lives on the program's loop.
 *   cc libuv.c $(pkg-config --cflags --libs outrider libuv) && ./a.out NAME
 */
#include <outrider.h>
#include <stdio.h>
#include <uv.h>

static outrider_agent* agent;

static void print(void* user, const char* json, size_t size) {
  (void)user;
  printf("%.*s\n", (int)size, json);
  fflush(stdout);
}

/* Nothing else is on the loop: it ends when the agent is gone. */
static void on_closed(void* user) {
  puts((const char*)user);
}

static void on_signal(uv_signal_t* handle, int number) {
  (void)number;
  outrider_free(agent);
  uv_close((uv_handle_t*)handle, NULL);
}

int main(int argc, char** argv) {
  static uv_signal_t interrupt;
  static char goodbye[] = "closed";
  outrider_options options;
  char error[256];

  if (argc != 2) return fputs("usage: libuv NAME\n", stderr), 2;
  outrider_options_init(&options, sizeof options);
  options.name = "libuv-example";
  options.mode = OUTRIDER_LOOP;
  options.uv_loop = uv_default_loop();
  options.flags = OUTRIDER_KEEP_LOOP_ALIVE;
  options.closed = on_closed;
  options.user = goodbye;
  if (outrider_start(&agent, &options, error, sizeof error) < 0)
    return fprintf(stderr, "%s\n", error), 1;
  if (outrider_watch(agent, argv[1], "healthy", print, NULL, NULL) < 0) return 1;
  uv_signal_init(uv_default_loop(), &interrupt);
  uv_signal_start_oneshot(&interrupt, on_signal, SIGTERM);
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  return uv_loop_close(uv_default_loop());
}
