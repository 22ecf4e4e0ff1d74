/* Float ops -> the same ops with quantize and dequantize around them, as the scheme says:
 *
 *   %y = conv2d %x, @w, @b          becomes, where %x is stored as integers too
 *   %y.r = conv2d %x.f, %w.f, @b;   %y = quantize %y.r;   %y.f = dequantize %y
 *
 * with @w.q integers and %w.f their dequantize. fuse-int8 makes integer ops of that. The stored
 * value takes over the layer's name, unless it is a result that stays float.
 *
 * Where activations are quantized at run time, only the weights are stored here: fuse-dynamic makes
 * ops of that.
 *
 * Requires: ranges (pass calibrate, or written) on the values that need one of their own. Leaves
 * alone: ops of the scheme's `keep`, ops without an integer form, and what is stored already, so
 * that imported scales are kept exactly.
 *
 * Whose scale a stored value has:
 *   1. softmax, logistic, tanh: the one that TFLite fixes; softmax of int16: 2^-15;
 *   2. reshape, flatten, transpose, slice, pools, pad: their operand's, nothing is rounded again
 *      (a pad with something that this scale cannot hold: rule 4);
 *   3. a value that only a concat reads: the concat's, for the same reason;
 *   4. others: that of their range, cut to what their activation can yield. */
#include <math.h>
#include <string.h>
#include "recover.h"

/* What fuse-int8 can do with an op: the column `fuse` of ops.def. */
typedef enum {
  FAMILY_none,
  FAMILY_conv,
  FAMILY_matmul,
  FAMILY_add,
  FAMILY_mul,
  FAMILY_pool,
  FAMILY_mean,
  FAMILY_move,
  FAMILY_softmax,
  FAMILY_lookup,
  FAMILY_clamp,
  FAMILY_requantize
} family;

static const family families[QN_OP_COUNT] = {
#define QN_OP(name, operands, sig, attrs, infer, bind, fuse, doc) FAMILY_##fuse,
#include "../ir/ops.def"
};

typedef struct {
  qn_module *m;
  qn_func *f;
  const qn_scheme *scheme;
  qn_numbering numbers;
  bool *integer; /* by number of the result: the op shall become an integer op */
} work;

static family family_of(const qn_op *op) { return families[op->code]; }

/* ------------------------------------------------------------------ which ops */

bool qn_is_kept(const qn_scheme *s, const qn_op *op) {
  for (int i = 0; i < s->keep_count; i++) {
    if (strcmp(s->keep[i], op->out->name) == 0 || strcmp(s->keep[i], qn_ops[op->code].name) == 0)
      return true;
  }
  return false;
}

/* A float constant, or integers behind a dequantize. */
static bool is_constant(const qn_value *v) {
  const qn_op *op = qn_def(v, QN_OP_dequantize);
  return qn_reals(v) || (op && op->in[0]->kind == QN_CONST);
}

static bool has_integer_form(const qn_scheme *s, const qn_op *op) {
  family k = family_of(op);
  if (k == FAMILY_none || k == FAMILY_requantize || qn_is_kept(s, op)) return false;
  if (qn_is_dynamic(s) && k != FAMILY_conv) return false;
  if (qn_activation_elem(s) == QN_i16 && (k == FAMILY_matmul || k == FAMILY_lookup)) return false;
  if (op->out->type.elem != QN_f32) return false;
  for (int i = 1; k == FAMILY_conv && i < op->in_count; i++)
    if (!is_constant(op->in[i])) return false;
  return true;
}

/* An op that only moves values costs nothing as float op between float ops. */
static bool is_passive(const qn_op *op) {
  return family_of(op) == FAMILY_move || family_of(op) == FAMILY_clamp ||
         op->code == QN_OP_max_pool2d;
}

static bool is_integer(const work *w, const qn_op *op) {
  int32_t i = qn_number_of(&w->numbers, op->out);
  return i >= 0 && w->integer[i];
}

static void set_integer(work *w, const qn_op *op) {
  w->integer[qn_number_of(&w->numbers, op->out)] = true;
}

/* Whether the op that computes v leaves it stored. */
static bool comes_stored(const work *w, const qn_value *v) {
  return v->kind == QN_RESULT && (v->def->code == QN_OP_dequantize || is_integer(w, v->def));
}

static bool goes_stored(const work *w, const qn_value *v) {
  for (const qn_op *op = w->f->first; op; op = op->next) {
    for (int i = 0; i < op->in_count; i++)
      if (op->in[i] == v && (op->code == QN_OP_quantize || is_integer(w, op))) return true;
  }
  return false;
}

