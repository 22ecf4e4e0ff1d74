/* Whole files in, whole files out. A file is written under a name of its own beside the target and
 * renamed, so that a failure leaves the target as it was and nothing beside it. */
#include "ir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads to the end; the bytes are the caller's to free. `expected` is a first guess of the size. */
static qn_status read_all(FILE *f, const char *name, size_t expected, char **out,
                          size_t *out_size) {
  size_t room = expected + 1, size = 0;
  char *text = qn_grow(NULL, room);
  while (true) {
    size_t n = fread(text + size, 1, room - size, f);
    size += n;
    if (size < room || size > QN_MAX_FILE) break;
    room *= 2;
    text = qn_grow(text, room);
  }
  *out = text;
  *out_size = size;
  if (size > QN_MAX_FILE) {
    return qn_io_error(name, "larger than %zu bytes", QN_MAX_FILE);
  }
  if (ferror(f)) return qn_io_error(name, "cannot read: %s", strerror(errno));
  return QN_OK;
}

static void note_file(qn_arena *a, const char *path) {
  qn_file **end = &a->files;
  while (*end) end = &(*end)->next;
  *end = qn_alloc(a, sizeof **end);
  (*end)->path = path;
}

qn_status qn_read_file(qn_arena *a, const char *path, qn_source *out) {
  bool standard = strcmp(path, "-") == 0;
  const char *name = standard ? "<stdin>" : path;
  FILE *f = standard ? stdin : fopen(path, "rb");
  if (!f) return qn_io_error(name, "cannot open: %s", strerror(errno));

  struct stat info;
  size_t expected = 4095;
  if (fstat(fileno(f), &info) == 0 && S_ISREG(info.st_mode) && info.st_size >= 0 &&
      (uintmax_t)info.st_size <= QN_MAX_FILE) {
    expected = (size_t)info.st_size;
  }
  char *text = NULL;
  size_t size = 0;
  qn_status status = read_all(f, name, expected, &text, &size);
  if (status == QN_OK) {
    *out = (qn_source){
        .name = qn_strndup(a, name, strlen(name)), .text = qn_strndup(a, text, size), .size = size};
    if (!standard) note_file(a, out->name);
  }
  free(text);
  if (!standard) fclose(f);
  return status;
}

/* Writes and closes; false: errno says why. */
static bool write_all(FILE *f, const void *data, size_t size) {
  bool good = fwrite(data, 1, size, f) == size;
  if (fflush(f) != 0) good = false;
  int reason = errno;
  if (f != stdout && fclose(f) != 0 && good) {
    good = false;
    reason = errno;
  }
  errno = reason;
  return good;
}

qn_status qn_write_file(const char *path, const void *data, size_t size) {
  if (strcmp(path, "-") == 0) {
    if (!write_all(stdout, data, size)) {
      return qn_io_error("<stdout>", "cannot write: %s", strerror(errno));
    }
    return QN_OK;
  }
  /* A device or a pipe is written to: renaming would put a file in its place. */
  struct stat info;
  bool direct = stat(path, &info) == 0 && !S_ISREG(info.st_mode);
  qn_arena scratch = {0};
  const char *name = direct ? path : qn_format(&scratch, "%s.tmp.%ld", path, (long)getpid());
  if (!direct) remove(name); /* left over from a process of the same number */
  FILE *f = fopen(name, direct ? "wb" : "wbx");
  qn_status status = QN_OK;
  if (!f) {
    status = qn_io_error(path, "cannot write: %s", strerror(errno));
  } else if (!write_all(f, data, size) || (!direct && rename(name, path) != 0)) {
    status = qn_io_error(path, "cannot write: %s", strerror(errno));
    if (!direct) remove(name);
  }
  qn_free_arena(&scratch);
  return status;
}
