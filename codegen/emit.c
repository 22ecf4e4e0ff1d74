/* A planned main function -> LLVM functions that call the runtime's kernels.
 *
 * One function for each distinct call is variants.c's, layers that are streamed and what init
 * decodes are decoding.c's. On top stand the exported symbols: NAME_init, NAME_run (one argument
 * per tensor) and NAME_model (runtime/quern.h), whose `run` takes arrays of addresses.
 *
 * Memory is the decoded weights, then the plan's. Split memories are two: init gets the one for the
 * decoded weights too and leaves its address at the start of the other, where run finds it. So run
 * is called alike; the description's init, which has no second argument, refuses. */
#include <string.h>
#include "../runtime/quern.h"
#include "emission.h"

enum { MEMORY_ALIGN = 64 };

/* ------------------------------------------------------------------ calls */

LLVMValueRef qn_weight_address(qn_emission *e, const void *data, int64_t bytes) {
  const qn_weight *w = qn_find_weight(&e->u->weights, data, bytes);
  return qn_at_offset(e, w->decoded ? e->decoded : e->u->blob, w->offset);
}

LLVMValueRef qn_address_of(qn_emission *e, const qn_place *place) {
  const qn_unit *u = e->u;
  switch (place->kind) {
  case QN_IN_INPUT: return LLVMGetParam(e->run, (unsigned)(1 + place->index));
  case QN_IN_OUTPUT: return LLVMGetParam(e->run, (unsigned)(1 + e->input_count + place->index));
  case QN_IN_MEMORY:
    return qn_at_offset(e, LLVMGetParam(e->run, 0), u->plan_offset + place->offset);
  case QN_IN_CONST: break;
  }
  return qn_weight_address(e, place->value->data, qn_bytes(&place->value->type));
}

static bool overlap(const qn_place *a, int64_t a_bytes, const qn_place *b, int64_t b_bytes) {
  if (a->kind != b->kind || a->kind == QN_IN_CONST || a->kind == QN_IN_INPUT) return false;
  if (a->kind == QN_IN_OUTPUT) return a->index == b->index;
  return a->offset < b->offset + b_bytes && b->offset < a->offset + a_bytes;
}

static bool takes_place(const qn_place *operand, const qn_place *out) {
  return operand->kind == QN_IN_MEMORY && out->kind == QN_IN_MEMORY &&
         operand->offset == out->offset;
}

/* What runs an op, and where its result and its scratch are. The result's place is given, not the
 * result's value's, because results are also copied into further outputs. */
typedef struct {
  const qn_job *job;       /* or NULL: the kernel */
  const qn_panels *panels; /* of which init has made the job's constants; or NULL */
  const qn_call *call;
  qn_place out;
  int64_t out_bytes, scratch;
} step;

/* The scratch's offset in memory, 0 when none is needed. */
static qn_status find_scratch(qn_emission *e, const step *s, int64_t *out) {
  *out = 0;
  if ((s->job ? s->job->scratch_bytes : s->call->scratch_bytes) == 0) return QN_OK;
  if (s->scratch < 0)
    return qn_bug("'%s' has no scratch memory", qn_kernel_names[s->call->kernel]);
  *out = e->u->plan_offset + s->scratch;
  return QN_OK;
}

