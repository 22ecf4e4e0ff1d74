/* ONNX's products and arithmetic -> layers: Gemm, MatMul, sums and products with broadcast,
 * activations, Softmax, ReduceMean.
 *
 * A product with constant weights is a dense layer, whose weights are [O,K]. A constant vector
 * added to the result of weights that have no bias yet becomes their bias. Operators that compute
 * element by element take the order of dims that they find. */
#include <float.h>
#include <math.h>
#include <string.h>
#include "onnx.h"

/* ------------------------------------------------------------------ products */

static void fill_identity(int32_t *perm, int rank) {
  for (int i = 0; i < rank; i++) perm[i] = i;
}

/* v with its last two dims exchanged. */
static qn_status turn(qn_onnx_node *n, const char *suffix, qn_value **v) {
  int rank = (*v)->type.rank;
  int32_t perm[QN_MAX_RANK];
  fill_identity(perm, rank);
  perm[rank - 2] = rank - 1;
  perm[rank - 1] = rank - 2;
  return qn_onnx_transpose(n, qn_format(&n->r->m->arena, "%s.%s", n->out[0]->name, suffix), perm,
                           v);
}

/* Constant weights [K,O], or [O,K] when `turned`, as [O,K]. blocks: the input's columns are in the
 * order of QN_ONNX_LAST with so many channels; 0: they are not. */
static qn_status take_dense_weights(qn_onnx_node *n, qn_onnx_tensor *w, bool turned, int64_t blocks,
                                    qn_value **out) {
  if (turned && blocks == 0) return qn_onnx_take(n, w, QN_ONNX_PLAIN, out);
  int64_t k = w->dim[turned], o = w->dim[!turned];
  if (blocks == 0) {
    qn_onnx_view view = qn_onnx_plain_view(w);
    view.perm[0] = 1;
    view.perm[1] = 0;
    return qn_onnx_add_const(n, w, &view, out);
  }
  /* [K,O] as [C,HW,O], or [O,C,HW]; then [O,HW,C] and from there [O,K] */
  qn_onnx_tensor cut = *w, mixed;
  cut.rank = 3;
  cut.dim[0] = turned ? o : blocks;
  cut.dim[1] = turned ? blocks : k / blocks;
  cut.dim[2] = turned ? k / blocks : o;
  if (w->scale_count > 1) {
    if (w->axis == turned) return qn_onnx_error(n, "weights with a scale for each input");
    cut.axis = turned ? 0 : 2;
  }
  const int32_t kept[QN_MAX_RANK] = {0, 2, 1}, moved[QN_MAX_RANK] = {2, 1, 0};
  QN_TRY(qn_onnx_turn_const(n, &cut, turned ? kept : moved, &mixed));
  mixed.rank = 2;
  mixed.dim[0] = o;
  mixed.dim[1] = k;
  qn_onnx_view view = qn_onnx_plain_view(&mixed);
  return qn_onnx_add_const(n, &mixed, &view, out);
}

/* x [...,K] times w: a dense layer without bias yet. */
static qn_status open_dense(qn_onnx_node *n, qn_onnx_tensor *x, qn_onnx_tensor *w, bool turned,
                            qn_layer *l) {
  *l = qn_onnx_layer(n, QN_OP_dense);
  l->in_count = 2;
  bool blocks = x->rank == 2 && qn_onnx_form_of(x) == QN_ONNX_LAST;
  if (x->dim[x->rank - 1] != w->dim[turned])
    return qn_onnx_error(n, "the input has %lld columns, the weights take %lld",
                         (long long)x->dim[x->rank - 1], (long long)w->dim[turned]);
  QN_TRY(qn_onnx_take(n, x, blocks ? QN_ONNX_LAST : QN_ONNX_PLAIN, &l->in[0]));
  return take_dense_weights(n, w, turned, blocks ? x->channels : 0, &l->in[1]);
}

