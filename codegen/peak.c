/* The machine's peak: a loop of the instruction that emitters multiply and add with, on registers,
 * with as many independent sums as hide its latency; timed. */
#include <string.h>
#include <time.h>
#include "f32.h"
#include "x86.h"

enum {
  SUMS = 12,        /* latency times rate of vpdpbusd and FMA is 8 to 10 on what there is */
  ROUNDS = 1 << 15, /* of one call */
  CALLS = 100,      /* the fastest counts */
};

/* A way to multiply and add.
 * type  of a vector of sums, and of its operands
 * step  sum + the products of x and w */
typedef struct {
  const char *instruction, *fused;
  qn_elem elem;
  qn_capability needs;
  LLVMTypeRef (*type)(qn_build *b);
  int macs_per_lane;
  LLVMValueRef (*step)(qn_build *b, LLVMValueRef sum, LLVMValueRef x, LLVMValueRef w);
} way;

static LLVMTypeRef float_vector(qn_build *b) {
  return qn_vector(b->u->real, qn_float_lanes(b->u).count);
}

static LLVMValueRef add_float_product(qn_build *b, LLVMValueRef sum, LLVMValueRef x,
                                      LLVMValueRef w) {
  return qn_add_product(b, qn_float_lanes(b->u), sum, x, w);
}

static LLVMTypeRef int_vector(qn_build *b) {
  qn_isa isa = qn_isa_of(b->u);
  return qn_lanes_of(b, &isa);
}

static LLVMValueRef add_byte_products(qn_build *b, LLVMValueRef sum, LLVMValueRef x,
                                      LLVMValueRef w) {
  qn_isa isa = qn_isa_of(b->u);
  return qn_dot(b, &isa, sum, x, w);
}

/* Products of x and w would leave the loop: they do not depend on the sum. */
static LLVMValueRef add_word_products(qn_build *b, LLVMValueRef sum, LLVMValueRef x,
                                      LLVMValueRef w) {
  (void)x;
  return add_byte_products(b, sum, sum, w);
}

static const way ways[] = {
    {"vpdpbusd", "vpdpbusd", QN_i8, QN_NEEDS_vnni, int_vector, 4, add_byte_products},
    {"pmaddwd, paddd", "pmaddwd, paddd", QN_i8, QN_NEEDS_x86_64, int_vector, 2, add_word_products},
    {"multiply, add", "fused multiply-add", QN_f32, QN_NEEDS_float_lanes, float_vector, 1,
     add_float_product},
    {0},
};

static const way *find_way(const qn_unit *u, qn_elem elem) {
  const way *w = ways;
  while (w->step && (w->elem != elem || !qn_can(u, w->needs))) w++;
  return w->step ? w : NULL;
}

/* peak(data): vectors x, w, and SUMS sums there, which it replaces. */
static void write_loop(qn_unit *u, const way *w) {
  u->module = LLVMModuleCreateWithNameInContext("peak", u->context);
  LLVMValueRef function =
      LLVMAddFunction(u->module, "peak", LLVMFunctionType(u->nothing, &u->pointer, 1, 0));
  qn_set_function_attributes(u, function);
  LLVMAppendBasicBlockInContext(u->context, function, "entry");
  qn_build b = {u, LLVMCreateBuilderInContext(u->context), function, false};
  LLVMPositionBuilderAtEnd(b.b, LLVMGetEntryBasicBlock(function));
  LLVMValueRef data = LLVMGetParam(function, 0), at[2 + SUMS];
  for (int i = 0; i < 2 + SUMS; i++)
    at[i] = qn_read(&b, w->type(&b), qn_at(&b, data, QN_MOST_VECTOR * i), QN_MOST_VECTOR);
  qn_loop l = qn_begin_loop(&b, ROUNDS, at + 2, SUMS);
  for (int i = 0; i < SUMS; i++) at[2 + i] = w->step(&b, at[2 + i], at[0], at[1]);
  qn_end_loop(&b, &l);
  for (int i = 0; i < SUMS; i++)
    qn_write(&b, at[2 + i], qn_at(&b, data, QN_MOST_VECTOR * (2 + i)), QN_MOST_VECTOR);
  LLVMBuildRetVoid(b.b);
  LLVMDisposeBuilder(b.b);
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double time_loop(void (*peak)(void *data)) {
  _Alignas(QN_MOST_VECTOR) char data[QN_MOST_VECTOR * (2 + SUMS)] = {0};
  double best = 1;
  for (int i = 0; i < CALLS; i++) {
    double begin = seconds();
    peak(data);
    double time = seconds() - begin;
    if (time < best) best = time;
  }
  return best;
}

static qn_status measure(qn_unit *u, const way *w, qn_peak *out) {
  write_loop(u, w);
  qn_build b = {u, NULL, NULL, false};
  int macs = w->macs_per_lane * (int)LLVMGetVectorSize(w->type(&b));
  LLVMMemoryBufferRef object = NULL;
  char *why = NULL;
  if (LLVMTargetMachineEmitToMemoryBuffer(u->machine, u->module, LLVMObjectFile, &why, &object)) {
    qn_status status = qn_bug("emitting: %s", why);
    LLVMDisposeMessage(why);
    return status;
  }
  qn_jit jit;
  uintptr_t address;
  qn_status status =
      qn_link(LLVMGetBufferStart(object), LLVMGetBufferSize(object), "peak", &jit, &address);
  if (status == QN_OK) {
    out->instruction = u->options->fused ? w->fused : w->instruction;
    out->macs_per_second = (double)SUMS * ROUNDS * macs / time_loop((void (*)(void *))address);
  }
  qn_unlink(jit);
  LLVMDisposeMemoryBuffer(object);
  return status;
}

qn_status qn_measure_peak(const qn_target *row, qn_elem elem, bool fused, qn_peak *out) {
  const qn_compile_options options = {.target = row, .fused = fused, .pic = true};
  qn_unit u = {.m = qn_new_module(), .options = &options};
  *out = (qn_peak){0, ""};
  qn_status status = qn_open_unit(&u);
  if (status == QN_OK) {
    const way *w = find_way(&u, elem);
    if (w) status = measure(&u, w, out);
    qn_close_unit(&u);
  }
  qn_free_module(u.m);
  return status;
}
