/* The sizes of a compiled model as a table or as JSON.
 *
 * Bits per weight count the weights of the model as it was read: those that passes removed take
 * none. Constants that layers share count for the first of them. */
#include <inttypes.h>
#include <string.h>
#include "sizes.h"

/* What all layers together take, in bits where codes end within bytes. */
typedef struct {
  int64_t weights, weight_bits, side_bits, code_bytes;
} totals;

static totals add_up(const qn_size_report *r) {
  totals t = {0};
  int i = 0;
  for (const qn_op *op = r->f->first; op; op = op->next, i++) {
    const qn_layer_size *l = &r->object->layers[i];
    t.weights += l->weights;
    t.weight_bits += l->weight_bits;
    t.side_bits += l->side_bits;
    t.code_bytes += l->code_bytes;
  }
  return t;
}

static int64_t bytes_of(int64_t bits) { return (bits + 7) / 8; }

static double ratio(double a, double b) { return b > 0 ? a / b : 0; }

/* Constants and the code that decodes them: what the weights take of flash. */
static int64_t constant_bytes(const qn_object *o) { return o->weight_bytes + o->decoder_bytes; }

static const char *codec_of(const qn_object *o) { return o->codec ? o->codec : "none"; }

/* ------------------------------------------------------------------ a table */

static bool takes_nothing(const qn_layer_size *l) {
  return l->weight_bits + l->side_bits + l->code_bytes + l->weights == 0;
}

static void print_layer(const char *op, const char *name, int width, const qn_layer_size *l,
                        const char *stored) {
  printf("%-18s  %-*s %9" PRId64 " %9" PRId64 " %6.3f %7" PRId64 " %7" PRId64 "  %s\n", op, width,
         name, l->weights, bytes_of(l->weight_bits),
         ratio((double)l->weight_bits, (double)l->weights), bytes_of(l->side_bits), l->code_bytes,
         stored);
}

static void print_ratio(const char *what, int64_t bytes, int64_t ours) {
  printf("%-18s %9" PRId64 "  %6.3f times the constants\n", what, bytes,
         ratio((double)bytes, (double)ours));
}

static void print_table(const qn_size_report *r) {
  const qn_object *o = r->object;
  int width = qn_name_width(r->f), i = 0;
  printf("%-18s  %-*s %9s %9s %6s %7s %7s  %s\n", "op", width, "name", "weights", "bytes", "bits",
         "side", "code", "stored");
  for (const qn_op *op = r->f->first; op; op = op->next, i++)
    if (!takes_nothing(&o->layers[i]))
      print_layer(qn_ops[op->code].name, op->out->name, width, &o->layers[i],
                  qn_stored_as(&o->layers[i]));
  totals t = add_up(r);
  qn_layer_size sum = {.weights = r->source.weights,
                       .weight_bits = t.weight_bits,
                       .side_bits = t.side_bits,
                       .code_bytes = t.code_bytes};
  print_layer("all", "", width, &sum, "");
  printf("\n");
  if (t.weights < r->source.weights)
    printf("%-18s %9" PRId64 "  of %" PRId64 " weights; bits are per weight of the model's file\n",
           "removed", r->source.weights - t.weights, r->source.weights);
  printf("%-18s %9" PRId64 "\n", "tables", o->table_bytes);
  printf("%-18s %9" PRId64 "  codec %s\n", "decoder", o->decoder_bytes, codec_of(o));
  printf("%-18s %9" PRId64 "  %6.3f bits per weight: weights, side data, tables, decoder\n",
         "constants", constant_bytes(o),
         ratio(8 * (double)constant_bytes(o), (double)r->source.weights));
  printf("%-18s %9" PRId64 "  all that is in flash: constants, code, description\n", "flash",
         o->flash_bytes);
  print_ratio("float32 weights", 4 * r->source.weights, constant_bytes(o));
  print_ratio("int8 weights", r->source.weights, constant_bytes(o));
  print_ratio("model file", r->source.file_bytes, constant_bytes(o));
  print_ratio("model file, xz -9e", r->source.xz_bytes, constant_bytes(o));
}

/* ------------------------------------------------------------------ JSON */

static void print_json_ratio(const char *what, int64_t bytes, int64_t ours) {
  printf("\"%s_bytes\": %" PRId64 ", \"%s_ratio\": %.4f, ", what, bytes, what,
         ratio((double)bytes, (double)ours));
}

static void print_json_layers(const qn_size_report *r) {
  int i = 0;
  for (const qn_op *op = r->f->first; op; op = op->next, i++) {
    const qn_layer_size *l = &r->object->layers[i];
    printf("%s\n  {\"op\": \"%s\", \"name\": ", i ? "," : "", qn_ops[op->code].name);
    qn_print_json_string(op->out->name);
    printf(", \"weights\": %" PRId64 ", \"weight_bits\": %" PRId64
           ", \"bits_per_weight\": %.4f, \"side_bits\": %" PRId64 ", \"code_bytes\": %" PRId64
           ", \"stored\": \"%s\"}",
           l->weights, l->weight_bits, ratio((double)l->weight_bits, (double)l->weights),
           l->side_bits, l->code_bytes, qn_stored_as(l));
  }
}

static void print_json(const qn_size_report *r) {
  const qn_object *o = r->object;
  totals t = add_up(r);
  printf("{\"weights\": %" PRId64 ", \"kept_weights\": %" PRId64 ", \"weight_bits\": %" PRId64
         ", \"bits_per_weight\": %.4f,\n \"side_bytes\": %" PRId64 ", \"table_bytes\": %" PRId64
         ", \"decoder_bytes\": %" PRId64 ", \"constant_bytes\": %" PRId64
         ", \"code_bytes\": %" PRId64 ", \"flash_bytes\": %" PRId64 ",\n \"codec\": \"%s\", ",
         r->source.weights, t.weights, t.weight_bits,
         ratio((double)t.weight_bits, (double)r->source.weights), bytes_of(t.side_bits),
         o->table_bytes, o->decoder_bytes, constant_bytes(o), o->text_bytes, o->flash_bytes,
         codec_of(o));
  print_json_ratio("float32", 4 * r->source.weights, constant_bytes(o));
  print_json_ratio("int8", r->source.weights, constant_bytes(o));
  print_json_ratio("file", r->source.file_bytes, constant_bytes(o));
  print_json_ratio("xz", r->source.xz_bytes, constant_bytes(o));
  printf("\n \"layers\": [");
  print_json_layers(r);
  printf("]}\n");
}

void qn_print_sizes(const qn_size_report *r, bool json) {
  if (json)
    print_json(r);
  else
    print_table(r);
}
