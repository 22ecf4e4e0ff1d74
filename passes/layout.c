/* Convolutions, depthwise convolutions and dense layers as the same thing: groups of channels that
 * are products of a row of weights with a row of inputs. */
#include "recover.h"

bool qn_layout_of(const qn_op *op, qn_layout *out) {
  bool depthwise = op->code == QN_OP_depthwise_conv2d;
  if (!depthwise && op->code != QN_OP_conv2d && op->code != QN_OP_dense) return false;
  *out = (qn_layout){.g = qn_window_of(op)};
  const qn_window *g = &out->g;
  out->channels = g->out_c;
  out->groups = depthwise ? g->in_c : g->groups;
  out->outputs = g->out_c / out->groups;
  out->inputs = g->in_c / out->groups;
  out->taps = g->kernel_h * g->kernel_w;
  out->columns = out->taps * out->inputs;
  out->out_stride = depthwise ? 1 : out->columns;
  out->tap_stride = depthwise ? out->channels : out->inputs;
  out->pixels = qn_count(&op->out->type) / out->channels;
  return true;
}

int64_t qn_weight_at(const qn_layout *l, int32_t channel, int32_t column) {
  return channel * l->out_stride + column / l->inputs * l->tap_stride + column % l->inputs;
}

void qn_gather_row(const qn_layout *l, const float *x, int32_t group, int64_t pixel, float *row) {
  const qn_window *g = &l->g;
  int32_t per_picture = g->out_h * g->out_w, at = (int32_t)(pixel % per_picture);
  int32_t top = at / g->out_w * g->stride_h - g->top, left = at % g->out_w * g->stride_w - g->left;
  const float *picture = x + pixel / per_picture * ((int64_t)g->in_h * g->in_w * g->in_c);
  for (int32_t ky = 0; ky < g->kernel_h; ky++) {
    for (int32_t kx = 0; kx < g->kernel_w; kx++) {
      int32_t iy = top + ky * g->dilation_h, ix = left + kx * g->dilation_w;
      bool inside = iy >= 0 && iy < g->in_h && ix >= 0 && ix < g->in_w;
      int64_t first = inside ? ((int64_t)iy * g->in_w + ix) * g->in_c + group * l->inputs : 0;
      for (int32_t i = 0; i < l->inputs; i++) *row++ = inside ? picture[first + i] : 0;
    }
  }
}
