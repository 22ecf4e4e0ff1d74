/* Which kernel computes a layer of which shape, as text: a line `SHAPE = KERNEL` each; `#` begins a
 * comment line, `* = runtime` asks for the plain kernels everywhere. What can be committed beside a
 * model, so that every compilation makes the same choice. */
#include <string.h>
#include "command.h"

/* The last " = " of the line, or NULL. */
static const char *find_equals(const char *line, const char *end) {
  for (const char *p = end - 3; p >= line; p--)
    if (memcmp(p, " = ", 3) == 0) return p;
  return NULL;
}

static qn_status read_line(qn_arena *a, const qn_source *src, qn_loc loc, const char *line,
                           const char *end, qn_choice *out) {
  const char *equals = find_equals(line, end);
  if (!equals) return qn_error(src, loc, "not a line `SHAPE = KERNEL`");
  out->shape = qn_strndup(a, line, (size_t)(equals - line));
  out->kernel = qn_strndup(a, equals + 3, (size_t)(end - equals - 3));
  if (!qn_is_alternative(out->kernel)) return qn_error(src, loc, "no kernel '%s'", out->kernel);
  return QN_OK;
}

qn_status qn_read_tuning(qn_arena *a, const char *path, qn_tuning *out) {
  qn_source src;
  QN_TRY(qn_read_file(a, path, &src));
  int lines = 1;
  for (size_t i = 0; i < src.size; i++) lines += src.text[i] == '\n';
  qn_choice *at = qn_alloc(a, (size_t)lines * sizeof *at);
  *out = (qn_tuning){0, at};
  const char *line = src.text, *end = src.text + src.size;
  for (int32_t number = 1; line < end; number++) {
    const char *newline = memchr(line, '\n', (size_t)(end - line));
    const char *stop = newline ? newline : end;
    if (stop > line && *line != '#')
      QN_TRY(read_line(a, &src, (qn_loc){number, 1}, line, stop, &at[out->count++]));
    line = newline ? newline + 1 : end;
  }
  return QN_OK;
}

qn_status qn_write_tuning(const char *path, const qn_tuning *t) {
  qn_arena texts = {0};
  qn_output out = {.path = path};
  qn_text text;
  QN_TRY(qn_open_text(path, &text));
  fputs("# The fastest kernels, measured by `quern run --tune`; for --tuned.\n", text.to);
  for (int i = 0; i < t->count; i++)
    fprintf(text.to, "%s = %s\n", t->at[i].shape, t->at[i].kernel);
  qn_close_text(&texts, &text, &out);
  qn_status status = qn_write_outputs(&out, 1);
  qn_free_arena(&texts);
  return status;
}
