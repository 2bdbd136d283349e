/* SPDX-License-Identifier: Apache-2.0
 *
 * outrider.h: an Outrider agent inside a program, or a connection to one that runs beside it.
 *
 * The agent registers services, checks their health, announces them on the local network, and knows
 * the services of others. A program starts one in itself (outrider_start), talks to one that runs
 * (outrider_connect), or does whichever fits (outrider_open); all other calls are the same.
 *
 *   Program 1: registers a service, until its standard input ends
 *
 *   #include <outrider.h>
 *   #include <stdio.h>
 *   int main(void) {
 *     outrider_options options;
 *     outrider_agent *agent;
 *     char *id, error[256];
 *     outrider_options_init(&options, sizeof options);
 *     options.name = "shop";
 *     if (outrider_start(&agent, &options, error, sizeof error) < 0) return puts(error), 1;
 *     if (outrider_register(agent, "{\"name\": \"orders\", \"port\": 8080}", &id) == 0) {
 *       printf("registered %s\n", id);
 *       fflush(stdout);
 *       outrider_free_text(id);
 *     }
 *     while (getchar() != EOF) continue;
 *     outrider_drain(agent, 1000);
 *     outrider_free(agent);
 *     return 0;
 *   }
 *
 *   Program 2: waits for a service, and picks an instance
 *
 *   #include <outrider.h>
 *   #include <stdio.h>
 *   int main(int argc, char **argv) {
 *     const char *name = argc > 1 ? argv[1] : "orders";
 *     outrider_options options;
 *     outrider_agent *agent;
 *     char *one, error[256];
 *     outrider_options_init(&options, sizeof options);
 *     options.name = "client";
 *     if (outrider_open(&agent, &options, error, sizeof error) < 0) return puts(error), 1;
 *     if (outrider_wait(agent, name, 1, 30000) == 0 &&
 *         outrider_select(agent, name, "strategy=random", &one) == 0) {
 *       puts(one);
 *       outrider_free_text(one);
 *     }
 *     outrider_free(agent);
 *     return 0;
 *   }
 *
 *   Program 3: follows a service in the program's own loop, without a thread
 *
 *   #include <outrider.h>
 *   #include <poll.h>
 *   #include <stdio.h>
 *   static void print(void *user, const char *json, size_t size) {
 *     printf("%.*s\n", (int)size, json);
 *     fflush(user);
 *   }
 *   int main(void) {
 *     outrider_options options;
 *     outrider_agent *agent;
 *     outrider_options_init(&options, sizeof options);
 *     options.name = "follower";
 *     options.mode = OUTRIDER_FD;
 *     if (outrider_start(&agent, &options, NULL, 0) < 0) return 1;
 *     outrider_watch(agent, "orders", "passing", print, stdout, NULL);
 *     for (struct pollfd wait = {outrider_fd(agent), POLLIN, 0};;) {
 *       poll(&wait, 1, 100);
 *       outrider_process(agent);
 *     }
 *   }
 *
 * Errors. Functions return 0 (or a number that they document) or a negative OUTRIDER_E*.
 * outrider_strerror() has a text for each, outrider_errmsg() the details of the latest one. After
 * an error, nothing has changed, and nothing has changed its owner; but after OUTRIDER_ETIMEDOUT, a
 * change that the agent had begun takes effect. OUTRIDER_ENOMEM: if the agent itself found no
 * memory, it stops working, all further calls return OUTRIDER_ECLOSED, and it can only be freed.
 * Tests let every allocation of starting, registering and stopping fail. libuv and the C library
 * end the program by themselves in a few places where they find no memory.
 *
 * Memory. What is passed in is copied before the call returns. Text that comes out through a
 * `char **` belongs to the caller and is freed with outrider_free_text(). Text that a callback gets
 * is valid until the callback returns.
 *
 * Threads. OUTRIDER_THREAD: every function may be called from every thread, the callbacks come on
 * one thread of the agent's own. OUTRIDER_FD, OUTRIDER_LOOP: everything happens on the thread that
 * made the agent; on another one the functions return OUTRIDER_EWRONGTHREAD, except those that say
 * "any thread". No callback comes before the call that asks for it has returned (OUTRIDER_THREAD:
 * before it is about to return). A callback may call every function, outrider_free() too. A call
 * that would have to wait where it must not returns OUTRIDER_EWOULDBLOCK.
 *
 * Processes. Only the process that made an agent can use it: after fork() the child gets
 * OUTRIDER_EFORKED, and outrider_free() there does nothing: no goodbye is sent. The library
 * installs no signal handlers, reads no environment, writes no file and no stream that it was not
 * given, and has no state of its own: any number of agents fit in one process. Its own thread
 * blocks all signals. With OUTRIDER_FD or OUTRIDER_LOOP, ignore SIGPIPE if log_fd is a pipe.
 *
 * Text is UTF-8 and JSON is that of the agent's API, outrider-api(7); a filter is the query of its
 * paths ("passing&tag=web&metadata=zone%3Da"), NULL or "" for none.
 */
