/* The files that one command writes: all of them, or none.
 *
 * Paths that name the same file, or one that was read, are an error before anything is written:
 * the last one written would be what is left. A file that was written is removed again when a later
 * one cannot be. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "frontend.h"

bool qn_is_plain_file(const char *path) {
  struct stat info;
  return strcmp(path, "-") != 0 && (stat(path, &info) != 0 || S_ISREG(info.st_mode));
}

/* By name, or by what the names lead to. */
static bool are_same(const char *a, const char *b) {
  struct stat x, y;
  if (!qn_is_plain_file(a)) return false;
  if (strcmp(a, b) == 0) return true;
  return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

qn_status qn_check_outputs(const qn_output *list, int count, const qn_file *read) {
  for (int i = 0; i < count; i++) {
    for (int k = 0; k < i; k++)
      if (are_same(list[i].path, list[k].path))
        return qn_io_error(list[i].path, "would be written twice: as %s and as %s", list[k].what,
                           list[i].what);
    for (const qn_file *f = read; f; f = f->next)
      if (are_same(list[i].path, f->path))
        return qn_io_error(list[i].path, "is read: %s would overwrite it", list[i].what);
  }
  return QN_OK;
}

qn_status qn_write_outputs(const qn_output *list, int count) {
  qn_status status = QN_OK;
  int written = 0;
  while (written < count && status == QN_OK) {
    status = qn_write_file(list[written].path, list[written].data, list[written].size);
    written += status == QN_OK;
  }
  for (int i = 0; status != QN_OK && i < written; i++)
    if (qn_is_plain_file(list[i].path)) remove(list[i].path);
  return status;
}

qn_status qn_open_text(const char *path, qn_text *out) {
  *out = (qn_text){0};
  out->to = open_memstream(&out->text, &out->size);
  return out->to ? QN_OK : qn_io_error(path, "no memory for the text");
}

void qn_close_text(qn_arena *a, qn_text *t, qn_output *out) {
  fclose(t->to);
  out->data = qn_strndup(a, t->text, t->size);
  out->size = t->size;
  free(t->text);
}
