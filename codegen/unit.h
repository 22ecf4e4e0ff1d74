/* What the files of this folder share: one compilation, from a planned module to an object. */
#ifndef QN_UNIT_H
#define QN_UNIT_H

#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>
#include "codegen.h"
#include "encode.h"
#include "../runtime/pack.h"

/* -- choose.c: tuned kernels. An op is a call of its runtime kernel, or of a function that an
 * emitter (a row of emitters.def) writes for the op's shape and the target's instructions. */
typedef struct qn_unit qn_unit;
typedef struct qn_build qn_build; /* build.h */

/* What the processor can do, from the target machine's features. */
typedef enum {
  QN_NEEDS_NOTHING,
  QN_NEEDS_x86_64,
  QN_NEEDS_avx2,       /* and FMA */
  QN_NEEDS_vnni,       /* of 256 bits or more: AVX-VNNI or */
  QN_NEEDS_avx512vnni,
  QN_NEEDS_vbmi, /* AVX-512 VBMI, and AVX-512 VNNI */
  QN_NEEDS_amx, /* its int8 tiles, and AVX-512 VNNI */
  QN_NEEDS_float_lanes,
  QN_NEEDS_lanes, /* vector registers */
  QN_NEEDS_dsp,
  QN_NEEDS_mve,
  QN_NEEDS_thumb, /* ARMv6-M: Thumb without what came later */
  QN_NEEDS_aarch64, /* with NEON */
  QN_NEEDS_dotprod,
  QN_NEEDS_i8mm,
  QN_NEEDS_neon32, /* 32-bit ARM */
  QN_NEEDS_rvv,    /* registers of 128 bits or more */
  QN_NEEDS_rv64,
  QN_NEEDS_rv32,
  QN_CAPABILITY_COUNT
} qn_capability;

struct qn_emitter;
typedef struct qn_panels qn_panels;

/* How a job's constants can be made of weights and numbers that a codec decodes: head_bytes as they
 * are, then of every `unit` channels unit_bytes by the packer. Where channels are left over, at
 * tail_at tail_head_bytes and a unit of the last channels. */
typedef struct {
  const char *packer; /* the runtime's function */
  qn_packer *pack;    /* the same, here */
  qn_pack_params params;
  int64_t head_bytes, unit_bytes, tail_at, tail_head_bytes; /* tail_at 0: none */
  int32_t unit, channel_step; /* the latter: from a channel's weights to the next one's */
  const int32_t *bias, *mul; /* by channel */
  const int8_t *shr;
} qn_packing;

/* How a value in memory is stored between kernels that agree on it (layout.c); all 0: densely. */
enum { QN_LAYOUTS = 2 }; /* of so many operands */
typedef struct {
  int32_t flipped;  /* the sign bit of every byte: as unsigned bytes, x + 128 */
  qn_margin margin; /* around each image; of the value's zero point, which its producer writes */
} qn_layout;

/* One op that an emitter has taken.
 *
 * Alternatives: an emitter whose code has sizes to choose, like a tile's, takes the ones that its
 * cost model likes best for `alternative` 0, the next best for 1, and so on to `alternatives`.
 * The function's arguments are addresses: operands that are not
 * constants, in order; the result; `constants` if there are any; scratch if there is any. */
typedef struct qn_job {
  const struct qn_emitter *emitter;
  const void *shape; /* all that the code depends on, padding bytes 0: ops with equal ones share it */
  size_t shape_bytes;
  const void *constants; /* bytes that the object stores, aligned to 64, in place of the operands' */
  int64_t constant_bytes;
  int64_t scratch_bytes; /* aligned to 64, contents undefined before and after */
  qn_overlap overlap;    /* of the result and operand 0, see qn_op */
  int64_t lead;
  bool fenced; /* what results overlap is read in front of a fence (qn_forget_reads) and they are
                  written behind it: LLVM, which spills much where it does not know addresses to be
                  apart, need not know of it */
  int32_t alternative, alternatives;
  /* In the shape, for layout.c to write; NULL: the operand, or the result, is stored densely. */
  qn_layout *x_layout[QN_LAYOUTS], *y_layout;
  bool reads_margins, writes_margins; /* also such that have pixels */
  qn_margin wanted; /* of operand 0: in its layout it is then read where it is */
  void (*settle)(struct qn_job *job); /* sets scratch_bytes, overlap, lead for the layouts; or NULL */
  int32_t *awake; /* in the shape, or NULL: 1 when the code keeps AMX's tile unit awake (awake.c) */
  bool packable;             /* in: constants are to be such that they can be made at run time: */
  const qn_packing *packing; /* how, or NULL; jobs that have it may compute some channels only */
} qn_job;

