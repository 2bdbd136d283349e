// SPDX-License-Identifier: Apache-2.0
// To be preloaded: the allocation with the number in FAILING_MALLOC_AT gets no memory.
#include <errno.h>
#include <stdlib.h>

extern void* __libc_malloc(size_t size);
extern void* __libc_calloc(size_t count, size_t size);
extern void* __libc_realloc(void* old, size_t size);

static int fails(void) {
  static long left = -1;
  if (left == -1) {
    const char* at = getenv("FAILING_MALLOC_AT");
    left = at ? atol(at) : 0;
  }
  if (left == 0 || --left > 0) return 0;
  errno = ENOMEM;
  return 1;
}

void* malloc(size_t size) {
  return fails() ? NULL : __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  return fails() ? NULL : __libc_calloc(count, size);
}
void* realloc(void* old, size_t size) {
  return fails() ? NULL : __libc_realloc(old, size);
}
