/* The command line: options as parsed, and what the subcommands share. */
#ifndef QN_COMMAND_H
#define QN_COMMAND_H

#include "frontend.h"
#include "../passes/passes.h"
#include "../codegen/codegen.h"

enum { QN_MAX_TEXTS = 256 };

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
  const qn_watch *watch; /* of the passes that a model goes through; NULL: nobody */
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

/* -- depfile.c: files that were read (a module's arena.files) as a rule of make for output, in a. */
qn_status qn_make_rule(qn_arena *a, const char *output, const qn_file *files, qn_output *out) QN_MUST_CHECK;

/* -- prepare.c: a model file through passes. */
qn_status qn_one_operand(const qn_options *o, const char **out) QN_MUST_CHECK;
/* A command on one model: work gets the operand's path and a new module. */
qn_status qn_on_operand(const qn_options *o,
                        qn_status (*work)(const qn_options *o, const char *path, qn_module *m)) QN_MUST_CHECK;
qn_status qn_get_pass_options(const qn_options *o, qn_pass_options *out) QN_MUST_CHECK;
/* Loads path into m, quantizes it as o and the file ask for, and runs the default pipeline; its
 * main function in out. */
qn_status qn_prepare(const char *path, const qn_options *o, qn_module *m, qn_func **out) QN_MUST_CHECK;
/* o for a model as it is in its file, not quantized. */
qn_options qn_plain_options(const qn_options *o);
/* The code generator's options for a target row and a symbol prefix; NULL takes o's or the default. */
qn_status qn_get_compile_options(const qn_options *o, qn_module *m, qn_compile_options *out) QN_MUST_CHECK;

/* -- summary.c: on standard output. */
void qn_print_summary(qn_module *m, const qn_func *f, const char *path, const qn_object *object, bool json);
void qn_print_json_string(const char *text); /* in quotes */
/* "raw", "coded", "stream", or "-" for a layer without weights. */
const char *qn_stored_as(const qn_layer_size *l);
int qn_name_width(const qn_func *f); /* of a column of its layers' names, at most 48 */
int64_t qn_total_macs(const qn_func *f);
int64_t qn_layer_weights(const qn_op *op); /* bytes of its constants, as the model has them */

/* -- profile.c: times each layer of the compiled model on this machine and prints them. */
qn_status qn_profile(const qn_options *o, const char *path) QN_MUST_CHECK;

/* -- budget.c */
typedef struct {
  int64_t flash, ram; /* INT64_MAX: none */
} qn_budgets;
qn_status qn_get_budgets(const qn_options *o, qn_budgets *out) QN_MUST_CHECK;
/* Memory, decoded weights included, and stack. */
int64_t qn_ram_of(const qn_object *o);
/* QN_EINPUT, with notes on what would help, when the object takes more than the budgets. */
qn_status qn_check_budgets(const qn_budgets *budgets, qn_module *m, const qn_func *f,
                           const qn_compile_options *options, const qn_object *object) QN_MUST_CHECK;

/* -- solve.c */
/* Compiles the planned m, its main function f, with the weights of each layer raw, coded or streamed
 * so that it fits the budgets and decoding takes the least time. Sets options' weights, codec and forms
 * accordingly; any_size: optimize, too, where nothing fits otherwise. Where nothing fits at all,
 * *out is what comes nearest. tell: prints the frontier and the choice to standard error. */
qn_status qn_solve_weights(const qn_budgets *budgets, qn_module *m, const qn_func *f, bool tell,
                           bool any_size, qn_compile_options *options, qn_object *out) QN_MUST_CHECK;

/* -- samples.c: many samples through a model. */
/* A .npy file; `X.npy@FIRST:END` is some of it, by the first axis. */
typedef struct {
  qn_source src;
  qn_type type;
  const void *data;
} qn_stack;
qn_status qn_read_stack(qn_arena *a, const char *path, qn_stack *out) QN_MUST_CHECK;
/* The path of samples from..to of those that it has. */
const char *qn_slice_stack(qn_arena *a, const char *path, int64_t from, int64_t to);

