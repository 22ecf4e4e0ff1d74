/* fuzz-mutate READER FILE... N SEED: feeds N damaged copies of the files to a reader, in memory.
 *
 * Each copy has 1 to 8 of: bits flipped, bytes set, an integer overwritten with one that is often
 * wrong, a block copied elsewhere, taken out or put in twice, the end cut off. A reader must answer
 * every one with a module that verifies or with an error; in a sanitised build everything else ends
 * the program. Iteration i depends on SEED + i only, so a finding is repeated with `fuzz-mutate
 * READER FILE... 1 SEED+i`. Prints how many copies were accepted. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "../../frontend/frontend.h"

enum { MOST_MUTATIONS = 8, SECONDS_EACH = 20, MOST_MEGABYTES = 1024, MOST_FILES = 64 };

/* ------------------------------------------------------------------ readers */

static qn_status read_tflite(qn_module *m, const qn_source *src) { return qn_read_tflite(m, src); }
static qn_status read_onnx(qn_module *m, const qn_source *src) { return qn_read_onnx(m, src); }
static qn_status read_yaml(qn_module *m, const qn_source *src) { return qn_read_yaml(m, src); }
static qn_status read_qn(qn_module *m, const qn_source *src) { return qn_parse(m, src); }

/* Reads every byte of a tensor, so that one outside the file is seen. */
static void touch(const qn_type *type, const void *data) {
  volatile unsigned char sum = 0;
  for (int64_t i = 0; i < qn_bytes(type); i++) sum ^= ((const unsigned char *)data)[i];
}

static qn_status read_npy(qn_module *m, const qn_source *src) {
  qn_type type;
  const void *data;
  QN_TRY(qn_read_npy(&m->arena, src, &type, &data));
  touch(&type, data);
  return QN_OK;
}

static qn_status read_safetensors(qn_module *m, const qn_source *src) {
  qn_tensor_file file;
  QN_TRY(qn_read_safetensors(&m->arena, src, &file));
  for (int i = 0; i < file.count; i++) touch(&file.at[i].type, file.at[i].data);
  return QN_OK;
}

typedef qn_status read_function(qn_module *m, const qn_source *src);
static const struct {
  const char *name;
  read_function *read;
} readers[] = {{"tflite", read_tflite},
               {"onnx", read_onnx},
               {"yaml", read_yaml},
               {"qn", read_qn},
               {"npy", read_npy},
               {"safetensors", read_safetensors}};

static read_function *find_reader(const char *name) {
  for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++)
    if (strcmp(readers[i].name, name) == 0) return readers[i].read;
  return NULL;
}

/* ------------------------------------------------------------------ mutations */