/* Calls the kernel or the job's function on values where they are. */
static qn_status emit_call(qn_emission *e, const step *s, const char **out_kernel) {
  const qn_call *call = s->call;
  qn_variant wanted = {.job = s->job, .call = *call};
  wanted.scratch = (s->job ? s->job->scratch_bytes : call->scratch_bytes) > 0;
  LLVMValueRef arguments[QN_MAX_IN + 3];
  unsigned count = 0;
  LLVMBasicBlockRef here = LLVMGetLastBasicBlock(e->run);
  LLVMPositionBuilderAtEnd(e->b, here);
  for (int i = 0; i < call->in_count; i++) {
    if (!call->in[i]) continue;
    qn_place place = qn_place_of(e->u->f, call->in[i]);
    if (s->job && place.kind == QN_IN_CONST) continue;
    if (place.kind == QN_IN_MEMORY && place.offset < 0)
      return qn_bug("'%%%s' has no place in memory; run pass 'plan-memory'", call->in[i]->name);
    wanted.present |= 1u << i;
    bool may = s->job && s->job->overlap != QN_APART && i == 0; /* elsewhere: one code for both */
    if (may ? !s->job->fenced : overlap(&place, qn_room(call->in[i]), &s->out, s->out_bytes))
      wanted.shared |= 1u << i;
    if (!s->job && takes_place(&place, &s->out))
      wanted.same |= 1u << i;
    else
      arguments[count++] = qn_address_of(e, &place);
  }
  if (s->out.kind == QN_IN_MEMORY && s->out.offset < 0)
    return qn_bug("a result of '%s' has no place in memory; run pass 'plan-memory'",
                  qn_kernel_names[call->kernel]);
  arguments[count++] = qn_address_of(e, &s->out);
  if (s->job && s->job->constant_bytes > 0)
    arguments[count++] = s->panels
                             ? qn_at_offset(e, e->decoded, s->panels->packed)
                             : qn_weight_address(e, s->job->constants, s->job->constant_bytes);
  int64_t scratch;
  QN_TRY(find_scratch(e, s, &scratch));
  if (wanted.scratch) arguments[count++] = qn_at_offset(e, LLVMGetParam(e->run, 0), scratch);
  const qn_variant *v = NULL;
  QN_TRY(qn_find_variant(&e->variants, &wanted, &v));
  LLVMPositionBuilderAtEnd(e->b, here);
  LLVMBuildCall2(e->b, v->type, v->function, arguments, count, "");
  size_t size;
  const char *name = LLVMGetValueName2(v->function, &size);
  *out_kernel = qn_strndup(&e->u->m->arena, name, size);
  return QN_OK;
}

/* ------------------------------------------------------------------ the main function */

static qn_status emit_op(qn_emission *e, const qn_op *op, int number, const char **out_kernel) {
  const qn_job *job = e->u->jobs[number];
  *out_kernel = "";
  const qn_panels *panels = e->u->panels[number];
  if (panels && !panels->by_init) return qn_emit_panels(e, panels, out_kernel);
  qn_place out = qn_place_of(e->u->f, op->out);
  if (qn_ops[op->code].view) {
    qn_place in = qn_place_of(e->u->f, op->in[0]);
    if (qn_same_place(&in, &out)) return QN_OK;
  }
  qn_call call;
  qn_bind(op, &call);
  const step s = {job, panels, &call, out, qn_room(op->out), op->scratch};
  return emit_call(e, &s, out_kernel);
}

/* A result that is a constant, a parameter, or another output too. */
static qn_status emit_result(qn_emission *e, int index) {
  const qn_value *v = e->u->f->results[index];
  qn_place from = qn_place_of(e->u->f, v), to = {.kind = QN_IN_OUTPUT, .index = index};
  if (from.kind == to.kind && from.index == index) return QN_OK;
  const qn_copy_params params = {.bytes = (int32_t)qn_bytes(&v->type)};
  qn_call call = {.kernel = QN_KERNEL_copy, .param_bytes = sizeof params, .in_count = 1, .in = {v}};
  memcpy(call.params, &params, sizeof params);
  const step s = {NULL, NULL, &call, to, params.bytes, -1};
  const char *kernel;
  return emit_call(e, &s, &kernel);
}

