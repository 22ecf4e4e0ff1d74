/* random-networks COUNT SEED: small random int8 networks, each evaluated before and after
 * eliminate-constants on random inputs; every byte of every result must be the same.
 *
 * Networks have what the pass decides by: zeroed rows, columns and taps of weights, biases that
 * saturate, narrow clamps, paddings, strides, dilations, groups, residual sums, broadcasts, shared
 * weights, moves along the channels, results in the middle, and int16 values, of which the pass
 * knows nothing and which it must leave alone between int8 ones. Afterwards the module must verify,
 * and a second run must find nothing. Network i depends on SEED + i only: a finding, which is
 * printed, is repeated with `random-networks 1 SEED+i`. Prints what went. */
#include <stdlib.h>
#include <string.h>
#include "../../passes/passes.h"

enum { MAX_VALUES = 32, SAMPLES = 3, MOST_ELEMENTS = 2000, RESULT_BYTES = 1 << 17 };

typedef struct {
  uint64_t state;
  qn_module *m;
  qn_func *f;
  qn_value *values[MAX_VALUES]; /* int8 or int16 with one scale */
  int count;
  qn_value *weights[MAX_VALUES]; /* of convolutions so far */
  int weight_count;
} network;

/* ------------------------------------------------------------------ chance */

/* xorshift64*. Source: Vigna, "An experimental exploration of Marsaglia's xorshift generators". */
static uint32_t next(network *n) {
  n->state ^= n->state >> 12;
  n->state ^= n->state << 25;
  n->state ^= n->state >> 27;
  return (uint32_t)((n->state * 0x2545f4914f6cdd1du) >> 32);
}

static int32_t between(network *n, int32_t low, int32_t high) {
  return low + (int32_t)(next(n) % (uint32_t)(high - low + 1));
}

static bool chance(network *n, int percent) { return between(n, 0, 99) < percent; }

static int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

/* ------------------------------------------------------------------ values */

static int32_t most_of(qn_elem elem) { return elem == QN_i16 ? 32767 : 127; }

/* Few, so that values can be concatenated; int16 without zero points. */
static qn_quant random_quant(network *n, qn_elem elem) {
  static const qn_quant choices[] = {{.on = true, .scale = 0.0625f, .zero = -128},
                                     {.on = true, .scale = 0.125f, .zero = -3},
                                     {.on = true, .scale = 0.25f, .zero = 20}};
  qn_quant q = choices[between(n, 0, 2)];
  if (elem == QN_i16) q.zero = 0;
  return q;
}

static void put_element(qn_elem elem, void *data, int64_t i, int32_t x) {
  if (elem == QN_i16)
    ((int16_t *)data)[i] = (int16_t)x;
  else
    ((int8_t *)data)[i] = (int8_t)x;
}

static qn_value *random_value(network *n) {
  if (chance(n, 65)) return n->values[n->count - 1];
  return n->values[between(n, 0, n->count - 1)];
}

/* NULL: none was found. */
static qn_value *narrow_value(network *n) {
  for (int i = 0; i < 8; i++) {
    qn_value *v = random_value(n);
    if (v->type.elem == QN_i8) return v;
  }
  return NULL;
}

/* A value of that rank; NULL: none was found. */
static qn_value *value_of_rank(network *n, int rank) {
  for (int i = 0; i < 8; i++) {
    qn_value *v = random_value(n);
    if (v->type.rank == rank) return v;
  }
  return NULL;
}

static int64_t channels_of(const qn_value *v) { return v->type.dim[v->type.rank - 1]; }

static qn_value *add_numbers(network *n, const char *name, qn_elem elem, int rank,
                             const int64_t *dim) {
  qn_type type = qn_make_type(elem, rank, dim);
  return qn_add_const(n->m, name, &type, qn_alloc(&n->m->arena, (size_t)qn_bytes(&type)));
}