#ifndef OUTRIDER_H
#define OUTRIDER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define OUTRIDER_API __attribute__((visibility("default")))
#else
#define OUTRIDER_API
#endif

/* The version of this header: 0xMMmmpp. */
#define OUTRIDER_VERSION_NUMBER 0x000100

/* Errors. */
#define OUTRIDER_EINVAL (-1)       /* an argument, the configuration or a registration is wrong */
#define OUTRIDER_ENOMEM (-2)       /* out of memory */
#define OUTRIDER_ENOTFOUND (-3)    /* no such service, instance or check */
#define OUTRIDER_EREFUSED (-4)     /* the agent refuses it: a limit, or not allowed for programs */
#define OUTRIDER_ETIMEDOUT (-5)    /* not within the time */
#define OUTRIDER_EWOULDBLOCK (-6)  /* it would have to wait, and must not here */
#define OUTRIDER_EWRONGTHREAD (-7) /* not on this thread */
#define OUTRIDER_EFORKED (-8)      /* the agent belongs to the parent process */
#define OUTRIDER_ENOAGENT (-9)     /* no agent answers on the socket */
#define OUTRIDER_EPERM (-10)       /* this user may not use the socket */
#define OUTRIDER_EFAILED (-11)     /* the system refuses: no descriptors, threads or disk space */
#define OUTRIDER_ECLOSED (-12)     /* the agent is being freed, or has failed */

/* Who runs the agent: outrider_options.mode. */
#define OUTRIDER_THREAD 0 /* a thread of the library's own */
#define OUTRIDER_FD 1     /* the program: outrider_fd, outrider_deadline, outrider_process */
#define OUTRIDER_LOOP 2   /* the program's uv_loop_t */

/* outrider_options.flags. */
#define OUTRIDER_KEEP_LOOP_ALIVE 1U /* OUTRIDER_LOOP: uv_run() does not return while we exist */

/* Health of an instance, for outrider_set_health. */
#define OUTRIDER_PASSING 0
#define OUTRIDER_WARNING 1
#define OUTRIDER_CRITICAL 2

typedef struct outrider_agent outrider_agent;
typedef struct outrider_watcher outrider_watcher;

/* `text` ends with a zero byte, which `length` does not count. */
typedef void (*outrider_text_callback)(void* user, const char* text, size_t length);

/* How an agent is made. Fill it with outrider_options_init() and change what differs; members are
 * only ever added at the end, and `size` tells the library which ones the caller knows. */
typedef struct outrider_options {
  /* Of the structure, as the caller knows it; outrider_options_init() sets it. */
  size_t size;
  /* Required for an agent of the program's own; tells it apart from other agents of the host and
   * should stay the same over restarts. */
  const char* name;
  /* The agent's configuration, outrider.json(5); NULL: its defaults, but for
   * {"dns": {"listen": []}, "api": {"socket": "off"}, "mdns": {"provider": "native"},
   * "web": {"listen": []}}.
   * A port for FARP is opened once a registration has "farp". */
  const char* config;
  /* Of the agent to connect to; NULL: the first one that answers of those that this user runs, then
   * of those that the host runs. outrider_open: where others find this agent if it becomes one. */
  const char* socket;
  /* Where registrations are kept over restarts; the folder exists. NULL: nowhere. */
  const char* state_directory;
  /* OUTRIDER_LOOP: a uv_loop_t, on whose thread the agent is made. It must outlive the agent until
   * `closed` is called: without OUTRIDER_KEEP_LOOP_ALIVE, the program has to keep it running. */
  void* uv_loop;
  /* Gets each line of the log, on the thread of callbacks. NULL: none. */
  outrider_text_callback log;
  /* Called last, once, when nothing of the agent is left; on the thread of callbacks.
   * OUTRIDER_LOOP: after outrider_free(), in a turn of the loop. NULL: none. */
  void (*closed)(void* user);
  void* user;         /* For both. */
  uint32_t mode;      /* OUTRIDER_THREAD is the default. */
  uint32_t flags;     /* OUTRIDER_KEEP_LOOP_ALIVE, or 0. */
  int32_t log_fd;     /* gets the log if there is no `log`; stays open. -1: none */
  int32_t timeout_ms; /* of each call that waits for the agent; default: 5000 */
} outrider_options;

/* --- The library ------------------------------------------------------------------------------ */