/* Whether the file is of that kind: it begins with a byte that no text has. */
qn_status qn_is_npy(qn_arena *a, const char *path, bool *out) QN_MUST_CHECK;

/* The real value of element i: integers by their scale, if they have one. */
double qn_real_at(const qn_type *t, const void *data, int64_t i);

/* Samples for a function: count of them, dense, one array per parameter. */
typedef struct {
  int64_t count;
  const void *at[QN_MAX_IN];
} qn_inputs;
/* One file per parameter. Samples convert to the parameter's type: u8 by value, real ones to int8
 * by the scale. */
qn_status qn_read_inputs(qn_arena *a, const qn_func *f, const qn_texts *files, qn_inputs *out) QN_MUST_CHECK;

typedef struct {
  qn_module *m;
  qn_func *f;
  qn_program *program; /* NULL: the evaluator */
} qn_runner;
qn_status qn_open_runner(const char *path, const qn_options *o, qn_runner *out) QN_MUST_CHECK;
void qn_close_runner(qn_runner *r);

/* Where one run's inputs and outputs are. */
typedef struct {
  const void *in[QN_MAX_IN];
  void *out[QN_MAX_IN];
} qn_sample;
/* Runs sample n; s->out are the caller's, s->in is set. */
qn_status qn_run_sample(const qn_runner *r, const qn_inputs *inputs, int64_t n, qn_sample *s) QN_MUST_CHECK;
/* Results for all samples of the input files: count samples, one dense array per result of the
 * model, in m's arena. */
qn_status qn_run_samples(qn_runner *r, const qn_texts *files, int64_t *out_count,
                         void *out_results[QN_MAX_IN]) QN_MUST_CHECK;

/* -- stopwatch.c */
typedef struct {
  double whole, *layer; /* seconds; layer: per op of the main function */
  const char *const *kernels;             /* per op: what computes it, "" for nothing */
  const char *const *const *alternatives; /* qn_object.alternatives */
} qn_times;
/* Compiles r's planned module for this machine and runs it for at least so many seconds, on o's
 * samples or on zeros; r->program is NULL before and after. */
qn_status qn_time_layers(const qn_options *o, const qn_compile_options *options, double seconds,
                         qn_runner *r, qn_times *out) QN_MUST_CHECK;

/* -- tuning_file.c: `SHAPE = KERNEL` lines. */
qn_status qn_read_tuning(qn_arena *a, const char *path, qn_tuning *out) QN_MUST_CHECK;
qn_status qn_write_tuning(const char *path, const qn_tuning *t) QN_MUST_CHECK;

/* -- tune.c: measures what can compute each layer and writes the fastest into o->tune. */
qn_status qn_tune(const qn_options *o, const char *path) QN_MUST_CHECK;

/* -- scheme.c: what the user asks of quantization. */
typedef enum {
  QN_SEARCH_none,
#define QN_SEARCH(name, doc) QN_SEARCH_##name,
#include "../passes/quantize.def"
} qn_search;

typedef struct {
  bool on;
  qn_search search; /* of the layers' levels */
  double max_drop;  /* of a search: points of accuracy that may be lost */
  const char *labels; /* of the calibration samples; NULL: the float model's answers count */
  qn_scheme scheme;
  const char *io; /* what the model's own inputs and outputs are to be, if scheme.stored_io */
  qn_texts files; /* samples, one file per input, or one of statistics; none: no calibration data */
  bool recovery_chosen; /* by the user; else what suits the scheme */
  qn_texts ranges; /* LOW:HIGH of what each input can be; none: not said */
} qn_quantization;
const char *qn_activation_name(qn_activation_form form);
/* A row of the schemes by its number, in order of cost; false: there is none. */
bool qn_scheme_row(int i, const char **out_name, qn_weight_form *weights,
                   qn_activation_form *activations);
/* From --quantize, --config, --io, --calibrate and the section `quantize` of m's YAML file. Layers
 * to keep float are looked up in m as it was read. */
qn_status qn_get_quantization(const qn_options *o, qn_module *m, qn_quantization *out) QN_MUST_CHECK;

