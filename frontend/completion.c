/* What bash and zsh complete, from the tables: commands, each command's options, and by a row's
 * argument what may follow it: its alternatives, the rows of a table, or files by their endings. */
#include <string.h>
#include "command.h"

/* Which files an argument takes; "" is any file. */
static const struct {
  const char *argument, *endings;
} files[] = {{"FILE", ""}, {"MODEL", "yaml yml qn tflite onnx"}};

static void print_targets(FILE *to) {
  for (const qn_target *t = qn_targets; t->name; t++) fprintf(to, " %s", t->name);
}

static void print_contracts(FILE *to) {
#define QN_CONTRACT(name, doc) fputs(" " #name, to);
#include "../runtime/contracts.def"
}

static void print_schemes(FILE *to) {
#define QN_SCHEME(name, weights, activations, doc) fputs(" " #name, to);
#define QN_SEARCH(name, doc) fputs(" " #name, to);
#include "../passes/quantize.def"
}

static void print_recoveries(FILE *to) {
#define QN_RECOVERY(name, pass, doc) fputs(" " pass, to);
#include "../passes/quantize.def"
}

static void print_passes(FILE *to) {
  for (const qn_pass *p = qn_passes; p->name; p++) fprintf(to, " %s", p->name);
}

/* Arguments that are rows of a table. */
static const struct {
  const char *argument;
  void (*print)(FILE *to);
} tables[] = {{"ROW", print_targets},
              {"CONTRACT", print_contracts},
              {"SCHEME", print_schemes},
              {"RECOVERY,...", print_recoveries},
              {"LIST", print_passes}};

/* The words that an argument may be, each behind a space; none where there is no list of them. */
static void print_words(FILE *to, const char *argument) {
  if (strchr(argument, '|')) {
    putc(' ', to);
    for (const char *p = argument; *p; p++) putc(*p == '|' ? ' ' : *p, to);
  }
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
    if (strcmp(tables[i].argument, argument) == 0) tables[i].print(to);
  }
}

/* The endings of the files that an argument names: of "X.npy", npy. NULL: it is no file. */
static const char *find_endings(const char *argument) {
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    if (strcmp(files[i].argument, argument) == 0) return files[i].endings;
  }
  const char *dot = strrchr(argument, '.');
  return dot ? dot + 1 : NULL;
}

static void print_names(FILE *to) {
  for (const qn_command *c = qn_commands; c->name; c++)
    fprintf(to, "%s%s", c == qn_commands ? "" : " ", c->name);
}

static void print_topics(FILE *to) {
  for (int i = 0; qn_help_topic(i); i++) fprintf(to, "%s ", qn_help_topic(i));
  print_names(to);
}

static bool is_help(const qn_command *c) { return strcmp(c->name, "help") == 0; }

/* ------------------------------------------------------------------ bash */

static void print_bash_value(FILE *to, const qn_command *c, const qn_option *row) {
  fprintf(to, "  *:%s:%s) ", c->name, row->flag);
  const char *endings = find_endings(row->argument);
  if (endings) {
    fprintf(to, "files='%s' ;;\n", *endings ? endings : "*");
    return;
  }
  fputs("words='", to);
  print_words(to, row->argument);
  fputs("' ;;\n", to);
}

static void print_bash_command(FILE *to, const qn_command *c) {
  for (const qn_option *row = qn_option_rows; row->flag; row++) {
    if (qn_takes_option(c, row) && row->kind != QN_KIND_flag) print_bash_value(to, c, row);
  }
  fprintf(to, "  *:%s:*) ", c->name);
  if (is_help(c)) {
    fputs("words='", to);
    print_topics(to);
    fputs("'", to);
  } else {
    fprintf(to, "files='%s'", find_endings("MODEL"));
  }
  fputs("; options='", to);
  for (const qn_option *row = qn_option_rows; row->flag; row++) {
    if (qn_takes_option(c, row)) fprintf(to, "%s ", row->flag);
  }
  fputs("' ;;\n", to);
}