/* A row of emitters.def.
 * take   fills *job (in the arena; `emitter` is set) and returns true if the op has a shape, constant
 *        operands and a contract for which the emitter's code is exact and worth it. call is the
 *        op's, bound; qn_constant tells which operands are constants
 * emit   the body of the job's function, whose builder stands at its entry, up to and without the
 *        return. arguments are the function's. Not optimised any more: what is emitted stays. Reads
 *        job->shape and what the target is, nothing else of the job */
typedef struct qn_emitter {
  const char *name, *doc;
  qn_kernel kernel;
  qn_capability needs;
  bool (*take)(qn_unit *u, const qn_call *call, qn_job *job);
  void (*emit)(qn_build *b, const qn_job *job, LLVMValueRef *arguments);
} qn_emitter;
extern const qn_emitter qn_emitters[]; /* ends with a NULL name */

/* qn_object.alternatives. */
const char *const **qn_list_alternatives(qn_unit *u);
/* Gives every op of u->f that an emitter takes its job, and the ops to be streamed their panels,
 * except those whose u->unstreamed says why not. */
void qn_choose_kernels(qn_unit *u);
bool qn_can(const qn_unit *u, qn_capability what);
/* Vector registers that compute floats as single operations do, denormals included: how many floats
 * one holds, and how many there are; all 0 where there are none. */
typedef struct {
  int32_t count, registers;
  int32_t fused; /* products and sums are to be rounded once, and there is an instruction for it */
} qn_lanes;
qn_lanes qn_float_lanes(const qn_unit *u);
/* The bytes that vector instructions work on at once; 0 where there are none. */
int32_t qn_byte_lanes(const qn_unit *u);
/* The data of a constant operand (or a view of one); NULL when it is no constant or absent. */
const void *qn_constant(const qn_unit *u, const qn_value *v);

/* -- layout.c: layouts of values, for the jobs, u->flipped, u->padded. After qn_choose_kernels. */
void qn_decide_layouts(qn_unit *u);

/* -- awake.c: the layers that are to keep AMX's tile unit awake; how many. After qn_choose_kernels. */
int32_t qn_keep_awake(qn_unit *u);
/* Some layer is computed by tiles: the machine is asked for them. */
bool qn_uses_tiles(const qn_unit *u);

/* -- wishes.c: the ops' `needs`, `overlap` and `lead` as the jobs and panels have them, their results'
 * margins, and a plan that keeps to them. */
qn_status qn_plan_wishes(qn_unit *u) QN_MUST_CHECK;

/* -- weights.c: where constants are, in the object and when the model runs. */
typedef struct {
  const void *data;
  int64_t bytes, align, elem_bytes;
  int64_t offset; /* in the blob, or in memory when decoded */
  bool raw;     /* the form of an op that reads it */
  bool decoded; /* by init */
  int uses;     /* operands and results */
  int streamed; /* of these, in panels; when all are, it is not in the blob */
  qn_coded_tensor tensor; /* what it is to a codec */
} qn_weight;

typedef struct {
  int count, slots;
  qn_weight *at;       /* distinct ones, in order of first use */
  int *slot;           /* hash table: index in `at` + 1 */
  unsigned char *blob; /* what the object stores */
  int64_t blob_bytes;
  const qn_codec *codec;        /* NULL when nothing is coded. It makes of */
  int64_t stream, stream_bytes; /* these bytes of the blob, with */
  uint32_t features;            /* this argument, */
  int64_t image_start;          /* from this byte on, */
  int64_t image_bytes;          /* these at the start of memory, */
  int64_t memory_bytes;         /* rounded up to 64 */
  int panel_count;              /* further images, of panels, */
  const qn_coded_image *panels; /* which */
  int64_t panel_table;          /* are listed here in the blob: two words each, start and bytes */
  int64_t panel_bytes;          /* the largest of them */
  int64_t table_bytes;          /* of the stream, that belong to no constant */
  int64_t decoder_bytes;        /* code and its constants, about */
} qn_weight_plan;