static qn_value *random_constant(network *n, qn_elem elem, int rank, const int64_t *dim,
                                 qn_quant q) {
  qn_value *v = add_numbers(n, "c", elem, rank, dim);
  int32_t most = most_of(elem);
  v->type.q = q;
  for (int64_t i = 0; i < qn_count(&v->type); i++)
    put_element(elem, (void *)v->data, i, chance(n, 30) ? q.zero : between(n, -most - 1, most));
  return v;
}

/* An op on values of the network; its result, of quantization q, joins them. */
static qn_op *add_typed(network *n, qn_opcode code, qn_value *const *in, int count, qn_elem elem,
                        qn_quant q) {
  qn_op *op = qn_add_op(n->m, n->f, NULL, code, "v", in, count);
  op->out->type.elem = elem;
  op->out->type.q = q;
  return op;
}

/* The result is stored as operand 0 is. */
static qn_op *add(network *n, qn_opcode code, qn_value *const *in, int count, qn_quant q) {
  return add_typed(n, code, in, count, in[0]->type.elem, q);
}

static qn_op *add_anew(network *n, qn_opcode code, qn_value *const *in, int count) {
  return add(n, code, in, count, random_quant(n, in[0]->type.elem));
}

/* The last op added is complete: its type, or away with it if that grows too large. */
static void finish(network *n, qn_op *op) {
  if (qn_infer(n->m, op) != QN_OK) {
    qn_print(stderr, n->m, &(qn_print_options){0});
    exit(1);
  }
  bool fits = qn_count(&op->out->type) <= MOST_ELEMENTS && n->count < MAX_VALUES;
  if (fits)
    n->values[n->count++] = op->out;
  else
    qn_remove_op(n->f, op);
}

/* A clamp of stored values: none, relu's, any, or one that leaves little. */
static void random_clamp(network *n, qn_op *op) {
  int32_t *clamp = (int32_t *)qn_attr_of(op, "clamp"), most = most_of(op->out->type.elem);
  int32_t a = between(n, -most - 1, most), b = between(n, -most - 1, most);
  clamp[0] = -most - 1;
  clamp[1] = most;
  if (chance(n, 40)) clamp[0] = op->out->type.q.zero;
  if (chance(n, 15)) {
    clamp[0] = least(a, b);
    clamp[1] = a + b - least(a, b);
  }
}

/* ------------------------------------------------------------------ convolution, dense */

/* Weights [outputs][taps][inputs] in strides: whole results, inputs and taps are zeros. */
static void fill_weights(network *n, int8_t *w, int64_t outputs, int64_t taps, int64_t inputs,
                         int64_t out_stride, int64_t tap_stride) {
  bool *no_input = qn_alloc(&n->m->arena, (size_t)inputs), one_tap = chance(n, 25);
  for (int64_t i = 0; i < inputs; i++) no_input[i] = chance(n, 20);
  for (int64_t o = 0; o < outputs; o++) {
    bool blank = chance(n, 15);
    int32_t only = between(n, 0, (int32_t)taps - 1);
    for (int64_t t = 0; t < taps; t++) {
      for (int64_t i = 0; i < inputs; i++) {
        bool zero = blank || no_input[i] || (one_tap && t != only) || chance(n, 10);
        w[o * out_stride + t * tap_stride + i] = (int8_t)(zero ? 0 : between(n, -128, 127));
      }
    }
  }
}