void qn_print_bash_completion(FILE *to) {
  fputs("# What bash completes after `quern`; made by `quern help completion-bash`.\n"
        "_quern() {\n"
        "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
        "  local words= files= options= ending\n"
        "  case $word:$before in # --option=value is three words\n"
        "  =:*) word= ;;\n"
        "  *:=) before=${COMP_WORDS[COMP_CWORD-2]} ;;\n"
        "  esac\n"
        "  COMPREPLY=()\n"
        "  case $COMP_CWORD:${COMP_WORDS[1]}:$before in\n"
        "  1:*) words='",
        to);
  print_names(to);
  fputs("' ;;\n", to);
  for (const qn_command *c = qn_commands; c->name; c++) print_bash_command(to, c);
  fputs("  esac\n"
        "  if [[ $word == -* && $options ]]; then\n"
        "    words=$options files=\n"
        "  fi\n"
        "  mapfile -t COMPREPLY < <(\n"
        "    compgen -W \"$words\" -- \"$word\"\n"
        "    if [[ $files == '*' ]]; then\n"
        "      compgen -f -- \"$word\"\n"
        "    elif [[ $files ]]; then\n"
        "      compgen -d -- \"$word\"\n"
        "      for ending in $files; do compgen -f -X \"!*.$ending\" -- \"$word\"; done\n"
        "    fi)\n"
        "  if [[ $files ]]; then compopt -o filenames 2>/dev/null; fi\n"
        "}\n"
        "complete -F _quern quern\n",
        to);
}

/* ------------------------------------------------------------------ zsh */

/* Text between single quotes, in a place where brackets and colons have a meaning. */
static void print_zsh_text(FILE *to, const char *text) {
  for (const char *p = text; *p; p++) {
    if (*p == '\'') {
      fputs("'\\''", to);
      continue;
    }
    if (strchr("[]:\\", *p)) putc('\\', to);
    putc(*p, to);
  }
}

static void print_zsh_files(FILE *to, const char *endings) {
  fputs("_files", to);
  if (!*endings) return;
  bool several = strchr(endings, ' ') != NULL; /* brackets around one would be a glob qualifier */
  fprintf(to, " -g \"*.%s", several ? "(" : "");
  for (const char *p = endings; *p; p++) putc(*p == ' ' ? '|' : *p, to);
  fprintf(to, "%s\"", several ? ")" : "");
}

static void print_zsh_option(FILE *to, const qn_option *row) {
  bool is_long = row->flag[1] == '-' && row->kind != QN_KIND_flag;
  fprintf(to, " \\\n      '%s%s%s[", row->kind == QN_KIND_texts ? "*" : "", row->flag,
          is_long ? "=" : "");
  print_zsh_text(to, row->doc);
  putc(']', to);
  if (row->kind != QN_KIND_flag) {
    putc(':', to);
    print_zsh_text(to, row->argument);
    putc(':', to);
    const char *endings = find_endings(row->argument);
    if (endings) {
      print_zsh_files(to, endings);
    } else if (strcmp(row->argument, "LIST") == 0) {
      fputs("_values -s , pass", to);
      print_words(to, row->argument);
    } else {
      putc('(', to);
      print_words(to, row->argument);
      putc(')', to);
    }
  }
  putc('\'', to);
}

static void print_zsh_command(FILE *to, const qn_command *c) {
  fprintf(to, "  %s)\n    _arguments", c->name);
  for (const qn_option *row = qn_option_rows; row->flag; row++) {
    if (qn_takes_option(c, row)) print_zsh_option(to, row);
  }
  if (is_help(c)) {
    fputs(" \\\n      '*:topic:(", to);
    print_topics(to);
    fputs(")'", to);
  } else {
    fputs(" \\\n      '*:model:", to);
    print_zsh_files(to, find_endings("MODEL"));
    putc('\'', to);
  }
  fputs(" ;;\n", to);
}

void qn_print_zsh_completion(FILE *to) {
  fputs("#compdef quern\n"
        "# What zsh completes after `quern`; made by `quern help completion-zsh`.\n"
        "local curcontext=$curcontext state line\n"
        "local -a commands=(",
        to);
  for (const qn_command *c = qn_commands; c->name; c++) {
    fprintf(to, "\n  '%s:", c->name);
    print_zsh_text(to, c->doc);
    putc('\'', to);
  }
  fputs(")\n"
        "_arguments -C '1:command:->command' '*::argument:->argument'\n"
        "case $state in\n"
        "command) _describe command commands ;;\n"
        "argument)\n"
        "  case $line[1] in\n",
        to);
  for (const qn_command *c = qn_commands; c->name; c++) print_zsh_command(to, c);
  fputs("  esac ;;\n"
        "esac\n",
        to);
}
