/* NAME_selftest(memory[, weights_memory]): init, run on noise, and the CRC-32 of the outputs, which
 * must be the one that the reference evaluator has found when the model was compiled.
 *
 *   memory:  [the model's, to 64] [inputs, each to 16] [outputs, each to 16]
 *
 * The noise is made on the spot (runtime/selftest.c) and fills the outputs too before the run, so
 * that the gaps between them are a part of the CRC that is the same on both sides. */
#include "../runtime/selftest.h"
#include "arithmetic.h"
#include "unit.h"

enum { TENSOR_ALIGN = 16, MODEL_ALIGN = 64, FILLED_SEED = 1 };

static int64_t room_of(const qn_value *v) { return qn_align_up(qn_bytes(&v->type), TENSOR_ALIGN); }

/* Bytes of all inputs, and of all outputs. */
static void measure(const qn_func *f, int64_t *inputs, int64_t *outputs) {
  *inputs = *outputs = 0;
  for (const qn_value *p = f->params; p; p = p->next) *inputs += room_of(p);
  for (int i = 0; i < f->result_count; i++) *outputs += room_of(f->results[i]);
}

int64_t qn_selftest_bytes(const qn_unit *u) {
  int64_t inputs, outputs;
  measure(u->f, &inputs, &outputs);
  return qn_align_up(u->memory_bytes, MODEL_ALIGN) + inputs + outputs;
}

static uint32_t bytes_of(const qn_value *v) { return (uint32_t)qn_bytes(&v->type); }

/* ------------------------------------------------------------------ the answer */

/* Does what the object will do, here and now, by the evaluator. `tensors` has room for all. */
static uint32_t evaluate(qn_arena *a, const qn_func *f, uint8_t *tensors, int64_t input_bytes,
                         int64_t output_bytes) {
  const void **inputs = qn_alloc(a, (size_t)input_bytes / TENSOR_ALIGN * sizeof *inputs + 1);
  void *outputs[QN_MAX_IN];
  uint8_t *at = tensors;
  uint32_t count = 0;
  qn_fill_noise(tensors, (uint32_t)(input_bytes + output_bytes), QUERN_U8, FILLED_SEED);
  for (const qn_value *p = f->params; p; at += room_of(p), p = p->next, count++) {
    qn_fill_noise(at, bytes_of(p), qn_element_id(p->type.elem), FILLED_SEED + 1 + count);
    inputs[count] = at;
  }
  for (int i = 0; i < f->result_count; at += room_of(f->results[i]), i++) outputs[i] = at;
  qn_eval(f, inputs, outputs);
  return qn_crc32(tensors + input_bytes, (uint32_t)output_bytes);
}

static uint32_t expected_crc(const qn_func *f, int64_t input_bytes, int64_t output_bytes) {
  qn_arena a = {0};
  uint8_t *tensors = qn_alloc(&a, (size_t)(input_bytes + output_bytes));
  uint32_t crc = evaluate(&a, f, tensors, input_bytes, output_bytes);
  qn_free_arena(&a);
  return crc;
}

/* ------------------------------------------------------------------ the code */

typedef struct {
  qn_unit *u;
  LLVMBuilderRef b;
  LLVMValueRef function;
} builder;

static LLVMValueRef number(const builder *t, uint32_t n) { return LLVMConstInt(t->u->i32, n, 0); }

static LLVMValueRef in_memory(const builder *t, int64_t offset) {
  LLVMValueRef index = LLVMConstInt(t->u->size, (unsigned long long)offset, 0);
  return LLVMBuildInBoundsGEP2(t->b, t->u->i8, LLVMGetParam(t->function, 0), &index, 1, "");
}

static LLVMValueRef call(const builder *t, const char *name, LLVMValueRef *arguments,
                         unsigned count) {
  LLVMValueRef callee = LLVMGetNamedFunction(t->u->module, name);
  return LLVMBuildCall2(t->b, LLVMGlobalGetValueType(callee), callee, arguments, count, "");
}

static void fill(const builder *t, LLVMValueRef at, uint32_t bytes, uint32_t type, uint32_t seed) {
  LLVMValueRef arguments[] = {at, number(t, bytes), number(t, type), number(t, seed)};
  call(t, "qn_fill_noise", arguments, 4);
}

