/* Which ops tuned kernels run: the first row of emitters.def that stands for the op's kernel, whose
 * needs the target meets, and that takes the op. Then those kernels' code. */
#include <stdlib.h>
#include <string.h>
#include "build.h"

enum { MOST_ALTERNATIVES = 32 }; /* of an op */

const qn_emitter qn_emitters[] = {
#define QN_EMITTER(name, kernel, needs, doc)                                                       \
  {#name, doc, QN_KERNEL_##kernel, QN_NEEDS_##needs, qn_take_##name, qn_emit_##name},
#include "emitters.def"
    {NULL, NULL, 0, 0, NULL, NULL}};

/* The machine's features are "+a,-b,..."; the last mention of a feature counts. */
static bool has_feature(const char *features, const char *name) {
  size_t size = strlen(name);
  bool on = false;
  for (const char *at = features; (at = strstr(at, name)); at += size) {
    bool whole = at > features && (at[size] == ',' || !at[size]);
    if (whole && (at[-1] == '+' || at[-1] == '-')) on = at[-1] == '+';
  }
  return on;
}

static bool machine_has(const qn_unit *u, const char *feature) {
  char *features = LLVMGetTargetMachineFeatureString(u->machine);
  bool has = has_feature(features, feature);
  LLVMDisposeMessage(features);
  return has;
}

/* x86-64-v3 and v4 are processors to LLVM that mean features. */
static bool machine_is(const qn_unit *u, const char *cpu) {
  char *name = LLVMGetTargetMachineCPU(u->machine);
  bool is = strcmp(name, cpu) == 0;
  LLVMDisposeMessage(name);
  return is;
}

static bool has_triple(const qn_unit *u, const char *arch) {
  char *triple = LLVMGetTargetMachineTriple(u->machine);
  bool has = strncmp(triple, arch, strlen(arch)) == 0;
  LLVMDisposeMessage(triple);
  return has;
}

static bool has_avx512(const qn_unit *u) {
  return machine_is(u, "x86-64-v4") || machine_has(u, "avx512f");
}

static bool has_avx2(const qn_unit *u) {
  return has_avx512(u) || machine_is(u, "x86-64-v3") || machine_has(u, "avx2");
}

static bool has_fma(const qn_unit *u) {
  return has_avx512(u) || machine_is(u, "x86-64-v3") || machine_has(u, "fma");
}

qn_lanes qn_float_lanes(const qn_unit *u) {
  bool fused = u->options->fused;
  if (has_triple(u, "x86_64-"))
    return has_avx512(u) ? (qn_lanes){16, 32, fused}
           : has_avx2(u) ? (qn_lanes){8, 16, fused}
                         : (qn_lanes){4, 16, 0};
  if (has_triple(u, "aarch64-")) return (qn_lanes){4, 32, fused};
  return (qn_lanes){0, 0, 0};
}

int32_t qn_byte_lanes(const qn_unit *u) {
  if (has_triple(u, "x86_64-")) return has_avx512(u) ? 64 : has_avx2(u) ? 32 : 16;
  if (qn_can(u, QN_NEEDS_rvv)) return 32; /* two registers of 128 bits */
  bool arm = qn_can(u, QN_NEEDS_aarch64) || qn_can(u, QN_NEEDS_neon32) || qn_can(u, QN_NEEDS_mve);
  return arm ? 16 : 0;
}

/* A processor with AVX-512 VNNI has all of AVX-512 that x86-64-v4 means. */
bool qn_can(const qn_unit *u, qn_capability what) {
  if (what == QN_NEEDS_x86_64) return has_triple(u, "x86_64-");
  if (what == QN_NEEDS_avx2) return has_triple(u, "x86_64-") && has_avx2(u) && has_fma(u);
  if (what == QN_NEEDS_vnni)
    return machine_has(u, "avx512vnni") || (machine_has(u, "avxvnni") && has_fma(u));
  if (what == QN_NEEDS_avx512vnni) return machine_has(u, "avx512vnni");
  if (what == QN_NEEDS_vbmi) return machine_has(u, "avx512vnni") && machine_has(u, "avx512vbmi");
  if (what == QN_NEEDS_amx)
    return machine_has(u, "avx512vnni") && machine_has(u, "amx-int8") && machine_has(u, "amx-tile");
  if (what == QN_NEEDS_float_lanes) return qn_float_lanes(u).count > 0;
  if (what == QN_NEEDS_lanes) return qn_byte_lanes(u) > 0;
  if (what == QN_NEEDS_dsp) return machine_has(u, "dsp");
  if (what == QN_NEEDS_mve) return machine_has(u, "mve") && !u->options->soft;
  if (what == QN_NEEDS_thumb) return has_triple(u, "thumbv6m-");
  if (what == QN_NEEDS_aarch64) return has_triple(u, "aarch64-");
  if (what == QN_NEEDS_dotprod) return has_triple(u, "aarch64-") && machine_has(u, "dotprod");
  if (what == QN_NEEDS_i8mm) return has_triple(u, "aarch64-") && machine_has(u, "i8mm");
  if (what == QN_NEEDS_neon32)
    return has_triple(u, "armv7-") && machine_has(u, "neon") && !u->options->soft;
  if (what == QN_NEEDS_rvv) return has_triple(u, "riscv64-") && machine_has(u, "v");
  if (what == QN_NEEDS_rv64) return has_triple(u, "riscv64-") && machine_has(u, "m");
  if (what == QN_NEEDS_rv32) return has_triple(u, "riscv32-") && machine_has(u, "m");
  return what == QN_NEEDS_NOTHING;
}

const void *qn_constant(const qn_unit *u, const qn_value *v) {
  if (!v) return NULL;
  qn_place place = qn_place_of(u->f, v);
  return place.kind == QN_IN_CONST ? place.value->data : NULL;
}

/* Codes are made for weights in the model's order; in a kernel's own they take up to half as much
 * again. Who wants them coded wants them small, unless speed counts most. */
typedef struct {
  qn_call call;
  bool coded; /* its constants are to be, and small */
  bool packable;
} request;

static request request_of(const qn_unit *u, const qn_op *op, int number) {
  request r = {.coded = qn_form_of(u, number) == QN_WEIGHTS_CODED &&
                        u->options->optimize != QN_OPTIMIZE_SPEED};
  qn_bind(op, &r.call);
  return r;
}

static bool take(qn_unit *u, const qn_emitter *e, const request *r, int alternative, qn_job *out) {
  *out = (qn_job){.emitter = e, .alternative = alternative, .packable = r->packable};
  return e->kernel == r->call.kernel && qn_can(u, e->needs) && e->take(u, &r->call, out) &&
         alternative <= out->alternatives && (out->constant_bytes == 0 || !r->coded);
}

/* ------------------------------------------------------------------ alternatives */

/* "conv2d_vnni", its second best "conv2d_vnni 1". */
static const char *name_of(qn_unit *u, const qn_emitter *e, int alternative) {
  return alternative ? qn_format(&u->m->arena, "%s %d", e->name, alternative) : e->name;
}

static const char *const *list_alternatives(qn_unit *u, const qn_op *op, int number) {
  const char **names = qn_alloc(&u->m->arena, (MOST_ALTERNATIVES + 2) * sizeof *names);
  int count = 0;
  request r = request_of(u, op, number);
  qn_job job;
  for (const qn_emitter *e = qn_emitters; e->name; e++)
    for (int i = 0; count < MOST_ALTERNATIVES && take(u, e, &r, i, &job); i++)
      names[count++] = name_of(u, e, i);
  names[count] = qn_kernel_names[r.call.kernel];
  return names;
}

const char *const **qn_list_alternatives(qn_unit *u) {
  int count = 0;
  for (const qn_op *op = u->f->first; op; op = op->next) count++;
  const char *const **lists = qn_alloc(&u->m->arena, ((size_t)count + 1) * sizeof *lists);
  count = 0;
  for (const qn_op *op = u->f->first; op; op = op->next, count++)
    lists[count] = list_alternatives(u, op, count);
  return lists;
}

/* ------------------------------------------------------------------ the choice */

/* What the tuning says of the op; NULL: nothing. */
static const char *tuned_kernel(const qn_unit *u, const qn_op *op) {
  const qn_tuning *t = u->options->tuning;
  if (!t) return NULL;
  const char *shape = qn_op_shape(&u->m->arena, op);
  for (int i = 0; i < t->count; i++)
    if (strcmp(t->at[i].shape, shape) == 0 || strcmp(t->at[i].shape, "*") == 0)
      return t->at[i].kernel;
  return NULL;
}

/* Whether `kernel` names an alternative of e, and which. */
static bool names_emitter(const char *kernel, const qn_emitter *e, int *out_alternative) {
  size_t size = strlen(e->name);
  *out_alternative = strncmp(kernel, e->name, size) == 0 ? atoi(kernel + size) : 0;
  return strncmp(kernel, e->name, size) == 0 && (!kernel[size] || kernel[size] == ' ') &&
         *out_alternative >= 0 && *out_alternative <= MOST_ALTERNATIVES;
}

static bool is_runtime(const char *name, qn_kernel kernel) {
  return strcmp(name, "runtime") == 0 || strcmp(name, qn_kernel_names[kernel]) == 0;
}

bool qn_is_alternative(const char *name) {
  int alternative;
  for (const qn_emitter *e = qn_emitters; e->name; e++)
    if (names_emitter(name, e, &alternative)) return true;
  for (int i = 0; i < QN_KERNEL_COUNT; i++)
    if (is_runtime(name, (qn_kernel)i)) return true;
  return false;
}

/* The job that is named so; false when there is no such one for this op on this target. */
static bool take_named(qn_unit *u, const request *r, const char *kernel, qn_job *out) {
  int alternative;
  for (const qn_emitter *e = qn_emitters; e->name; e++)
    if (names_emitter(kernel, e, &alternative)) return take(u, e, r, alternative, out);
  return false;
}

static bool take_first(qn_unit *u, const request *r, qn_job *out) {
  for (const qn_emitter *e = qn_emitters; e->name; e++)
    if (take(u, e, r, 0, out)) return true;
  return false;
}

static qn_job *choose(qn_unit *u, const qn_op *op, int number) {
  request r = request_of(u, op, number);
  const char *tuned = tuned_kernel(u, op);
  if (tuned && is_runtime(tuned, r.call.kernel)) return NULL;
  qn_job job;
  if (!(tuned && take_named(u, &r, tuned, &job)) && !take_first(u, &r, &job)) return NULL;
  qn_job *kept = qn_alloc(&u->m->arena, sizeof *kept);
  *kept = job;
  return kept;
}

/* The first tuned kernel whose constants can be made of decoded weights. */
static bool take_packing(qn_unit *u, const qn_call *call, qn_job *out) {
  const request r = {.call = *call, .packable = true};
  for (const qn_emitter *e = qn_emitters; e->name; e++)
    if (take(u, e, &r, 0, out) && out->packing) return true;
  return false;
}

static bool take_none(qn_unit *u, const qn_call *call, qn_job *out) {
  (void)u, (void)call, (void)out;
  return false;
}

/* The op's panels, when it is to be streamed and can be, or when init can make a tuned kernel's
 * constants of decoded weights. Where speed counts most these are coded in the kernel's order:
 * there are faster kernels. */
static qn_panels *choose_panels(qn_unit *u, const qn_op *op, int number) {
  qn_weights form = qn_form_of(u, number);
  const char *tuned = tuned_kernel(u, op);
  qn_take_function *of = tuned && strcmp(tuned, "runtime") == 0 ? take_none : take_packing;
  if (u->unstreamed[number]) return NULL;
  qn_panels *panels = qn_alloc(&u->m->arena, sizeof *panels);
  if (form == QN_WEIGHTS_STREAM)
    u->unstreamed[number] = qn_plan_panels(u, op, of, panels);
  else if (u->unpacked || form != QN_WEIGHTS_CODED || u->options->optimize == QN_OPTIMIZE_SPEED ||
           !qn_plan_packed(u, op, of, panels))
    return NULL;
  return u->unstreamed[number] ? NULL : panels;
}

void qn_choose_kernels(qn_unit *u) {
  int count = 0, index = 0;
  for (const qn_op *op = u->f->first; op; op = op->next) count++;
  size_t size = (size_t)count + 1;
  u->jobs = qn_alloc(&u->m->arena, size * sizeof *u->jobs);
  u->panels = qn_alloc(&u->m->arena, size * sizeof *u->panels);
  if (!u->unstreamed) u->unstreamed = qn_alloc(&u->m->arena, size * sizeof *u->unstreamed);
  for (const qn_op *op = u->f->first; op; op = op->next, index++) {
    qn_panels *panels = u->panels[index] = choose_panels(u, op, index);
    if (!panels) u->jobs[index] = choose(u, op, index);
    if (panels && panels->by_init) u->jobs[index] = panels->job;
  }
}

void qn_emit_bodies(qn_unit *u) {
  for (qn_body *body = u->bodies; body; body = body->next) {
    const qn_job *job = body->job;
    qn_build b = {u, LLVMCreateBuilderInContext(u->context), body->function,
                  job->awake && *job->awake};
    LLVMValueRef arguments[QN_MAX_IN + 3];
    LLVMGetParams(body->function, arguments);
    LLVMSetLinkage(body->function, LLVMInternalLinkage);
    LLVMAppendBasicBlockInContext(u->context, body->function, "entry");
    LLVMPositionBuilderAtEnd(b.b, LLVMGetEntryBasicBlock(body->function));
    qn_begin_awake(&b);
    job->emitter->emit(&b, job, arguments);
    qn_end_awake(&b);
    LLVMBuildRetVoid(b.b);
    LLVMDisposeBuilder(b.b);
  }
}