/* Returns the version of the library, as OUTRIDER_VERSION_NUMBER. Any thread. */
OUTRIDER_API uint32_t outrider_version(void);

/* Returns a sentence for an error code; never NULL, and never freed. Any thread. */
OUTRIDER_API const char* outrider_strerror(int code);

/* Frees text that a function returned; NULL is allowed. Any thread. */
OUTRIDER_API void outrider_free_text(char* text);

/* --- An agent's life -------------------------------------------------------------------------- */

/* Fills `options` with defaults; `size` is sizeof(outrider_options). Any thread. Errors:
 * OUTRIDER_EINVAL: no options, or a size of no version of the structure. */
OUTRIDER_API int outrider_options_init(outrider_options* options, size_t size);

/* Starts an agent in this program and makes it the caller's. It runs when the call returns;
 * announcements follow. `error` (may be NULL) gets a sentence. Errors: OUTRIDER_EINVAL,
 * OUTRIDER_ENOMEM, OUTRIDER_EFAILED. */
OUTRIDER_API int outrider_start(outrider_agent** agent, const outrider_options* options,
                                char* error, size_t error_size);

/* Connects to an agent that runs. Requests of one call each block for their round trip, in every
 * mode, for timeout_ms at most; watching goes on over restarts of the agent. Errors:
 * OUTRIDER_ENOAGENT, OUTRIDER_EPERM, and as outrider_start. */
OUTRIDER_API int outrider_connect(outrider_agent** agent, const outrider_options* options,
                                  char* error, size_t error_size);

/* Connects to an agent that runs, or starts one that others can connect to. Errors: as
 * outrider_start. */
OUTRIDER_API int outrider_open(outrider_agent** agent, const outrider_options* options, char* error,
                               size_t error_size);

/* Takes all registrations of this program out of every answer, and waits until clients have
 * forgotten them, for `timeout_ms` at most. Further registrations are served as usual.
 * OUTRIDER_LOOP, and in callbacks: `timeout_ms` is 0. Errors: OUTRIDER_EWOULDBLOCK; after that one
 * the registrations are out. */
OUTRIDER_API int outrider_drain(outrider_agent* agent, int timeout_ms);

/* Deregisters what this program has registered and frees the agent and its watchers, in bounded
 * time; NULL is allowed. Any thread with OUTRIDER_THREAD; else on the agent's own. Callbacks do not
 * come any more when it returns, except that OUTRIDER_LOOP still calls `closed` later. In a
 * callback of the agent, it returns at once and the rest follows. A connection waits for its agent
 * to take the registrations back, for a second at most. */
OUTRIDER_API void outrider_free(outrider_agent* agent);

/* Copies the details of the latest error of this thread into `text`, cut to `size` with its zero
 * byte. Returns its whole length. */
OUTRIDER_API int outrider_errmsg(outrider_agent* agent, char* text, size_t size);

/* Returns 1 on the thread of callbacks, else 0. Any thread. */
OUTRIDER_API int outrider_on_thread(outrider_agent* agent);

/* --- OUTRIDER_FD ------------------------------------------------------------------------------ */

/* Returns a descriptor, the same one for the agent's whole life. When it is readable,
 * outrider_process() has something to do. It stays the agent's. Errors: OUTRIDER_EINVAL in other
 * modes. */
OUTRIDER_API int outrider_fd(outrider_agent* agent);

/* Returns when outrider_process() is due even if the descriptor is not readable: nanoseconds of
 * CLOCK_MONOTONIC; INT64_MAX: never. Changes with every call to the agent. Errors:
 * OUTRIDER_EINVAL in other modes. */
OUTRIDER_API int64_t outrider_deadline(outrider_agent* agent);

/* Does what there is to do and returns without waiting; the callbacks come in here. To call it too
 * early or too often does no harm. Errors: OUTRIDER_EINVAL in other modes, or in a callback. */
OUTRIDER_API int outrider_process(outrider_agent* agent);

/* --- Registrations of this program ------------------------------------------------------------ */

/* Registers a service, described as in the configuration: {"name": "orders", "port": 8080}. `id`
 * (may be NULL) gets the id of the instance. Registering the same id again changes it. Errors:
 * OUTRIDER_EINVAL, OUTRIDER_EREFUSED; OUTRIDER_EFAILED: it is in effect, but is not kept over
 * restarts. */
OUTRIDER_API int outrider_register(outrider_agent* agent, const char* json, char** id);

/* Withdraws a registration. Errors: OUTRIDER_ENOTFOUND. */
OUTRIDER_API int outrider_deregister(outrider_agent* agent, const char* id);

/* Sends a heartbeat: the only TTL check of the registration, or the check that `id` names as
 * ID/CHECK, passes again for its time. Errors: OUTRIDER_ENOTFOUND: also if it has no TTL check. */
