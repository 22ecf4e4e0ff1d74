/* A dense layer or a 1x1 convolution -> two, of fewer weights together, where its results lie near
 * a subspace: weights W [O,I] become B [O,r] times A [r,I], r (O + I) < O I.
 *
 * Of inputs x with mean m and covariance C the results vary by G = W C W'. With U the first r of
 * G's eigenvectors the best layers of rank r are A = U' W,   B = U,   b' = b + (W - B A) m: no
 * others lose less, refitting included, and what they lose is the sum of G's other eigenvalues. r
 * is the least for which that is at most `low_rank` of all. Without samples C is the identity and
 * m is 0: that is the singular value decomposition of W.
 *
 * Eigenvectors by Jacobi's rotations, their largest element positive, so that results are the same
 * everywhere. Requires: float layers with constant weights. Leaves alone: more than MOST rows or
 * columns; layers that would get no smaller. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "normal.h"
#include "recover.h"

enum { MOST = 1024, SWEEPS = 30 };

typedef struct {
  qn_op *op;
  qn_layout layout;
  const qn_value *x; /* whose data it reads: views are looked through */
  qn_normal seen;
} candidate;

typedef struct {
  qn_arena arena;
  candidate *at;
  int32_t count;
} work;

/* ------------------------------------------------------------------ candidates */

static bool is_candidate(const qn_op *op, qn_layout *l) {
  if (op->code != QN_OP_dense && op->code != QN_OP_conv2d) return false;
  if (op->out->type.elem != QN_f32 || !qn_reals(op->in[1]) || !qn_has_known_bias(op)) return false;
  if (!qn_layout_of(op, l) || l->groups != 1 || l->taps != 1) return false;
  bool unpadded = l->g.top == 0 && l->g.left == 0 && (l->g.out_h - 1) * l->g.stride_h < l->g.in_h &&
                  (l->g.out_w - 1) * l->g.stride_w < l->g.in_w;
  return unpadded && l->channels <= MOST && l->columns <= MOST;
}

static void find_candidates(const qn_func *f, work *w) {
  int32_t count = 0;
  for (const qn_op *op = f->first; op; op = op->next) count++;
  w->at = qn_alloc(&w->arena, ((size_t)count + 1) * sizeof *w->at);
  for (qn_op *op = f->first; op; op = op->next) {
    candidate *c = &w->at[w->count];
    if (!is_candidate(op, &c->layout)) continue;
    c->op = op;
    c->x = op->in[0];
    while (c->x->kind == QN_RESULT && qn_ops[c->x->def->code].view) c->x = c->x->def->in[0];
    qn_open_normal(&w->arena, c->layout.columns, 0, &c->seen);
    w->count++;
  }
}

static qn_status see_value(void *of, int64_t sample, const qn_value *v, const void *data) {
  const work *w = of;
  (void)sample;
  float row[MOST];
  for (int32_t i = 0; i < w->count; i++) {
    candidate *c = &w->at[i];
    for (int64_t p = 0; c->x == v && p < c->layout.pixels; p++) {
      qn_gather_row(&c->layout, data, 0, p, row);
      qn_add_row(&c->seen, row, NULL);
    }
  }
  return QN_OK;
}

/* Without samples: the identity. */
static void assume_moments(candidate *c) {
  size_t n = (size_t)c->layout.columns;
  for (size_t i = 0; i < n; i++) c->seen.xx[i * n + i] = 1;
}

/* ------------------------------------------------------------------ eigenvectors */

/* Rotates rows and columns p < q of g [n,n] so that g[p,q] becomes 0, and rows p, q of v alike. */
static void rotate(int32_t n, double *g, double *v, int32_t p, int32_t q) {
  double *gp = g + (size_t)p * (size_t)n, *gq = g + (size_t)q * (size_t)n;
  double *vp = v + (size_t)p * (size_t)n, *vq = v + (size_t)q * (size_t)n;
  double theta = (gq[q] - gp[p]) / (2 * gp[q]);
  double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
  double c = 1 / sqrt(t * t + 1), s = t * c;
  for (int32_t k = 0; k < n; k++) {
    double a = gp[k], b = gq[k];
    gp[k] = c * a - s * b;
    gq[k] = s * a + c * b;
    a = vp[k], b = vq[k];
    vp[k] = c * a - s * b;
    vq[k] = s * a + c * b;
  }
  for (int32_t k = 0; k < n; k++) {
    double *row = g + (size_t)k * (size_t)n, a = row[p], b = row[q];
    row[p] = c * a - s * b;
    row[q] = s * a + c * b;
  }
}

