/* For the runtime's tests: reproducible numbers, buffers of exact size, failures counted. */
#ifndef CHECK_H
#define CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t check_state = 7;
static int check_cases, check_failures;

/* An integer in low..high. */
static inline int32_t pick(int32_t low, int32_t high) {
  check_state = check_state * 6364136223846793005u + 1442695040888963407u;
  return low + (int32_t)((check_state >> 33) % (uint64_t)((int64_t)high - low + 1));
}

/* A number in low..high, a multiple of 2^-20 of the distance. */
static inline float pick_real(float low, float high) {
  return low + (high - low) * ((float)pick(0, 1 << 20) / (float)(1 << 20));
}

/* Not freed: an address sanitizer sees every access beyond its end. */
static inline void *buffer(size_t bytes) {
  void *p = malloc(bytes);
  if (!p) exit(2);
  memset(p, 0xA5, bytes);
  return p;
}

static inline int8_t *bytes_of(size_t count) {
  int8_t *p = buffer(count);
  for (size_t i = 0; i < count; i++) p[i] = (int8_t)pick(-128, 127);
  return p;
}

static inline float *reals_of(size_t count, float low, float high) {
  float *p = buffer(count * sizeof *p);
  for (size_t i = 0; i < count; i++) p[i] = pick_real(low, high);
  return p;
}

static inline void expect(const char *what, int64_t index, double got, double want) {
  check_cases++;
  if (got == want || (got != got && want != want)) return;
  if (check_failures++ < 20)
    printf("%s[%lld]: got %.9g, want %.9g\n", what, (long long)index, got, want);
}

static inline int finish(const char *what) {
  printf("%s: %s, %d failures\n", what, check_cases ? "checked" : "nothing checked",
         check_failures);
  return check_failures != 0;
}

#endif
