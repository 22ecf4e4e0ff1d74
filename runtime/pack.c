/* The packers of pack.h. They give what codegen/emit_conv_dsp.c and emit_depthwise_dsp.c pack
 * themselves, byte for byte: a packer is used for a layer only where it does. */
#include "pack.h"
#include "decode.h"

static uint32_t halfwords(int32_t low, int32_t high) {
  return ((uint32_t)low & 65535) | (uint32_t)high << 16;
}

static uint32_t shift_word(int32_t shr) { return (uint32_t)1 << ((32 - shr) & 31); }

/* The tap in halfword k, or -1: runs of words whose bytes 0 and 2 come first, then 1 and 3; behind
 * them all runs' single ones. */
COMPACT static int32_t tap_of(const qn_pack_params *p, int32_t k) {
  int32_t of_words = 4 * p->words, bytes = of_words + p->rest, single = k - p->runs * of_words;
  if (single >= 0) {
    if (single >= p->runs * p->rest) return -1;
    return single / p->rest * bytes + of_words + single % p->rest;
  }
  int32_t in_run = k % of_words;
  return k / of_words * bytes + (in_run & ~3) + ((in_run & 1) << 1 | (in_run >> 1 & 1));
}

static int32_t weight(const int8_t *w, int32_t tap) { return tap < 0 ? 0 : w[tap]; }

/* Two taps' weights of a channel, or of two. */
COMPACT static uint32_t pair(const qn_pack_params *p, const int8_t *w, int32_t first,
                             int32_t second) {
  int32_t low = weight(w, first), high = weight(w, second);
  if (!p->wide) {
    low = 256 * low + weight(w + p->taps, first);
    high = 256 * high + weight(w + p->taps, second);
  }
  return halfwords(low, high);
}

COMPACT static void put_biases(const int32_t *bias, int32_t wide, uint32_t *to) {
  for (int32_t i = 0; i < 4; i++) {
    uint32_t own = (uint32_t)bias[i];
    to[i] = !wide && (i & 1) == 0 ? 256 * own + (uint32_t)bias[i + 1] : own;
  }
}

SMALL void qn_pack_conv2d_dsp(const qn_pack_params *p, int32_t channels, int32_t step,
                              const int8_t *w, const int32_t *bias, const int32_t *mul,
                              const int8_t *shr, uint32_t *to) {
  int32_t together = p->wide ? 1 : 2;
  (void)step;
  for (int32_t c = 0; c < channels; c += 4, w += 4 * p->taps) {
    put_biases(bias + c, p->wide, to);
    to += 4;
    for (int32_t k = 0; k < p->halfwords; k += 2) {
      int32_t first = tap_of(p, k), second = tap_of(p, k + 1);
      for (int32_t i = 0; i < 4; i += together) *to++ = pair(p, w + i * p->taps, first, second);
    }
    for (int32_t i = 0; i < 4; i++) *to++ = (uint32_t)mul[c + i];
    for (int32_t i = 0; i < 4 && !p->mulhi; i++) *to++ = shift_word(shr[c + i]);
  }
}

SMALL void qn_pack_depthwise_dsp(const qn_pack_params *p, int32_t channels, int32_t step,
                                 const int8_t *w, const int32_t *bias, const int32_t *mul,
                                 const int8_t *shr, uint32_t *to) {
  int32_t factor = p->mulhi ? 1 : 2;
  for (int32_t c = 0; c < channels; c++) {
    const int8_t *tap = w + c;
    for (int32_t row = 0; row < 3; row++, tap += 3 * step) {
      *to++ = halfwords(factor * tap[0], factor * tap[step]);
      *to++ = halfwords(factor * tap[step], factor * tap[2 * step]);
    }
    *to++ = (uint32_t)factor * (uint32_t)bias[c];
    *to++ = (uint32_t)mul[c];
    *to++ = p->mulhi ? 0 : shift_word(shr[c]);
  }
}
