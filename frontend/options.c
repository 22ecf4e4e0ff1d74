/* Words of the command line -> qn_options, and help, both from options.def and commands.def.
 *
 * Options may stand before or after operands; `--flag VALUE` and `--flag=VALUE` mean the same;
 * `-` alone is an operand (standard input). */
#include <string.h>
#include "command.h"

const qn_option qn_option_rows[] = {
#define QN_OPTION(field, kind, flag, argument, commands, doc)                                      \
  {flag, argument, commands, doc, QN_KIND_##kind, offsetof(qn_options, field)},
#include "options.def"
    {NULL, NULL, NULL, NULL, QN_KIND_flag, 0}};
enum { OPTION_COUNT = sizeof qn_option_rows / sizeof *qn_option_rows - 1 };

/* Whether word occurs in a list separated by spaces. */
static bool has_word(const char *list, const char *word) {
  size_t size = strlen(word);
  for (const char *p = list; (p = strstr(p, word)) != NULL; p += size) {
    bool starts = p == list || p[-1] == ' ';
    if (starts && (p[size] == ' ' || p[size] == 0)) return true;
  }
  return false;
}

bool qn_takes_option(const qn_command *c, const qn_option *row) {
  return has_word(row->commands, c->name);
}

static const qn_option *find_option(const char *word, const char *command, size_t size) {
  for (int i = 0; i < OPTION_COUNT; i++) {
    bool same =
        strlen(qn_option_rows[i].flag) == size && memcmp(qn_option_rows[i].flag, word, size) == 0;
    if (same && has_word(qn_option_rows[i].commands, command)) return &qn_option_rows[i];
  }
  return NULL;
}

static qn_status unknown_option(const char *word, const char *command) {
  const char *flags[OPTION_COUNT + 1];
  int count = 0;
  for (int i = 0; i < OPTION_COUNT; i++)
    if (has_word(qn_option_rows[i].commands, command)) flags[count++] = qn_option_rows[i].flag;
  flags[count] = NULL;
  const char *nearest = qn_nearest(word, flags);
  return qn_io_error("quern", "'%s' has no option '%s'%s%s%s; see `quern help %s`", command, word,
                     nearest ? ", did you mean '" : "", nearest ? nearest : "", nearest ? "'" : "",
                     command);
}

static qn_status add_text(qn_texts *list, const char *text) {
  if (list->count == QN_MAX_TEXTS) return qn_io_error("quern", "too many arguments at '%s'", text);
  list->at[list->count++] = text;
  return QN_OK;
}

static qn_status store(const qn_option *row, const char *value, qn_options *out) {
  char *field = (char *)out + row->offset;
  switch (row->kind) {
  case QN_KIND_flag: *(bool *)(void *)field = true; return QN_OK;
  case QN_KIND_texts: return add_text((qn_texts *)(void *)field, value);
  case QN_KIND_text: break;
  }
  const char **text = (const char **)(void *)field;
  if (*text) return qn_io_error("quern", "'%s' is given twice", row->flag);
  *text = value;
  return QN_OK;
}

static qn_status find_command(const char *name) {
  const char *names[16];
  int count = 0;
  for (const qn_command *c = qn_commands; c->name; c++) {
    if (strcmp(c->name, name) == 0) return QN_OK;
    if (count < 15) names[count++] = c->name;
  }
  names[count] = NULL;
  const char *nearest = qn_nearest(name, names);
  return qn_io_error("quern", "no command '%s'%s%s%s; see `quern help`", name,
                     nearest ? ", did you mean '" : "", nearest ? nearest : "", nearest ? "'" : "");
}

/* ------------------------------------------------------------------ what goes together */

/* A row of conflicts.def. */
static const struct {
  const char *command, *flag, *other, *text;
  bool together; /* with the other, or without it */
} conflicts[] = {
#define QN_CONFLICT(command, flag, other, text) {command, flag, other, text, true},
#define QN_NEED(command, flag, other, text) {command, flag, other, text, false},
#include "conflicts.def"
};

/* `--flag`, or `--flag=word`. */
static bool is_given(const qn_options *o, const char *flag) {
  size_t size = strcspn(flag, "=");
  const qn_option *row = find_option(flag, o->command, size);
  const char *word = flag[size] ? flag + size + 1 : NULL;
  if (!row) return false;
  const void *field = (const char *)o + row->offset;
  if (row->kind == QN_KIND_flag) return *(const bool *)field;
  if (row->kind == QN_KIND_texts) return ((const qn_texts *)field)->count > 0;
  const char *text = *(const char *const *)field;
  return text && (!word || strcmp(text, word) == 0);
}

static qn_status check_conflicts(const qn_options *o) {
  for (size_t i = 0; i < sizeof conflicts / sizeof *conflicts; i++) {
    bool meant = !*conflicts[i].command || strcmp(conflicts[i].command, o->command) == 0;
    if (meant && is_given(o, conflicts[i].flag) &&
        is_given(o, conflicts[i].other) == conflicts[i].together)
      return qn_io_error("quern", "%s", conflicts[i].text);
  }
  return QN_OK;
}

qn_status qn_parse_options(int argc, char **argv, qn_options *out) {
  out->command = argv[1];
  QN_TRY(find_command(argv[1]));
  for (int i = 2; i < argc; i++) {
    const char *word = argv[i];
    if (word[0] != '-' || word[1] == 0) {
      QN_TRY(add_text(&out->operands, word));
      continue;
    }
    const char *equals = word[1] == '-' ? strchr(word, '=') : NULL;
    size_t size = equals ? (size_t)(equals - word) : strlen(word);
    const qn_option *row = find_option(word, out->command, size);
    if (!row) return unknown_option(word, out->command);
    const char *value = equals ? equals + 1 : NULL;
    if (row->kind == QN_KIND_flag && value)
      return qn_io_error("quern", "'%s' takes no value", row->flag);
    if (row->kind != QN_KIND_flag && !value) {
      if (++i == argc) return qn_io_error("quern", "'%s' needs %s", row->flag, row->argument);
      value = argv[i];
    }
    QN_TRY(store(row, value, out));
  }
  return out->help ? QN_OK : check_conflicts(out);
}

qn_status qn_choose(const char *flag, const char *words, const char *word, int *out) {
  const qn_option *row = qn_option_rows;
  while (strcmp(row->flag, flag) != 0) row++;
  if (!words) words = row->argument;
  const char *list = words;
  size_t size = strlen(word);
  for (*out = 0;; ++*out) {
    size_t length = strcspn(list, "|");
    if (length == size && memcmp(list, word, size) == 0) return QN_OK;
    if (list[length] == 0) break;
    list += length + 1;
  }
  return qn_io_error("quern", "%s '%s' is none of: %s", flag, word, words);
}

void qn_print_command_help(FILE *to, const qn_command *c) {
  fprintf(to, "quern %s %s\n  %s\n\n", c->name, c->usage, c->doc);
  for (int i = 0; i < OPTION_COUNT; i++) {
    if (!qn_takes_option(c, &qn_option_rows[i])) continue;
    int width = fprintf(to, "  %s %s", qn_option_rows[i].flag, qn_option_rows[i].argument);
    fprintf(to, "%*s%s\n", width < 24 ? 24 - width : 2, "", qn_option_rows[i].doc);
  }
}
