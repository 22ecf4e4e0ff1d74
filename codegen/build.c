/* build.h on LLVM's C interface. */
#include "build.h"
#include <string.h>

/* ------------------------------------------------------------------ values */

LLVMValueRef qn_i32(qn_build *b, int64_t n) {
  return LLVMConstInt(b->u->i32, (unsigned long long)n, 1);
}

LLVMValueRef qn_index(qn_build *b, int64_t n) {
  return LLVMConstInt(b->u->size, (unsigned long long)n, 1);
}

LLVMValueRef qn_times(qn_build *b, LLVMValueRef index, int64_t n) {
  return LLVMBuildMul(b->b, index, qn_index(b, n), "");
}

LLVMTypeRef qn_vector(LLVMTypeRef element, int count) {
  return LLVMVectorType(element, (unsigned)count);
}

static LLVMValueRef splat(LLVMValueRef element, int count) {
  LLVMValueRef at[64];
  for (int i = 0; i < count; i++) at[i] = element;
  return LLVMConstVector(at, (unsigned)count);
}

LLVMValueRef qn_splat_i8(qn_build *b, int value, int count) {
  return splat(LLVMConstInt(b->u->i8, (unsigned long long)(value & 255), 0), count);
}

LLVMValueRef qn_splat_i32(qn_build *b, int64_t value, int count) {
  return splat(qn_i32(b, value), count);
}

LLVMValueRef qn_indices(qn_build *b, const int *at, int count) {
  LLVMValueRef value[64];
  for (int i = 0; i < count; i++) value[i] = qn_i32(b, at[i]);
  return LLVMConstVector(value, (unsigned)count);
}

LLVMValueRef qn_broadcast_value(qn_build *b, LLVMValueRef element, int count) {
  LLVMTypeRef type = qn_vector(LLVMTypeOf(element), count);
  LLVMValueRef one = LLVMBuildInsertElement(b->b, LLVMGetPoison(type), element, qn_i32(b, 0), "");
  return LLVMBuildShuffleVector(b->b, one, LLVMGetPoison(type), qn_splat_i32(b, 0, count), "");
}

LLVMValueRef qn_part(qn_build *b, LLVMValueRef vector, int first, int lanes) {
  int at[64];
  for (int i = 0; i < lanes; i++) at[i] = first + i;
  return LLVMBuildShuffleVector(b->b, vector, LLVMGetPoison(LLVMTypeOf(vector)),
                                qn_indices(b, at, lanes), "");
}

LLVMValueRef qn_concat(qn_build *b, LLVMValueRef low, LLVMValueRef high) {
  int at[64], lanes = 2 * (int)LLVMGetVectorSize(LLVMTypeOf(low));
  for (int i = 0; i < lanes; i++) at[i] = i;
  return LLVMBuildShuffleVector(b->b, low, high, qn_indices(b, at, lanes), "");
}

static LLVMValueRef reinterpret(qn_build *b, LLVMValueRef value, LLVMTypeRef type) {
  return LLVMTypeOf(value) == type ? value : LLVMBuildBitCast(b->b, value, type, "");
}

LLVMValueRef qn_call_intrinsic(qn_build *b, const char *name, LLVMTypeRef result,
                               LLVMTypeRef *overload, int overload_count, LLVMValueRef *arguments,
                               int count) {
  unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
  LLVMValueRef function =
      LLVMGetIntrinsicDeclaration(b->u->module, id, overload, (size_t)overload_count);
  LLVMTypeRef type = LLVMGlobalGetValueType(function), want[8];
  LLVMValueRef value[8];
  LLVMGetParamTypes(type, want);
  for (int i = 0; i < count; i++) value[i] = reinterpret(b, arguments[i], want[i]);
  LLVMValueRef call = LLVMBuildCall2(b->b, type, function, value, (unsigned)count, "");
  return result ? reinterpret(b, call, result) : call;
}

/* ------------------------------------------------------------------ memory */

LLVMValueRef qn_at(qn_build *b, LLVMValueRef base, int64_t offset) {
  return offset ? qn_at_index(b, base, qn_index(b, offset)) : base;
}

LLVMValueRef qn_at_index(qn_build *b, LLVMValueRef base, LLVMValueRef offset) {
  return LLVMBuildInBoundsGEP2(b->b, b->u->i8, base, &offset, 1, "");
}

LLVMValueRef qn_read(qn_build *b, LLVMTypeRef type, LLVMValueRef address, int align) {
  LLVMValueRef load = LLVMBuildLoad2(b->b, type, address, "");
  LLVMSetAlignment(load, (unsigned)align);
  return load;
}

