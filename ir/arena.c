/* Memory that is freed at once: a list of chunks, each handed out from front to back. What is too
 * big for a common chunk gets one of its own, so that a large tensor costs its own size and no
 * more. Chunks come zeroed, and bytes are handed out once, so qn_alloc has nothing to clear. */
#include "ir.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 16, CHUNK_BYTES = 64 * 1024 };

struct qn_chunk {
  struct qn_chunk *next;
  size_t used, size; /* of bytes */
  _Alignas(ALIGN) unsigned char bytes[];
};

static void fail_out_of_memory(void) {
  fputs("quern: error: out of memory\n", stderr);
  exit(3);
}

static struct qn_chunk *new_chunk(size_t size) {
  struct qn_chunk *c = NULL;
  if (size <= SIZE_MAX - sizeof *c) c = calloc(1, sizeof *c + size);
  if (!c) fail_out_of_memory();
  c->size = size;
  return c;
}

void *qn_alloc(qn_arena *a, size_t bytes) {
  if (bytes > SIZE_MAX - ALIGN) fail_out_of_memory();
  bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
  struct qn_chunk *c = a->chunks;
  if (!c || c->size - c->used < bytes) {
    bool big = bytes > CHUNK_BYTES / 4;
    struct qn_chunk *fresh = new_chunk(big ? bytes : CHUNK_BYTES);
    if (c && big) { /* behind the first, which may still have room */
      fresh->next = c->next;
      c->next = fresh;
    } else {
      fresh->next = c;
      a->chunks = fresh;
    }
    c = fresh;
  }
  void *p = c->bytes + c->used;
  c->used += bytes;
  return p;
}

void *qn_grow(void *p, size_t bytes) {
  void *grown = realloc(p, bytes ? bytes : 1);
  if (!grown) fail_out_of_memory();
  return grown;
}

char *qn_strndup(qn_arena *a, const char *s, size_t size) {
  char *copy = qn_alloc(a, size + 1);
  if (size) memcpy(copy, s, size);
  return copy;
}

char *qn_format(qn_arena *a, const char *format, ...) {
  va_list list, again;
  va_start(list, format);
  va_copy(again, list);
  int size = vsnprintf(NULL, 0, format, list);
  if (size < 0) size = 0;
  char *text = qn_alloc(a, (size_t)size + 1);
  vsnprintf(text, (size_t)size + 1, format, again);
  va_end(again);
  va_end(list);
  return text;
}

void qn_free_arena(qn_arena *a) {
  for (struct qn_chunk *c = a->chunks, *next; c; c = next) {
    next = c->next;
    free(c);
  }
  *a = (qn_arena){0};
}
