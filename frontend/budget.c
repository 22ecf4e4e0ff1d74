/* --budget-flash and --budget-ram: a compiled model that does not fit is an error at the layer that
 * takes most, with notes: what is there at that moment, and what the model would take with other
 * options, found out by compiling it with them.
 *
 * flash  what the program keeps of the object: code, constants, description
 * RAM    memory (decoded weights included, wherever they are) and the bound of the stack */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "command.h"

enum { STEP_ALIGN = 16 }; /* what plan-memory rounds to */

/* "64K" */
static qn_status parse_bytes(const char *flag, const char *text, int64_t *out) {
  char *end;
  long long n = isdigit((unsigned char)text[0]) ? strtoll(text, &end, 10) : -1;
  int shift = 0;
  if (n >= 0 && (*end == 'K' || *end == 'k'))
    shift = 10, end++;
  else if (n >= 0 && (*end == 'M' || *end == 'm'))
    shift = 20, end++;
  if (n < 0 || *end || n > INT64_MAX >> 21)
    return qn_io_error("quern", "%s '%s' is not a number of bytes, like 65536, 64K or 1M", flag,
                       text);
  *out = (int64_t)n << shift;
  return QN_OK;
}

int64_t qn_ram_of(const qn_object *o) {
  return o->memory_bytes + o->split_bytes + o->stack_bytes;
}
static int64_t flash_of(const qn_object *o) { return o->flash_bytes; }

/* ------------------------------------------------------------------ the peak */

/* A value's bytes in memory, from the step of its op to its last reader's. */
typedef struct {
  const qn_value *value;
  int32_t first, last;
} life;

typedef struct {
  const qn_func *f;
  qn_numbering numbers;
  life *lives; /* by number; value NULL: not in memory */
  int32_t steps;
} schedule;

static int64_t rounded(int64_t bytes) { return (bytes + STEP_ALIGN - 1) / STEP_ALIGN * STEP_ALIGN; }

static int64_t scratch_of(const qn_op *op) {
  qn_call call;
  qn_bind(op, &call);
  return rounded(qn_scratch_of(op, &call).bytes);
}

static life *life_of(const schedule *s, const qn_value *v) {
  qn_place place = qn_place_of(s->f, v);
  return place.kind == QN_IN_MEMORY ? &s->lives[qn_number_of(&s->numbers, place.value)] : NULL;
}

static void find_lives(qn_arena *a, schedule *s) {
  qn_number_values(a, s->f, &s->numbers);
  s->lives = qn_alloc(a, ((size_t)s->numbers.count + 1) * sizeof *s->lives);
  for (const qn_op *op = s->f->first; op; op = op->next, s->steps++) {
    life *own = life_of(s, op->out);
    if (own && !own->value) *own = (life){qn_place_of(s->f, op->out).value, s->steps, s->steps};
    for (int i = 0; i < op->in_count; i++) {
      life *read = op->in[i]->kind == QN_CONST ? NULL : life_of(s, op->in[i]);
      if (read) read->last = s->steps;
    }
  }
}

static bool overlap(const qn_value *a, const qn_value *b) {
  return a->offset < b->offset + qn_room(b) && b->offset < a->offset + qn_room(a);
}

/* A result that overlaps an operand that dies here counts from the next step on. */
static int32_t counted_from(const schedule *s, const qn_op *op, int32_t step) {
  const life *own = life_of(s, op->out);
  for (int i = 0; i < op->in_count; i++) {
    const life *in = op->in[i]->kind == QN_CONST ? NULL : life_of(s, op->in[i]);
    if (in && in != own && in->last == step && overlap(in->value, own->value)) return step + 1;
  }
  return step;
}

/* The op with the most bytes in use. */
static const qn_op *find_peak(qn_arena *a, const schedule *s, int32_t *out_step) {
  int64_t *change = qn_alloc(a, ((size_t)s->steps + 2) * sizeof *change), live = 0, most = -1;
  const qn_op *peak = s->f->first;
  int32_t step = 0;
  for (const qn_op *op = s->f->first; op; op = op->next, step++) {
    const life *own = life_of(s, op->out);
    if (!own || own->value != op->out) continue;
    int64_t bytes = rounded(qn_room(own->value));
    int32_t from = counted_from(s, op, step);
    if (from > own->last) continue;
    change[from] += bytes;
    change[own->last + 1] -= bytes;
  }
  step = 0;
  for (const qn_op *op = s->f->first; op; op = op->next, step++) {
    live += change[step];
    int64_t bytes = live + scratch_of(op);
    if (bytes <= most) continue;
    most = bytes;
    peak = op;
    *out_step = step;
  }
  return peak;
}

static const char *plain_type(qn_arena *a, const qn_type *t) {
  qn_type plain = qn_make_type(t->elem, t->rank, t->dim);
  return qn_type_text(a, &plain);
}

static void note_live(qn_module *m, const schedule *s, const qn_op *peak, int32_t step) {
  qn_arena *a = &m->arena;
  const char *text = "";
  for (int32_t i = 0; i < s->numbers.count; i++) {
    const life *l = &s->lives[i];
    if (!l->value || l->first > step || l->last < step) continue;
    text = qn_format(a, "%s%s'%s' %s %" PRId64, text, *text ? ", " : "", l->value->name,
                     plain_type(a, &l->value->type), qn_room(l->value));
  }
  if (scratch_of(peak))
    text = qn_format(a, "%s%sscratch %" PRId64, text, *text ? ", " : "", scratch_of(peak));
  qn_note(&m->src, qn_nowhere, "in memory then: %s", *text ? text : "nothing");
}

