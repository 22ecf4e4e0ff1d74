/* What `quern compile --selftest` puts into an object. */
#ifndef QN_SELFTEST_H
#define QN_SELFTEST_H

#include "quern.h"

/* Fills a tensor of `bytes` bytes and element type `type` (QUERN_I8, ...) with noise, the same for
 * the same seed on every machine: integers of all values, bool 0 and 1, floats of magnitude 1/8 to
 * 1/2 and either sign. */
void qn_fill_noise(uint8_t *at, uint32_t bytes, uint32_t type, uint32_t seed);

/* CRC-32 of IEEE 802.3 (zlib's crc32): polynomial 0xEDB88320 reflected, all ones before and after. */
uint32_t qn_crc32(const uint8_t *bytes, uint32_t count);

#endif
