/* The command line: options as parsed, and what the subcommands share. */
#ifndef QN_COMMAND_H
#define QN_COMMAND_H

#include "frontend.h"
#include "../passes/passes.h"
#include "../codegen/codegen.h"

enum { QN_MAX_TEXTS = QN_MAX_IN };

typedef struct {
  int count;
  const char *at[QN_MAX_TEXTS];
} qn_texts;

#define QN_OPTION_text(field) const char *field;
#define QN_OPTION_texts(field) qn_texts field;
#define QN_OPTION_flag(field) bool field;
typedef struct {
#define QN_OPTION(field, kind, flag, argument, commands, doc) QN_OPTION_##kind(field)
#include "options.def"
  const char *command;
  qn_texts operands; /* what is no option */
} qn_options;

/* A row of options.def. */
typedef struct {
  const char *flag, *argument, *commands, *doc;
  enum { QN_KIND_text, QN_KIND_texts, QN_KIND_flag } kind;
  size_t offset; /* of its field in qn_options */
} qn_option;
extern const qn_option qn_option_rows[]; /* ends with a NULL flag */

/* A row of commands.def. */
typedef struct {
  const char *name, *usage, *doc;
  qn_status (*run)(const qn_options *o);
} qn_command;
extern const qn_command qn_commands[]; /* ends with a NULL name */

#define QN_COMMAND(name, usage, doc) qn_status command_##name(const qn_options *o) QN_MUST_CHECK;
#include "commands.def"

/* -- options.c */
/* argv[1] is the command, the rest its options; QN_EIO on any mistake. */
qn_status qn_parse_options(int argc, char **argv, qn_options *out) QN_MUST_CHECK;
void qn_print_command_help(FILE *to, const qn_command *c);
bool qn_takes_option(const qn_command *c, const qn_option *row);
/* The index of word among words, a|b|c (NULL: the alternatives of flag's row); another is an error. */
qn_status qn_choose(const char *flag, const char *words, const char *word, int *out) QN_MUST_CHECK;

/* -- cmd_help.c: the topics' names; NULL behind the last. */
const char *qn_help_topic(int i);

/* -- manual.c, completion.c: the manual page and what shells complete, from the tables. */
void qn_print_manual(FILE *to);
void qn_print_bash_completion(FILE *to);
void qn_print_zsh_completion(FILE *to);

/* -- depfile.c: files that were read (a module's arena.files) as a rule of make for output. */
qn_status qn_write_depfile(const char *path, const char *output, const qn_file *files) QN_MUST_CHECK;

/* -- prepare.c: a model file through passes. */
qn_status qn_one_operand(const qn_options *o, const char **out) QN_MUST_CHECK;
qn_status qn_get_pass_options(const qn_options *o, qn_pass_options *out) QN_MUST_CHECK;
/* Loads path into m and runs the default pipeline; its main function in out. */
qn_status qn_prepare(const char *path, const qn_options *o, qn_module *m, qn_func **out) QN_MUST_CHECK;
/* The code generator's options for a target row and a symbol prefix; NULL takes o's or the default. */
qn_status qn_get_compile_options(const qn_options *o, const qn_module *m, qn_compile_options *out) QN_MUST_CHECK;

/* -- samples.c: many samples through a model. */
typedef struct {
  qn_module *m;
  qn_func *f;
  qn_program *program; /* NULL: the evaluator */
} qn_runner;
qn_status qn_open_runner(const char *path, const qn_options *o, qn_runner *out) QN_MUST_CHECK;
void qn_close_runner(qn_runner *r);
/* Results for all samples of the input files (one per parameter): count samples, one dense array
 * per result of the model, in m's arena. Samples convert to the model's input type: u8 to f32 by
 * value, f32 to int8 by the input's scale. */
qn_status qn_run_samples(qn_runner *r, const qn_texts *files, int64_t *out_count,
                         void *out_results[QN_MAX_IN]) QN_MUST_CHECK;

#endif
