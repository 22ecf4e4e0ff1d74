/* The model 'tiny', compiled by quern for the target 'x86-64'. */
#ifndef TINY_QUERN_H
#define TINY_QUERN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TINY_MEMORY_BYTES 192 /* the caller's: decoded weights and activations */
#define TINY_MEMORY_ALIGN 64
#define TINY_STACK_BYTES N /* at most, of init and of run */
#define TINY_WEIGHT_BYTES 64 /* constants inside the object */
#define TINY_CODE_BYTES N
#define TINY_FLASH_BYTES N /* code, constants and description */
#define TINY_MACS 12 /* multiply-accumulates of one run */
/* of the source model: its ops, types and constants, whatever file holds them */
#define TINY_MODEL_SHA256 "76d3cb7901ccb718ed93820db3f7a90d44c5570c114a2c4cd8691eb8bda7a47f"

/* class: i8[1,4] q(0.5, 3) */
#define TINY_INPUT0_RANK 2
#define TINY_INPUT0_DIMS {1, 4}
#define TINY_INPUT0_COUNT 4
#define TINY_INPUT0_BYTES 4
#define TINY_INPUT0_SCALE 0.5f /* real = SCALE * (stored - ZERO) */
#define TINY_INPUT0_ZERO (3)

/* 2nd.x: f32[1,3] */
#define TINY_INPUT1_RANK 2
#define TINY_INPUT1_DIMS {1, 3}
#define TINY_INPUT1_COUNT 3
#define TINY_INPUT1_BYTES 12

/* y: i8[1,3] q(0.1, -10) */
#define TINY_OUTPUT0_RANK 2
#define TINY_OUTPUT0_DIMS {1, 3}
#define TINY_OUTPUT0_COUNT 3
#define TINY_OUTPUT0_BYTES 3
#define TINY_OUTPUT0_SCALE 0.1f /* real = SCALE * (stored - ZERO) */
#define TINY_OUTPUT0_ZERO (-10)

/* memory: f32[1,3] */
#define TINY_OUTPUT1_RANK 2
#define TINY_OUTPUT1_DIMS {1, 3}
#define TINY_OUTPUT1_COUNT 3
#define TINY_OUTPUT1_BYTES 12

/* memory: f32[1,3] */
#define TINY_OUTPUT2_RANK 2
#define TINY_OUTPUT2_DIMS {1, 3}
#define TINY_OUTPUT2_COUNT 3
#define TINY_OUTPUT2_BYTES 12

/* The number to store for a real one: the nearest, halves away from 0. */
static inline int8_t tiny_quantize_input0(float real) {
  float x = real / TINY_INPUT0_SCALE;
  int32_t whole;
  if (x >= 124.0f) return 127;
  if (x <= -131.0f) return -128;
  if (!(x < 124.0f)) return 3; /* not a number */
  whole = (int32_t)x;
  x -= (float)whole;
  return (int8_t)(whole + (x >= 0.5f) - (x <= -0.5f) + TINY_INPUT0_ZERO);
}

/* The real number that is stored so. */
static inline float tiny_dequantize_output0(int8_t stored) {
  return TINY_OUTPUT0_SCALE * (float)(stored - TINY_OUTPUT0_ZERO);
}

/* Prepares memory, once before run. 0, or an error: 1 the coded weights are damaged,
 * 2 memory is NULL or not aligned. */
int32_t tiny_init(void *memory);

/* Runs the model once. The tensors overlap neither each other nor memory. 0, or 2 as above.
 * Threads may run at the same time, each with memory of its own. */
int32_t tiny_run(void *memory, const int8_t class_1[4], const float t2nd_x[3], int8_t y[3], float memory_1[3], float memory_2[3]);

/* The same, described for programs that handle any model: see quern.h. */
struct quern_model;
extern const struct quern_model tiny_model;

#ifdef __cplusplus
}
#endif

#endif
