/* The geometry of windows over padded copies, the code that makes the copy, bounds of sums. */
#include "window.h"
#include <string.h>

/* ------------------------------------------------------------------ geometry */

static void swap(int32_t *a, int32_t *b) {
  int32_t t = *a;
  *a = *b;
  *b = t;
}

void qn_straighten(qn_window *g) {
  bool pixelwise = g->kernel_h == 1 && g->kernel_w == 1 && g->stride_h == 1 && g->stride_w == 1 &&
                   g->top == 0 && g->left == 0 && g->out_h == g->in_h && g->out_w == g->in_w;
  if (pixelwise) {
    g->in_w *= g->in_h * g->batch;
    g->in_h = g->batch = g->out_h = 1;
    g->out_w = g->in_w;
  } else if (g->in_w == 1 && g->out_w == 1 && g->kernel_w == 1 && g->left == 0) {
    swap(&g->in_h, &g->in_w);
    swap(&g->out_h, &g->out_w);
    swap(&g->kernel_h, &g->kernel_w);
    swap(&g->stride_h, &g->stride_w);
    swap(&g->dilation_h, &g->dilation_w);
    swap(&g->top, &g->left);
  }
}

bool qn_pad_window(const qn_window *window, qn_padded *out) {
  *out = (qn_padded){.g = *window};
  qn_straighten(&out->g);
  const qn_window *g = &out->g;
  out->rows = (g->out_h - 1) * g->stride_h + (g->kernel_h - 1) * g->dilation_h + 1;
  int32_t columns = (g->out_w - 1) * g->stride_w + (g->kernel_w - 1) * g->dilation_w + 1;
  if (g->top < 0 || g->left < 0 || g->top >= out->rows || g->left >= columns) return false;
  if ((int64_t)out->rows * columns * g->in_c > INT32_MAX / 4) return false;
  out->row_elems = columns * g->in_c;
  out->copied_rows = qn_least(g->in_h, out->rows - g->top);
  out->copied_columns = qn_least(g->in_w, columns - g->left);
  out->runs_per_row = g->dilation_w == 1 ? 1 : g->kernel_w;
  out->run_elems = g->kernel_w / out->runs_per_row * g->in_c;
  return true;
}

bool qn_is_unpadded(const qn_padded *p) {
  return p->g.top == 0 && p->g.left == 0 && p->copied_rows == p->rows &&
         p->row_elems == p->g.in_w * p->g.in_c;
}

int64_t qn_padded_elems(const qn_padded *p) { return (int64_t)p->rows * p->row_elems; }

qn_pitch qn_pitch_of(const qn_margin *m, int32_t height, int32_t width, int32_t channels) {
  int64_t row = (int64_t)(m->left + width + m->right) * channels;
  return (qn_pitch){row, row * (m->top + height + m->bottom),
                    row * m->top + (int64_t)m->left * channels};
}

/* ------------------------------------------------------------------ images */

qn_images qn_begin_images(qn_build *b, const qn_window *g, int32_t elem_bytes,
                          LLVMValueRef *x_and_y) {
  int64_t x_bytes = (int64_t)elem_bytes * g->in_h * g->in_w * g->in_c;
  int64_t y_bytes = (int64_t)elem_bytes * g->out_h * g->out_w * g->out_c;
  return qn_begin_pitched_images(b, g->batch, x_bytes, y_bytes, x_and_y);
}

qn_images qn_begin_pitched_images(qn_build *b, int32_t count, int64_t x_bytes, int64_t y_bytes,
                                  LLVMValueRef *x_and_y) {
  qn_images images = {.loop = qn_begin_loop(b, count, NULL, 0)};
  images.x = qn_at_index(b, x_and_y[0], qn_times(b, images.loop.index, x_bytes));
  images.y = qn_at_index(b, x_and_y[1], qn_times(b, images.loop.index, y_bytes));
  return images;
}

void qn_end_images(qn_build *b, qn_images *images) { qn_end_loop(b, &images->loop); }

/* ------------------------------------------------------------------ the copy */

static LLVMValueRef elem(qn_build *b, const qn_copier *how, LLVMValueRef at, int64_t index) {
  return qn_at(b, at, index * how->elem_bytes);
}

static void emit_row_copy(qn_build *b, const qn_padded *p, const qn_copier *how, LLVMValueRef x,
                          LLVMValueRef to) {
  int32_t left = p->g.left * p->g.in_c, copied = p->copied_columns * p->g.in_c;
  if (left > 0) how->fill(b, how->of, to, left);
  if (copied > 0) how->copy(b, how->of, elem(b, how, to, left), x, copied);
  if (left + copied < p->row_elems)
    how->fill(b, how->of, elem(b, how, to, left + copied), p->row_elems - left - copied);
}