/* -- statistics_file.c */
qn_status qn_write_statistics(const char *path, const char *model, const qn_statistics *all) QN_MUST_CHECK;
qn_status qn_read_statistics(qn_module *m, const char *path, qn_statistics *out) QN_MUST_CHECK;

/* -- observe.c: every value of a model while it runs. */
/* Compiles m's main function for this machine so that qn_peek works. close with qn_close_observer. */
qn_status qn_open_observer(const qn_options *o, qn_module *m, qn_runner *out) QN_MUST_CHECK;
void qn_close_observer(qn_runner *r); /* leaves m */
/* The bytes of a parameter or result after qn_run_sample with s. */
const void *qn_peek(const qn_runner *r, const qn_sample *s, const qn_value *v);
/* Places for the results of one run, in a. */
void qn_alloc_outputs(qn_arena *a, const qn_func *f, qn_sample *s);

/* -- score.c: answers compared. */
/* The index of the largest of one sample's elements; the first of several. */
int64_t qn_argmax(const qn_type *t, const void *data, int64_t sample);
/* Labels as real numbers, one per sample; NULL when path is. */
qn_status qn_read_labels(qn_arena *a, const char *path, int64_t samples, double **out) QN_MUST_CHECK;
/* How many samples' largest elements are the labels'; -1 without labels. */
int64_t qn_count_right(const qn_type *t, const void *results, const double *labels, int64_t samples);
/* 10 log10(signal / noise), dB; infinite without noise. */
double qn_decibels(double signal, double noise);
/* Signal to quantization noise, dB: signal is sum ref^2, noise sum (ref - x)^2 of count elements' real
 * values. */
double qn_sqnr(const qn_type *t, const void *x, const qn_type *ref_type, const void *ref, int64_t count);

/* -- layers.c: how far a model's layers are from another's. */
typedef struct {
  const char *name, *op;
  double sqnr; /* dB; infinite: equal */
} qn_layer_score;
typedef struct {
  int count;
  qn_layer_score *at;
} qn_layer_scores;
/* Of the model at path with options o against that at o->against with options plain, on o's
 * samples: every value that both have by name, in a. */
qn_status qn_score_layers(qn_arena *a, const char *path, const qn_options *o,
                          const qn_options *plain, qn_layer_scores *out) QN_MUST_CHECK;

/* -- bisect.c: where, among the passes that a model goes through, its answers change. */
typedef struct {
  const char *name; /* of the pass */
  bool same;        /* it left the model as it was */
  double sqnr;      /* dB, of the answers against the other model's: the worst of the results */
} qn_pass_score;
typedef struct {
  double threshold; /* dB */
  int count;
  qn_pass_score *at;     /* one per pass, after the model as it was read */
  int first;             /* the first below the threshold; -1: none */
  qn_layer_score layer;  /* in that module, the first value that has moved so far from what it was
                            before the pass; else the one that moved most. NULL names: none */
} qn_bisection;
/* Of the model at path with options o against that at o->against with options plain, in a. Layers
 * are compared on as many samples as fit 256 MB. */
qn_status qn_bisect(qn_arena *a, const char *path, const qn_options *o, const qn_options *plain,
                    qn_bisection *out) QN_MUST_CHECK;

/* -- observe.c, continued: calibration. */
/* Calibration data as passes see it. files live as long as the sampler. */
typedef struct {
  qn_sampler sampler;       /* its context is this struct */
  qn_statistics statistics;
  const qn_options *o;
  const qn_texts *files; /* NULL: noise */
} qn_calibration;
/* Puts statistics, if files is one of them, or else a sampler into passes; nothing for no files. */
qn_status qn_open_calibration(const qn_options *o, qn_module *m, const qn_texts *files,
                              qn_calibration *c, qn_pass_options *passes) QN_MUST_CHECK;
/* Puts a sampler into passes that gives noise within the inputs' ranges: qn_has_input_ranges. */
void qn_open_noise(const qn_options *o, qn_calibration *c, qn_pass_options *passes);

