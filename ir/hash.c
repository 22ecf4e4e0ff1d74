/* A module -> SHA-256 (FIPS 180-4) of its canonical text, constants elided there and added as their
 * bytes: printing millions of numbers would take longer than compiling them. */
#include <stdlib.h>
#include <string.h>
#include "ir.h"

enum { BLOCK = 64, LENGTH_AT = 56, WORDS = 8 };

typedef struct {
  uint32_t word[WORDS];
  uint64_t bytes;
  unsigned char block[BLOCK]; /* bytes % BLOCK of it are waiting */
} sha256;

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static uint32_t load(const unsigned char *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void add_block(sha256 *s, const unsigned char *block) {
  /* the first 32 bits of the fractions of the cube roots of the first 64 primes */
  static const uint32_t k[64] = {
      0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
      0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
      0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
      0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
      0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
      0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
      0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
      0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
      0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
      0xc67178f2};
  uint32_t w[64], v[WORDS];
  for (int i = 0; i < 16; i++) w[i] = load(block + 4 * i);
  for (int i = 16; i < 64; i++) {
    uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
           (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
  }
  memcpy(v, s->word, sizeof v);
  for (int i = 0; i < 64; i++) {
    uint32_t sum1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
    uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
    uint32_t t1 = v[7] + sum1 + choice + k[i] + w[i];
    uint32_t sum0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
    uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
    memmove(v + 1, v, (WORDS - 1) * sizeof *v);
    v[4] += t1;
    v[0] = t1 + sum0 + majority;
  }
  for (int i = 0; i < WORDS; i++) s->word[i] += v[i];
}

static void add_bytes(sha256 *s, const void *bytes, size_t size) {
  const unsigned char *at = bytes;
  while (size > 0) {
    size_t waiting = s->bytes % BLOCK, more = BLOCK - waiting;
    if (more > size) more = size;
    memcpy(s->block + waiting, at, more);
    if (waiting + more == BLOCK) add_block(s, s->block);
    s->bytes += more;
    at += more;
    size -= more;
  }
}

static const char *finish(sha256 *s, qn_arena *a) {
  static const unsigned char end[BLOCK] = {0x80};
  uint64_t bits = 8 * s->bytes;
  size_t waiting = s->bytes % BLOCK;
  add_bytes(s, end, waiting < LENGTH_AT ? LENGTH_AT - waiting : BLOCK + LENGTH_AT - waiting);
  unsigned char length[8];
  for (int i = 0; i < 8; i++) length[i] = (unsigned char)(bits >> (56 - 8 * i));
  add_bytes(s, length, sizeof length);
  char *text = qn_alloc(a, 8 * WORDS + 1);
  for (int i = 0; i < WORDS; i++) snprintf(text + 8 * i, 9, "%08x", (unsigned)s->word[i]);
  return text;
}

const char *qn_hash_module(qn_module *m) {
  /* the first 32 bits of the fractions of the square roots of the first 8 primes */
  sha256 s = {.word = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                       0x1f83d9ab, 0x5be0cd19}};
  char *text = NULL;
  size_t size = 0;
  FILE *to = open_memstream(&text, &size);
  if (!to) return NULL;
  qn_module nameless = *m;
  nameless.name = "model";
  qn_print(to, &nameless, &(qn_print_options){.elide = true});
  fclose(to);
  add_bytes(&s, text, size);
  free(text);
  for (const qn_value *c = m->consts; c; c = c->next)
    add_bytes(&s, c->data, (size_t)qn_bytes(&c->type));
  return finish(&s, &m->arena);
}