qn_status qn_onnx_read_matmul(qn_onnx_node *n) {
  qn_onnx_tensor *a, *b;
  QN_TRY(qn_onnx_operand(n, 0, &a));
  QN_TRY(qn_onnx_operand(n, 1, &b));
  if (a->rank < 2 || b->rank < 2) return qn_onnx_error(n, "operands must have at least 2 dims");
  qn_layer l;
  if (qn_onnx_is_const(b) && b->rank == 2 && !qn_onnx_is_const(a)) {
    QN_TRY(open_dense(n, a, b, false, &l));
    return qn_onnx_add_result(n, &l, 0, QN_ONNX_PLAIN);
  }
  l = qn_onnx_layer(n, QN_OP_matmul);
  l.in_count = 2;
  QN_TRY(qn_onnx_take(n, a, QN_ONNX_PLAIN, &l.in[0]));
  QN_TRY(qn_onnx_take(n, b, QN_ONNX_PLAIN, &l.in[1]));
  return qn_onnx_add_result(n, &l, 0, QN_ONNX_PLAIN);
}

/* v times a number. */
static qn_status scale(qn_onnx_node *n, float factor, const char *suffix, qn_value **v) {
  if (factor == 1) return QN_OK;
  qn_layer l = qn_onnx_layer(n, QN_OP_mul);
  l.in_count = 2;
  l.in[0] = *v;
  l.in[1] = qn_onnx_add_floats(n, suffix, &factor, 1);
  return qn_onnx_add_before(n, &l, suffix, v);
}

/* C as a bias [O], when it is a constant with one element per output; else NULL. */
static qn_status take_bias(qn_onnx_node *n, qn_onnx_tensor *c, int64_t outputs, float beta,
                           qn_value **out) {
  *out = NULL;
  bool is_row = c->rank == 1 || (c->rank == 2 && c->dim[0] == 1);
  if (!qn_onnx_is_const(c) || !is_row || c->dim[c->rank - 1] != outputs) return QN_OK;
  if (c->scale_count && beta != 1) return QN_OK;
  if (beta == 1) {
    qn_onnx_view view = {.rank = 1, .dim = {outputs}};
    if (c->rank == 1) return qn_onnx_take(n, c, QN_ONNX_PLAIN, out);
    return qn_onnx_add_const(n, c, &view, out);
  }
  const float *at;
  QN_TRY(qn_onnx_floats(n, c, &at));
  QN_TRY(qn_onnx_reserve(n->r, c, 2 * outputs * (int64_t)sizeof *at));
  float *scaled = qn_alloc(&n->r->m->arena, (size_t)outputs * sizeof *scaled);
  for (int64_t i = 0; i < outputs; i++) scaled[i] = at[i] * beta;
  *out = qn_onnx_add_floats(n, "b", scaled, outputs);
  return QN_OK;
}

/* A B, as a dense layer or a matmul; *bias is taken where it can be. */
static qn_status multiply(qn_onnx_node *n, bool turn_a, bool turn_b, float alpha, qn_value *bias,
                          qn_value **out) {
  qn_onnx_tensor *a, *b;
  qn_layer l;
  QN_TRY(qn_onnx_operand(n, 0, &a));
  QN_TRY(qn_onnx_operand(n, 1, &b));
  if (qn_onnx_is_const(b) && !turn_a) {
    QN_TRY(open_dense(n, a, b, turn_b, &l));
  } else {
    l = qn_onnx_layer(n, QN_OP_matmul);
    l.in_count = 2;
    l.a.matmul.transpose_b = turn_b;
    QN_TRY(qn_onnx_take(n, a, QN_ONNX_PLAIN, &l.in[0]));
    QN_TRY(qn_onnx_take(n, b, QN_ONNX_PLAIN, &l.in[1]));
    if (turn_a) QN_TRY(turn(n, "a", &l.in[0]));
  }
  if (bias) l.in[l.in_count++] = bias;
  QN_TRY(qn_onnx_add(n, &l, out));
  return scale(n, alpha, "alpha", out);
}