/* -- data_free.c: what takes the place of samples. */
/* Of the main function's inputs, one range each, or none. */
qn_status qn_set_input_ranges(qn_module *m, const qn_texts *ranges) QN_MUST_CHECK;
bool qn_has_input_ranges(const qn_func *f); /* all are real, too */
/* The same noise always; in a. */
void qn_make_noise(qn_arena *a, const qn_func *f, qn_inputs *out);

/* -- quantize.c: a float model, as it was read, into one of stored integers. */
/* What comes before calibration: what is observed is what will be quantized. */
qn_status qn_prepare_float(qn_module *m, const qn_pass_options *passes) QN_MUST_CHECK;
qn_status qn_quantize(const qn_options *o, qn_module *m) QN_MUST_CHECK;
/* The same once it is known what is asked for, and the search is done. */
qn_status qn_apply_quantization(const qn_options *o, const qn_quantization *q, qn_module *m) QN_MUST_CHECK;

/* -- judge.c: candidates of a search, judged on calibration samples that are held back. */
typedef struct {
  double drop; /* points */
  double sqnr; /* dB, of the results against the float model's */
} qn_verdict;
typedef struct {
  qn_options o;
  const char *path;
  const qn_quantization *q; /* what the user asked for */
  qn_arena *a;
  qn_texts fit, judge;   /* the calibration samples to quantize with, and to judge by */
  int64_t samples;       /* of the latter */
  const double *labels;  /* of those; NULL: the float model's answers count */
  const void *reference; /* the float model's first result for them */
  qn_type type;          /* of that */
  bool classes, probabilities;
  int64_t float_right;
} qn_judge;
/* For the model in the file `path`, which is also loaded into `again`, as it is before it is
 * calibrated. out lives in a. */
qn_status qn_open_judge(const qn_options *o, const qn_quantization *q, const char *path,
                        qn_arena *a, qn_module *again, qn_judge *out) QN_MUST_CHECK;
/* Quantizes, wins accuracy back, compiles, runs and judges. */
qn_status qn_try_scheme(const qn_judge *j, const qn_scheme *scheme, qn_verdict *out) QN_MUST_CHECK;

/* -- afford.c */
/* Compiles the planned m by the fastest kernels that so many bytes of flash afford, for which
 * options->tuning, NULL, is set; by the fastest of all where nothing fits. tell: prints what was
 * exchanged to standard error. */
qn_status qn_afford_kernels(qn_module *m, const qn_func *f, int64_t flash, bool tell,
                            qn_compile_options *options, qn_object *out) QN_MUST_CHECK;

/* -- fit.c */
/* Compiles the planned m with --weights auto solved for o's budgets, or with the kernels that they
 * afford, if there are some; they come back. tell: prints why to standard error. */
qn_status qn_compile_within(const qn_options *o, qn_module *m, const qn_func *f, bool tell,
                            qn_compile_options *options, qn_budgets *budgets,
                            qn_object *out) QN_MUST_CHECK;
/* Whether the model that the scheme makes of all samples, compiled as j->o asks, keeps its
 *    budgets. */
qn_status qn_try_size(const qn_judge *j, const qn_scheme *scheme, bool *out_fits,
                      int64_t *out_flash, int64_t *out_ram) QN_MUST_CHECK;

/* -- auto.c: the cheapest scheme that holds q->max_drop, with the recoveries that it needs, into q,
 *    for the model in m's file; none: q->on is false. Prints why to standard error. */
qn_status qn_search_scheme(const qn_options *o, qn_module *m, qn_quantization *q) QN_MUST_CHECK;

/* -- squeeze.c */
/* Whether the scheme drops weights, makes them fewer different ones, or splits layers. */
bool qn_is_lossy(const qn_scheme *s);
/* Weakens what q's scheme asks for of that until it holds q->max_drop, for the model in m's file;
 * prints how to standard error. */
qn_status qn_search_strength(const qn_options *o, qn_module *m, qn_quantization *q) QN_MUST_CHECK;

/* -- search.c: sets the levels of q's layers as q->search says, for the model in m's file; prints
 *    why to standard error. */
qn_status qn_search_levels(const qn_options *o, qn_module *m, qn_quantization *q) QN_MUST_CHECK;

#endif