/* Bias, multipliers and shifts of a contract; weights are operand 1 already. */
static void add_scaling(network *n, qn_op *op, int64_t channels) {
  qn_contract *contract = (qn_contract *)qn_attr_of(op, "contract");
  *contract = (qn_contract)between(n, 0, QN_CONTRACT_COUNT - 1);
  int64_t several = chance(n, 70) ? channels : 1;
  bool is_float = *contract == QN_CONTRACT_float;
  bool wide = op->in[0]->type.elem == QN_i16, long_sums = wide && chance(n, 50);
  qn_value *bias = add_numbers(n, "b", long_sums ? QN_i64 : QN_i32, 1, &channels);
  qn_value *mul = add_numbers(n, "mul", is_float ? QN_f32 : QN_i32, 1, &several);
  qn_value *shr = add_numbers(n, "shr", QN_i8, 1, &several);
  for (int64_t c = 0; c < channels; c++) {
    int32_t small = between(n, -20000, 20000);
    int32_t any = chance(n, 8) ? (int32_t)next(n) : small;
    if (long_sums)
      ((int64_t *)bias->data)[c] = (int64_t)any << 8;
    else
      ((int32_t *)bias->data)[c] = any;
  }
  for (int64_t c = 0; c < several; c++) {
    bool left = chance(n, 4); /* wraps around */
    if (is_float) ((float *)mul->data)[c] = 1.0f / (float)between(n, 16, 4096);
    if (!is_float) ((int32_t *)mul->data)[c] = between(n, 1 << 30, INT32_MAX);
    if (*contract == QN_CONTRACT_mulhi) ((int32_t *)mul->data)[c] >>= left ? 0 : between(n, 4, 10);
    int32_t shift = left ? -between(n, 1, long_sums ? 7 : 16) : between(n, 4, 10);
    ((int8_t *)shr->data)[c] = (int8_t)(*contract == QN_CONTRACT_mulhi && !left ? 0 : shift);
  }
  op->in[2] = bias;
  op->in[3] = mul;
  op->in[4] = shr;
  op->in_count = is_float ? 4 : 5;
  random_clamp(n, op);
}

/* Earlier weights with these dims and one scale, mostly. */
static qn_value *shared_weights(network *n, int rank, const int64_t *dim) {
  qn_type type = qn_make_type(QN_i8, rank, dim);
  for (int i = 0; i < n->weight_count; i++) {
    const qn_type *t = &n->weights[i]->type;
    if (qn_same_shape(&type, t) && !t->q.scales && chance(n, 70)) return n->weights[i];
  }
  return NULL;
}

static qn_value *new_weights(network *n, int rank, const int64_t *dim, int channel_axis) {
  qn_value *w = shared_weights(n, rank, dim);
  if (w) return w;
  qn_quant q = {.on = true, .scale = 0.5f};
  if (chance(n, 50)) {
    q = (qn_quant){true, 0, 0, add_numbers(n, "s", QN_f32, 1, &dim[channel_axis]), channel_axis};
    for (int64_t c = 0; c < dim[channel_axis]; c++)
      ((float *)q.scales->data)[c] = (float)between(n, 1, 99);
  }
  w = add_numbers(n, "w", QN_i8, rank, dim);
  w->type.q = q;
  if (n->weight_count < MAX_VALUES) n->weights[n->weight_count++] = w;
  bool is_depthwise = channel_axis > 0;
  int64_t taps = rank == 4 ? dim[1] * dim[2] : 1, inputs = is_depthwise ? 1 : dim[rank - 1];
  fill_weights(n, (int8_t *)w->data, dim[channel_axis], taps, inputs,
               is_depthwise ? 1 : taps * inputs, is_depthwise ? dim[3] : inputs);
  return w;
}

/* Windows that fit: stride, dilation where there is one, padding. kernel is at most 3. */
static void random_window(network *n, qn_op *op, const int32_t *kernel) {
  int32_t *stride = (int32_t *)qn_attr_of(op, "stride");
  int32_t *dilation = (int32_t *)qn_attr_of(op, "dilation");
  qn_padding *p = (qn_padding *)qn_attr_of(op, "padding");
  const int64_t *size = op->in[0]->type.dim + 1;
  for (int d = 0; d < 2; d++) {
    stride[d] = between(n, 1, 2);
    if (dilation && chance(n, 20)) dilation[d] = 2;
  }
  int32_t rows = (kernel[0] - 1) * (dilation ? dilation[0] : 1) + 1;
  int32_t columns = (kernel[1] - 1) * (dilation ? dilation[1] : 1) + 1;
  p->mode =
      rows <= size[0] && columns <= size[1] && chance(n, 40) ? QN_PADDING_valid : QN_PADDING_same;
  if (!chance(n, 30)) return;
  p->mode = QN_PADDING_explicit; /* pools: within the window */
  int32_t most[2] = {dilation ? 4 : kernel[0] - 1, dilation ? 4 : kernel[1] - 1};
  p->top = between(n, 0, most[0]);
  p->left = between(n, 0, most[1]);
  p->bottom = between(n, 0, most[0]);
  p->right = between(n, 0, most[1]);
  if (rows > size[0] + p->top + p->bottom || columns > size[1] + p->left + p->right)
    p->mode = QN_PADDING_same;
}