qn_status qn_onnx_read_gemm(qn_onnx_node *n) {
  int64_t turn_a = 0, turn_b = 0;
  float alpha = 1, beta = 1;
  qn_onnx_tensor *a, *b, *c = NULL;
  QN_TRY(qn_onnx_int(n, "transA", &turn_a));
  QN_TRY(qn_onnx_int(n, "transB", &turn_b));
  QN_TRY(qn_onnx_float(n, "alpha", &alpha));
  QN_TRY(qn_onnx_float(n, "beta", &beta));
  QN_TRY(qn_onnx_operand(n, 0, &a));
  QN_TRY(qn_onnx_operand(n, 1, &b));
  if (qn_onnx_is_given(n, 2)) QN_TRY(qn_onnx_operand(n, 2, &c));
  if (a->rank != 2 || b->rank != 2) return qn_onnx_error(n, "operands must have 2 dims");
  if (!isfinite(alpha) || !isfinite(beta))
    return qn_onnx_error(n, "alpha is %g, beta is %g", (double)alpha, (double)beta);
  qn_value *bias = NULL, *y;
  bool is_dense = qn_onnx_is_const(b) && !turn_a && alpha == 1;
  if (c && is_dense) QN_TRY(take_bias(n, c, b->dim[turn_b == 0], beta, &bias));
  QN_TRY(multiply(n, turn_a != 0, turn_b != 0, alpha, bias, &y));
  if (!c || bias) return qn_onnx_define(n, 0, y, QN_ONNX_PLAIN);
  qn_layer l = qn_onnx_layer(n, QN_OP_add);
  l.in_count = 2;
  l.in[0] = y;
  QN_TRY(qn_onnx_take_rank(n, c, QN_ONNX_PLAIN, c->rank ? c->rank : 1, &l.in[1]));
  QN_TRY(scale(n, beta, "beta", &l.in[1]));
  return qn_onnx_add_result(n, &l, 0, QN_ONNX_PLAIN);
}

/* ------------------------------------------------------------------ sums and products */

/* Constant c as the bias of the weights that computed x, when they have none and nothing else reads
 * x: *out is then their result. A picture's channels are dim 1, a row's the last one. */
static qn_status fold_bias(qn_onnx_node *n, const qn_onnx_tensor *x, qn_onnx_tensor *c,
                           bool *done) {
  qn_onnx_form form = qn_onnx_form_of(x);
  qn_value *v = x->as[form];
  *done = false;
  if (!v || !x->owns || x->uses != 1 || x->is_output || c->scale_count) return QN_OK;
  qn_op *op = v->def;
  bool dense = op->code == QN_OP_dense;
  if (!dense && op->code != QN_OP_conv2d && op->code != QN_OP_depthwise_conv2d) return QN_OK;
  if (dense != (form == QN_ONNX_PLAIN)) return QN_OK;
  if (op->in_count != 2 || c->rank > x->rank || c->code != QN_ONNX_FLOAT) return QN_OK;
  int channel = dense ? x->rank - 1 : 1, more = x->rank - c->rank;
  if (channel < more) return QN_OK;
  for (int i = 0; i < c->rank; i++)
    if (c->dim[i] != (i + more == channel ? x->dim[channel] : 1)) return QN_OK;
  qn_onnx_view view = {.rank = 1, .dim = {x->dim[channel]}};
  QN_TRY(qn_onnx_add_const(n, c, &view, &op->in[2]));
  op->in_count = 3;
  qn_rename(n->r->m, n->r->f, v, qn_unique_name(n->r->m, n->r->f, n->out[0]->name));
  *done = n->out[0]->owns = true;
  return qn_onnx_define(n, 0, v, form);
}