/* Returns code from the function unless it is QUERN_OK. */
static void return_failure(const builder *t, LLVMValueRef code) {
  LLVMContextRef context = t->u->context;
  LLVMBasicBlockRef failed = LLVMAppendBasicBlockInContext(context, t->function, "failed");
  LLVMBasicBlockRef good = LLVMAppendBasicBlockInContext(context, t->function, "good");
  LLVMBuildCondBr(t->b, LLVMBuildIsNotNull(t->b, code, ""), failed, good);
  LLVMPositionBuilderAtEnd(t->b, failed);
  LLVMBuildRet(t->b, code);
  LLVMPositionBuilderAtEnd(t->b, good);
}

/* The call of NAME_run with the tensors behind the model's memory; its code. */
static LLVMValueRef run_on_noise(const builder *t, int64_t tensors, int64_t bytes) {
  const qn_func *f = t->u->f;
  const char *run = qn_format(&t->u->m->arena, "%s_run", t->u->options->name);
  unsigned total = LLVMCountParams(LLVMGetNamedFunction(t->u->module, run)), count = 1;
  LLVMValueRef *arguments = qn_alloc(&t->u->m->arena, total * sizeof *arguments);
  int64_t at = tensors;
  fill(t, in_memory(t, tensors), (uint32_t)bytes, QUERN_U8, FILLED_SEED);
  arguments[0] = LLVMGetParam(t->function, 0);
  for (const qn_value *p = f->params; p; at += room_of(p), p = p->next, count++) {
    arguments[count] = in_memory(t, at);
    fill(t, arguments[count], bytes_of(p), qn_element_id(p->type.elem), FILLED_SEED + count);
  }
  for (int i = 0; i < f->result_count; at += room_of(f->results[i]), i++)
    arguments[count++] = in_memory(t, at);
  return call(t, run, arguments, count);
}

static void build_body(const builder *t, int64_t input_bytes, int64_t output_bytes) {
  const qn_unit *u = t->u;
  int64_t tensors = qn_align_up(u->memory_bytes, MODEL_ALIGN);
  qn_emit_memory_check(t->u, t->b, t->function, 0, qn_selftest_bytes(u));
  LLVMValueRef memories[] = {LLVMGetParam(t->function, 0),
                             LLVMGetParam(t->function, u->options->split ? 1 : 0)};
  const char *init = qn_format(&u->m->arena, "%s_init", u->options->name);
  return_failure(t, call(t, init, memories, u->options->split ? 2 : 1));
  return_failure(t, run_on_noise(t, tensors, input_bytes + output_bytes));
  LLVMValueRef outputs[] = {in_memory(t, tensors + input_bytes), number(t, (uint32_t)output_bytes)};
  LLVMValueRef crc = call(t, "qn_crc32", outputs, 2);
  LLVMValueRef wanted = number(t, expected_crc(u->f, input_bytes, output_bytes));
  LLVMValueRef same = LLVMBuildICmp(t->b, LLVMIntEQ, crc, wanted, "same");
  LLVMBuildRet(
      t->b, LLVMBuildSelect(t->b, same, number(t, QUERN_OK), number(t, QUERN_ESELFTEST), "code"));
}

qn_status qn_emit_selftest(qn_unit *u, LLVMBuilderRef b) {
  if (qn_selftest_bytes(u) > INT32_MAX)
    return qn_error(&u->m->src, qn_nowhere,
                    "the self-test needs %lld bytes of memory, at most %d are possible",
                    (long long)qn_selftest_bytes(u), INT32_MAX);
  LLVMTypeRef types[] = {u->pointer, u->pointer};
  const char *name = qn_format(&u->m->arena, "%s_selftest", u->options->name);
  LLVMTypeRef type = LLVMFunctionType(u->i32, types, u->options->split ? 2 : 1, 0);
  const builder t = {u, b, LLVMAddFunction(u->module, name, type)};
  qn_set_function_attributes(u, t.function);
  LLVMPositionBuilderAtEnd(b, LLVMAppendBasicBlockInContext(u->context, t.function, "entry"));
  int64_t input_bytes, output_bytes;
  measure(u->f, &input_bytes, &output_bytes);
  build_body(&t, input_bytes, output_bytes);
  return QN_OK;
}
