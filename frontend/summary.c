/* A compiled model -> a table, or JSON: for each layer what it is, what it costs, which function
 * computes it and where its result lies; then the totals.
 *
 * A layer's weights are its constants as the model has them. Layers may share constants, and coded
 * ones take less: the totals count what the object holds. */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include "command.h"

enum { OP, NAME, SHAPE, MACS, WEIGHTS, CONTRACT, KERNEL, PLACE, STORED, COLUMNS };

typedef struct {
  const char *cell[COLUMNS];
} row;

static const char *const titles[COLUMNS] = {"op",       "name",   "shape",  "MACs",  "weights",
                                            "contract", "kernel", "memory", "stored"};
static const char *const keys[COLUMNS] = {"op",       "name",   "shape",  "macs",  "weight_bytes",
                                          "contract", "kernel", "memory", "stored"};

static bool is_number(int column) { return column == MACS || column == WEIGHTS || column == PLACE; }

int64_t qn_layer_weights(const qn_op *op) {
  int64_t bytes = 0;
  qn_call call;
  qn_bind(op, &call);
  for (int i = 0; i < call.in_count; i++)
    if (call.in[i] && call.in[i]->kind == QN_CONST) bytes += qn_bytes(&call.in[i]->type);
  return bytes;
}

int qn_name_width(const qn_func *f) {
  int width = 5;
  for (const qn_op *op = f->first; op; op = op->next) {
    int size = (int)strlen(op->out->name);
    if (size > width) width = size < 48 ? size : 48;
  }
  return width;
}

static const char *contract_of(const qn_op *op) {
  static const char *const names[] = {
#define QN_CONTRACT(name, doc) #name,
#include "../runtime/contracts.def"
  };
  const qn_contract *contract = qn_attr_of(op, "contract");
  return contract ? names[*contract] : "-";
}

/* Offsets in memory; what the caller passes has none. */
static const char *place_of(qn_arena *a, const qn_func *f, const qn_op *op, int64_t plan_offset) {
  qn_place place = qn_place_of(f, op->out);
  switch (place.kind) {
  case QN_IN_MEMORY: return qn_format(a, "%" PRId64, plan_offset + place.offset);
  case QN_IN_INPUT: return qn_format(a, "input %d", place.index);
  case QN_IN_OUTPUT: return qn_format(a, "output %d", place.index);
  case QN_IN_CONST: break;
  }
  return "constant";
}

const char *qn_stored_as(const qn_layer_size *l) {
  static const char *const names[] = {"raw", "coded", "stream", "auto"};
  return l->weights ? names[l->stored] : "-";
}

static row describe(qn_arena *a, const qn_func *f, const qn_op *op, const qn_object *object,
                    int number) {
  const char *kernel = object->kernels[number];
  const qn_type *t = &op->out->type;
  qn_type plain = qn_make_type(t->elem, t->rank, t->dim);
  return (row){{qn_ops[op->code].name, op->out->name, qn_type_text(a, &plain),
                qn_format(a, "%" PRId64, qn_macs(op)),
                qn_format(a, "%" PRId64, qn_layer_weights(op)), contract_of(op),
                *kernel ? kernel : "-", place_of(a, f, op, object->plan_offset),
                qn_stored_as(&object->layers[number])}};
}

int64_t qn_total_macs(const qn_func *f) {
  int64_t macs = 0;
  for (const qn_op *op = f->first; op; op = op->next) macs += qn_macs(op);
  return macs;
}

/* ------------------------------------------------------------------ a table */

static void print_row(const row *r, const int *width) {
  for (int c = 0; c < COLUMNS; c++) {
    int left = is_number(c) ? width[c] : -width[c];
    if (c + 1 < COLUMNS)
      printf("%*s  ", left, r->cell[c]);
    else
      printf("%s\n", r->cell[c]);
  }
}

