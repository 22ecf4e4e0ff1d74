/* Decoded weights -> the order in which tuned kernels read them. */
#ifndef QN_PACK_H
#define QN_PACK_H

#include <stdint.h>

/* What a packer has to know of a layer; depthwise_dsp uses mulhi only. */
typedef struct {
  int32_t taps;              /* weights of a channel */
  int32_t halfwords;         /* that a channel takes, a multiple of 2 */
  int32_t runs, words, rest; /* taps are so many runs of so many times four, and single ones */
  int32_t wide;              /* a halfword per weight, not per two of them */
  int32_t mulhi;             /* the contract */
} qn_pack_params;

/* Constants of `channels` channels (conv2d_dsp: a multiple of 4) behind those that precede all channels' (what
 * codegen/dsp.h calls a header). w: as an image of codec.h has them, by channels or, depthwise, by
 * taps of `step` channels each; bias: with all corrections; mul, shr: one for each channel. to:
 * aligned to 4. */
typedef void qn_packer(const qn_pack_params *p, int32_t channels, int32_t step, const int8_t *w,
                       const int32_t *bias, const int32_t *mul, const int8_t *shr, uint32_t *to);

qn_packer qn_pack_conv2d_dsp, qn_pack_depthwise_dsp;

#endif