/* In which order a and b meet: the channels last where one of them is so already. */
static qn_onnx_form choose_form(const qn_onnx_tensor *a, const qn_onnx_tensor *b) {
  int rank = a->rank > b->rank ? a->rank : b->rank;
  if (rank < 3) return QN_ONNX_PLAIN;
  bool last = (a->rank == rank && !qn_onnx_is_const(a) && qn_onnx_form_of(a) == QN_ONNX_LAST) ||
              (b->rank == rank && !qn_onnx_is_const(b) && qn_onnx_form_of(b) == QN_ONNX_LAST);
  return last ? QN_ONNX_LAST : QN_ONNX_PLAIN;
}

static qn_status combine(qn_onnx_node *n, qn_opcode code, qn_onnx_tensor *a, qn_onnx_tensor *b) {
  qn_onnx_form form = choose_form(a, b);
  int rank = a->rank > b->rank ? a->rank : b->rank;
  if (rank == 0) rank = 1;
  qn_layer l = qn_onnx_layer(n, code);
  l.in_count = 2;
  QN_TRY(qn_onnx_take_rank(n, a, form, rank, &l.in[0]));
  QN_TRY(qn_onnx_take_rank(n, b, form, rank, &l.in[1]));
  return qn_onnx_add_result(n, &l, 0, form);
}

static qn_status take_both(qn_onnx_node *n, qn_onnx_tensor **a, qn_onnx_tensor **b) {
  QN_TRY(qn_onnx_operand(n, 0, a));
  QN_TRY(qn_onnx_operand(n, 1, b));
  if (qn_onnx_is_const(*a) && qn_onnx_is_const(*b))
    return qn_onnx_error(n, "arithmetic on constants is not supported");
  return QN_OK;
}

qn_status qn_onnx_read_binary(qn_onnx_node *n) {
  qn_onnx_tensor *a, *b;
  bool done = false;
  QN_TRY(take_both(n, &a, &b));
  if (n->row->op == QN_OP_add && qn_onnx_is_const(b)) QN_TRY(fold_bias(n, a, b, &done));
  if (n->row->op == QN_OP_add && qn_onnx_is_const(a)) QN_TRY(fold_bias(n, b, a, &done));
  return done ? QN_OK : combine(n, n->row->op, a, b);
}

/* By a constant: times its inverse. */
qn_status qn_onnx_read_div(qn_onnx_node *n) {
  qn_onnx_tensor *a, *b;
  const float *at;
  QN_TRY(take_both(n, &a, &b));
  if (!qn_onnx_is_const(b)) return qn_onnx_error(n, "only a division by a constant is supported");
  QN_TRY(qn_onnx_floats(n, b, &at));
  qn_onnx_tensor inverse = *b;
  qn_onnx_forget_values(&inverse);
  QN_TRY(qn_onnx_reserve(n->r, b, qn_onnx_count(b) * (int64_t)sizeof *at));
  float *data = qn_alloc(&n->r->m->arena, (size_t)qn_onnx_count(b) * sizeof *data);
  for (int64_t i = 0; i < qn_onnx_count(b); i++) {
    data[i] = 1 / at[i];
    if (!isfinite(data[i]))
      return qn_onnx_error(n, "the divisor %g at %lld has no inverse", (double)at[i], (long long)i);
  }
  inverse.data = data;
  inverse.stored = QN_ONNX_FLOAT;
  inverse.scale_count = 0;
  return combine(n, QN_OP_mul, a, &inverse);
}

/* One operand after the other: each sum but the last is a name of its own. */
qn_status qn_onnx_read_sum(qn_onnx_node *n) {
  qn_onnx_tensor *sum, *t, parts[QN_MAX_IN];
  QN_TRY(qn_onnx_operand(n, 0, &sum));
  if (n->in_count == 1) return qn_onnx_define_alias(n, sum);
  qn_onnx_tensor *result = n->out[0];
  for (int i = 1; i < n->in_count; i++) {
    QN_TRY(qn_onnx_operand(n, i, &t));
    if (qn_onnx_is_const(sum) && qn_onnx_is_const(t))
      return qn_onnx_error(n, "arithmetic on constants is not supported");
    bool last = i == n->in_count - 1;
    parts[i] = (qn_onnx_tensor){.name = qn_format(&n->r->m->arena, "%s.%d", result->name, i)};
    n->out[0] = last ? result : &parts[i];
    QN_TRY(combine(n, QN_OP_add, sum, t));
    sum = n->out[0];
  }
  return QN_OK;
}