/* Passive ops follow their operands, then their users; a clamp goes with its operand only: behind
 * a float op it is better off in float. */
static void choose_integer_ops(work *w) {
  for (qn_op *op = w->f->first; op; op = op->next) {
    if (!has_integer_form(w->scheme, op)) continue;
    bool follows = !is_passive(op);
    for (int i = 0; i < op->in_count; i++) follows = follows || comes_stored(w, op->in[i]);
    if (follows) set_integer(w, op);
  }
  for (qn_op *op = w->f->last; op; op = op->prev) {
    if (is_integer(w, op) || !is_passive(op) || !has_integer_form(w->scheme, op)) continue;
    bool free_clamp = op->in[0]->kind == QN_PARAM;
    if ((family_of(op) != FAMILY_clamp || free_clamp) && goes_stored(w, op->out))
      set_integer(w, op);
  }
}

/* The clamp that fuse-int8 takes into the integer op that computes v; NULL: none. */
static qn_op *clamp_of(const work *w, const qn_value *v) {
  qn_op *user = qn_only_user(w->f, v);
  if (!user || family_of(user) != FAMILY_clamp || !is_integer(w, user)) return NULL;
  if (v->kind != QN_RESULT || !is_integer(w, v->def)) return NULL;
  family k = family_of(v->def);
  return k == FAMILY_move || k == FAMILY_softmax ? NULL : user;
}

/* ------------------------------------------------------------------ scales */

static qn_interval interval_of(qn_op *op) {
  qn_interval i = qn_unclamped;
  const qn_activation *a = qn_activation_of(op);
  if (a) i = qn_activation_interval(*a);
  qn_clamp_interval(op, &i);
  return i;
}

static qn_status own_quant(const work *w, const qn_value *v, qn_quant *out) {
  if (!v->has_range)
    return qn_error(&w->m->src, v->loc,
                    "'%s' has no range: give calibration samples, --calibrate X.npy (or keep the "
                    "layers around it float)",
                    v->name);
  float low = v->range[0], high = v->range[1];
  if (v->kind == QN_RESULT) {
    qn_interval i = interval_of(v->def);
    low = fminf(fmaxf(low, i.low), i.high);
    high = fminf(fmaxf(high, i.low), i.high);
  }
  *out = qn_range_quant(qn_activation_elem(w->scheme), qn_is_symmetric(w->scheme), fminf(low, 0),
                        fmaxf(high, 0));
  return QN_OK;
}

static bool fixed_quant(const work *w, const qn_op *op, qn_quant *out) {
  if (qn_activation_elem(w->scheme) == QN_i16) {
    *out = (qn_quant){.on = true, .scale = 0x1p-15f};
    return op->code == QN_OP_softmax;
  }
  *out = (qn_quant){.on = true, .scale = 1.0f / 256, .zero = -128};
  if (op->code == QN_OP_tanh) *out = (qn_quant){.on = true, .scale = 1.0f / 128};
  return op->code == QN_OP_softmax || op->code == QN_OP_logistic || op->code == QN_OP_tanh;
}

/* Rule 2. */
static bool takes_operand_scale(const qn_op *op) {
  return (family_of(op) == FAMILY_move && op->code != QN_OP_concat) || family_of(op) == FAMILY_pool;
}

static bool can_hold(qn_elem elem, const qn_quant *q, float x) {
  int64_t least, most;
  qn_elem_limits(elem, &least, &most);
  double at = (double)x / q->scale + q->zero;
  return at >= (double)least && at <= (double)most;
}

/* The quantization that v's stored form gets, or has. Ends: rule 2 goes to an earlier value, rule 3
 * to a later one that obeys rule 3 or 4. */
static qn_status quant_of(const work *w, const qn_value *v, qn_quant *out) {
  const qn_op *op = v->kind == QN_RESULT ? v->def : NULL;
  qn_elem elem = qn_activation_elem(w->scheme);
  if (op && op->code == QN_OP_dequantize && op->in[0]->type.elem == elem &&
      !op->in[0]->type.q.scales) {
    *out = op->in[0]->type.q;
    return QN_OK;
  }
  if (op && is_integer(w, op) && fixed_quant(w, op, out)) return QN_OK;
  if (op && is_integer(w, op) && takes_operand_scale(op)) {
    QN_TRY(quant_of(w, op->in[0], out));
    if (op->code != QN_OP_pad || can_hold(elem, out, op->a.pad.value)) return QN_OK;
  }
  const qn_op *user = qn_only_user(w->f, v);
  if (op && user && user->code == QN_OP_concat && is_integer(w, user))
    return quant_of(w, user->out, out);
  return own_quant(w, v, out);
}