void qn_emit_memory_check(qn_unit *u, LLVMBuilderRef b, LLVMValueRef function, unsigned index,
                          int64_t bytes) {
  if (bytes == 0) return;
  LLVMValueRef memory = LLVMGetParam(function, index);
  LLVMValueRef low = LLVMBuildAnd(b, LLVMBuildPtrToInt(b, memory, u->size, ""),
                                  qn_number(u->size, MEMORY_ALIGN - 1), "");
  LLVMValueRef bad =
      LLVMBuildOr(b, LLVMBuildIsNull(b, memory, ""), LLVMBuildIsNotNull(b, low, ""), "bad");
  LLVMBasicBlockRef refuse = LLVMAppendBasicBlockInContext(u->context, function, "refuse");
  LLVMBasicBlockRef good = LLVMAppendBasicBlockInContext(u->context, function, "good");
  LLVMBuildCondBr(b, bad, refuse, good);
  LLVMPositionBuilderAtEnd(b, refuse);
  LLVMBuildRet(b, qn_number(u->i32, QUERN_EALIGN));
  LLVMPositionBuilderAtEnd(b, good);
}

bool qn_is_split(const qn_unit *u) { return u->options->split && u->weights.memory_bytes > 0; }

static LLVMValueRef process_address(qn_emission *e, uintptr_t address) {
  return LLVMConstIntToPtr(qn_number(e->u->size, (int64_t)address), e->u->pointer);
}

static void emit_tick(qn_emission *e, int op) {
  const qn_ticks *ticks = e->u->options->ticks;
  if (!ticks) return;
  LLVMTypeRef types[] = {e->u->pointer, e->u->i32};
  LLVMValueRef arguments[] = {process_address(e, (uintptr_t)ticks->of), qn_number(e->u->i32, op)};
  LLVMPositionBuilderAtEnd(e->b, LLVMGetLastBasicBlock(e->run));
  LLVMBuildCall2(e->b, LLVMFunctionType(e->u->nothing, types, 2, 0),
                 process_address(e, (uintptr_t)ticks->at), arguments, 2, "");
}

static qn_status emit_run(qn_emission *e) {
  const qn_func *f = e->u->f;
  unsigned count = (unsigned)(1 + e->input_count + f->result_count);
  LLVMTypeRef *types = qn_alloc(&e->u->m->arena, count * sizeof *types);
  for (unsigned i = 0; i < count; i++) types[i] = e->u->pointer;
  e->run = qn_add_function(e->u, e->b, qn_format(&e->u->m->arena, "%s_run", e->u->options->name),
                           LLVMFunctionType(e->u->i32, types, count, 0));
  qn_add_attribute(e->u, e->run, LLVMAttributeFunctionIndex, "noinline");
  qn_emit_memory_check(e->u, e->b, e->run, 0, e->u->memory_bytes);
  LLVMValueRef memory = LLVMGetParam(e->run, 0);
  e->decoded = qn_is_split(e->u) ? LLVMBuildLoad2(e->b, e->u->pointer, memory, "decoded") : memory;
  int i = 0;
  emit_tick(e, -1);
  for (const qn_op *op = f->first; op; op = op->next, i++) {
    QN_TRY(emit_op(e, op, i, &e->u->kernels[i]));
    emit_tick(e, i);
  }
  for (i = 0; i < f->result_count; i++) QN_TRY(emit_result(e, i));
  LLVMPositionBuilderAtEnd(e->b, LLVMGetLastBasicBlock(e->run));
  LLVMBuildRet(e->b, qn_number(e->u->i32, QUERN_OK));
  return QN_OK;
}

/* Returns QUERN_EMACHINE from init when a job needs tile registers that the machine does not have.
 */
static void emit_machine_check(qn_emission *e, LLVMValueRef init) {
  const qn_unit *u = e->u;
  if (!qn_uses_tiles(u)) return;
  LLVMBasicBlockRef lacks = LLVMAppendBasicBlockInContext(u->context, init, "lacks");
  LLVMBasicBlockRef has = LLVMAppendBasicBlockInContext(u->context, init, "has");
  LLVMBuildCondBr(e->b, qn_ask_for_amx(e->u, e->b), has, lacks);
  LLVMPositionBuilderAtEnd(e->b, lacks);
  LLVMBuildRet(e->b, qn_number(u->i32, QUERN_EMACHINE));
  LLVMPositionBuilderAtEnd(e->b, has);
}

