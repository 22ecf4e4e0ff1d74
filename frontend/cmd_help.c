/* quern help: the tables' rows, and the commands' options. */
#include <string.h>
#include "command.h"

static void print_row(const char *name, const char *doc) { printf("%-18s %s\n", name, doc); }

static void help_ops(void) {
  for (int i = 0; i < QN_OP_COUNT; i++) {
    const qn_op_info *op = &qn_ops[i];
    print_row(op->name, op->doc);
    printf("%-18s operands: %s (%s)\n", "", op->operands, op->sig);
    for (const qn_attr *a = op->attrs; a->name; a++)
      printf("%-18s %s%s: %s\n", "", a->name, a->needed ? " (needed)" : "", a->doc);
  }
}

static void help_passes(void) {
  for (const qn_pass *p = qn_passes; p->name; p++) print_row(p->name, p->doc);
  printf("\n`quern compile` runs: %s\n", qn_default_pipeline);
}

/* Scripts take the rows by their first letter: no other line begins with a small one. */
static void help_targets(void) {
  printf("%-18s floats     code    pic  weights  what it is\n", "ROW");
  for (const qn_target *t = qn_targets; t->name; t++) {
    const char *floats = t->soft ? "hard|soft" : *t->floats ? t->floats : "-";
    printf("%-18s %-10s %-7s %-4s %-8s %s\n", t->name, floats, t->code, t->pic ? "yes" : "no",
           t->flash ? "flash" : "file", t->doc);
  }
  printf("\nFLOATS: the float ABI, and what --float-abi can make of it. CODE: the code model.\n"
         "PIC: position-independent code unless --no-pic (yes), or only with --pic (no).\n"
         "WEIGHTS: raw ones are read in place: in flash, or in read-only pages of the program's "
         "file.\n");
}

static void help_codecs(void) {
#define QN_CODEC(name, scratch_bytes, work, doc) print_row(#name, doc);
#include "../runtime/codecs.def"
}

static void help_contracts(void) {
#define QN_CONTRACT(name, doc) print_row(#name, doc);
#include "../runtime/contracts.def"
}

static void help_schemes(void) {
#define QN_SCHEME(name, weights, activations, doc) print_row(#name, doc);
#include "../passes/quantize.def"
#define QN_SEARCH(name, doc) print_row(#name, doc);
#include "../passes/quantize.def"
}

static void help_recovery(void) {
#define QN_RECOVERY(name, pass, doc) print_row(pass, doc);
#include "../passes/quantize.def"
}

/* Operators of model files, and the op that does most of their work. */
static void help_tflite(void) {
#define QN_TFLITE_OP(code, name, op, read, least, most, options) print_row(#name, #op);
#include "tflite.def"
}

static void help_onnx(void) {
#define QN_ONNX_OP(domain, name, op, takes, read, least, most, results, attrs)                     \
  printf("%-24s %-16s %s%s%s\n", #name, #op, domain, *domain &&*attrs ? ": " : "", attrs);
  printf("%-24s %-16s domain, if not ONNX's own; attributes\n", "OPERATOR", "OP");
#include "onnx.def"
}

static void help_schema(void) { qn_print_schema(stdout); }

static void help_man(void) { qn_print_manual(stdout); }
static void help_completion_bash(void) { qn_print_bash_completion(stdout); }
static void help_completion_zsh(void) { qn_print_zsh_completion(stdout); }

static const struct {
  const char *name;
  void (*print)(void);
} topics[] = {{"ops", help_ops},
              {"passes", help_passes},
              {"targets", help_targets},
              {"codecs", help_codecs},
              {"contracts", help_contracts},
              {"schemes", help_schemes},
              {"recovery", help_recovery},
              {"tflite", help_tflite},
              {"onnx", help_onnx},
              {"schema", help_schema},
              {"man", help_man},
              {"completion-bash", help_completion_bash},
              {"completion-zsh", help_completion_zsh}};
enum { TOPIC_COUNT = sizeof topics / sizeof *topics };

const char *qn_help_topic(int i) { return i < TOPIC_COUNT ? topics[i].name : NULL; }

static void print_topics(void) {
  printf("\nTopics of `quern help`:");
  for (int i = 0; i < TOPIC_COUNT; i++) printf(" %s", topics[i].name);
  printf("\n");
}

static void print_overview(void) {
  printf("quern compiles neural networks into standalone object files.\n\n");
  for (const qn_command *c = qn_commands; c->name; c++)
    printf("  quern %-8s %s\n%17s%s\n", c->name, c->usage, "", c->doc);
  print_topics();
  printf("\nExit status: 0 ok, 1 the input is wrong, 2 usage or file trouble, 3 out of memory,\n"
         "4 a bug in quern.\n");
}

qn_status command_help(const qn_options *o) {
  if (o->operands.count == 0) {
    print_overview();
    return QN_OK;
  }
  const char *topic = o->operands.at[0];
  for (int i = 0; i < TOPIC_COUNT; i++) {
    if (strcmp(topics[i].name, topic) != 0) continue;
    topics[i].print();
    return QN_OK;
  }
  for (const qn_command *c = qn_commands; c->name; c++) {
    if (strcmp(c->name, topic) != 0) continue;
    qn_print_command_help(stdout, c);
    return QN_OK;
  }
  return qn_io_error("quern", "no help on '%s'; `quern help` lists the topics and the commands",
                     topic);
}
