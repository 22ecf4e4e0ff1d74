/* fixed_form.h: reads an op's constants and chooses. */
#include "fixed_form.h"
#include <string.h>
#include "window.h"

static int32_t clamp_shift(int32_t n) { return n < 0 ? 0 : n > 31 ? 31 : n; }

bool qn_plan_fixed(const qn_unit *u, const qn_call *call, qn_fixed *out) {
  qn_conv_i8_params p;
  memcpy(&p, call->params, sizeof p);
  if (p.contract != QN_CONTRACT_tflite || !qn_has_constant_operands(u, call)) return false;
  const int32_t *mul = qn_constant(u, call->in[3]);
  const int8_t *shr = qn_constant(u, call->in[4]);
  if (!shr) return false;
  bool left = false, unshifted = false;
  for (int32_t o = 0; o < (p.per_channel ? p.g.out_c : 1); o++) {
    if (mul[o] < 0) return false;
    left |= shr[o] < 0;
    unshifted |= shr[o] <= 0;
  }
  *out = (qn_fixed){p.x_zero, p.y_zero, p.low, p.high, QN_FORM_signed};
  if (p.low >= p.y_zero)
    out->form = QN_FORM_relu;
  else if (unshifted)
    out->form = QN_FORM_general;
  if (left) out->form = QN_FORM_general;
  return true;
}

qn_channel qn_fixed_channel(const qn_unit *u, const qn_call *call, int32_t o, const int8_t *w,
                            int32_t taps, int32_t step) {
  qn_bounded of = qn_bound_channel(u, call, o, w, taps, step, 0);
  return (qn_channel){(int32_t)(uint32_t)of.bias, of.r.mul, clamp_shift(of.r.shr),
                      clamp_shift(-of.r.shr)};
}

static int32_t array_count(const qn_fixed *f) { return f->form == QN_FORM_general ? 5 : 3; }

int32_t qn_fixed_offset(const qn_fixed *f, int32_t channels, int32_t shift_bytes, int32_t which) {
  int32_t at = 0;
  for (int32_t i = 0; i < which && i < array_count(f); i++)
    at += (channels * (i == 2 ? shift_bytes : 4) + 15) / 16 * 16;
  return at;
}

void qn_pack_fixed(const qn_fixed *f, int32_t channels, int32_t shift_bytes, int32_t right_sign,
                   int32_t i, const qn_channel *c, unsigned char *to) {
  int32_t number[] = {c->bias, c->mul, c->right * right_sign, c->left, c->right > 0 ? -1 : 0};
  for (int32_t n = 0; n < array_count(f); n++) {
    size_t bytes = n == 2 ? (size_t)shift_bytes : 4;
    memcpy(to + qn_fixed_offset(f, channels, shift_bytes, n) + (size_t)i * bytes, &number[n],
           bytes);
  }
}