OUTRIDER_API int outrider_renew(outrider_agent* agent, const char* id);

/* The same with another health (OUTRIDER_PASSING, …) and a note for people, which may be NULL.
 * Errors: OUTRIDER_ENOTFOUND, OUTRIDER_EINVAL. */
OUTRIDER_API int outrider_set_health(outrider_agent* agent, const char* id, int health,
                                     const char* note);

/* Puts a registration into maintenance (`on` is not 0), for a reason that may be NULL, or back.
 * Errors: OUTRIDER_ENOTFOUND. */
OUTRIDER_API int outrider_set_maintenance(outrider_agent* agent, const char* id, int on,
                                          const char* reason);

/* Drains one registration (`on` is not 0), or takes it back into service. Errors:
 * OUTRIDER_ENOTFOUND. */
OUTRIDER_API int outrider_set_draining(outrider_agent* agent, const char* id, int on);

/* --- What is known ---------------------------------------------------------------------------- */

/* The instances of a service, from memory: {"revision": …, "instances": […]}. `name` NULL: of all
 * services. Filter: healthy, passing, tag, version, metadata, prefix. Errors: OUTRIDER_ENOTFOUND:
 * the service is not known; OUTRIDER_EINVAL. */
OUTRIDER_API int outrider_get(outrider_agent* agent, const char* name, const char* filter,
                              char** json);

/* The known services with counts of their instances: {"revision": …, "services": […]}. Filter: as
 * outrider_get. Errors: OUTRIDER_EINVAL. */
OUTRIDER_API int outrider_list(outrider_agent* agent, const char* filter, char** json);

/* Picks one usable instance: {"endpoint": "10.0.0.7:8080", "url": "http://10.0.0.7:8080",
 * "instance": {…}, …}. Filter: strategy (round_robin, random, weighted, least_connections, p2c,
 * consistent_hash with key), passing, tag, version, metadata. Errors: OUTRIDER_ENOTFOUND: none is
 * usable; OUTRIDER_EINVAL. */
OUTRIDER_API int outrider_select(outrider_agent* agent, const char* name, const char* filter,
                                 char** json);

/* Explains what DNS answers for a name, and why. Errors: OUTRIDER_EINVAL. */
OUTRIDER_API int outrider_why(outrider_agent* agent, const char* name, char** json);

/* The FARP manifest of an instance of this agent; `id` NULL: of the only one. Errors:
 * OUTRIDER_ENOTFOUND. */
OUTRIDER_API int outrider_manifest(outrider_agent* agent, const char* id, char** json);

/* Everything that is known, in the form of outrider_get. */
OUTRIDER_API int outrider_snapshot(outrider_agent* agent, char** json);

/* --- What changes ----------------------------------------------------------------------------- */

/* Follows a service: the whole list in the form of outrider_get, as soon as it is not empty and
 * after every change, filtered as there. `name` NULL: follows events of all services, first
 * {"revision": …, "instances": […]} and then {"revision": …, "changes": [{"kind": "added",
 * "instance": {…}}]}; no filter.
 * With a callback, each document is one call on the thread of callbacks. Without one, outrider_next
 * returns them: of lists that were not fetched, only the latest is kept; of more than 1024 events,
 * all are dropped and the next one is a whole list again.
 * `watcher` (may be NULL with a callback) gets a handle, which is valid until outrider_unwatch() or
 * outrider_free(). Errors: OUTRIDER_EINVAL. */
OUTRIDER_API int outrider_watch(outrider_agent* agent, const char* name, const char* filter,
                                outrider_text_callback callback, void* user,
                                outrider_watcher** watcher);

/* Returns the next document of a watcher without a callback; waits for it for `timeout_ms` at most,
 * -1: without end. OUTRIDER_FD: the agent works meanwhile, and callbacks may come. OUTRIDER_LOOP,
 * and in callbacks: `timeout_ms` is 0. Errors: OUTRIDER_ETIMEDOUT: there is none;
 * OUTRIDER_EWOULDBLOCK; OUTRIDER_ECLOSED: the agent is being freed. */
OUTRIDER_API int outrider_next(outrider_watcher* watcher, int timeout_ms, char** json);

/* Ends watching and frees the watcher; NULL is allowed. Its callback does not come any more when
 * this returns. May be called in the callback; not while another thread is in outrider_next. */
OUTRIDER_API void outrider_unwatch(outrider_watcher* watcher);

/* Waits until a service has `count` instances that are passing or warning and whose address is
 * known, for `timeout_ms` at most; -1: without end. Errors: as outrider_next. */
OUTRIDER_API int outrider_wait(outrider_agent* agent, const char* name, int count, int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