static void add_conv(network *n) {
  qn_value *x = value_of_rank(n, 4);
  if (!x) return;
  int32_t kernel[2] = {1, 1}, groups = 1;
  if (chance(n, 60)) kernel[0] = between(n, 1, 3), kernel[1] = between(n, 1, 3);
  if (chance(n, 20)) groups = channels_of(x) % 2 == 0 ? 2 : (int32_t)channels_of(x);
  int64_t channels = groups * between(n, 1, groups > 1 ? 2 : 8);
  int64_t dim[4] = {channels, kernel[0], kernel[1], channels_of(x) / groups};
  qn_op *op = add_anew(n, QN_OP_qconv2d, &x, 1);
  op->in[1] = new_weights(n, 4, dim, 0);
  op->a.qconv.groups = groups;
  random_window(n, op, kernel);
  add_scaling(n, op, channels);
  finish(n, op);
}

static void add_depthwise(network *n) {
  qn_value *x = value_of_rank(n, 4);
  if (!x) return;
  int32_t kernel[2] = {between(n, 1, 3), between(n, 1, 3)};
  int64_t channels = channels_of(x) * (chance(n, 75) ? 1 : between(n, 1, 3));
  int64_t dim[4] = {1, kernel[0], kernel[1], channels};
  qn_op *op = add_anew(n, QN_OP_qdepthwise_conv2d, &x, 1);
  op->in[1] = new_weights(n, 4, dim, 3);
  random_window(n, op, kernel);
  add_scaling(n, op, channels);
  finish(n, op);
}

static void add_dense(network *n) {
  qn_value *x = random_value(n);
  int64_t dim[2] = {chance(n, 30) ? channels_of(x) : between(n, 1, 9), channels_of(x)};
  qn_op *op = add_anew(n, QN_OP_qdense, &x, 1);
  op->in[1] = new_weights(n, 2, dim, 0);
  add_scaling(n, op, dim[0]);
  finish(n, op);
}

/* ------------------------------------------------------------------ elementwise */

/* What can stand beside x: another value of its shape, or a constant to be broadcast. */
static qn_value *partner_of(network *n, const qn_value *x) {
  qn_elem elem = x->type.elem;
  for (int i = 0; i < 6; i++) {
    qn_value *v = random_value(n);
    if (v->type.elem != elem) continue;
    if (v != x && qn_same_shape(&v->type, &x->type)) return v;
    bool spreads = v->type.rank == x->type.rank && channels_of(v) == 1 && v->type.rank == 4;
    if (spreads && v->type.dim[0] == 1 && v->type.dim[1] == 1 && v->type.dim[2] == 1) return v;
  }
  int64_t channels = channels_of(x), one = 1;
  qn_quant q = random_quant(n, elem);
  if (chance(n, 30)) return random_constant(n, elem, 1, &one, q);
  if (chance(n, 50)) return random_constant(n, elem, 1, &channels, q);
  return random_constant(n, elem, x->type.rank, x->type.dim, q);
}

