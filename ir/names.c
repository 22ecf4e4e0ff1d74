/* A hash table of names with open addressing and linear probing, at most half full. */
#include "text.h"

#include <string.h>

enum { FIRST_SIZE = 64 };

/* FNV-1a, started from the scope.
 * Source: Fowler, Noll, Vo, "The FNV Non-Cryptographic Hash Algorithm". */
static size_t hash_name(const void *scope, const char *name, size_t size) {
  uint64_t h = 0xcbf29ce484222325u ^ (uintptr_t)scope;
  for (size_t i = 0; i < size; ++i) h = (h ^ (unsigned char)name[i]) * 0x100000001b3u;
  return (size_t)(h ^ h >> 32);
}

/* The entry of the name, or the free one where it belongs. */
static qn_entry *find_slot(const qn_names *n, const void *scope, const char *name, size_t size,
                           size_t hash) {
  for (size_t i = hash & (n->size - 1);; i = (i + 1) & (n->size - 1)) {
    qn_entry *e = &n->at[i];
    if (!e->name) return e;
    if (e->hash == hash && e->scope == scope && strlen(e->name) == size &&
        memcmp(e->name, name, size) == 0) {
      return e;
    }
  }
}

static void grow(qn_names *n, qn_arena *a) {
  qn_names old = *n;
  n->size = old.size ? old.size * 2 : FIRST_SIZE;
  n->at = qn_alloc(a, n->size * sizeof *n->at);
  for (size_t i = 0; i < old.size; ++i) {
    const qn_entry *e = &old.at[i];
    if (e->name) *find_slot(n, e->scope, e->name, strlen(e->name), e->hash) = *e;
  }
}

const qn_entry *qn_find_name(const qn_names *n, const void *scope, const char *name, size_t size) {
  if (n->count == 0) return NULL;
  const qn_entry *e = find_slot(n, scope, name, size, hash_name(scope, name, size));
  return e->name ? e : NULL;
}

/* Whether the entry is new; it has no `what` and no place then. */
static bool find_or_add(qn_names *n, qn_arena *a, const void *scope, const char *name,
                        qn_entry **out) {
  if (n->count >= n->size / 2) grow(n, a);
  size_t size = strlen(name), hash = hash_name(scope, name, size);
  *out = find_slot(n, scope, name, size, hash);
  if ((*out)->name) return false;
  **out = (qn_entry){.scope = scope, .name = name, .hash = hash};
  ++n->count;
  return true;
}

const qn_entry *qn_add_name(qn_names *n, qn_arena *a, const void *scope, const char *name,
                            void *what, qn_loc loc) {
  qn_entry *e;
  if (!find_or_add(n, a, scope, name, &e)) return e;
  e->what = what;
  e->loc = loc;
  return NULL;
}

void qn_set_name(qn_names *n, qn_arena *a, const void *scope, const char *name, void *what) {
  qn_entry *e;
  find_or_add(n, a, scope, name, &e);
  e->what = what;
}
