/* The files that a module was read from, as a rule of make: `model.o: model.yaml
 * model.safetensors`. Ninja, make and CMake read it, and so know when to compile again.
 *
 * In names, a space, # and backslashes in front of them are escaped with a backslash and $ is
 * doubled: what GNU make and gcc -M agree on. */
#include <string.h>
#include "command.h"

static void print_name(FILE *to, const char *name) {
  for (const char *p = name; *p; p++) {
    size_t slashes = strspn(p, "\\");
    if (p[slashes] == ' ' || p[slashes] == '#') {
      for (size_t i = 0; i < 2 * slashes + 1; i++) putc('\\', to);
      p += slashes;
    } else if (*p == '$') {
      putc('$', to);
    }
    putc(*p, to);
  }
}

static bool is_first(const qn_file *all, const qn_file *file) {
  while (strcmp(all->path, file->path) != 0) all = all->next;
  return all == file;
}

qn_status qn_make_rule(qn_arena *a, const char *output, const qn_file *files, qn_output *out) {
  qn_text text;
  QN_TRY(qn_open_text(out->path, &text));
  FILE *to = text.to;
  print_name(to, output);
  putc(':', to);
  for (const qn_file *f = files; f; f = f->next) {
    if (!is_first(files, f)) continue;
    fputs(" \\\n ", to);
    print_name(to, f->path);
  }
  putc('\n', to);
  qn_close_text(a, &text, out);
  return QN_OK;
}
