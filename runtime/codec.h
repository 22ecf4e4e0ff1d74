/* Coded weights: the format in which codegen/encode.c and decode.c meet.
 *
 * A stream holds the image of a piece of memory: tensors at ascending offsets, zeros between them.
 * Numbers are little endian and read byte by byte, so that a stream may lie at any address.
 *
 *    0  u32  bytes of the image
 *    4  u32  bytes of the stream, this header included
 *    8  u32  CRC-32 of the image, gaps included
 *   12  ...  the image as the codec has it
 *
 * Codec raw: the image's bytes.
 *
 * Codec range: one run of a binary range coder (Martin, "Range encoding", 1979; carries are
 * resolved in the encoder). Until the image is full it holds a record and then the record's tensor.
 * A record is a u32, coded as four plain bytes:
 *   bits  0..1   log2 of the trees: byte i of the tensor is coded with tree i mod 1, 2 or 4,
 *                which is the byte's place in an element of that size (8-byte elements: 4 trees)
 *   bits  2..4   rate 3..7, or 0: plain bytes
 *   bits  5..10  gap: zeros in the image before the tensor
 *   bits 11..31  bytes of the tensor; 0: the record is a gap only
 *
 * A byte is 8 binary decisions from its high bit down. Decision n (from 1; the next is 2n + bit) of
 * a tree has its own estimate c of the chance, in 1/65536, that the bit is 0:
 *   bound = (range >> 15) * (c >> 1);  bit 0 takes [0, bound), bit 1 the rest of the range
 *   c += (65536 - c) >> rate after a 0;  c -= c >> rate after a 1
 * Plain bytes use c = 32768 throughout. Estimates start at 32768 and carry over from tensor to
 * tensor: networks are too small to learn them again (kws: 7.70 bits per weight, 7.75 afresh).
 * The range starts at 2^32 - 1 and is kept at 2^24 or more by shifting in the next byte of the
 * stream; past its end the bytes read as 0, and the encoder leaves trailing zeros out. */
#ifndef QN_CODEC_H
#define QN_CODEC_H

#include "quern.h"

enum {
  QN_CODEC_HEADER = 12,
  QN_CODEC_TREES = 4,
  QN_CODEC_HALF = 32768, /* an estimate that knows nothing */
  QN_CODEC_RATE_MIN = 3,
  QN_CODEC_RATE_MAX = 7,
  QN_CODEC_GAP_MAX = 63,        /* of one record */
  QN_CODEC_BYTES_MAX = 1 << 20, /* of one record: a multiple of every element size */
  QN_CODEC_NO_RATE = 16         /* plain bytes: an update by this shift leaves 32768 as it is */
};

/* CRC-32 of IEEE 802.3 (zlib's crc32): polynomial 0xEDB88320 reflected, all ones before and after.
 */
uint32_t qn_crc32(const uint8_t *bytes, uint32_t count);

/* Codec row `name` is  int32_t qn_decode_<name>(coded, coded_bytes, image, image_bytes):
 * the stream's image to image[0..image_bytes). QUERN_OK, or QUERN_ECORRUPT when sizes or CRC are
 * not those of the header; image's content is undefined then. Whatever the stream's bytes are,
 * nothing outside of the two arrays is touched and the time is bounded by their sizes. */
#define QN_CODEC(name, doc)                                                                        \
  int32_t qn_decode_##name(const uint8_t *coded, uint32_t coded_bytes, uint8_t *image,             \
                           uint32_t image_bytes);
#include "codecs.def"

#endif