LLVMValueRef qn_emit_padded_copy(qn_build *b, const qn_padded *p, const qn_copier *how,
                                 LLVMValueRef x, LLVMValueRef to) {
  const qn_window *g = &p->g;
  int64_t x_row = g->in_w * g->in_c, below = g->top + p->copied_rows;
  if (g->top > 0) how->fill(b, how->of, to, (int64_t)g->top * p->row_elems);
  LLVMValueRef first = elem(b, how, to, (int64_t)g->top * p->row_elems);
  if (g->left == 0 && x_row == p->row_elems) { /* all columns are copied, and no others are there */
    how->copy(b, how->of, first, x, p->copied_rows * x_row);
  } else if (p->copied_rows > 0) {
    qn_loop row = qn_begin_loop(b, p->copied_rows, NULL, 0);
    emit_row_copy(
        b, p, how, qn_at_index(b, x, qn_times(b, row.index, x_row * how->x_bytes)),
        qn_at_index(b, first, qn_times(b, row.index, (int64_t)p->row_elems * how->elem_bytes)));
    qn_end_loop(b, &row);
  }
  if (below < p->rows)
    how->fill(b, how->of, elem(b, how, to, below * p->row_elems), (p->rows - below) * p->row_elems);
  return to;
}

/* ------------------------------------------------------------------ sums */

qn_sums qn_bound_sums(const int8_t *w, int32_t taps, int32_t step, int32_t x_zero, int32_t bias) {
  qn_sums s = {0, bias, bias};
  for (int32_t i = 0; i < taps; i++) {
    int64_t weight = w[(int64_t)i * step];
    int64_t least_x = weight * (-128 - (int64_t)x_zero), most_x = weight * (127 - (int64_t)x_zero);
    s.weights += weight;
    s.low += least_x < most_x ? least_x : most_x;
    s.high += least_x < most_x ? most_x : least_x;
  }
  return s;
}

/* ------------------------------------------------------------------ operands */

bool qn_has_constant_operands(const qn_unit *u, const qn_call *call) {
  if (qn_constant(u, call->in[0])) return false;
  for (int i = 1; i < call->in_count; i++) {
    if (call->in[i] && !qn_constant(u, call->in[i])) return false;
  }
  return true;
}

qn_rescaling qn_rescaling_of(const qn_unit *u, const qn_call *call, int channel) {
  qn_conv_i8_params p;
  memcpy(&p, call->params, sizeof p);
  const int32_t *mul = qn_constant(u, call->in[3]);
  const int8_t *shr = qn_constant(u, call->in[4]);
  int at = p.per_channel ? channel : 0;
  return (qn_rescaling){.mul = mul[at],
                        .shr = shr ? shr[at] : 0,
                        .zero = p.y_zero,
                        .low = p.low,
                        .high = p.high,
                        .contract = (qn_contract)p.contract,
                        .acc_low = INT32_MIN,
                        .acc_high = INT32_MAX};
}

qn_bounded qn_bound_channel(const qn_unit *u, const qn_call *call, int channel, const int8_t *w,
                            int32_t taps, int32_t step, int32_t offset) {
  qn_conv_i8_params p;
  memcpy(&p, call->params, sizeof p);
  const int32_t *biases = qn_constant(u, call->in[2]);
  int32_t bias = biases ? biases[channel] : 0;
  qn_sums sums = qn_bound_sums(w, taps, step, p.x_zero, bias);
  qn_bounded out = {qn_rescaling_of(u, call, channel),
                    bias - ((int64_t)p.x_zero + offset) * sums.weights};
  out.r.acc_low = sums.low;
  out.r.acc_high = sums.high;
  return out;
}

/* ------------------------------------------------------------------ overlapping results */

/* The first byte of an image that a window may read. */
static int64_t first_byte(const qn_window *g, int32_t row, int32_t column) {
  int64_t y = (int64_t)row * g->stride_h - g->top, x = (int64_t)column * g->stride_w - g->left;
  return ((y > 0 ? y : 0) * g->in_w + (x > 0 ? x : 0)) * g->in_c;
}

int64_t qn_window_lead(const qn_window *g, int32_t again) {
  int64_t lead = 0, written = again;
  for (int32_t image = 0; image < g->batch; image++) {
    int64_t start = (int64_t)image * g->in_h * g->in_w * g->in_c;
    for (int32_t row = 0; row < g->out_h; row++)
      for (int32_t column = 0; column < g->out_w; column++, written++) {
        int64_t distance = written * g->out_c - start - first_byte(g, row, column);
        if (distance > lead) lead = distance;
      }
  }
  return lead;
}

int64_t qn_image_lead(const qn_window *g) {
  int64_t growth = (int64_t)g->out_h * g->out_w * g->out_c - (int64_t)g->in_h * g->in_w * g->in_c;
  return growth > 0 ? (g->batch - 1) * growth : 0;
}
