/* The op table: ops.def and attrs.def as arrays, and what their columns say. */
#include "ir.h"

#include <math.h>
#include <string.h>

#define LIST(...) __VA_ARGS__

#define QN_SET(set) static const qn_attr attrs_##set[] = {
#define QN_ATTR(set, kind, name, count, def, doc)                                                  \
  {#name, doc, QN_ATTR_##kind, count, false, offsetof(qn_attrs, set.name), {LIST def}},
#define QN_NEED(set, kind, name, count, doc)                                                       \
  {#name, doc, QN_ATTR_##kind, count, true, offsetof(qn_attrs, set.name), {0}},
#define QN_END(set)                                                                                \
  { .name = NULL }                                                                                 \
  }                                                                                                \
  ;
#include "attrs.def"

/* VIEW(bind) is 1 where bind is `view`: the paste then makes two arguments, and 1 is the second. */
#define VIEW_view         0, 1
#define SECOND(a, b, ...) b
#define CHOOSE(...)       SECOND(__VA_ARGS__)
#define VIEW(bind)        CHOOSE(VIEW_##bind, 0, 0)

const qn_op_info qn_ops[QN_OP_COUNT] = {
#define QN_OP(name, operands, sig, attrs, infer, bind, fuse, doc)                                  \
  {#name, operands, sig, doc, attrs_##attrs, VIEW(bind)},
#include "ops.def"
};

bool qn_find_op(const char *name, size_t size, qn_opcode *out) {
  for (int code = 0; code < QN_OP_COUNT; ++code) {
    if (strlen(qn_ops[code].name) == size && memcmp(qn_ops[code].name, name, size) == 0) {
      *out = (qn_opcode)code;
      return true;
    }
  }
  return false;
}

const char *qn_nearest_op(const char *name) {
  const char *names[QN_OP_COUNT + 1] = {NULL};
  for (int code = 0; code < QN_OP_COUNT; ++code) names[code] = qn_ops[code].name;
  return qn_nearest(name, names);
}

/* Signatures: letters, each perhaps with `?` or `+`, up to ':'. */
static bool is_letter(char c) { return c != ':' && c != '?' && c != '+'; }

int qn_max_operands(qn_opcode code) {
  int count = 0;
  for (const char *s = qn_ops[code].sig; *s != ':'; ++s) {
    if (*s == '+') return QN_MAX_IN;
    count += is_letter(*s);
  }
  return count;
}

int qn_min_operands(qn_opcode code) {
  int count = 0;
  for (const char *s = qn_ops[code].sig; *s != ':'; ++s) count += *s == '?' ? -1 : is_letter(*s);
  return count;
}

char qn_sig_letter(qn_opcode code, int operand) {
  char letter = '*';
  for (const char *s = qn_ops[code].sig; *s != ':'; ++s) {
    if (*s == '+') return letter;
    if (!is_letter(*s)) continue;
    letter = *s;
    if (operand-- == 0) return letter;
  }
  return '*';
}