static qn_status report_ram(qn_module *m, const qn_func *f, const qn_object *o, int64_t budget) {
  schedule s = {.f = f};
  int32_t step = 0;
  find_lives(&m->arena, &s);
  const qn_op *peak = find_peak(&m->arena, &s, &step);
  qn_status status = qn_error(&m->src, peak->loc,
                              "the model needs %" PRId64 " bytes of RAM, %" PRId64
                              " more than --budget-ram %" PRId64 "; the peak is in layer '%s' (%s)",
                              qn_ram_of(o), qn_ram_of(o) - budget, budget, peak->out->name,
                              qn_ops[peak->code].name);
  int64_t decoded = o->split_bytes ? o->split_bytes : o->plan_offset;
  qn_note(
      &m->src, qn_nowhere,
      "memory %" PRId64 " (decoded weights %" PRId64 ", activations %" PRId64 "), stack %" PRId64,
      o->memory_bytes + o->split_bytes, decoded, o->memory_bytes - o->plan_offset, o->stack_bytes);
  note_live(m, &s, peak, step);
  return status;
}

static qn_status report_flash(qn_module *m, const qn_func *f, const qn_object *o, int64_t budget) {
  const qn_op *peak = f->first;
  for (const qn_op *op = f->first; op; op = op->next)
    if (qn_layer_weights(op) > qn_layer_weights(peak)) peak = op;
  qn_status status = qn_error(&m->src, peak->loc,
                              "the model needs %" PRId64 " bytes of flash, %" PRId64
                              " more than --budget-flash %" PRId64
                              "; layer '%s' (%s) has the most constants, %" PRId64,
                              o->flash_bytes, o->flash_bytes - budget, budget, peak->out->name,
                              qn_ops[peak->code].name, qn_layer_weights(peak));
  qn_note(&m->src, qn_nowhere,
          "code %" PRId64 ", weights %" PRId64 " as stored, description %" PRId64, o->text_bytes,
          o->weight_bytes, o->flash_bytes - o->text_bytes - o->weight_bytes);
  return status;
}

/* ------------------------------------------------------------------ what would help */

/* The f32 constants and values that --quantize would shrink. */
static bool is_float(const qn_func *f) {
  for (const qn_op *op = f->first; op; op = op->next) {
    if (qn_macs(op) > 0 && op->out->type.elem == QN_f32) return true;
  }
  return false;
}

static const qn_compile_options *try_options(qn_arena *a, const qn_compile_options *options,
                                             int which) {
  qn_compile_options *other = qn_alloc(a, sizeof *other);
  *other = *options;
  if (which & 1) other->optimize = QN_OPTIMIZE_SIZE;
  if (which & 2)
    other->weights = options->weights == QN_WEIGHTS_RAW ? QN_WEIGHTS_CODED : QN_WEIGHTS_RAW;
  other->emit = QN_EMIT_OBJ;
  return other;
}

/* Compiles with --optimize size, with the other --weights, and with both; tells what is smaller
 * than what was told before. */
static qn_status note_options(qn_module *m, const qn_func *f, const qn_compile_options *options,
                              int64_t (*size_of)(const qn_object *), int64_t needed,
                              int64_t budget) {
  const char *weights = options->weights == QN_WEIGHTS_RAW ? "--weights coded" : "--weights raw";
  int64_t least = needed;
  for (int which = 1; which < 4; which++) {
    if ((which & 1) && options->optimize == QN_OPTIMIZE_SIZE) continue;
    qn_object other;
    QN_TRY(qn_compile(m, try_options(&m->arena, options, which), &other));
    int64_t bytes = size_of(&other);
    if (bytes >= least) continue;
    least = bytes;
    const char *verdict =
        bytes <= budget ? "fits" : qn_format(&m->arena, "%" PRId64 " too many", bytes - budget);
    qn_note(&m->src, qn_nowhere, "with %s%s%s: %" PRId64 " bytes, %s",
            which & 1 ? "--optimize size" : "", which == 3 ? " " : "", which & 2 ? weights : "",
            bytes, verdict);
  }
  if (is_float(f))
    qn_note(&m->src, qn_nowhere,
            "the model computes in f32: --quantize int8 makes weights and activations a quarter as "
            "large");
  else if (least == needed)
    qn_note(&m->src, qn_nowhere, "neither --optimize size nor %s makes it smaller", weights);
  return QN_OK;
}

qn_status qn_get_budgets(const qn_options *o, qn_budgets *out) {
  *out = (qn_budgets){INT64_MAX, INT64_MAX};
  if (o->budget_flash) QN_TRY(parse_bytes("--budget-flash", o->budget_flash, &out->flash));
  if (o->budget_ram) QN_TRY(parse_bytes("--budget-ram", o->budget_ram, &out->ram));
  return QN_OK;
}

qn_status qn_check_budgets(const qn_budgets *budgets, qn_module *m, const qn_func *f,
                           const qn_compile_options *options, const qn_object *object) {
  int64_t flash = budgets->flash, ram = budgets->ram;
  bool in_flash = object->flash_bytes <= flash, in_ram = qn_ram_of(object) <= ram;
  if (in_flash && in_ram) return QN_OK;
  if (!f->first) return qn_error(&m->src, f->loc, "the model does not fit, without any layer");
  qn_status status = in_flash ? report_ram(m, f, object, ram) : report_flash(m, f, object, flash);
  QN_TRY(note_options(m, f, options, in_flash ? qn_ram_of : flash_of,
                      in_flash ? qn_ram_of(object) : object->flash_bytes, in_flash ? ram : flash));
  return status;
}
