/* What emitters build code with: a thin layer over LLVM's builder. Only build.c makes basic blocks.
 *
 * Offsets and counts are in bytes unless said otherwise; indices are of the target's size type. */
#ifndef QN_BUILD_H
#define QN_BUILD_H

#include "arithmetic.h"
#include "unit.h"

enum { QN_MOST_CARRIED = 128 };

struct qn_build {
  qn_unit *u;
  LLVMBuilderRef b;
  LLVMValueRef function;
  bool awake; /* qn_job */
};

/* What the rows of emitters.def are made of. */
#define QN_EMITTER(name, kernel, needs, doc)                                                       \
  bool qn_take_##name(qn_unit *u, const qn_call *call, qn_job *job);                               \
  void qn_emit_##name(qn_build *b, const qn_job *job, LLVMValueRef *arguments);
#include "emitters.def"

/* -- values */
LLVMValueRef qn_i32(qn_build *b, int64_t n);
LLVMValueRef qn_index(qn_build *b, int64_t n);
LLVMValueRef qn_times(qn_build *b, LLVMValueRef index, int64_t n);
LLVMTypeRef qn_vector(LLVMTypeRef element, int count);
LLVMValueRef qn_splat_i8(qn_build *b, int value, int count);
LLVMValueRef qn_splat_i32(qn_build *b, int64_t value, int count);
/* A constant vector <count x i32>, for shuffles. */
LLVMValueRef qn_indices(qn_build *b, const int *at, int count);
LLVMValueRef qn_broadcast_value(qn_build *b, LLVMValueRef element, int count);
/* Lanes first .. first+lanes-1 of a vector, and two vectors of one length as one, of up to 64. */
LLVMValueRef qn_part(qn_build *b, LLVMValueRef vector, int first, int lanes);
LLVMValueRef qn_concat(qn_build *b, LLVMValueRef low, LLVMValueRef high);
/* llvm.<name>, overloaded for the types; arguments are reinterpreted as the parameters' types,
 * which differ between versions of LLVM, and the result as `result` (NULL: as it is). */
LLVMValueRef qn_call_intrinsic(qn_build *b, const char *name, LLVMTypeRef result,
                               LLVMTypeRef *overload, int overload_count, LLVMValueRef *arguments,
                               int count);

/* -- memory: nothing is assumed of an address but that it is a multiple of `align` */
LLVMValueRef qn_at(qn_build *b, LLVMValueRef base, int64_t offset);
LLVMValueRef qn_at_index(qn_build *b, LLVMValueRef base, LLVMValueRef offset);
LLVMValueRef qn_read(qn_build *b, LLVMTypeRef type, LLVMValueRef address, int align);
void qn_write(qn_build *b, LLVMValueRef value, LLVMValueRef address, int align);
/* The same value in a vector register, of which the back end knows nothing: it does not reassociate
 * sums across. x86 only. */
LLVMValueRef qn_opaque(qn_build *b, LLVMValueRef vector);
/* What is read before is not kept in a register for what reads it again behind. */
void qn_forget_reads(qn_build *b);
/* The first `count` bytes of a vector of i8; other bytes of memory are not touched, loaded as 0. */
LLVMValueRef qn_read_bytes(qn_build *b, LLVMValueRef address, int vector_bytes, int count);
void qn_write_bytes(qn_build *b, LLVMValueRef value, LLVMValueRef address, int count);

/* -- loops: `count` rounds, at least one, known when compiling. One round makes no loop.
 *      qn_loop l = qn_begin_loop(b, rounds, carried, n);   // l.index is 0, 1, ...
 *      ... reads carried[], leaves the next round's values in carried[] ...
 *      qn_end_loop(b, &l);                                 // carried[]: the last round's */
typedef struct {
  LLVMValueRef index;
  LLVMBasicBlockRef body;
  LLVMValueRef *carried, phi[QN_MOST_CARRIED];
  int carried_count;
  int64_t rounds;
} qn_loop;
qn_loop qn_begin_loop(qn_build *b, int64_t rounds, LLVMValueRef *carried, int count);
void qn_end_loop(qn_build *b, qn_loop *l);
/* -- a value that is known when `known`, an i1, is set, and takes a computation otherwise:
 *      qn_unless u = qn_begin_unless(b, known, value);
 *      ... computes other ...
 *      value = qn_end_unless(b, &u, other); */
typedef struct {
  LLVMBasicBlockRef before, after;
  LLVMValueRef value;
} qn_unless;
qn_unless qn_begin_unless(qn_build *b, LLVMValueRef known, LLVMValueRef value);
LLVMValueRef qn_end_unless(qn_build *b, const qn_unless *u, LLVMValueRef other);
/* Where tile number `index` of a row of `count` starts, count >= tile: the last is moved back to end
 * with the row. */
LLVMValueRef qn_tile_start(qn_build *b, LLVMValueRef index, int64_t tile, int64_t count);

/* -- awake.c: around the code of a job that keeps AMX awake, and within it every few hundred cycles.
 * Nothing where b->awake is false. */
void qn_begin_awake(qn_build *b);
void qn_stay_awake(qn_build *b);
void qn_end_awake(qn_build *b);

#endif