/* The multiplier of operand i; left shifts, which wrap, are rare. */
static void random_factor(network *n, qn_contract contract, int32_t right, int32_t *mul,
                          int32_t *shr) {
  *mul = between(n, 1 << 30, INT32_MAX);
  *shr = chance(n, 3) ? -between(n, 1, 4) : right;
  if (contract == QN_CONTRACT_mulhi) {
    *mul >>= right < 16 ? right : 16;
    *shr = chance(n, 3) ? -2 : 0;
  }
}

static void add_pair(network *n) {
  static const qn_opcode codes[] = {QN_OP_qadd, QN_OP_qadd, QN_OP_qsub, QN_OP_qmul};
  qn_value *in[2] = {random_value(n), NULL};
  in[1] = partner_of(n, in[0]);
  if (chance(n, 30) && qn_same_shape(&in[0]->type, &in[1]->type)) {
    qn_value *first = in[0];
    in[0] = in[1];
    in[1] = first;
  }
  qn_op *op = add_anew(n, codes[between(n, 0, 3)], in, 2);
  if (op->code != QN_OP_qmul && op->out->type.elem == QN_i16) op->a.qadd.left_shift = 15;
  qn_contract contract = (qn_contract)between(n, 0, QN_CONTRACT_COUNT - 1);
  *(qn_contract *)qn_attr_of(op, "contract") = contract;
  if (op->code == QN_OP_qmul) {
    random_factor(n, contract, between(n, 4, 8), &op->a.qscale.mul, &op->a.qscale.shr);
    op->a.qscale.scale = 1.0f / (float)between(n, 16, 512);
  } else {
    for (int i = 0; i < 3; i++)
      random_factor(n, contract, i < 2 ? between(n, 0, 2) : 17, &op->a.qadd.mul[i],
                    &op->a.qadd.shr[i]);
    for (int i = 0; i < 2; i++) op->a.qadd.scale[i] = (float)between(n, 1, 40) / 16;
  }
  random_clamp(n, op);
  finish(n, op);
}

static void add_requantize(network *n) {
  qn_value *x = random_value(n);
  qn_op *op = add_anew(n, QN_OP_requantize, &x, 1);
  qn_contract contract = (qn_contract)between(n, 0, QN_CONTRACT_COUNT - 1);
  op->a.qscale.contract = contract;
  random_factor(n, contract, between(n, 0, 3), &op->a.qscale.mul, &op->a.qscale.shr);
  op->a.qscale.scale = (float)between(n, 1, 40) / 16;
  random_clamp(n, op);
  finish(n, op);
}

static void add_lookup(network *n) {
  int64_t size = 256;
  qn_value *in[2] = {narrow_value(n), NULL};
  if (!in[0]) return;
  in[1] = random_constant(n, QN_i8, 1, &size, (qn_quant){0});
  for (int i = between(n, 0, 255); i < 256 && chance(n, 99); i++)
    ((int8_t *)in[1]->data)[i] = 5; /* a long run of one value */
  finish(n, add_anew(n, QN_OP_lookup, in, 2));
}

/* ------------------------------------------------------------------ pools, means */

static void add_pool(network *n) {
  qn_value *x = value_of_rank(n, 4);
  if (!x) return;
  qn_op *op = add(n, chance(n, 50) ? QN_OP_qavg_pool2d : QN_OP_qmax_pool2d, &x, 1, x->type.q);
  for (int d = 0; d < 2; d++)
    op->a.qpool.window[d] = between(n, 1, least(3, (int32_t)x->type.dim[1 + d]));
  random_window(n, op, op->a.qpool.window);
  random_clamp(n, op);
  finish(n, op);
}

