/* The manual page quern(1), in man's macros of roff, from the tables that the program itself reads.
 *
 * Text is escaped: a backslash is \e, a hyphen \- (so that it can be searched and pasted), and
 * lines never begin with text that roff takes for a request. */
#include <ctype.h>
#include <string.h>
#include "command.h"

static void print_text(FILE *to, const char *text) {
  bool quoted = false; /* between backquotes: bold */
  if (*text == '.' || *text == '\'') fputs("\\&", to);
  for (const char *p = text; *p; p++) {
    switch (*p) {
    case '\\': fputs("\\e", to); break;
    case '-': fputs("\\-", to); break;
    case '^': fputs("\\(ha", to); break;
    case '~': fputs("\\(ti", to); break;
    case '`':
      quoted = !quoted;
      fputs(quoted ? "\\fB" : "\\fR", to);
      break;
    default: putc(*p, to);
    }
  }
}

/* A paragraph with a tag in bold, what follows the tag in italics, and text. */
static void print_item(FILE *to, const char *tag, const char *argument, const char *doc) {
  fputs(".TP\n\\fB", to);
  print_text(to, tag);
  fputs("\\fR", to);
  if (*argument) {
    fputs(" \\fI", to);
    print_text(to, argument);
    fputs("\\fR", to);
  }
  putc('\n', to);
  print_text(to, doc);
  putc('\n', to);
}

static void print_command(FILE *to, const qn_command *c) {
  fprintf(to, ".SS quern %s\n", c->name);
  fprintf(to, ".B quern %s\n.I ", c->name);
  print_text(to, c->usage);
  fputs("\n.PP\n", to);
  putc(toupper((unsigned char)c->doc[0]), to);
  print_text(to, c->doc + 1);
  fputs(".\n", to);
  for (const qn_option *row = qn_option_rows; row->flag; row++) {
    if (qn_takes_option(c, row)) print_item(to, row->flag, row->argument, row->doc);
  }
}

static void print_rows(FILE *to) {
  fputs(".SH TARGETS\n", to);
  for (const qn_target *t = qn_targets; t->name; t++) print_item(to, t->name, "", t->doc);
  fputs(".SH CONTRACTS\nHow an integer op rounds: equal bits on every target.\n", to);
#define QN_CONTRACT(name, doc) print_item(to, #name, "", doc);
#include "../runtime/contracts.def"
  fputs(".SH SCHEMES\nWhat \\fB\\-\\-quantize\\fR makes of a float model.\n", to);
#define QN_SCHEME(name, weights, activations, doc) print_item(to, #name, "", doc);
#include "../passes/quantize.def"
  fputs(".SH CODECS\nHow coded weights are stored.\n", to);
#define QN_CODEC(name, scratch_bytes, work, doc) print_item(to, #name, "", doc);
#include "../runtime/codecs.def"
}

void qn_print_manual(FILE *to) {
  fputs(".TH QUERN 1 \"\" \"quern " QUERN_VERSION "\" \"User Commands\"\n"
        ".SH NAME\nquern \\- compile neural networks into standalone object files\n"
        ".SH SYNOPSIS\n.B quern\n.I command\n.RI [ option ...]\n.I file\n"
        ".SH DESCRIPTION\n"
        ".B quern\nreads a network and writes one object file and a C header. The object needs no\n"
        "library, no allocator and no file beside it, and links into any C program: functions to\n"
        "prepare memory and to run the network, and a description of its inputs and outputs.\n"
        ".PP\nOptions may stand before or after files, and \\fB\\-\\-option value\\fR means the "
        "same\n"
        "as \\fB\\-\\-option=value\\fR. A file called \\fB\\-\\fR is standard input or output.\n"
        ".SH COMMANDS\n",
        to);
  for (const qn_command *c = qn_commands; c->name; c++) print_command(to, c);
  print_rows(to);
  fputs(".SH EXIT STATUS\n", to);
  print_item(to, "0", "", "all is well");
  print_item(to, "1", "", "the input is wrong");
  print_item(to, "2", "", "wrong usage, or a file cannot be read or written");
  print_item(to, "3", "", "out of memory");
  print_item(to, "4", "", "a bug in quern");
  fputs(".SH EXAMPLES\n.PP\nA network for the machine at hand, and a program that uses "
        "it:\n.PP\n.EX\n"
        "quern compile kws.tflite \\-o kws.o\n"
        "cc main.c kws.o \\-o main\n.EE\n"
        ".PP\nThe same for a Cortex\\-M4, its weights compressed:\n.PP\n.EX\n"
        "quern compile kws.tflite \\-\\-target cortex\\-m4 \\-\\-weights coded \\-o kws.o\n.EE\n",
        to);
}