/* How the constants of op number `number` are to be stored. */
qn_weights qn_form_of(const qn_unit *u, int number);
/* Every constant that f's calls read or f returns, and those of u's jobs, identical ones once. Sets
 * u->weights. Panels that are not worth it lose their op's u->panels. */
qn_status qn_plan_weights(qn_unit *u) QN_MUST_CHECK;
/* Whether decoded weights are placed for wide vectors: not on 32-bit processors. */
bool qn_places_wide(const qn_unit *u);
/* -- panels.c: layers whose weights are decoded some channels at a time, by run, which computes
 * these channels then, or by init, into the order of a tuned kernel. */
struct qn_panels {
  const qn_op *op;
  bool by_init;
  bool wide;                     /* qn_places_wide */
  int32_t channels, each, count; /* of the layer; of each panel but maybe the last; panels */
  int32_t x_step;                /* depthwise: results of an input channel; else 0 */
  qn_coded_tensor of[QN_MAX_IN]; /* operands by channel: all of the layer's; .data NULL: none */
  uint32_t operands;             /* bit i: operand i is part of the panels */
  uint64_t coded_bits[QN_MAX_IN];
  int first;                     /* panel, in the weights' list */
  qn_job *job, *last;            /* of each panel and of the last one, by_init of the layer (both);
                                  * NULL: the runtime's kernel */
  int64_t packed;                /* by_init: where the job's constants are, in decoded memory */
};
/* Takes the op of `call`, or some of its channels. False: no tuned kernel does. */
typedef bool qn_take_function(qn_unit *u, const qn_call *call, qn_job *out);
/* NULL and *out, but for coded_bits, first, packed and scratch; or why the op cannot be streamed.
 * take: of tuned kernels; where it gives none that can do with panels, the runtime's is used. */
const char *qn_plan_panels(qn_unit *u, const qn_op *op, qn_take_function *take, qn_panels *out);
/* The same for init. False: there is no tuned kernel whose constants can be made of decoded weights,
 * or it does not want them. */
bool qn_plan_packed(qn_unit *u, const qn_op *op, qn_take_function *take, qn_panels *out);
int32_t qn_panel_channels(const qn_panels *s, int32_t panel);
/* The bytes of a panel of so many channels, and the operands' offsets in it. */
uint32_t qn_panel_image(const qn_panels *s, int32_t channels, uint32_t offsets[QN_MAX_IN]);
/* Scratch for a panel of run: the image, then at `state` the decoder's; at `packed` the job's
 * constants, whose own scratch takes the place of the former, or at `kernel` the runtime's kernel's. */
typedef struct {
  int64_t state, packed, kernel, bytes;
} qn_panel_scratch;
qn_panel_scratch qn_panel_scratch_of(const qn_unit *u, const qn_panels *s);
/* Operand i's part of a panel. */
qn_coded_tensor qn_panel_tensor(const qn_unit *u, const qn_panels *s, int32_t panel, int i);
/* -- role.c: what a constant is to a codec that is operand i of op (NULL: a result). */
qn_coded_tensor qn_coded_role(qn_arena *a, const qn_op *op, int i, const qn_value *v);
/* -- decoder.c: the bytes of code that a decoder would take, by compiling it for the target. */
qn_status qn_measure_decoder(qn_unit *u, const qn_codec *codec, const qn_stream *stream,
                             int64_t *out_bytes) QN_MUST_CHECK;
const qn_weight *qn_find_weight(const qn_weight_plan *plan, const void *data, int64_t bytes);

/* -- target.c */
/* LLVM's machine for the row. Initialises LLVM's targets. */
qn_status qn_open_machine(const qn_compile_options *options,
                          LLVMTargetMachineRef *out) QN_MUST_CHECK;

