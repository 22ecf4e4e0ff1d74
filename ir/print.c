/* A module as canonical text: model, constants, functions; an op per line, attributes in the order
 * of their rows and only where they differ from their defaults. What it writes reads back as the
 * same module (grammar: top of parse.c), so the text is the whole state. */
#include "ir.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
  FLOAT_TEXT = 32,
  TYPE_TEXT = 512,    /* 6 dims of 10 characters and a name */
  INLINE_BYTES = 256, /* larger constants go to the side file */
  SIDE_ALIGN = 64
};

/* -- numbers and types */

/* x with that many digits; false when it does not read back. */
static bool format_digits(char out[FLOAT_TEXT], float x, int digits) {
  snprintf(out, FLOAT_TEXT, "%.*g", digits, (double)x);
  return strtof(out, NULL) == x;
}

/* The fewest digits; whole numbers below 2^24, which are exact, without an exponent. Most weights
 * need 8 or 9 digits, so 7 are tried first. */
static void format_float(char out[FLOAT_TEXT], float x) {
  if (isnan(x) || isinf(x)) {
    snprintf(out, FLOAT_TEXT, "%s", isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
  } else if (fabsf(x) < 0x1p24f && x == truncf(x)) {
    snprintf(out, FLOAT_TEXT, "%.0f", (double)x);
  } else {
    int digits = format_digits(out, x, 7) ? 1 : 8;
    while (!format_digits(out, x, digits) && digits < 9) ++digits;
  }
}

void qn_print_float(FILE *to, float x) {
  char text[FLOAT_TEXT];
  format_float(text, x);
  fputs(text, to);
}

static void format_type(char out[TYPE_TEXT], const qn_type *t) {
  int used = snprintf(out, TYPE_TEXT, "%s[", qn_elem_name(t->elem));
  for (int i = 0; i < t->rank && i < QN_MAX_RANK; ++i) {
    used +=
        snprintf(out + used, TYPE_TEXT - (size_t)used, i ? ",%lld" : "%lld", (long long)t->dim[i]);
  }
  used += snprintf(out + used, TYPE_TEXT - (size_t)used, "]");
  if (t->q.on && t->q.scales) {
    snprintf(out + used, TYPE_TEXT - (size_t)used, " q(@%.*s, axis=%d)", QN_MAX_NAME,
             t->q.scales->name, t->q.axis);
  } else if (t->q.on) {
    char scale[FLOAT_TEXT];
    format_float(scale, t->q.scale);
    snprintf(out + used, TYPE_TEXT - (size_t)used, " q(%s, %d)", scale, t->q.zero);
  }
}

void qn_print_type(FILE *to, const qn_type *t) {
  char text[TYPE_TEXT];
  format_type(text, t);
  fputs(text, to);
}

const char *qn_type_text(qn_arena *a, const qn_type *t) {
  char text[TYPE_TEXT];
  format_type(text, t);
  return qn_strndup(a, text, strlen(text));
}

/* `: type range(lo, hi) at N` */
static void print_typed(FILE *to, const qn_value *v) {
  fputs(" : ", to);
  qn_print_type(to, &v->type);
  if (v->has_range) {
    fputs(" range(", to);
    qn_print_float(to, v->range[0]);
    fputs(", ", to);
    qn_print_float(to, v->range[1]);
    fputc(')', to);
  }
  if (v->offset >= 0) fprintf(to, " at %lld", (long long)v->offset);
}

/* -- constants */

static void print_elements(FILE *to, const qn_value *v) {
  qn_elem e = v->type.elem;
  int64_t count = qn_count(&v->type);
  fputc('[', to);
  for (int64_t i = 0; i < count; ++i) {
    if (i) fputs(", ", to);
    if (qn_elem_is_float(e)) {
      qn_print_float(to, qn_float_at(e, v->data, i));
    } else {
      fprintf(to, "%lld", (long long)qn_int_at(e, v->data, i));
    }
  }
  fputc(']', to);
}

/* Appends to the side file, which is side_size long; returns the offset. */
static size_t write_side(FILE *side, const qn_value *v, size_t *side_size) {
  while (*side_size % SIDE_ALIGN) {
    fputc(0, side);
    ++*side_size;
  }
  size_t offset = *side_size, bytes = (size_t)qn_bytes(&v->type);
  fwrite(v->data, 1, bytes, side);
  *side_size += bytes;
  return offset;
}

static void print_const(FILE *to, const qn_value *v, const qn_print_options *options,
                        size_t *side_size) {
  bool large = qn_bytes(&v->type) > INLINE_BYTES;
  fprintf(to, "const @%s", v->name);
  print_typed(to, v);
  fputs(" = ", to);
  if (large && options->side) {
    fprintf(to, "file(\"%s\", %zu)", options->side_name, write_side(options->side, v, side_size));
  } else if (large && options->elide) {
    fputs("...", to);
  } else {
    print_elements(to, v);
  }
  fputc('\n', to);
}

/* -- functions */

static void print_value(FILE *to, const qn_value *v) {
  fprintf(to, "%c%s", v->kind == QN_CONST ? '@' : '%', v->name);
}

static void print_values(FILE *to, qn_value *const *v, int count) {
  for (int i = 0; i < count; ++i) {
    fputs(i ? ", " : " ", to);
    print_value(to, v[i]);
  }
}

static void print_attr(FILE *to, const qn_attrs *attrs, const qn_attr *attr) {
  qn_attr_text text;
  qn_get_attr(attrs, attr, &text);
  fprintf(to, " %s=", attr->name);
  if (text.count < 0) {
    fputs(text.word, to);
    return;
  }
  if (text.is_list) fputc('[', to);
  for (int i = 0; i < text.count; ++i) {
    if (i) fputc(',', to);
    if (attr->kind == QN_ATTR_real || attr->kind == QN_ATTR_reals) {
      qn_print_float(to, (float)text.num[i]);
    } else {
      fprintf(to, "%.0f", text.num[i]);
    }
  }
  if (text.is_list) fputc(']', to);
}

static void print_op(FILE *to, const qn_op *op) {
  fprintf(to, "  %%%s = %s", op->out->name, qn_ops[op->code].name);
  print_values(to, op->in, op->in_count);
  for (const qn_attr *attr = qn_ops[op->code].attrs; attr->name; ++attr) {
    if (!qn_is_default_attr(&op->a, attr)) print_attr(to, &op->a, attr);
  }
  print_typed(to, op->out);
  if (op->needs >= 0) fprintf(to, " needs %lld", (long long)op->needs);
  if (op->scratch >= 0) fprintf(to, " scratch %lld", (long long)op->scratch);
  if (op->overlap == QN_IN_PLACE) fputs(" in_place", to);
  if (op->overlap == QN_AHEAD) fprintf(to, " ahead %lld", (long long)op->lead);
  fputc('\n', to);
}

static void print_shape(FILE *to, const qn_type *t) {
  qn_type plain = qn_make_type(t->elem, t->rank, t->dim);
  qn_print_type(to, &plain);
}

/* Numbers that follow from scales. */
static bool is_scaling(const qn_attr *attr) {
  static const char *const names[] = {"mul", "shr", "left_shift", "scale", "clamp", "contract"};
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
    if (strcmp(attr->name, names[i]) == 0) return true;
  return false;
}

const char *qn_op_shape(qn_arena *a, const qn_op *op) {
  char *text = NULL;
  size_t size = 0;
  FILE *to = open_memstream(&text, &size);
  if (!to) return "";
  fputs(qn_ops[op->code].name, to);
  for (int i = 0; i < op->in_count; ++i) {
    fputs(i ? ", " : " ", to);
    print_shape(to, &op->in[i]->type);
  }
  for (const qn_attr *attr = qn_ops[op->code].attrs; attr->name; ++attr) {
    if (!is_scaling(attr) && !qn_is_default_attr(&op->a, attr)) print_attr(to, &op->a, attr);
  }
  fputs(" : ", to);
  print_shape(to, &op->out->type);
  fclose(to);
  const char *shape = qn_strndup(a, text, size);
  free(text);
  return shape;
}

static void print_func(FILE *to, const qn_func *f) {
  fprintf(to, "func @%s(", f->name);
  for (const qn_value *p = f->params; p; p = p->next) {
    if (p != f->params) fputs(", ", to);
    print_value(to, p);
    print_typed(to, p);
  }
  fputs(") -> ", to);
  if (f->result_count != 1) fputc('(', to);
  for (int i = 0; i < f->result_count; ++i) {
    if (i) fputs(", ", to);
    qn_print_type(to, &f->results[i]->type);
  }
  if (f->result_count != 1) fputc(')', to);
  fputs(" {\n", to);
  for (const qn_op *op = f->first; op; op = op->next) print_op(to, op);
  fputs("  return", to);
  print_values(to, f->results, f->result_count);
  fputs("\n}\n", to);
}

void qn_print(FILE *to, const qn_module *m, const qn_print_options *options) {
  static const qn_print_options none = {0};
  if (!options) options = &none;
  size_t side_size = 0;
  bool gap = strcmp(m->name, "model") != 0; /* an empty line before the next section */
  if (gap) fprintf(to, "model %s\n", m->name);
  if (gap && m->consts) fputc('\n', to);
  gap = gap || m->consts;
  for (const qn_value *c = m->consts; c; c = c->next) print_const(to, c, options, &side_size);
  for (const qn_func *f = m->funcs; f; f = f->next) {
    if (gap) fputc('\n', to);
    gap = true;
    print_func(to, f);
  }
}