static void add_mean(network *n) {
  qn_value *x = random_value(n);
  if (x->type.rank < 2) return;
  qn_op *op = add_anew(n, QN_OP_qmean, &x, 1);
  qn_attrs_qmean *a = &op->a.qmean;
  int last = chance(n, 15) ? x->type.rank - 1 : x->type.rank - 2;
  a->axes.at[a->axes.count++] = last - (chance(n, 50) ? x->type.rank : 0);
  if (last > 1 && chance(n, 50)) a->axes.at[a->axes.count++] = 1;
  a->keep_dims = chance(n, 50);
  a->contract = (qn_contract)between(n, 0, QN_CONTRACT_COUNT - 1);
  random_factor(n, a->contract, between(n, 0, 4), &a->mul, &a->shr);
  a->scale = 1.0f / (float)between(n, 1, 16);
  random_clamp(n, op);
  finish(n, op);
}

/* ------------------------------------------------------------------ moves */

static void add_pad(network *n) {
  qn_value *x = random_value(n);
  qn_op *op = add(n, QN_OP_pad, &x, 1, x->type.q);
  op->a.pad.before.count = op->a.pad.after.count = x->type.rank;
  for (int i = 0; i < x->type.rank; i++) {
    bool here = i > 0 && chance(n, 40);
    op->a.pad.before.at[i] = here ? between(n, 0, 2) : 0;
    op->a.pad.after.at[i] = here ? between(n, 0, 2) : 0;
  }
  if (chance(n, 40)) op->a.pad.value = (float)between(n, -8, 8);
  finish(n, op);
}

/* Of values that differ in one dim at most. */
static void add_concat(network *n) {
  qn_value *in[4] = {random_value(n)};
  const qn_type *x = &in[0]->type;
  int count = 1, axis = chance(n, 70) ? x->rank - 1 : between(n, 0, x->rank - 1);
  for (int i = 0; i < 12 && count < 4; i++) {
    qn_value *v = random_value(n);
    bool fits =
        v->type.rank == x->rank && v->type.elem == x->elem && qn_same_quant(&v->type.q, &x->q);
    for (int d = 0; fits && d < x->rank; d++) fits = d == axis || v->type.dim[d] == x->dim[d];
    if (fits) in[count++] = v;
  }
  if (count < 4 && chance(n, 40)) in[count++] = random_constant(n, x->elem, x->rank, x->dim, x->q);
  qn_op *op = add(n, QN_OP_concat, in, count, x->q);
  op->a.concat.axis = axis - (chance(n, 50) ? x->rank : 0);
  finish(n, op);
}

static void add_slice(network *n) {
  qn_value *x = random_value(n);
  qn_op *op = add(n, QN_OP_slice, &x, 1, x->type.q);
  qn_attrs_slice *a = &op->a.slice;
  a->begin.count = a->size.count = x->type.rank;
  a->step.count = chance(n, 25) ? x->type.rank : 0;
  for (int i = 0; i < x->type.rank; i++) {
    int32_t size = (int32_t)x->type.dim[i], begin = i == 0 ? 0 : between(n, 0, (size - 1) / 2);
    int32_t step = a->step.count && chance(n, 50) ? 2 : 1;
    a->begin.at[i] = begin;
    a->step.at[i] = step;
    a->size.at[i] = chance(n, 40) ? -1 : between(n, 1, (size - begin + step - 1) / step);
  }
  finish(n, op);
}

static void add_reshape(network *n) {
  qn_value *x = random_value(n);
  if (chance(n, 30)) {
    finish(n, add(n, QN_OP_flatten, &x, 1, x->type.q));
    return;
  }
  qn_op *op = add(n, QN_OP_reshape, &x, 1, x->type.q);
  qn_list *shape = &op->a.reshape.shape;
  int32_t count = (int32_t)qn_count(&x->type), last = (int32_t)channels_of(x);
  int32_t factor = between(n, 1, 3);
  if (chance(n, 20))
    last = count;
  else if (chance(n, 50) && count % (last * factor) == 0)
    last *= factor;
  else if (last % factor == 0)
    last /= factor;
  int32_t any = between(n, 1, 12);
  if (chance(n, 25) && count % any == 0) last = any;
  shape->count = 4;
  shape->at[0] = shape->at[1] = 1;
  shape->at[2] = chance(n, 50) ? -1 : count / last;
  shape->at[3] = shape->at[2] == -1 || chance(n, 50) ? last : -1;
  finish(n, op);
}