/* A job's function: declared with the model, written after the optimisation. */
typedef struct qn_body {
  const qn_job *job;
  LLVMValueRef function;
  struct qn_body *next;
} qn_body;

/* One compilation. Owned by qn_compile; the rest borrows it. */
struct qn_unit {
  qn_module *m;
  const qn_func *f;
  const qn_compile_options *options;
  qn_job **jobs; /* by op of f, in order; NULL: the runtime's kernel */
  qn_panels **panels;      /* by op: it is streamed; or NULL */
  bool unpacked;           /* init makes no constants of tuned kernels */
  const char **unstreamed; /* by op: why it is not streamed although it should be; or NULL */
  qn_body *bodies;
  qn_weight_plan weights;
  int64_t memory_bytes; /* what is in front of the plan's memory, and that */
  int64_t plan_offset;  /* in front of it: decoded weights or, if they are split off, their address */
  LLVMContextRef context;
  LLVMTargetMachineRef machine;
  LLVMTargetDataRef layout;
  LLVMModuleRef module;
  LLVMTypeRef i8, i32, size, real, pointer, nothing;
  LLVMValueRef blob;    /* the weights: without content until the code has been optimised */
  int32_t flipped, padded; /* values that are stored so: qn_object */
  const char **kernels; /* per op: the name of the function that computes it */
  const char *failure;  /* LLVM's first error, or NULL */
  struct qn_frame *frames; /* what the last emission said of stack frames */
  struct qn_frame *assembly_frames; /* of functions that are assembly text */
};

/* -- object.c */
/* Opens u's machine and context for u->options, of which qn_close_unit disposes. */
qn_status qn_open_unit(qn_unit *u) QN_MUST_CHECK;
void qn_close_unit(qn_unit *u);

/* -- jit.c: an object into this process; the address of its symbol. `jit` is to be disposed of, also
 * after an error. */
typedef struct LLVMOrcOpaqueLLJIT *qn_jit;
qn_status qn_link(const char *bytes, size_t size, const char *symbol, qn_jit *jit,
                  uintptr_t *out) QN_MUST_CHECK;
void qn_unlink(qn_jit jit);

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

/* Whether init's decoded weights have a memory of their own. */
bool qn_is_split(const qn_unit *u);

/* -- emit.c: the main function as calls of specialised kernels, and the exported symbols. */
qn_status qn_emit_model(qn_unit *u) QN_MUST_CHECK;
/* The bodies of the jobs' functions, which qn_emit_model has declared. */
void qn_emit_bodies(qn_unit *u);
/* Returns QUERN_EALIGN from function when its argument `index`, a memory of so many bytes, is NULL
 * or misaligned. */
void qn_emit_memory_check(qn_unit *u, LLVMBuilderRef b, LLVMValueRef function, unsigned index,
                          int64_t bytes);

/* -- emit_conv_amx.c */
/* Asks Linux for AMX's tile registers, without which jobs of that need must not run; an i1: granted.
 */
LLVMValueRef qn_ask_for_amx(qn_unit *u, LLVMBuilderRef b);

uint32_t qn_element_id(qn_elem elem); /* as quern.h numbers them */

/* -- selftest.c: the optional symbol NAME_selftest. */
/* What its memory takes: the model's, and behind it inputs and outputs. */
int64_t qn_selftest_bytes(const qn_unit *u);
qn_status qn_emit_selftest(qn_unit *u, LLVMBuilderRef b) QN_MUST_CHECK;

/* -- workarounds.c: of errors in LLVM. */
void qn_avoid_gathers(void);              /* in the whole process */
void qn_fence_conversions(qn_unit *u); /* in optimised code */

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
  int code_count;                    /* executable sections */
  struct {
    const char *section;
    int64_t bytes;
  } *code;
} qn_elf;
qn_status qn_read_elf(qn_arena *a, const void *bytes, size_t size, qn_elf *out) QN_MUST_CHECK;

/* -- sizes.c */
/* Sets out->layers, table_bytes, decoder_bytes. */
void qn_size_layers(qn_unit *u, const qn_elf *elf, qn_object *out);

/* -- header.c */
const char *qn_header_text(qn_unit *u, const qn_object *object);

#endif