/* ------------------------------------------------------------------ element by element */

/* The layer's only operand and result are in the order in which the node finds its operand. */
static qn_status add_unary(qn_onnx_node *n, qn_layer *l) {
  qn_onnx_tensor *x;
  QN_TRY(qn_onnx_operand(n, 0, &x));
  qn_onnx_form form = qn_onnx_form_of(x);
  l->in_count = 1;
  QN_TRY(qn_onnx_take(n, x, form, &l->in[0]));
  n->out[0]->channels = x->channels;
  return qn_onnx_add_result(n, l, 0, form);
}

qn_status qn_onnx_read_unary(qn_onnx_node *n) {
  qn_layer l = qn_onnx_layer(n, n->row->op);
  return add_unary(n, &l);
}

/* A bound of all that float32 has is none. */
static float bound(float x) { return x >= FLT_MAX ? INFINITY : x <= -FLT_MAX ? -INFINITY : x; }

qn_status qn_onnx_read_clip(qn_onnx_node *n) {
  float low = -INFINITY, high = INFINITY;
  QN_TRY(qn_onnx_float(n, "min", &low));
  QN_TRY(qn_onnx_float(n, "max", &high));
  if (qn_onnx_is_given(n, 1)) QN_TRY(qn_onnx_number(n, 1, &low));
  if (qn_onnx_is_given(n, 2)) QN_TRY(qn_onnx_number(n, 2, &high));
  low = bound(low);
  high = bound(high);
  if (!(low <= high))
    return qn_onnx_error(n, "from %g to %g: the first must not be larger", (double)low,
                         (double)high);
  qn_opcode code = low == 0 && high == 6          ? QN_OP_relu6
                   : low == 0 && high == INFINITY ? QN_OP_relu
                                                  : QN_OP_clip;
  qn_layer l = qn_onnx_layer(n, code);
  if (code == QN_OP_clip) {
    l.a.clip.min = low;
    l.a.clip.max = high;
  }
  return add_unary(n, &l);
}

/* Of a value and a constant number: a clip on one side. */
qn_status qn_onnx_read_bound(qn_onnx_node *n) {
  qn_onnx_tensor *a, *b;
  QN_TRY(take_both(n, &a, &b));
  int value = qn_onnx_is_const(a);
  float number;
  QN_TRY(qn_onnx_number(n, 1 - value, &number));
  if (n->in[1 - value]->rank > n->in[value]->rank)
    return qn_onnx_error(n, "the number must not have more dims than the value");
  n->in[0] = n->in[value];
  if (isnan(number)) return qn_onnx_error(n, "the number is no number");
  bool is_max = strcmp(n->type, "Max") == 0;
  qn_layer l = qn_onnx_layer(n, is_max && number == 0 ? QN_OP_relu : QN_OP_clip);
  if (l.code == QN_OP_clip) *(is_max ? &l.a.clip.min : &l.a.clip.max) = number;
  return add_unary(n, &l);
}

qn_status qn_onnx_read_neg(qn_onnx_node *n) {
  qn_onnx_tensor *x;
  float minus_one = -1;
  QN_TRY(qn_onnx_operand(n, 0, &x));
  qn_onnx_form form = qn_onnx_form_of(x);
  qn_layer l = qn_onnx_layer(n, QN_OP_mul);
  l.in_count = 2;
  QN_TRY(qn_onnx_take(n, x, form, &l.in[0]));
  l.in[1] = qn_onnx_add_floats(n, "sign", &minus_one, 1);
  n->out[0]->channels = x->channels;
  return qn_onnx_add_result(n, &l, 0, form);
}

