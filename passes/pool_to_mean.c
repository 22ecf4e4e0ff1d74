/* avg_pool2d over all rows and columns -> mean over these axes.
 *
 * The same real value, but not the same integer op: an int8 pool rounds in its operand's scale (as
 * TFLite's does), a mean has a scale of its own. The average of many elements is much narrower than
 * they are, so a pool that is about to be quantized loses bits that the mean keeps.
 *
 * Requires: one window, no padding inside it, no activation. Leaves: the mean in the pool's place
 * and under its name. */
#include "match.h"
#include "passes.h"

static bool is_global(qn_op *op) {
  qn_window g = qn_window_of(op);
  return g.kernel_h == g.in_h && g.kernel_w == g.in_w && g.out_h == 1 && g.out_w == 1 &&
         g.top == 0 && g.left == 0 && *qn_activation_of(op) == QN_ACTIVATION_none;
}

static void make_mean(qn_op *op) {
  op->code = QN_OP_mean;
  qn_default_attrs(op->code, &op->a);
  op->a.mean.axes = (qn_list){.count = 2, .at = {1, 2}};
  op->a.mean.keep_dims = true;
}

qn_status pass_pool_to_mean(qn_module *m, const qn_pass_options *options) {
  (void)options;
  for (qn_func *f = m->funcs; f; f = f->next) {
    for (qn_op *op = f->first; op; op = op->next) {
      if (op->code == QN_OP_avg_pool2d && is_global(op)) make_mean(op);
    }
  }
  return QN_OK;
}