static void print_totals(const char *path, const qn_func *f, const qn_object *o) {
  printf("%s: %zu bytes; %" PRId64 " MACs\n", path, o->size, qn_total_macs(f));
  printf("flash %" PRId64 ": code %" PRId64 ", weights %" PRId64 ", description %" PRId64 "\n",
         o->flash_bytes, o->text_bytes, o->weight_bytes,
         o->flash_bytes - o->text_bytes - o->weight_bytes);
  printf("memory %" PRId64, o->memory_bytes);
  if (o->plan_offset)
    printf(": %s %" PRId64 ", activations %" PRId64,
           o->split_bytes ? "address of weights" : "decoded weights", o->plan_offset,
           o->memory_bytes - o->plan_offset);
  if (o->split_bytes) printf("; weights memory %" PRId64, o->split_bytes);
  printf("; stack at most %" PRId64 "\n", o->stack_bytes);
  if (o->flipped) printf("values stored as unsigned bytes: %" PRId32 "\n", o->flipped);
  if (o->padded) printf("of these, with padding around them: %" PRId32 "\n", o->padded);
}

/* Why layers are not streamed that should be. */
static void print_unstreamed(const qn_func *f, const qn_object *o) {
  int i = 0;
  for (const qn_op *op = f->first; op; op = op->next, i++)
    if (o->layers[i].unstreamed)
      printf("not streamed: %s, because %s\n", op->out->name, o->layers[i].unstreamed);
}

static void print_table(qn_arena *a, const char *path, const qn_func *f, const qn_object *object) {
  row title;
  int width[COLUMNS], count = 0;
  memcpy(title.cell, titles, sizeof titles);
  for (const qn_op *op = f->first; op; op = op->next) count++;
  row *rows = qn_alloc(a, ((size_t)count + 1) * sizeof *rows);
  for (int c = 0; c < COLUMNS; c++) width[c] = (int)strlen(titles[c]);
  int i = 0;
  for (const qn_op *op = f->first; op; op = op->next, i++) {
    rows[i] = describe(a, f, op, object, i);
    for (int c = 0; c < COLUMNS; c++) {
      int size = (int)strlen(rows[i].cell[c]);
      if (size > width[c]) width[c] = size;
    }
  }
  print_row(&title, width);
  for (i = 0; i < count; i++) print_row(&rows[i], width);
  print_totals(path, f, object);
  print_unstreamed(f, object);
}

/* ------------------------------------------------------------------ JSON */

void qn_print_json_string(const char *text) {
  putchar('"');
  for (const char *p = text; *p; p++) {
    if (*p == '"' || *p == '\\')
      printf("\\%c", *p);
    else if ((unsigned char)*p < ' ')
      printf("\\u%04x", (unsigned)*p);
    else
      putchar(*p);
  }
  putchar('"');
}

static void print_json(qn_arena *a, const char *path, const qn_func *f, const qn_object *o) {
  printf("{\"output\": ");
  qn_print_json_string(path);
  printf(", \"bytes\": %zu, \"code_bytes\": %" PRId64 ", \"weight_bytes\": %" PRId64
         ", \"flash_bytes\": %" PRId64 ", \"memory_bytes\": %" PRId64
         ", \"weights_memory_bytes\": %" PRId64 ", \"stack_bytes\": %" PRId64 ", \"macs\": %" PRId64
         ",\n \"layers\": [",
         o->size, o->text_bytes, o->weight_bytes, o->flash_bytes, o->memory_bytes, o->split_bytes,
         o->stack_bytes, qn_total_macs(f));
  int i = 0;
  for (const qn_op *op = f->first; op; op = op->next, i++) {
    row r = describe(a, f, op, o, i);
    printf("%s\n  {", i ? "," : "");
    for (int c = 0; c < COLUMNS; c++) {
      printf("%s\"%s\": ", c ? ", " : "", keys[c]);
      if (isdigit((unsigned char)r.cell[c][0]) && is_number(c))
        printf("%s", r.cell[c]);
      else
        qn_print_json_string(r.cell[c]);
    }
    putchar('}');
  }
  printf("]}\n");
}

void qn_print_summary(qn_module *m, const qn_func *f, const char *path, const qn_object *object,
                      bool json) {
  if (json)
    print_json(&m->arena, path, f, object);
  else
    print_table(&m->arena, path, f, object);
}
