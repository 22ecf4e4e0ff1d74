/* What the files of this folder share: one compilation, from a planned module to an object. */
#ifndef QN_UNIT_H
#define QN_UNIT_H

#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>
#include "codegen.h"

/* -- weights.c: where constants are, in the object and when the model runs. */
typedef struct {
  const qn_value *value;
  int64_t bytes;
  int64_t offset; /* in the blob, or in memory when decoded */
  bool decoded;
} qn_weight;

typedef struct {
  int count, slots;
  qn_weight *at;       /* distinct ones, in order of first use */
  int *slot;           /* hash table: index in `at` + 1 */
  unsigned char *blob; /* what the object stores */
  int64_t blob_bytes;
  const char *decoder;  /* the runtime's function; NULL when nothing is coded. It makes of */
  int64_t stream, stream_bytes; /* these bytes of the blob */
  int64_t image_bytes;          /* these at the start of memory, */
  int64_t memory_bytes;         /* rounded up to 64 */
} qn_weight_plan;

/* Every constant that f's calls read or f returns, identical ones once. */
qn_status qn_plan_weights(qn_module *m, const qn_func *f, qn_weights form,
                          qn_weight_plan *out) QN_MUST_CHECK;
const qn_weight *qn_find_weight(const qn_weight_plan *plan, const qn_value *value);

/* -- target.c */
/* LLVM's machine for the row. Initialises LLVM's targets. */
qn_status qn_open_machine(const qn_compile_options *options,
                          LLVMTargetMachineRef *out) QN_MUST_CHECK;

/* One compilation. Owned by qn_compile; the rest borrows it. */
typedef struct {
  qn_module *m;
  const qn_func *f;
  const qn_compile_options *options;
  qn_weight_plan weights;
  int64_t memory_bytes; /* what is in front of the plan's memory, and that */
  int64_t plan_offset;  /* in front of it: decoded weights or, if they are split off, their address */
  LLVMContextRef context;
  LLVMTargetMachineRef machine;
  LLVMTargetDataRef layout;
  LLVMModuleRef module;
  LLVMTypeRef i8, i32, size, real, pointer, nothing;
  LLVMValueRef blob;    /* the weights: without content until the code has been optimised */
  const char **kernels; /* per op: the name of the function that computes it */
  const char *failure;  /* LLVM's first error, or NULL */
  struct qn_frame *frames; /* what the last emission said of stack frames */
} qn_unit;

/* -- runtime.c: runtime/ as an LLVM module. */
/* The runtime's bitcode for the unit's target. The kernels and what they call are always inlined
 * and internal; helpers (memcpy and what else compilers call) are renamed, so that no optimisation
 * of the kernels' own copy changes what the back end calls by that name. */
qn_status qn_parse_runtime(qn_unit *u, LLVMModuleRef *out) QN_MUST_CHECK;
/* Adds the helper `name`, optimised on its own, internal. Not QN_OK only on a bug; *found is false
 * when the runtime has no such helper. */
qn_status qn_add_helper(qn_unit *u, const char *name, bool *out_found) QN_MUST_CHECK;
void qn_set_function_attributes(qn_unit *u, LLVMValueRef function);
void qn_add_attribute(qn_unit *u, LLVMValueRef function, unsigned index, const char *name);
qn_status qn_optimize_module(qn_unit *u, LLVMModuleRef module, const char *first) QN_MUST_CHECK;

/* -- emit.c: the main function as calls of specialised kernels, and the exported symbols. */
qn_status qn_emit_model(qn_unit *u) QN_MUST_CHECK;
/* Returns QUERN_EALIGN from function when its argument `index`, a memory of so many bytes, is NULL
 * or misaligned. */
void qn_emit_memory_check(qn_unit *u, LLVMBuilderRef b, LLVMValueRef function, unsigned index,
                          int64_t bytes);

uint32_t qn_element_id(qn_elem elem); /* as quern.h numbers them */

/* -- selftest.c: the optional symbol NAME_selftest. */
/* What its memory takes: the model's, and behind it inputs and outputs. */
int64_t qn_selftest_bytes(const qn_unit *u);
qn_status qn_emit_selftest(qn_unit *u, LLVMBuilderRef b) QN_MUST_CHECK;

/* -- stack.c: the calls among the functions of the final code. */
/* One function's stack frame, as the back end reported it. Functions without one have none. */
typedef struct qn_frame {
  const char *function;
  int64_t bytes;
  struct qn_frame *next;
} qn_frame;
/* The most that an exported function pushes below their caller's frame. Recursion and indirect calls are
 * bugs of ours and reported. */
qn_status qn_bound_stack(qn_unit *u, int64_t *out_bytes) QN_MUST_CHECK;

/* -- elf.c: what an ELF object says of itself, 32 and 64 bit, little endian. */
typedef struct {
  int undefined_count, global_count; /* symbols */
  const char **undefined, **globals; /* their names, in the arena */
  const char *writable;              /* a section with writable content, or NULL */
  int64_t text_bytes;                /* of executable sections */
  int64_t loaded_bytes;              /* of all sections that a program keeps */
} qn_elf;
qn_status qn_read_elf(qn_arena *a, const void *bytes, size_t size, qn_elf *out) QN_MUST_CHECK;

/* -- header.c */
const char *qn_header_text(qn_unit *u, const qn_object *object);

#endif