static void add_transpose(network *n) {
  qn_value *x = random_value(n);
  qn_op *op = add(n, QN_OP_transpose, &x, 1, x->type.q);
  qn_list *perm = &op->a.transpose.perm;
  perm->count = x->type.rank;
  for (int i = 0; i < perm->count; i++) perm->at[i] = i;
  int moved = chance(n, 25) ? perm->count : perm->count - 1;
  for (int i = moved - 1; i > 1; i--) {
    int with = between(n, 1, i);
    int32_t old = perm->at[i];
    perm->at[i] = perm->at[with];
    perm->at[with] = old;
  }
  finish(n, op);
}

/* ------------------------------------------------------------------ what mixes channels */

static void add_softmax(network *n) {
  qn_value *x = narrow_value(n);
  if (!x) return;
  qn_op *op = add(n, QN_OP_qsoftmax, &x, 1, (qn_quant){true, 0.00390625f, -128, NULL, 0});
  op->a.qsoftmax.mul = between(n, 1 << 30, INT32_MAX);
  op->a.qsoftmax.left_shift = 24;
  op->a.qsoftmax.diff_min = -124;
  finish(n, op);
}

/* Through a float: also from 8 to 16 bits and back. */
static void add_float(network *n) {
  qn_value *x = random_value(n);
  qn_op *op = qn_add_op(n->m, n->f, NULL, QN_OP_dequantize, "f", &x, 1);
  if (qn_infer(n->m, op) != QN_OK) exit(1);
  qn_elem elem = chance(n, 60) ? QN_i16 : QN_i8;
  finish(n, add_typed(n, QN_OP_quantize, &op->out, 1, elem, random_quant(n, elem)));
}

/* ------------------------------------------------------------------ networks */

static void add_random_op(network *n) {
  typedef void adder(network *);
  static adder *const adders[] = {
      add_conv,   add_conv, add_conv,   add_conv,  add_depthwise, add_depthwise,
      add_dense,  add_pair, add_pair,   add_pair,  add_pool,      add_requantize,
      add_lookup, add_mean, add_concat, add_slice, add_pad,       add_reshape};
  if (chance(n, 4))
    add_transpose(n);
  else if (chance(n, 2))
    add_softmax(n);
  else if (chance(n, n->values[n->count - 1]->type.elem == QN_i16 ? 20 : 4))
    add_float(n);
  else
    adders[between(n, 0, (int32_t)(sizeof adders / sizeof *adders) - 1)](n);
}

static void build(network *n, uint64_t seed) {
  *n = (network){.state = seed * 0x9e3779b97f4a7c15u + 1, .m = qn_new_module()};
  for (int i = 0; i < 8; i++) next(n);
  n->f = qn_add_func(n->m, "f");
  for (int i = between(n, 1, 2); i > 0; i--) {
    qn_elem elem = chance(n, 15) ? QN_i16 : QN_i8;
    qn_type type = qn_make_type(
        elem, 4,
        (int64_t[]){chance(n, 80) ? 1 : 2, between(n, 1, 6), between(n, 1, 6), between(n, 1, 4)});
    type.q = random_quant(n, elem);
    n->values[n->count++] = qn_add_param(n->m, n->f, "x", &type);
  }
  for (int i = between(n, 3, 16); i > 0; i--) add_random_op(n);
  n->f->results[n->f->result_count++] = n->values[n->count - 1];
  for (int i = 0; i < n->count && n->f->result_count < QN_MAX_IN; i++) {
    bool unused = qn_count_uses(n->f, n->values[i]) == 0;
    if (chance(n, unused ? 60 : 2)) n->f->results[n->f->result_count++] = n->values[i];
  }
}