/* splitmix64 */
static uint64_t next_random(uint64_t *state) {
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

static size_t below(uint64_t *state, size_t limit) { return (size_t)(next_random(state) % limit); }

/* Places: half of them near the front, where headers and counts are. */
static size_t choose_place(uint64_t *state, size_t size) {
  size_t front = size < 512 ? size : 512;
  return below(state, below(state, 2) ? front : size);
}

static void overwrite_int(uint64_t *state, char *text, size_t size) {
  static const int64_t values[] = {
      0,         1,         -1,        2,       127,     128,
      255,       256,       -128,      32767,   65535,   INT32_MAX,
      INT32_MIN, INT64_MAX, INT64_MIN, 1 << 28, 1 << 30, 0x7FC00000 /* a NaN */,
      0x7F800000};
  size_t bytes = (size_t)1 << below(state, 4), at = choose_place(state, size);
  int64_t value = values[below(state, sizeof values / sizeof values[0])];
  at -= at % bytes;
  for (size_t i = 0; i < bytes && at + i < size; i++)
    text[at + i] = (char)((uint64_t)value >> (8 * i) & 255);
}

/* Changes text, which has room for twice its size, and returns the new size. */
static size_t mutate(uint64_t *state, char *text, size_t size) {
  size_t a = choose_place(state, size), b = choose_place(state, size);
  size_t bytes = 1 + below(state, size - (a > b ? a : b) < 64 ? size - (a > b ? a : b) : 64);
  switch (below(state, 8)) {
  case 0: text[a] = (char)((unsigned char)text[a] ^ 1u << below(state, 8)); return size;
  case 1: text[a] = (char)below(state, 256); return size;
  case 2: return below(state, 8) == 0 ? 1 + below(state, size) : size;
  case 3: memmove(text + a, text + b, bytes); return size;
  case 4: /* out */
    if (bytes >= size) return size;
    memmove(text + a, text + a + bytes, size - a - bytes);
    return size - bytes;
  case 5: /* twice */ memmove(text + a + bytes, text + a, size - a); return size + bytes;
  default: overwrite_int(state, text, size); return size;
  }
}

/* ------------------------------------------------------------------ the loop */

static volatile sig_atomic_t in_iteration;
static uint64_t current_seed;

/* Sanitizers call it before they end the program. */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

static void tell_seed(void) {
  char text[64];
  int size =
      snprintf(text, sizeof text, "finding at SEED %llu\n", (unsigned long long)current_seed);
  if (in_iteration && write(STDOUT_FILENO, text, (size_t)size) < 0) _exit(1);
}

static void stop(int signal_number) {
  tell_seed();
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

/* One damaged copy, in memory of its exact size, so that every read behind it is seen. */
static bool try_copy(read_function *read, const qn_source *seed_file, uint64_t seed) {
  uint64_t state = seed;
  size_t size = seed_file->size;
  char *room = malloc(size + MOST_MUTATIONS * 64 + 1);
  if (!room) exit(3);
  memcpy(room, seed_file->text, size);
  int count = 1 + (int)below(&state, MOST_MUTATIONS);
  for (int i = 0; i < count && size > 0; i++) size = mutate(&state, room, size);
  char *text = malloc(size ? size : 1);
  if (!text) exit(3);
  memcpy(text, room, size);
  free(room);

  qn_module *m = qn_new_module();
  qn_source src = {.name = seed_file->name, .text = text, .size = size};
  m->src = src;
  bool accepted = read(m, &src) == QN_OK;
  if (accepted && m->funcs && qn_verify(m) != QN_OK) {
    printf("SEED %llu: accepted, but does not verify\n", (unsigned long long)seed);
    exit(1);
  }
  qn_free_module(m);
  free(text);
  return accepted;
}

static bool read_seed_files(qn_arena *a, char **paths, int count, qn_source *out) {
  for (int i = 0; i < count; i++)
    if (qn_read_file(a, paths[i], &out[i]) != QN_OK || out[i].size == 0) return false;
  return true;
}

int main(int argc, char **argv) {
  int files = argc - 4;
  read_function *read = argc > 1 ? find_reader(argv[1]) : NULL;
  if (files < 1 || files > MOST_FILES || !read) {
    fputs("usage: fuzz-mutate tflite|onnx|yaml|qn|npy|safetensors FILE... N SEED\n", stderr);
    return 2;
  }
  long count = strtol(argv[argc - 2], NULL, 10);
  uint64_t seed = strtoull(argv[argc - 1], NULL, 10);
  qn_arena arena = {0};
  qn_source seed_files[MOST_FILES];
  if (!read_seed_files(&arena, argv + 2, files, seed_files)) return 2;

  /* The readers' messages go nowhere; sanitizers write to the descriptor, not to the stream. */
  FILE *standard_error = stderr;
  stderr = fopen("/dev/null", "w");
  if (!stderr) return 2;
  if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(tell_seed);
  signal(SIGALRM, stop);
  signal(SIGABRT, stop);

  long accepted = 0;
  in_iteration = 1;
  for (long i = 0; i < count; i++) {
    current_seed = seed + (uint64_t)i;
    alarm(SECONDS_EACH);
    accepted += try_copy(read, &seed_files[current_seed % (uint64_t)files], current_seed);
  }
  alarm(0);
  in_iteration = 0;
  fclose(stderr);
  stderr = standard_error;

  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("%s: %ld copies, %ld accepted\n", argv[1], count, accepted);
  qn_free_arena(&arena);
  if (usage.ru_maxrss / 1024 > MOST_MEGABYTES) {
    printf("used %ld MB of memory, at most %d are allowed\n", usage.ru_maxrss / 1024,
           MOST_MEGABYTES);
    return 1;
  }
  return 0;
}
