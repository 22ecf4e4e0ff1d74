/* Passes: module -> module. passes.def is the registry; each pass is a file of its own. */
#ifndef QN_PASSES_H
#define QN_PASSES_H

#include "quantize.h"

/* Whoever wants to see the module after each pass, and leaves it as it is. */
typedef struct {
  void *of;
  qn_status (*after)(void *of, qn_module *m, const char *pass);
} qn_watch;

typedef struct {
  qn_contract contract; /* what fuse-int8 writes */
  bool print_after_all; /* print the module to standard error after each pass, large constants elided */
  bool verify_each;     /* a failure is QN_EBUG and names the pass */
  bool remarks;         /* passes tell what they achieved, on standard error (plan-memory: bytes, lower bound) */
  bool keep_stored;     /* fold-constants: dequantized constants stay so */
  bool keep_all;        /* plan-memory: every value keeps its bytes to the end, to be looked at */
  const qn_scheme *scheme;         /* what calibrate and insert-qdq aim at; NULL: qn_default_scheme */
  const qn_statistics *statistics; /* of calibration samples; NULL: not known, calibrate asks sampler */
  const qn_sampler *sampler;       /* NULL: no samples */
  const qn_watch *watch;           /* NULL: nobody */
} qn_pass_options;

typedef struct {
  const char *name, *doc;
  qn_status (*run)(qn_module *m, const qn_pass_options *options);
} qn_pass;
extern const qn_pass qn_passes[]; /* ends with a NULL name */

/* What `quern compile` runs. */
extern const char qn_default_pipeline[];

/* -- pass.c. list: names separated by commas; an unknown one is QN_EIO with the nearest name. */
qn_status qn_run_passes(qn_module *m, const char *list, const qn_pass_options *options) QN_MUST_CHECK;

/* A module without memory plan, as passes expect it: a sampler's run leaves one. */
void qn_drop_plan(qn_module *m);

/* -- one per file */
#define QN_PASS(name, function, doc)                                                               \
  qn_status pass_##function(qn_module *m, const qn_pass_options *options) QN_MUST_CHECK;
#include "passes.def"

/* -- multiplier.c: a real multiplier in the integers of a contract (see runtime/fixed.h). */
/* tflite, single: m ~= mul * 2^(-31-shr), 2^30 <= mul < 2^31, shr -30..31 (TFLite's
 *   QuantizeMultiplier: mul = round(mantissa * 2^31); m below 2^-32 gives 0, 0).
 * mulhi: m ~= mul * 2^(-32-shr), mul rounded; shr is 0 where that keeps mul below 2^31 (m < 0.5),
 *   else the largest negative number that does.
 * Returns false when m is not finite, negative, or too large for the contract. */
bool qn_split_multiplier(double m, qn_contract contract, int32_t *out_mul, int32_t *out_shr);

/* What the functions of fixed.h multiply with. */
typedef struct {
  int32_t mul, shr;
  float scale; /* contract float: in place of both */
} qn_multiplier;
/* A left shift by -shr leaves values of at most `largest` within an int32. */
bool qn_has_room(int32_t shr, int64_t largest);
/* m for values of at most `largest`; false where the contract has no such multiplier or its left
 * shift has no room. */
bool qn_make_factor(qn_contract contract, double m, int64_t largest, qn_multiplier *out);

/* -- lookup_table.c: an int8 -> int8 function as a table, index stored value + 128.
 * logistic, tanh, leaky_relu, hard_swish from x's quantization to y's, under `contract`: tflite,
 * single and mulhi give TFLite Micro's integer reference kernels, float gives the rounded real function. */
bool qn_lookup_table(const qn_op *op, const qn_quant *x, const qn_quant *y, qn_contract contract,
                     int8_t out[256]);

#endif