/* ------------------------------------------------------------------ stored values */

/* The quantize that v has already. */
static qn_op *find_quantize(const work *w, const qn_value *v) {
  for (qn_op *op = w->f->first; op; op = op->next) {
    const qn_type *t = &op->out->type;
    bool reads = op->code == QN_OP_quantize && op->in[0] == v;
    if (reads && t->elem == qn_activation_elem(w->scheme) && !t->q.scales) return op;
  }
  return NULL;
}

static bool needs_store(const work *w, const qn_value *v) {
  if (v->type.elem != QN_f32 || clamp_of(w, v)) return false;
  if (v->kind == QN_RESULT && v->def->code == QN_OP_dequantize) return false;
  if (comes_stored(w, v)) return !find_quantize(w, v) || qn_only_user(w->f, v) == NULL;
  for (const qn_op *op = w->f->first; op; op = op->next) {
    for (int i = 0; is_integer(w, op) && i < op->in_count; i++)
      if (op->in[i] == v) return true;
  }
  return false;
}

/* An op right behind `after` (NULL: in front of all); the name is made unique. */
static qn_op *add_after(work *w, qn_op *after, qn_opcode code, const char *name, qn_value *in,
                        const qn_type *type) {
  qn_op *op = qn_add_op(w->m, w->f, after ? after->next : w->f->first, code, name, &in, 1);
  op->loc = op->out->loc = in->loc;
  op->out->type = *type;
  return op;
}

static const char *suffixed(work *w, const char *name, const char *suffix) {
  return qn_format(&w->m->arena, "%s%s", name, suffix);
}

/* v's quantize, right behind it: the one that it has already, or a new one. */
static qn_status add_quantize(work *w, qn_value *v, const char *name, qn_op **out) {
  qn_op *old = find_quantize(w, v);
  qn_type stored = v->type;
  stored.elem = qn_activation_elem(w->scheme);
  if (old)
    stored = old->out->type;
  else
    QN_TRY(quant_of(w, v, &stored.q));
  const char *old_name = old ? old->out->name : name;
  if (old) old->out->name = "";
  qn_op *at = v->kind == QN_RESULT ? v->def : NULL;
  *out = add_after(w, at, QN_OP_quantize, old_name, v, &stored);
  if (!old) return QN_OK;
  qn_replace_uses(w->f, old->out, (*out)->out);
  qn_remove_op(w->f, old);
  return QN_OK;
}

/* Adds v's quantize and dequantize. Integer ops read the latter from now on, and so does everybody
 * when an integer op computes v; then the stored value has v's name, or the dequantized one where
 * that is a result of the model that stays real. */
static qn_status store(work *w, qn_value *v) {
  const char *name = v->name;
  bool computed = comes_stored(w, v);
  bool real_result = qn_is_returned(w->f, v) && !w->scheme->stored_io;
  if (computed && (real_result || !find_quantize(w, v)))
    v->name = qn_unique_name(w->m, w->f, suffixed(w, name, ".r"));
  qn_op *quantize;
  const char *stored_name = computed && !real_result ? name : suffixed(w, name, ".q");
  QN_TRY(add_quantize(w, v, stored_name, &quantize));
  const char *real_name = computed && real_result ? name : suffixed(w, name, ".f");
  qn_op *back = add_after(w, quantize, QN_OP_dequantize, real_name, quantize->out, &v->type);
  if (computed) {
    qn_replace_uses(w->f, v, back->out);
    quantize->in[0] = v;
  }
  for (qn_op *op = w->f->first; !computed && op; op = op->next) {
    for (int i = 0; is_integer(w, op) && i < op->in_count; i++)
      if (op->in[i] == v) op->in[i] = back->out;
  }
  return QN_OK;
}

static qn_status store_values(work *w) {
  for (int32_t i = 0; i < w->numbers.count; i++) {
    qn_value *v = (qn_value *)w->numbers.values[i]; /* of f, which is not const here */
    if (needs_store(w, v)) QN_TRY(store(w, v));
  }
  return QN_OK;
}

/* ------------------------------------------------------------------ the model's own inputs */