/* NAME_init, and the init of the description: the same, but for split memories. */
static qn_status emit_init(qn_emission *e, LLVMValueRef *out) {
  const qn_unit *u = e->u;
  LLVMTypeRef types[] = {u->pointer, u->pointer};
  LLVMTypeRef type = LLVMFunctionType(u->i32, types, u->options->split ? 2 : 1, 0);
  LLVMValueRef init =
      qn_add_function(e->u, e->b, qn_format(&e->u->m->arena, "%s_init", u->options->name), type);
  LLVMValueRef memory = LLVMGetParam(init, 0), decoded = memory;
  qn_emit_memory_check(e->u, e->b, init, 0, u->memory_bytes);
  if (qn_is_split(u)) {
    decoded = LLVMGetParam(init, 1);
    qn_emit_memory_check(e->u, e->b, init, 1, u->weights.memory_bytes);
    LLVMBuildStore(e->b, decoded, memory);
  }
  emit_machine_check(e, init);
  LLVMValueRef code;
  QN_TRY(qn_emit_init_decoding(e, init, decoded, &code));
  LLVMBuildRet(e->b, code);
  *out = init;
  if (!u->options->split) return QN_OK;
  *out = qn_add_function(e->u, e->b, "init", LLVMFunctionType(u->i32, types, 1, 0));
  LLVMSetLinkage(*out, LLVMInternalLinkage);
  qn_emit_memory_check(e->u, e->b, *out, 0, u->memory_bytes);
  LLVMBuildRet(e->b, qn_number(u->i32, qn_is_split(u) ? QUERN_ESPLIT : QUERN_OK));
  return QN_OK;
}

/* run(memory, inputs, outputs) of the description. */
static LLVMValueRef emit_adapter(qn_emission *e) {
  qn_unit *u = e->u;
  LLVMTypeRef types[] = {u->pointer, u->pointer, u->pointer};
  LLVMValueRef adapter = qn_add_function(e->u, e->b, "run", LLVMFunctionType(u->i32, types, 3, 0));
  LLVMSetLinkage(adapter, LLVMInternalLinkage);
  int count = 1 + e->input_count + u->f->result_count;
  LLVMValueRef *arguments = qn_alloc(&e->u->m->arena, (size_t)count * sizeof *arguments);
  arguments[0] = LLVMGetParam(adapter, 0);
  for (int i = 1; i < count; i++) {
    bool output = i > e->input_count;
    LLVMValueRef index = qn_number(u->i32, output ? i - 1 - e->input_count : i - 1);
    LLVMValueRef list = LLVMGetParam(adapter, output ? 2 : 1);
    LLVMValueRef slot = LLVMBuildInBoundsGEP2(e->b, u->pointer, list, &index, 1, "");
    arguments[i] = LLVMBuildLoad2(e->b, u->pointer, slot, "");
  }
  LLVMBuildRet(e->b, LLVMBuildCall2(e->b, LLVMGlobalGetValueType(e->run), e->run, arguments,
                                    (unsigned)count, ""));
  return adapter;
}

/* ------------------------------------------------------------------ the description */

static LLVMValueRef text_constant(qn_emission *e, const char *text) {
  return qn_add_bytes(e->u, "text", text, strlen(text) + 1);
}

static LLVMValueRef structure(qn_emission *e, LLVMValueRef *fields, unsigned count) {
  return LLVMConstStructInContext(e->u->context, fields, count, 0);
}

uint32_t qn_element_id(qn_elem elem) {
  static const uint32_t ids[] = {
#define QN_ELEM(name, bits, id, doc) id,
#include "../ir/elems.def"
  };
  return ids[elem];
}

