/* Code generation: a planned module -> an object file, through LLVM. The only folder that includes
 * LLVM's headers. */
#ifndef QN_CODEGEN_H
#define QN_CODEGEN_H

#include "../ir/ir.h"

/* A row of targets.def. */
typedef struct {
  const char *name, *triple, *cpu, *features, *doc;
  const char *floats; /* "hard", "soft" or "" */
  const char *soft;   /* features without the FPU; NULL: no choice */
  const char *code;   /* code model */
  bool pic, flash;
} qn_target;
extern const qn_target qn_targets[]; /* ends with a NULL name; `host` is the first */
const qn_target *qn_find_target(const char *name);

typedef enum { QN_EMIT_OBJ, QN_EMIT_ASM, QN_EMIT_LLVM } qn_emit;
typedef enum { QN_OPTIMIZE_BALANCED, QN_OPTIMIZE_SPEED, QN_OPTIMIZE_SIZE } qn_optimize;
/* STREAM: decoded by run, panel by panel, where that can be; else raw. AUTO codes only what saves
 * 1/16 of its bytes. */
typedef enum { QN_WEIGHTS_RAW, QN_WEIGHTS_CODED, QN_WEIGHTS_STREAM, QN_WEIGHTS_AUTO } qn_weights;
/* A row of runtime/codecs.def; see encode.h. */
typedef struct qn_codec qn_codec;
/* NULL when there is no such codec. */
const qn_codec *qn_find_codec(const char *name);

/* Told before the first op (-1), and after op `op` of the main function. */
typedef struct {
  void (*at)(void *of, int32_t op);
  void *of;
} qn_ticks;

/* Which of the kernels that can compute an op does, found by measuring. */
typedef struct {
  const char *shape;  /* of the op: qn_op_shape; "*": of any */
  const char *kernel; /* a name in qn_object.alternatives; "runtime": the runtime's kernel */
} qn_choice;
typedef struct {
  int count;
  const qn_choice *at;
} qn_tuning;
/* Whether there may be an alternative of that name, for some op on some target. */
bool qn_is_alternative(const char *name);

typedef struct {
  const qn_target *target;
  const char *name; /* prefix of the exported symbols: a C identifier */
  qn_emit emit;
  qn_optimize optimize;
  qn_weights weights;
  const qn_codec *codec; /* of coded weights; NULL: the one that makes the object smallest */
  const qn_weights *forms; /* per op of the main function: `weights` of its constants; or NULL */
  bool soft;                   /* no FPU, floats in core registers; the row allows it */
  bool pic;                    /* position-independent code */
  bool fused;                  /* floats: products and sums may be rounded once */
  bool split;                  /* decoded weights in a memory of their own */
  bool keep_values;            /* all can be looked at after a run, if the plan keeps them */
  bool selftest;               /* a fourth symbol, NAME_selftest */
  const qn_tuning *tuning;     /* or NULL; what it says of other shapes or kernels does not matter */
  bool as_row;                 /* qn_load: code for the row, which has to run here; else for host */
  bool list_alternatives;      /* qn_object.alternatives is wanted */
  const qn_ticks *ticks;       /* qn_load only: the object is for this process; or NULL */
  const char *weights_section; /* of the weights, in front of ".NAME_weights"; NULL: ".rodata" */
  qn_status (*plan)(qn_module *m); /* plans m's memory anew; NULL: m's plan stands */
} qn_compile_options;

/* What an op takes of the object; what several share counts for the first. */
typedef struct {
  int64_t weights;                /* how many */
  int64_t weight_bits, side_bits; /* as stored: of the weights, and of its other constants */
  int64_t code_bytes;
  qn_weights stored;    /* its weights: raw, coded or stream */
  const char *unstreamed; /* why they are not streamed although they should be; or NULL */
} qn_layer_size;