/* A parameter that is quantized becomes the stored value; who reads its real value dequantizes. */
static void store_param(work *w, qn_value *p) {
  qn_op *quantize = find_quantize(w, p);
  if (!quantize) return;
  qn_type real = p->type;
  p->type = quantize->out->type;
  if (qn_only_user(w->f, p) != quantize) {
    qn_op *back = add_after(w, NULL, QN_OP_dequantize, suffixed(w, p->name, ".f"), p, &real);
    qn_replace_uses(w->f, p, back->out);
    back->in[0] = p;
  }
  qn_replace_uses(w->f, quantize->out, p);
  qn_remove_op(w->f, quantize);
}

static void store_io(work *w) {
  for (qn_value *p = w->f->params; p; p = p->next)
    if (p->type.elem == QN_f32) store_param(w, p);
  for (int i = 0; i < w->f->result_count; i++) {
    qn_op *op = qn_def(w->f->results[i], QN_OP_dequantize);
    if (op && op->in[0]->type.elem == qn_activation_elem(w->scheme)) w->f->results[i] = op->in[0];
  }
}

/* ------------------------------------------------------------------ the pass */

static void open_work(qn_arena *a, qn_module *m, qn_func *f, const qn_scheme *scheme, work *out) {
  *out = (work){.m = m, .f = f, .scheme = scheme};
  qn_number_values(a, f, &out->numbers);
  out->integer = qn_alloc(a, (size_t)out->numbers.count + 1);
  choose_integer_ops(out);
}

/* An integer op all around: operands come from dequantize, the result goes to quantize only. */
static bool is_done(const work *w, const qn_op *op) {
  if (qn_is_dynamic(w->scheme)) return !qn_reals(op->in[1]);
  for (int i = 0; i < op->in_count; i++) {
    const qn_value *v = op->in[i];
    if (needs_store(w, v) || (qn_reals(v) && (i == 1 || family_of(op) != FAMILY_conv)))
      return false;
  }
  return !needs_store(w, op->out);
}

qn_status qn_check_quantizable(qn_module *m, const qn_scheme *scheme) {
  int done = 0, open = 0;
  for (qn_func *f = m->funcs; f; f = f->next) {
    qn_arena a = {0};
    work w;
    open_work(&a, m, f, scheme, &w);
    for (const qn_op *op = f->first; op; op = op->next) {
      bool stored = op->code != QN_OP_quantize && qn_elem_is_int(op->out->type.elem);
      stored = stored || (op->in_count > 1 && qn_elem_is_int(op->in[1]->type.elem));
      if (stored || (is_integer(&w, op) && is_done(&w, op)))
        done++;
      else if (is_integer(&w, op))
        open++;
    }
    qn_free_arena(&a);
  }
  if (open) return QN_OK;
  if (done)
    return qn_error(&m->src, qn_nowhere,
                    "the model is already integer (%d of its layers): use it without --quantize",
                    done);
  return qn_error(&m->src, qn_nowhere,
                  "nothing to quantize: no layer has an integer form, or all are kept float");
}

/* The ops' weight levels, in order, while their results still have the names that the scheme uses.
 */
static const qn_layer_levels *find_levels(qn_arena *a, const qn_func *f, const qn_scheme *scheme) {
  int count = 0;
  qn_layer_levels *levels = qn_alloc(a, ((size_t)f->op_count + 1) * sizeof *levels);
  for (const qn_op *op = f->first; op; op = op->next)
    if (qn_has_weights(op))
      levels[count++] =
          (qn_layer_levels){.most = qn_weight_most(scheme, op), .step = qn_weight_step(scheme, op)};
  return levels;
}

qn_status pass_insert_qdq(qn_module *m, const qn_pass_options *options) {
  const qn_scheme *scheme = options->scheme ? options->scheme : &qn_default_scheme;
  QN_TRY(qn_check_quantizable(m, scheme));
  for (qn_func *f = m->funcs; f; f = f->next) {
    if (qn_is_teacher(m, f)) continue;
    qn_arena a = {0};
    work w;
    open_work(&a, m, f, scheme, &w);
    const qn_layer_levels *levels = find_levels(&a, f, scheme), none = {0};
    qn_status status = qn_is_dynamic(scheme) ? QN_OK : store_values(&w);
    for (qn_op *op = f->first; status == QN_OK && op; op = op->next) {
      qn_layer_levels own = qn_has_weights(op) ? *levels++ : none;
      if (is_integer(&w, op)) qn_quantize_constants(m, f, op, scheme, own);
    }
    if (status == QN_OK && scheme->stored_io) store_io(&w);
    qn_free_arena(&a);
    QN_TRY(status);
  }
  return QN_OK;
}
