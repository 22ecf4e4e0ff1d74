/* A call, as far as it is known at compile time -> the function that does it.
 *
 * Each distinct (kernel, parameters, absent operands, operands that the result overwrites) becomes
 * one internal function whose arguments are the tensors' addresses. Its body is a call of the
 * kernel, always inlined, with the parameters as a constant: that is what specialises the kernel.
 * Layers of equal shape share the code. It also tells LLVM what the plan knows: the tensors do not
 * overlap, except where the result takes an operand's place, which then is one argument for both.
 */
#include "variants.h"
#include <string.h>

LLVMValueRef qn_add_constant(qn_unit *u, const char *name, LLVMValueRef value) {
  LLVMValueRef global = LLVMAddGlobal(u->module, LLVMTypeOf(value), name);
  LLVMSetInitializer(global, value);
  LLVMSetGlobalConstant(global, 1);
  LLVMSetLinkage(global, LLVMPrivateLinkage);
  LLVMSetUnnamedAddress(global, LLVMGlobalUnnamedAddr);
  return global;
}

LLVMValueRef qn_add_bytes(qn_unit *u, const char *name, const void *bytes, size_t size) {
  return qn_add_constant(u, name, LLVMConstStringInContext2(u->context, bytes, size, 1));
}

LLVMValueRef qn_add_function(qn_unit *u, LLVMBuilderRef b, const char *name, LLVMTypeRef type) {
  LLVMValueRef function = LLVMAddFunction(u->module, name, type);
  qn_set_function_attributes(u, function);
  LLVMAppendBasicBlockInContext(u->context, function, "entry");
  LLVMPositionBuilderAtEnd(b, LLVMGetEntryBasicBlock(function));
  return function;
}

static int argument_count(const qn_variant *v) {
  return __builtin_popcount(v->present & ~v->same) + 1 + (v->scratch ? 1 : 0) +
         (v->job && v->job->constant_bytes > 0 ? 1 : 0);
}

static bool same_job(const qn_variant *a, const qn_variant *b) {
  return a->job->emitter == b->job->emitter && a->present == b->present && a->shared == b->shared &&
         a->scratch == b->scratch && a->job->shape_bytes == b->job->shape_bytes &&
         memcmp(a->job->shape, b->job->shape, a->job->shape_bytes) == 0;
}

static bool same_variant(const qn_variant *a, const qn_variant *b) {
  if (a->job || b->job) return a->job && b->job && same_job(a, b);
  return a->call.kernel == b->call.kernel && a->call.in_count == b->call.in_count &&
         a->present == b->present && a->shared == b->shared && a->same == b->same &&
         a->scratch == b->scratch && a->call.param_bytes == b->call.param_bytes &&
         memcmp(a->call.params, b->call.params, (size_t)a->call.param_bytes) == 0;
}

/* Arguments that overlap no other are noalias; all are addresses of something. */
static void mark_arguments(qn_variants *list, const qn_variant *v) {
  unsigned index = 1;
  for (int i = 0; i < v->call.in_count; i++) {
    if (!(v->present >> i & 1) || v->same >> i & 1) continue;
    if (!(v->shared >> i & 1)) qn_add_attribute(list->u, v->function, index, "noalias");
    qn_add_attribute(list->u, v->function, index++, "nonnull");
  }
  if (!(v->shared & ~v->same)) qn_add_attribute(list->u, v->function, index, "noalias");
  qn_add_attribute(list->u, v->function, index++, "nonnull");
  for (; (int)index <= argument_count(v); index++) { /* a job's constants, scratch */
    qn_add_attribute(list->u, v->function, index, "noalias");
    qn_add_attribute(list->u, v->function, index, "nonnull");
  }
}

/* The body: operands into an array, and the kernel. */
static void emit_kernel_call(qn_variants *list, const qn_variant *v, LLVMValueRef kernel,
                             const char *name) {
  qn_unit *u = list->u;
  LLVMValueRef params = qn_add_bytes(u, qn_format(&list->u->m->arena, "%s.params", name),
                                     v->call.params, (size_t)v->call.param_bytes);
  LLVMSetAlignment(params, 16);
  LLVMTypeRef array = LLVMArrayType2(u->pointer, QN_KERNEL_OPERANDS);
  LLVMValueRef in = LLVMBuildAlloca(list->b, array, "in");
  unsigned next = 0, count = (unsigned)__builtin_popcount(v->present & ~v->same);
  LLVMValueRef out = LLVMGetParam(v->function, count);
  for (int i = 0; i < v->call.in_count; i++) {
    LLVMValueRef index = LLVMConstInt(u->i32, (unsigned long long)i, 0);
    LLVMValueRef slot = LLVMBuildInBoundsGEP2(list->b, u->pointer, in, &index, 1, "");
    LLVMValueRef operand = LLVMConstNull(u->pointer);
    if (v->present >> i & 1) operand = v->same >> i & 1 ? out : LLVMGetParam(v->function, next++);
    LLVMBuildStore(list->b, operand, slot);
  }
  LLVMValueRef none = LLVMConstNull(u->pointer);
  LLVMValueRef scratch = v->scratch ? LLVMGetParam(v->function, count + 1) : none;
  LLVMValueRef arguments[] = {params, in, out, scratch};
  LLVMBuildCall2(list->b, LLVMGlobalGetValueType(kernel), kernel, arguments, 4, "");
  LLVMBuildRetVoid(list->b);
}

/* The function of a job, whose body qn_emit_bodies writes. */
static void declare_job(qn_variants *list, qn_variant *v) {
  const char *name = qn_format(&list->u->m->arena, "%s_%d", v->job->emitter->name, list->count++);
  v->function = LLVMAddFunction(list->u->module, name, v->type);
  qn_set_function_attributes(list->u, v->function);
  mark_arguments(list, v);
  qn_body *body = qn_alloc(&list->u->m->arena, sizeof *body);
  *body = (qn_body){v->job, v->function, list->u->bodies};
  list->u->bodies = body;
}

qn_status qn_find_variant(qn_variants *list, const qn_variant *wanted, const qn_variant **out) {
  qn_variant **end = &list->first;
  for (; *end; end = &(*end)->next) {
    *out = *end;
    if (same_variant(*end, wanted)) return QN_OK;
  }
  qn_variant *v = *end = qn_alloc(&list->u->m->arena, sizeof *v);
  *v = *wanted;
  *out = v;
  LLVMTypeRef types[QN_MAX_IN + 3];
  for (int i = 0; i < argument_count(v); i++) types[i] = list->u->pointer;
  v->type = LLVMFunctionType(list->u->nothing, types, (unsigned)argument_count(v), 0);
  if (v->job) {
    declare_job(list, v);
    return QN_OK;
  }
  const char *kernel_name = qn_kernel_names[wanted->call.kernel];
  LLVMValueRef kernel = LLVMGetNamedFunction(
      list->u->module, qn_format(&list->u->m->arena, "qn_kernel_%s", kernel_name));
  if (!kernel) return qn_bug("the runtime has no kernel '%s'", kernel_name);
  const char *name = qn_format(&list->u->m->arena, "%s_%d", kernel_name, list->count++);
  v->function = qn_add_function(list->u, list->b, name, v->type);
  LLVMSetLinkage(v->function, LLVMInternalLinkage);
  qn_add_attribute(list->u, v->function, LLVMAttributeFunctionIndex, "noinline");
  mark_arguments(list, v);
  emit_kernel_call(list, v, kernel, name);
  return QN_OK;
}