void qn_write(qn_build *b, LLVMValueRef value, LLVMValueRef address, int align) {
  LLVMSetAlignment(LLVMBuildStore(b->b, value, address), (unsigned)align);
}

LLVMValueRef qn_opaque(qn_build *b, LLVMValueRef vector) {
  static const char nothing[] = "", same[] = "=x,0";
  LLVMTypeRef kind = LLVMTypeOf(vector), type = LLVMFunctionType(kind, &kind, 1, 0);
  LLVMValueRef copy =
      LLVMGetInlineAsm(type, nothing, 0, same, sizeof same - 1, 0, 0, LLVMInlineAsmDialectATT, 0);
  return LLVMBuildCall2(b->b, type, copy, &vector, 1, "");
}

void qn_forget_reads(qn_build *b) {
  static const char nothing[] = "", clobbers[] = "~{memory}";
  LLVMTypeRef type = LLVMFunctionType(b->u->nothing, NULL, 0, 0);
  LLVMValueRef fence = LLVMGetInlineAsm(type, nothing, 0, clobbers, sizeof clobbers - 1, 1, 0,
                                        LLVMInlineAsmDialectATT, 0);
  LLVMBuildCall2(b->b, type, fence, NULL, 0, "");
}

/* The first `count` of `lanes` lanes. */
static LLVMValueRef mask(qn_build *b, int lanes, int count) {
  LLVMTypeRef bit = LLVMInt1TypeInContext(b->u->context);
  LLVMValueRef at[64];
  for (int i = 0; i < lanes; i++) at[i] = LLVMConstInt(bit, i < count, 0);
  return LLVMConstVector(at, (unsigned)lanes);
}

/* LLVM 22 has no operand for the alignment, which is number `align` in arguments. */
static LLVMValueRef call_masked(qn_build *b, const char *name, LLVMTypeRef vector,
                                LLVMValueRef *arguments, int count, int align) {
  LLVMTypeRef overload[] = {vector, b->u->pointer};
  unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
  LLVMValueRef function = LLVMGetIntrinsicDeclaration(b->u->module, id, overload, 2);
  if ((int)LLVMCountParams(function) < count)
    memmove(&arguments[align], &arguments[align + 1],
            (size_t)(--count - align) * sizeof *arguments);
  return qn_call_intrinsic(b, name, NULL, overload, 2, arguments, count);
}

/* Where bytes have no masks: halves, quarters, ... of a vector, as whole numbers below 8 bytes. */
static LLVMTypeRef piece_type(qn_build *b, int size) {
  if (size >= 8) return qn_vector(b->u->i8, size);
  return LLVMIntTypeInContext(b->u->context, (unsigned)size * 8);
}

static LLVMValueRef shuffle(qn_build *b, LLVMValueRef x, LLVMValueRef y, const int *at, int count) {
  return LLVMBuildShuffleVector(b->b, x, y, qn_indices(b, at, count), "");
}

static LLVMValueRef read_pieces(qn_build *b, LLVMValueRef address, int vector_bytes, int count) {
  LLVMValueRef all = LLVMConstNull(qn_vector(b->u->i8, vector_bytes));
  for (int size = vector_bytes / 2, done = 0; size > 0; size /= 2) {
    if (count - done < size) continue;
    int widen[64], place[64];
    for (int i = 0; i < vector_bytes; i++) {
      widen[i] = i < size ? i : 0;
      place[i] = i >= done && i < done + size ? vector_bytes + i - done : i;
    }
    LLVMValueRef piece = qn_read(b, piece_type(b, size), qn_at(b, address, done), 1);
    piece = reinterpret(b, piece, qn_vector(b->u->i8, size));
    piece = shuffle(b, piece, LLVMGetPoison(LLVMTypeOf(piece)), widen, vector_bytes);
    all = shuffle(b, all, piece, place, vector_bytes);
    done += size;
  }
  return all;
}

static void write_pieces(qn_build *b, LLVMValueRef value, LLVMValueRef address, int count) {
  for (int size = (int)LLVMGetVectorSize(LLVMTypeOf(value)) / 2, done = 0; size > 0; size /= 2) {
    if (count - done < size) continue;
    int at[64];
    for (int i = 0; i < size; i++) at[i] = done + i;
    LLVMValueRef piece = shuffle(b, value, LLVMGetPoison(LLVMTypeOf(value)), at, size);
    qn_write(b, reinterpret(b, piece, piece_type(b, size)), qn_at(b, address, done), 1);
    done += size;
  }
}

