/* SPDX-License-Identifier: Apache-2.0
 * A program on GLib's main loop that follows a service: the agent as a GSource.
 *   cc glib.c $(pkg-config --cflags --libs outrider glib-2.0) && ./a.out NAME
 */
#include <glib-unix.h>
#include <glib.h>
#include <outrider.h>

typedef struct {
  GSource source;
  outrider_agent* agent;
  gpointer tag;
} AgentSource;

/* GLib counts microseconds of the same clock. */
static gboolean prepare(GSource* source, gint* timeout) {
  int64_t deadline = outrider_deadline(((AgentSource*)source)->agent);
  *timeout = -1;
  g_source_set_ready_time(source, deadline == INT64_MAX ? -1 : (deadline + 999) / 1000);
  return FALSE;
}

static gboolean check(GSource* source) {
  AgentSource* self = (AgentSource*)source;
  gint64 due = g_source_get_ready_time(source);
  return g_source_query_unix_fd(source, self->tag) != 0 ||
         (due >= 0 && due <= g_source_get_time(source));
}

static gboolean dispatch(GSource* source, GSourceFunc callback, gpointer user) {
  (void)callback, (void)user;
  outrider_process(((AgentSource*)source)->agent);
  return G_SOURCE_CONTINUE;
}

static void print(void* user, const char* json, size_t size) {
  (void)user, (void)size;
  g_print("%s\n", json);
}

static gboolean quit(gpointer loop) {
  g_main_loop_quit((GMainLoop*)loop);
  return G_SOURCE_REMOVE;
}

int main(int argc, char** argv) {
  static GSourceFuncs functions = {.prepare = prepare, .check = check, .dispatch = dispatch};
  GMainLoop* loop = g_main_loop_new(NULL, FALSE);
  AgentSource* source = (AgentSource*)g_source_new(&functions, sizeof(AgentSource));
  outrider_options options;
  char error[256];

  if (argc != 2) return g_printerr("usage: glib NAME\n"), 2;
  outrider_options_init(&options, sizeof options);
  options.name = "glib-example";
  options.mode = OUTRIDER_FD;
  if (outrider_start(&source->agent, &options, error, sizeof error) < 0)
    return g_printerr("%s\n", error), 1;
  if (outrider_watch(source->agent, argv[1], "healthy", print, NULL, NULL) < 0) return 1;
  source->tag = g_source_add_unix_fd(&source->source, outrider_fd(source->agent), G_IO_IN);
  g_source_attach(&source->source, NULL);
  g_unix_signal_add(SIGTERM, quit, loop);
  g_unix_signal_add(SIGINT, quit, loop);
  g_main_loop_run(loop);
  outrider_free(source->agent);
  g_source_destroy(&source->source);
  g_source_unref(&source->source);
  g_main_loop_unref(loop);
  return 0;
}