/* g becomes diagonal, its eigenvectors the rows of v. */
static void diagonalize(int32_t n, double *g, double *v) {
  double trace = 0;
  for (int32_t i = 0; i < n; i++) {
    v[(size_t)i * (size_t)n + i] = 1;
    trace += g[(size_t)i * (size_t)n + i];
  }
  bool rotated = true;
  for (int32_t sweep = 0; rotated && sweep < SWEEPS; sweep++) {
    rotated = false;
    for (int32_t p = 0; p < n; p++) {
      for (int32_t q = p + 1; q < n; q++) {
        if (fabs(g[(size_t)p * (size_t)n + q]) <= 1e-12 * trace) continue;
        rotate(n, g, v, p, q);
        rotated = true;
      }
    }
  }
}

typedef struct {
  double value;
  int32_t row;
} ranked;

static int by_value(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->value != y->value) return x->value > y->value ? -1 : 1;
  return x->row < y->row ? -1 : x->row > y->row;
}

/* G = W C W'. */
static double *result_covariance(qn_arena *a, const candidate *c) {
  size_t o = (size_t)c->layout.channels, n = (size_t)c->layout.columns;
  const float *w = qn_reals(c->op->in[1]);
  double *g = qn_alloc(a, o * o * sizeof *g), *wc = qn_alloc(a, n * sizeof *wc);
  for (size_t i = 0; i < o; i++) {
    for (size_t k = 0; k < n; k++) wc[k] = 0;
    for (size_t j = 0; j < n; j++)
      for (size_t k = 0; k < n; k++) wc[k] += (double)w[i * n + j] * c->seen.xx[j * n + k];
    for (size_t k = 0; k < o; k++)
      for (size_t j = 0; j < n; j++) g[i * o + k] += wc[j] * (double)w[k * n + j];
  }
  return g;
}

/* U' [r, channels]: the eigenvectors that are kept; r, or 0 for no fewer weights than before. */
static int32_t find_basis(qn_arena *a, const candidate *c, double part, double **out) {
  int32_t n = c->layout.channels, r = 0;
  double *g = result_covariance(a, c), all = 0, lost = 0;
  double *v = qn_alloc(a, (size_t)n * (size_t)n * sizeof *v);
  diagonalize(n, g, v);
  ranked *list = qn_alloc(a, (size_t)n * sizeof *list);
  for (int32_t i = 0; i < n; i++) {
    list[i] = (ranked){fmax(g[(size_t)i * (size_t)n + i], 0), i};
    all += list[i].value;
  }
  qsort(list, (size_t)n, sizeof *list, by_value);
  for (r = n; r > 1 && lost + list[r - 1].value <= part * all; r--) lost += list[r - 1].value;
  if ((int64_t)r * (n + c->layout.columns) >= (int64_t)n * c->layout.columns) return 0;
  *out = qn_alloc(a, (size_t)r * (size_t)n * sizeof **out);
  for (int32_t i = 0; i < r; i++) {
    const double *from = v + (size_t)list[i].row * (size_t)n;
    int32_t largest = 0;
    for (int32_t k = 1; k < n; k++)
      if (fabs(from[k]) > fabs(from[largest]) * (1 + 1e-9)) largest = k;
    for (int32_t k = 0; k < n; k++)
      (*out)[(size_t)i * (size_t)n + k] = from[largest] < 0 ? -from[k] : from[k];
  }
  return r;
}

/* ------------------------------------------------------------------ rewriting */

static qn_value *add_weights(qn_module *m, const qn_op *op, const char *name, int32_t rows,
                             int32_t columns, const float *data) {
  qn_type type = op->in[1]->type;
  type.dim[0] = rows;
  type.dim[type.rank - 1] = columns;
  return qn_add_const(m, name, &type, data);
}