LLVMValueRef qn_read_bytes(qn_build *b, LLVMValueRef address, int vector_bytes, int count) {
  LLVMTypeRef type = qn_vector(b->u->i8, vector_bytes);
  if (count >= vector_bytes) return qn_read(b, type, address, 1);
  if (!qn_can(b->u, QN_NEEDS_avx512vnni)) return read_pieces(b, address, vector_bytes, count);
  LLVMValueRef arguments[] = {address, qn_i32(b, 1), mask(b, vector_bytes, count),
                              LLVMConstNull(type)};
  return call_masked(b, "llvm.masked.load", type, arguments, 4, 1);
}

void qn_write_bytes(qn_build *b, LLVMValueRef value, LLVMValueRef address, int count) {
  int lanes = (int)LLVMGetVectorSize(LLVMTypeOf(value));
  if (count >= lanes) {
    qn_write(b, value, address, 1);
    return;
  }
  if (!qn_can(b->u, QN_NEEDS_avx512vnni)) {
    write_pieces(b, value, address, count);
    return;
  }
  LLVMValueRef arguments[] = {value, address, qn_i32(b, 1), mask(b, lanes, count)};
  call_masked(b, "llvm.masked.store", LLVMTypeOf(value), arguments, 4, 2);
}

/* ------------------------------------------------------------------ loops */

qn_loop qn_begin_loop(qn_build *b, int64_t rounds, LLVMValueRef *carried, int count) {
  qn_loop l = {
      .index = qn_index(b, 0), .carried = carried, .carried_count = count, .rounds = rounds};
  if (rounds == 1) return l;
  LLVMBasicBlockRef before = LLVMGetInsertBlock(b->b);
  l.body = LLVMAppendBasicBlockInContext(b->u->context, b->function, "loop");
  LLVMBuildBr(b->b, l.body);
  LLVMPositionBuilderAtEnd(b->b, l.body);
  LLVMValueRef zero = l.index;
  l.index = LLVMBuildPhi(b->b, b->u->size, "");
  LLVMAddIncoming(l.index, &zero, &before, 1);
  for (int i = 0; i < count; i++) {
    l.phi[i] = LLVMBuildPhi(b->b, LLVMTypeOf(carried[i]), "");
    LLVMAddIncoming(l.phi[i], &carried[i], &before, 1);
    carried[i] = l.phi[i];
  }
  return l;
}

void qn_end_loop(qn_build *b, qn_loop *l) {
  if (l->rounds == 1) return;
  LLVMBasicBlockRef end = LLVMGetInsertBlock(b->b);
  LLVMValueRef next = LLVMBuildNUWAdd(b->b, l->index, qn_index(b, 1), "");
  LLVMAddIncoming(l->index, &next, &end, 1);
  for (int i = 0; i < l->carried_count; i++) LLVMAddIncoming(l->phi[i], &l->carried[i], &end, 1);
  LLVMValueRef more = LLVMBuildICmp(b->b, LLVMIntULT, next, qn_index(b, l->rounds), "");
  LLVMBasicBlockRef after = LLVMAppendBasicBlockInContext(b->u->context, b->function, "after");
  LLVMBuildCondBr(b->b, more, l->body, after);
  LLVMPositionBuilderAtEnd(b->b, after);
}

qn_unless qn_begin_unless(qn_build *b, LLVMValueRef known, LLVMValueRef value) {
  qn_unless u = {.before = LLVMGetInsertBlock(b->b), .value = value};
  u.after = LLVMAppendBasicBlockInContext(b->u->context, b->function, "known");
  LLVMBasicBlockRef other =
      LLVMInsertBasicBlockInContext(b->u->context, u.after, "unknown"); /* in front of it */
  LLVMBuildCondBr(b->b, known, u.after, other);
  LLVMPositionBuilderAtEnd(b->b, other);
  return u;
}

LLVMValueRef qn_end_unless(qn_build *b, const qn_unless *u, LLVMValueRef other) {
  LLVMBasicBlockRef end = LLVMGetInsertBlock(b->b), before = u->before;
  LLVMValueRef value = u->value;
  LLVMBuildBr(b->b, u->after);
  LLVMPositionBuilderAtEnd(b->b, u->after);
  LLVMValueRef phi = LLVMBuildPhi(b->b, LLVMTypeOf(value), "");
  LLVMAddIncoming(phi, &value, &before, 1);
  LLVMAddIncoming(phi, &other, &end, 1);
  return phi;
}

LLVMValueRef qn_tile_start(qn_build *b, LLVMValueRef index, int64_t tile, int64_t count) {
  LLVMValueRef start = qn_times(b, index, tile), last = qn_index(b, count - tile);
  if (count % tile == 0) return start;
  LLVMValueRef beyond = LLVMBuildICmp(b->b, LLVMIntUGT, start, last, "");
  return LLVMBuildSelect(b->b, beyond, last, start, "");
}