/* With one slope for all it is a LeakyRelu. */
qn_status qn_onnx_read_prelu(qn_onnx_node *n) {
  qn_layer l = qn_onnx_layer(n, QN_OP_leaky_relu);
  QN_TRY(qn_onnx_number(n, 1, &l.a.leaky_relu.alpha));
  if (!isfinite(l.a.leaky_relu.alpha))
    return qn_onnx_error(n, "the slope must be finite, got %g", (double)l.a.leaky_relu.alpha);
  return add_unary(n, &l);
}

qn_status qn_onnx_read_leaky_relu(qn_onnx_node *n) {
  qn_layer l = qn_onnx_layer(n, QN_OP_leaky_relu);
  l.a.leaky_relu.alpha = 0.01f;
  QN_TRY(qn_onnx_float(n, "alpha", &l.a.leaky_relu.alpha));
  if (!isfinite(l.a.leaky_relu.alpha))
    return qn_onnx_error(n, "alpha must be finite, got %g", (double)l.a.leaky_relu.alpha);
  return add_unary(n, &l);
}

/* min(max(alpha * x + beta, 0), 1) */
qn_status qn_onnx_read_hard_sigmoid(qn_onnx_node *n) {
  qn_onnx_tensor *x;
  float alpha = 0.2f, beta = 0.5f;
  QN_TRY(qn_onnx_operand(n, 0, &x));
  QN_TRY(qn_onnx_float(n, "alpha", &alpha));
  QN_TRY(qn_onnx_float(n, "beta", &beta));
  if (!isfinite(alpha) || !isfinite(beta))
    return qn_onnx_error(n, "alpha is %g, beta is %g", (double)alpha, (double)beta);
  qn_onnx_form form = qn_onnx_form_of(x);
  qn_layer add = qn_onnx_layer(n, QN_OP_add), clip = qn_onnx_layer(n, QN_OP_clip);
  add.in_count = 2;
  QN_TRY(qn_onnx_take(n, x, form, &add.in[0]));
  QN_TRY(scale(n, alpha, "alpha", &add.in[0]));
  add.in[1] = qn_onnx_add_floats(n, "beta", &beta, 1);
  QN_TRY(qn_onnx_add_before(n, &add, "line", &clip.in[0]));
  clip.a.clip.min = 0;
  clip.a.clip.max = 1;
  clip.in_count = 1;
  n->out[0]->channels = x->channels;
  return qn_onnx_add_result(n, &clip, 0, form);
}

/* ------------------------------------------------------------------ over dims */

/* Softmax over dim `axis`, which is brought to the end where neither order has it there. */
static qn_status softmax_over(qn_onnx_node *n, qn_onnx_tensor *x, int axis) {
  int last = x->rank - 1;
  qn_onnx_form form = axis == 1 && x->rank > 2 ? QN_ONNX_LAST : QN_ONNX_PLAIN;
  qn_layer l = qn_onnx_layer(n, QN_OP_softmax);
  l.in_count = 1;
  QN_TRY(qn_onnx_take(n, x, form, &l.in[0]));
  if (qn_onnx_axis_in(form, x->rank, axis) == last) return qn_onnx_add_result(n, &l, 0, form);
  int32_t perm[QN_MAX_RANK];
  fill_identity(perm, x->rank);
  perm[axis] = last;
  perm[last] = axis;
  qn_arena *a = &n->r->m->arena;
  const char *name = n->out[0]->name;
  QN_TRY(qn_onnx_transpose(n, qn_format(a, "%s.turned", name), perm, &l.in[0]));
  qn_value *y;
  QN_TRY(qn_onnx_add_before(n, &l, "rows", &y));
  QN_TRY(qn_onnx_transpose(n, name, perm, &y));
  return qn_onnx_define(n, 0, y, QN_ONNX_PLAIN);
}

