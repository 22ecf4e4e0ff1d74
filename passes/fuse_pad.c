/* pad with real 0 before a conv2d or depthwise_conv2d -> the convolution's padding, because taps
 * outside its input read 0.
 *
 * Requires: only rows and columns are padded; each value between the pad and the convolution has
 * one user. A quantize and dequantize with one scale may stand between them, as in quantized
 * models: they map 0 to 0, so the pad moves behind them, and their values lose the border.
 * Leaves: padding explicit, top + pad.top and so on; the pad is gone. Pools are not touched: their
 * outside taps are not counted. */
#include "match.h"
#include "passes.h"

/* op's padding written out. */
static qn_padding resolve_padding(const qn_op *op, const qn_padding *p) {
  if (p->mode == QN_PADDING_explicit) return *p;
  qn_padding out = {.mode = QN_PADDING_explicit};
  if (p->mode == QN_PADDING_valid) return out;
  qn_window g = qn_window_of(op);
  int64_t rows = (int64_t)(g.out_h - 1) * g.stride_h + (int64_t)(g.kernel_h - 1) * g.dilation_h + 1;
  int64_t cols = (int64_t)(g.out_w - 1) * g.stride_w + (int64_t)(g.kernel_w - 1) * g.dilation_w + 1;
  int64_t bottom = rows - g.in_h - g.top, right = cols - g.in_w - g.left;
  out.top = g.top;
  out.left = g.left;
  out.bottom = bottom > 0 ? (int32_t)bottom : 0;
  out.right = right > 0 ? (int32_t)right : 0;
  return out;
}

static bool pads_the_image_with_zero(const qn_op *pad) {
  const qn_list *before = &pad->a.pad.before, *after = &pad->a.pad.after;
  if (before->count != 4 || after->count != 4 || pad->a.pad.value != 0) return false;
  if (before->at[0] || before->at[3] || after->at[0] || after->at[3]) return false;
  return before->at[1] >= 0 && before->at[2] >= 0 && after->at[1] >= 0 && after->at[2] >= 0;
}

/* What the quantize before v reads, when v is  dequantize(quantize(...))  for user alone. */
static qn_op *quantize_before(const qn_reads *reads, const qn_value *v, const qn_op *user) {
  qn_op *back = qn_def(v, QN_OP_dequantize);
  if (!back || !qn_reads_alone(reads, user, v) || back->in[0]->type.q.scales) return NULL;
  qn_op *there = qn_def(back->in[0], QN_OP_quantize);
  return there && qn_reads_alone(reads, back, there->out) ? there : NULL;
}

static void take_dims(qn_type *t, const qn_type *from) {
  for (int i = 0; i < from->rank; i++) t->dim[i] = from->dim[i];
}

/* Whether a pad went. */
static bool fuse(qn_func *f, const qn_reads *reads, qn_op *conv) {
  qn_op *quantize = quantize_before(reads, conv->in[0], conv);
  qn_op *user = quantize ? quantize : conv;
  qn_op *pad = qn_def(user->in[0], QN_OP_pad);
  if (!pad || !qn_reads_alone(reads, user, pad->out) || !pads_the_image_with_zero(pad))
    return false;
  qn_padding *padding = (qn_padding *)qn_attr_of(conv, "padding");
  qn_padding now = resolve_padding(conv, padding);
  now.top += pad->a.pad.before.at[1];
  now.left += pad->a.pad.before.at[2];
  now.bottom += pad->a.pad.after.at[1];
  now.right += pad->a.pad.after.at[2];
  *padding = now;
  user->in[0] = pad->in[0];
  if (quantize) {
    take_dims(&quantize->out->type, &pad->in[0]->type);
    take_dims(&conv->in[0]->type, &pad->in[0]->type);
  }
  qn_remove_op(f, pad);
  return true;
}

qn_status pass_fuse_pad(qn_module *m, const qn_pass_options *options) {
  (void)options;
  for (qn_func *f = m->funcs; f; f = f->next) {
    qn_arena work = {0};
    qn_reads reads;
    qn_count_reads(&work, f, &reads);
    for (qn_op *op = f->first; op; op = op->next) {
      if (op->code != QN_OP_conv2d && op->code != QN_OP_depthwise_conv2d) continue;
      while (fuse(f, &reads, op)) {
      }
    }
    qn_free_arena(&work);
  }
  return QN_OK;
}