/* A quern_tensor. */
static LLVMValueRef describe_tensor(qn_emission *e, const qn_value *v) {
  qn_unit *u = e->u;
  const qn_type *t = &v->type;
  LLVMValueRef dims[QN_MAX_RANK];
  for (int i = 0; i < t->rank; i++) dims[i] = qn_number(u->i32, t->dim[i]);
  bool one_scale = t->q.on && !t->q.scales;
  LLVMValueRef fields[] = {
      text_constant(e, v->name),
      qn_number(u->i32, qn_element_id(t->elem)),
      qn_number(u->i32, t->rank),
      t->rank ? qn_add_constant(e->u, "dims", LLVMConstArray2(u->i32, dims, (unsigned)t->rank))
              : LLVMConstNull(u->pointer),
      LLVMConstReal(u->real, one_scale ? t->q.scale : 0),
      qn_number(u->i32, one_scale ? t->q.zero : 0),
      qn_number(u->size, qn_bytes(t)),
  };
  return structure(e, fields, sizeof fields / sizeof *fields);
}

static LLVMValueRef tensor_list(qn_emission *e, const char *name, LLVMValueRef *at, int count) {
  if (count == 0) return LLVMConstNull(e->u->pointer);
  return qn_add_constant(e->u, name, LLVMConstArray2(LLVMTypeOf(at[0]), at, (uint64_t)count));
}

/* The quern_model. */
static void emit_description(qn_emission *e, LLVMValueRef init, LLVMValueRef adapter) {
  qn_unit *u = e->u;
  LLVMValueRef *inputs = qn_alloc(&e->u->m->arena, (size_t)e->input_count * sizeof *inputs);
  LLVMValueRef outputs[QN_MAX_IN];
  int count = 0;
  for (const qn_value *p = u->f->params; p; p = p->next) inputs[count++] = describe_tensor(e, p);
  for (int i = 0; i < u->f->result_count; i++) outputs[i] = describe_tensor(e, u->f->results[i]);
  LLVMValueRef fields[] = {
      qn_number(u->i32, QUERN_ABI),
      text_constant(e, u->m->name),
      qn_number(u->size, u->memory_bytes),
      qn_number(u->size, MEMORY_ALIGN),
      qn_number(u->i32, e->input_count),
      qn_number(u->i32, u->f->result_count),
      tensor_list(e, "inputs", inputs, e->input_count),
      tensor_list(e, "outputs", outputs, u->f->result_count),
      init,
      adapter,
  };
  LLVMValueRef model = structure(e, fields, sizeof fields / sizeof *fields);
  LLVMValueRef global = LLVMAddGlobal(u->module, LLVMTypeOf(model),
                                      qn_format(&e->u->m->arena, "%s_model", u->options->name));
  LLVMSetInitializer(global, model);
  LLVMSetGlobalConstant(global, 1);
}

/* The weights, by name only: without their bytes no optimisation looks into them, and its time does
 * not depend on their size. */
static void declare_blob(qn_unit *u) {
  LLVMTypeRef type = LLVMArrayType2(u->i8, (uint64_t)u->weights.blob_bytes);
  u->blob = LLVMAddGlobal(u->module, type, qn_format(&u->m->arena, "%s_weights", u->options->name));
  LLVMSetGlobalConstant(u->blob, 1);
  LLVMSetVisibility(u->blob, LLVMHiddenVisibility);
  LLVMSetAlignment(u->blob, MEMORY_ALIGN);
}

qn_status qn_emit_model(qn_unit *u) {
  qn_emission e = {.u = u, .b = LLVMCreateBuilderInContext(u->context)};
  e.variants = (qn_variants){.u = u, .b = e.b};
  for (const qn_value *p = u->f->params; p; p = p->next) e.input_count++;
  declare_blob(u);
  qn_status status = emit_run(&e);
  LLVMValueRef init;
  if (status == QN_OK) status = emit_init(&e, &init);
  if (status == QN_OK) emit_description(&e, init, emit_adapter(&e));
  if (status == QN_OK && u->options->selftest) status = qn_emit_selftest(u, e.b);
  LLVMDisposeBuilder(e.b);
  return status;
}