/* The results for inputs that depend on n's state only, one after the other; the bytes used. */
static size_t run(network *n, char *out) {
  const void *in[MAX_VALUES];
  void *to[QN_MAX_IN];
  size_t used = 0;
  for (int s = 0; s < SAMPLES; s++) {
    int i = 0;
    for (const qn_value *p = n->f->params; p; p = p->next, i++) {
      void *x = qn_alloc(&n->m->arena, (size_t)qn_bytes(&p->type));
      int32_t most = most_of(p->type.elem);
      bool extreme = chance(n, 30);
      for (int64_t k = 0; k < qn_count(&p->type); k++)
        put_element(p->type.elem, x, k,
                    extreme ? (chance(n, 50) ? most : -most - 1) : between(n, -most - 1, most));
      in[i] = x;
    }
    for (i = 0; i < n->f->result_count; i++) {
      to[i] = out + used;
      used += ((size_t)qn_bytes(&n->f->results[i]->type) + 15) / 16 * 16;
    }
    qn_eval(n->f, in, to);
  }
  return used;
}

typedef struct {
  int64_t weights, macs, ops, wide_ops; /* the latter: with a result of int16 */
} totals;

static totals count(const qn_func *f) {
  totals t = {0};
  for (const qn_op *op = f->first; op; op = op->next) {
    t.ops++;
    t.wide_ops += op->out->type.elem == QN_i16;
    t.macs += qn_macs(op);
    if (qn_macs(op) > 0) t.weights += qn_count(&op->in[1]->type);
  }
  return t;
}

static void add_totals(totals *t, totals more) {
  t->weights += more.weights;
  t->macs += more.macs;
  t->ops += more.ops;
  t->wide_ops += more.wide_ops;
}

/* NULL, or what is wrong with the pass on the networks, which are the same. */
static const char *compare(network *plain, network *passed, totals *after) {
  static char expected[RESULT_BYTES], got[RESULT_BYTES];
  const qn_pass_options options = {.verify_each = true};
  if (qn_run_passes(passed->m, "eliminate-constants", &options) != QN_OK) return "the pass fails";
  *after = count(passed->f);
  memset(expected, 0, sizeof expected); /* between the results */
  memset(got, 0, sizeof got);
  if (run(plain, expected) != run(passed, got)) return "results have other types";
  if (memcmp(expected, got, sizeof got) != 0) return "results differ";
  if (qn_run_passes(passed->m, "eliminate-constants", &options) != QN_OK)
    return "a second run fails";
  totals again = count(passed->f);
  return memcmp(after, &again, sizeof again) == 0 ? NULL : "a second run finds more";
}

static bool check(uint64_t seed, totals *before, totals *after) {
  network plain, passed;
  build(&plain, seed);
  build(&passed, seed);
  const qn_pass_options options = {.verify_each = true};
  const char *wrong =
      qn_run_passes(plain.m, "dce", &options) == QN_OK ? NULL : "not a valid network";
  totals full = count(plain.f), rest = {0};
  if (!wrong) wrong = compare(&plain, &passed, &rest);
  if (wrong) {
    qn_print(stderr, plain.m, &(qn_print_options){0});
    printf("seed %llu: %s\n", (unsigned long long)seed, wrong);
  }
  add_totals(before, full);
  add_totals(after, rest);
  qn_free_module(plain.m);
  qn_free_module(passed.m);
  return !wrong;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  long networks = atol(argv[1]);
  uint64_t seed = strtoull(argv[2], NULL, 10);
  totals before = {0}, after = {0};
  for (long i = 0; i < networks; i++) {
    if (!check(seed + (uint64_t)i, &before, &after)) return 1;
  }
  printf("%ld networks, ops %lld -> %lld (int16 %lld -> %lld), weights %lld -> %lld, MACs %lld -> "
         "%lld\n",
         networks, (long long)before.ops, (long long)after.ops, (long long)before.wide_ops,
         (long long)after.wide_ops, (long long)before.weights, (long long)after.weights,
         (long long)before.macs, (long long)after.macs);
  return 0;
}