typedef struct {
  const char *bytes; /* object, assembly or LLVM text, in the module's arena */
  size_t size;
  const char *header; /* the C header's text */
  int64_t memory_bytes;  /* decoded weights + activations + scratch */
  int64_t split_bytes;   /* of options.split: decoded weights, then not in memory_bytes */
  int64_t selftest_bytes; /* of options.selftest: what its memory takes, memory_bytes included */
  int64_t plan_offset;   /* where the plan's memory begins in the caller's */
  int64_t weight_bytes;  /* constants as stored in the object */
  int64_t stack_bytes;   /* bound */
  int64_t text_bytes;    /* code */
  int64_t flash_bytes;   /* all that the program keeps of the object: code, weights, description */
  int64_t table_bytes;   /* of weight_bytes: a codec's tables, which belong to no layer */
  const char *codec;     /* of coded or streamed weights; NULL where there are none */
  int64_t decoder_bytes; /* of text_bytes and what it reads: about */
  const qn_layer_size *layers; /* per op of the main function */
  int32_t flipped; /* values that are stored as unsigned bytes, x + 128, as vpdpbusd takes them */
  int32_t padded;  /* of these, how many with the padding around them that who reads them needs */
  const char **kernels;  /* per op of the main function: the function that computes it; "" for none */
  /* Per op of the main function: names of what can compute it, NULL behind the last. First what
   * computes it without a tuning, the runtime's kernel last. NULL unless options.list_alternatives. */
  const char *const **alternatives;
} qn_object;

/* m's main function has been planned (plan-memory). Its ops get the `overlap` of the kernels chosen
 * for them, and it another plan if that changes any. Nothing is written; an object has been checked:
 * no undefined symbol, no writable data, only the three (four) symbols global, no recursion, stack
 * known. May be called again with other options. */
qn_status qn_compile(qn_module *m, const qn_compile_options *options, qn_object *out) QN_MUST_CHECK;
/* Only the plan that qn_compile makes: for who has an object of before, and compiled others since. */
qn_status qn_plan_as_compiled(qn_module *m, const qn_compile_options *options) QN_MUST_CHECK;

/* -- cost.c: what an op's layer takes, estimated. */
typedef struct {
  int64_t macs, pixels, results; /* elements of the result; those without its last dimension */
  int64_t reads; /* bytes gathered for a convolution's windows, taps of a pool's; elements of other
                  * ops' operand */
  int64_t rows;  /* of a convolution's window; 1 elsewhere */
  bool point;    /* a convolution's windows are one pixel each */
} qn_work;
qn_work qn_work_of(const qn_op *op);
typedef struct {
  double instructions, cycles; /* cycles 0: not known */
} qn_cost;
/* Some kernels' costs are known for the row. */
bool qn_has_costs(const qn_target *target);
/* By this function, a name in qn_object.kernels or of an emitter. False: nothing is known of it. */
bool qn_estimate_work(const qn_target *target, const qn_work *w, const char *kernel, qn_cost *out);
bool qn_estimate_cost(const qn_target *target, const qn_op *op, const char *kernel, qn_cost *out);

/* -- sizes.c: operand i of op holds a layer's weights, as opposed to biases, scales, tables. */
bool qn_is_weight(const qn_op *op, int i);

/* -- target.c: this machine can run code for the row. */
qn_status qn_can_run(const qn_target *row, bool *out) QN_MUST_CHECK;

/* -- jit.c: the object for `host`, or as options.as_row says, loaded into this process. */
typedef struct qn_program qn_program;
qn_status qn_load(qn_module *m, const qn_compile_options *options, qn_program **out) QN_MUST_CHECK;
/* inputs, outputs: dense tensors, one per parameter and result of the main function. */
qn_status qn_run(qn_program *p, const void *const *inputs, void *const *outputs) QN_MUST_CHECK;
/* After a run: a value with `offset` N (plan-memory) has its bytes at N from here; those that a
 * later value took over are that value's (qn_pass_options.keep_all: none). */
const void *qn_memory_of(const qn_program *p);
/* Per op of the main function, the function that computes it; "" for none. In the module's arena. */
const char *const *qn_kernels_of(const qn_program *p);
/* qn_object.alternatives. */
const char *const *const *qn_alternatives_of(const qn_program *p);
void qn_unload(qn_program *p);

/* -- peak.c: how many multiply-adds a second one thread of this machine does on operands in
 * registers, of int8 (QN_i8) or floats (QN_f32; `fused`: rounded once), by the row's best
 * instruction among those that emitters use, measured in about 10 ms. 0 and "" when emitters have
 * none. */
typedef struct {
  double macs_per_second;
  const char *instruction;
} qn_peak;
qn_status qn_measure_peak(const qn_target *row, qn_elem elem, bool fused,
                          qn_peak *out) QN_MUST_CHECK;

#endif