/* b + (W - B A) m, whose B A m is U times what A makes of m. */
static void set_bias(qn_module *m, const candidate *c, int32_t r, const double *u, const float *a) {
  int64_t channels = c->layout.channels, n = c->layout.columns;
  const float *w = qn_reals(c->op->in[1]);
  float *bias = qn_alloc(&m->arena, (size_t)channels * sizeof *bias);
  for (int64_t o = 0; o < channels; o++) {
    double sum = qn_bias_at(c->op, (int32_t)o);
    for (int64_t k = 0; k < n; k++) {
      double both = 0;
      for (int32_t i = 0; i < r; i++) both += u[i * channels + o] * (double)a[i * n + k];
      sum += ((double)w[o * n + k] - both) * c->seen.x[k];
    }
    bias[o] = (float)sum;
  }
  qn_type type = qn_make_type(QN_f32, 1, &channels);
  const char *name = qn_format(&m->arena, "%s.b", c->op->out->name);
  c->op->in[2] = qn_add_const(m, name, &type, bias);
  c->op->in_count = 3;
}

static qn_status split(qn_module *m, qn_func *f, candidate *c, int32_t r, const double *u) {
  qn_op *op = c->op;
  int32_t channels = c->layout.channels, n = c->layout.columns;
  const float *w = qn_reals(op->in[1]);
  float *a = qn_alloc(&m->arena, (size_t)r * (size_t)n * sizeof *a);
  float *b = qn_alloc(&m->arena, (size_t)channels * (size_t)r * sizeof *b);
  for (int32_t i = 0; i < r; i++) {
    for (int32_t k = 0; k < n; k++) {
      double sum = 0;
      for (int32_t o = 0; o < channels; o++)
        sum += u[(size_t)i * (size_t)channels + o] * (double)w[(size_t)o * (size_t)n + k];
      a[(size_t)i * (size_t)n + k] = (float)sum;
    }
    for (int32_t o = 0; o < channels; o++)
      b[(size_t)o * (size_t)r + i] = (float)u[(size_t)i * (size_t)channels + o];
  }
  set_bias(m, c, r, u, a);
  const char *name = op->out->name;
  qn_value *in[] = {op->in[0],
                    add_weights(m, op, qn_format(&m->arena, "%s.a", op->in[1]->name), r, n, a)};
  qn_op *first = qn_add_op(m, f, op, op->code, qn_format(&m->arena, "%s.low", name), in, 2);
  first->loc = op->loc;
  first->a = op->a;
  *qn_activation_of(first) = QN_ACTIVATION_none;
  op->in[1] = add_weights(m, op, qn_format(&m->arena, "%s.b", op->in[1]->name), channels, r, b);
  op->in[0] = first->out;
  qn_activation activation = *qn_activation_of(op);
  qn_default_attrs(op->code, &op->a);
  *qn_activation_of(op) = activation;
  return qn_infer(m, first);
}

static qn_status rewrite(qn_module *m, qn_func *f, work *w, double part, bool remarks) {
  for (int32_t i = 0; i < w->count; i++) {
    candidate *c = &w->at[i];
    qn_arena a = {0};
    double *u;
    int32_t r = find_basis(&a, c, part, &u);
    if (remarks && r)
      fprintf(stderr, "low-rank: %s: %d of %d\n", c->op->out->name, r, c->layout.channels);
    qn_status status = r ? split(m, f, c, r, u) : QN_OK;
    qn_free_arena(&a);
    QN_TRY(status);
  }
  return QN_OK;
}

qn_status pass_low_rank(qn_module *m, const qn_pass_options *options) {
  const qn_scheme *scheme = options->scheme ? options->scheme : &qn_default_scheme;
  qn_func *f = qn_main_func(m);
  if (!f || !(scheme->low_rank > 0)) return QN_OK;
  work w = {.arena = {0}};
  find_candidates(f, &w);
  qn_status status = QN_OK;
  if (options->sampler) status = options->sampler->run(options->sampler->context, m, see_value, &w);
  for (int32_t i = 0; i < w.count; i++) {
    if (options->sampler)
      qn_close_normal(&w.at[i].seen);
    else
      assume_moments(&w.at[i]);
  }
  qn_drop_plan(m);
  if (status == QN_OK) status = rewrite(m, f, &w, (double)scheme->low_rank, options->remarks);
  qn_free_arena(&w.arena);
  return status;
}