/* Before version 13: over all dims from `axis` on, as one. */
static qn_status softmax_rows(qn_onnx_node *n, qn_onnx_tensor *x, int axis) {
  qn_layer l = qn_onnx_layer(n, QN_OP_softmax);
  int64_t rows[2] = {1, 1};
  for (int i = 0; i < x->rank; i++) rows[i >= axis] *= x->dim[i];
  l.in_count = 1;
  QN_TRY(qn_onnx_take(n, x, QN_ONNX_PLAIN, &l.in[0]));
  qn_arena *a = &n->r->m->arena;
  const char *name = n->out[0]->name;
  QN_TRY(qn_onnx_reshape(n, qn_format(a, "%s.in", name), 2, rows, &l.in[0]));
  qn_value *y;
  QN_TRY(qn_onnx_add_before(n, &l, "rows", &y));
  QN_TRY(qn_onnx_reshape(n, name, x->rank, x->dim, &y));
  return qn_onnx_define(n, 0, y, QN_ONNX_PLAIN);
}

qn_status qn_onnx_read_softmax(qn_onnx_node *n) {
  qn_onnx_tensor *x;
  bool by_rows = n->r->opset < 13;
  int64_t axis = by_rows ? 1 : -1;
  int at, more = 0;
  QN_TRY(qn_onnx_operand(n, 0, &x));
  QN_TRY(qn_onnx_int(n, "axis", &axis));
  QN_TRY(qn_onnx_axis(n, axis, x->rank, &at));
  for (int i = 0; i < x->rank; i++) more += i > at && x->dim[i] != 1;
  return by_rows && more > 0 ? softmax_rows(n, x, at) : softmax_over(n, x, at);
}

/* Which dims go; where none is named, all. */
static qn_status read_gone(qn_onnx_node *n, int rank, bool gone[QN_MAX_RANK], int *count) {
  QN_TRY(qn_onnx_axes(n, rank, gone, count));
  for (int i = 0; i < rank && *count == 0; i++) gone[i] = true;
  return QN_OK;
}

/* Without the dims that go, the result's elements of x in that order are in ONNX's order, too. */
static bool stays_plain(qn_onnx_form form, int rank, const bool gone[QN_MAX_RANK]) {
  int last = -1;
  for (int i = 0; i < rank; i++) {
    if (gone[i]) continue;
    int at = qn_onnx_axis_in(form, rank, i);
    if (at < last) return false;
    last = at;
  }
  return true;
}

qn_status qn_onnx_read_reduce_mean(qn_onnx_node *n) {
  qn_onnx_tensor *x;
  int64_t keep = 1, noop = 0;
  bool gone[QN_MAX_RANK] = {false};
  int count;
  QN_TRY(qn_onnx_operand(n, 0, &x));
  QN_TRY(qn_onnx_int(n, "keepdims", &keep));
  QN_TRY(qn_onnx_int(n, "noop_with_empty_axes", &noop));
  QN_TRY(read_gone(n, x->rank, gone, &count));
  if (count == 0 && noop) return qn_onnx_define_alias(n, x);
  qn_onnx_form form = x->rank > 2 ? qn_onnx_form_of(x) : QN_ONNX_PLAIN;
  if (!keep && !stays_plain(form, x->rank, gone)) form = QN_ONNX_PLAIN;
  qn_layer l = qn_onnx_layer(n, QN_OP_mean);
  l.a.mean.keep_dims = keep != 0;
  l.a.mean.axes.count = 0;
  for (int i = 0; i < x->rank; i++)
    if (gone[i]) l.a.mean.axes.at[l.a.mean.axes.count++] = qn_onnx_axis_in(form, x->rank, i);
  l.in_count = 1;
  QN_TRY(qn_onnx_take(n, x, form, &l.in[0]));
  return qn_onnx_add_result(n, &l, 0, keep ? form : QN_ONNX_PLAIN);
}
