/* A planned module -> a checked object, assembly or LLVM text, and its C header.
 *
 * Order: choose kernels; plan the weights; read the runtime; emit the model; optimise, without the
 * weights' bytes; write the tuned kernels, which need no optimisation; attach the weights; let the
 * back end make an object; add the helpers that it found missing and repeat; check. The module is
 * copied before every emission, because the back end changes what it emits. */
#include <llvm-c/Analysis.h>
#include <llvm-c/Core.h>
#include <llvm-c/ErrorHandling.h>
#include <stdlib.h>
#include <string.h>
#include "unit.h"

/* In front of the plan's memory when decoded weights have one of their own: their address, rounded
 * up so that the plan's alignment holds. */
enum { SPLIT_BYTES = 64 };

/* ------------------------------------------------------------------ messages of LLVM */

/* LLVM gives up, for example on an instruction that it cannot select. */
static void on_fatal_error(const char *why) {
  qn_status status = qn_bug("LLVM: %s", why);
  exit(status);
}

/* "...: stack frame size (104) exceeds limit (0) in function 'conv2d_i8_0'" */
static void add_frame(qn_unit *u, const char *text) {
  const char *size = strstr(text, "stack frame size ("), *name = strchr(text, '\'');
  const char *end = name ? strrchr(name + 1, '\'') : NULL;
  if (!size || !end) return;
  qn_frame *frame = qn_alloc(&u->m->arena, sizeof *frame);
  frame->function = qn_strndup(&u->m->arena, name + 1, (size_t)(end - name - 1));
  frame->bytes = strtoll(strchr(size, '(') + 1, NULL, 10);
  frame->next = u->frames;
  u->frames = frame;
}

static void on_diagnostic(LLVMDiagnosticInfoRef info, void *context) {
  qn_unit *u = context;
  char *text = LLVMGetDiagInfoDescription(info);
  LLVMDiagnosticSeverity severity = LLVMGetDiagInfoSeverity(info);
  if (severity == LLVMDSError && !u->failure)
    u->failure = qn_strndup(&u->m->arena, text, strlen(text));
  if (severity == LLVMDSWarning) add_frame(u, text);
  LLVMDisposeMessage(text);
}

/* ------------------------------------------------------------------ code */

static qn_status verify(qn_unit *u) {
  char *why = NULL;
  qn_status status = QN_OK;
  if (LLVMVerifyModule(u->module, LLVMReturnStatusAction, &why))
    status = qn_bug("LLVM module: %s", why);
  LLVMDisposeMessage(why);
  return status;
}

/* Gives the weights their bytes, in a section of their own that a linker script can place. */
static void attach_weights(qn_unit *u) {
  u->blob = LLVMGetNamedGlobal(u->module, qn_format(&u->m->arena, "%s_weights", u->options->name));
  if (!u->blob) return;
  size_t size = (size_t)u->weights.blob_bytes;
  LLVMSetInitializer(u->blob,
                     LLVMConstStringInContext2(u->context, (const char *)u->weights.blob, size, 1));
  LLVMSetVisibility(u->blob, LLVMDefaultVisibility);
  LLVMSetLinkage(u->blob, LLVMInternalLinkage);
  const char *prefix = u->options->weights_section ? u->options->weights_section : ".rodata";
  LLVMSetSection(u->blob, qn_format(&u->m->arena, "%s.%s_weights", prefix, u->options->name));
}

static qn_status build_code(qn_unit *u) {
  QN_TRY(qn_parse_runtime(u, &u->module));
  LLVMSetModuleIdentifier(u->module, u->options->name, strlen(u->options->name));
  LLVMSetSourceFileName(u->module, u->options->name, strlen(u->options->name));
  QN_TRY(qn_emit_model(u));
  QN_TRY(verify(u));
  QN_TRY(qn_optimize_module(u, u->module, "globaldce,always-inline,globaldce"));
  qn_emit_bodies(u);
  qn_fence_conversions(u);
  QN_TRY(verify(u));
  attach_weights(u);
  return QN_OK;
}

/* One section per function, so that a linker can drop what a program does not use. */
static void split_sections(qn_unit *u) {
  for (LLVMValueRef f = LLVMGetFirstFunction(u->module); f; f = LLVMGetNextFunction(f)) {
    size_t size;
    if (!LLVMIsDeclaration(f))
      LLVMSetSection(f, qn_format(&u->m->arena, ".text.%s", LLVMGetValueName2(f, &size)));
  }
}

static qn_status generate(qn_unit *u, LLVMCodeGenFileType type, qn_object *out) {
  split_sections(u);
  u->frames = NULL;
  LLVMModuleRef copy = LLVMCloneModule(u->module);
  LLVMMemoryBufferRef buffer = NULL;
  char *why = NULL;
  qn_status status = QN_OK;
  if (LLVMTargetMachineEmitToMemoryBuffer(u->machine, copy, type, &why, &buffer))
    status = qn_bug("emitting: %s", why);
  else if (u->failure)
    status = qn_bug("emitting: %s", u->failure);
  if (status == QN_OK) {
    out->size = LLVMGetBufferSize(buffer);
    out->bytes = qn_strndup(&u->m->arena, LLVMGetBufferStart(buffer), out->size);
  }
  LLVMDisposeMessage(why);
  if (buffer) LLVMDisposeMemoryBuffer(buffer);
  LLVMDisposeModule(copy);
  return status;
}

/* The object, with every helper that the back end calls. Each round adds helpers that were missing.
 */
static qn_status generate_closed(qn_unit *u, qn_object *out, qn_elf *out_elf) {
  for (;;) {
    QN_TRY(generate(u, LLVMObjectFile, out));
    QN_TRY(qn_read_elf(&u->m->arena, out->bytes, out->size, out_elf));
    if (out_elf->undefined_count == 0) return QN_OK;
    for (int i = 0; i < out_elf->undefined_count; i++) {
      bool found;
      QN_TRY(qn_add_helper(u, out_elf->undefined[i], &found));
      if (!found)
        return qn_bug("code for target '%s' needs '%s', which the runtime does not have",
                      u->options->target->name, out_elf->undefined[i]);
    }
  }
}

/* ------------------------------------------------------------------ checks */

/* What the object promises: nothing undefined is left (generate_closed), nothing writable, three or
 * four global symbols, a known stack. */
static qn_status check_object(qn_unit *u, const qn_elf *elf) {
  static const char *const exported[] = {"init", "run", "model", "selftest"};
  int count = u->options->selftest ? 4 : 3;
  if (elf->writable) return qn_bug("the object has writable data in section '%s'", elf->writable);
  for (int i = 0; i < elf->global_count; i++) {
    bool known = false;
    for (int j = 0; j < count; j++) {
      const char *name = qn_format(&u->m->arena, "%s_%s", u->options->name, exported[j]);
      known = known || strcmp(name, elf->globals[i]) == 0;
    }
    if (!known) return qn_bug("the object exports '%s'", elf->globals[i]);
  }
  if (elf->global_count != count)
    return qn_bug("the object exports %d symbols instead of %d", elf->global_count, count);
  return QN_OK;
}

static qn_status print_llvm(qn_unit *u, qn_object *out) {
  char *text = LLVMPrintModuleToString(u->module);
  out->size = strlen(text);
  out->bytes = qn_strndup(&u->m->arena, text, out->size);
  LLVMDisposeMessage(text);
  return QN_OK;
}

static void describe(qn_unit *u, const qn_elf *elf, qn_object *out) {
  out->text_bytes = elf->text_bytes;
  out->flash_bytes = elf->loaded_bytes;
  out->weight_bytes = u->weights.blob_bytes;
  out->memory_bytes = u->memory_bytes;
  out->split_bytes = u->options->split ? u->weights.memory_bytes : 0;
  out->selftest_bytes = u->options->selftest ? qn_selftest_bytes(u) : 0;
  out->plan_offset = u->plan_offset;
  out->kernels = u->kernels;
  out->flipped = u->flipped;
  out->padded = u->padded;
  if (u->options->list_alternatives) out->alternatives = qn_list_alternatives(u);
  qn_size_layers(u, elf, out);
  out->header = qn_header_text(u, out);
}

static qn_status build(qn_unit *u, qn_object *out) {
  QN_TRY(build_code(u));
  qn_elf elf;
  QN_TRY(generate_closed(u, out, &elf));
  QN_TRY(verify(u));
  QN_TRY(check_object(u, &elf));
  QN_TRY(qn_bound_stack(u, &out->stack_bytes));
  describe(u, &elf, out);
  if (u->options->emit == QN_EMIT_ASM) return generate(u, LLVMAssemblyFile, out);
  if (u->options->emit == QN_EMIT_LLVM) return print_llvm(u, out);
  return QN_OK;
}

static int count_panels(const qn_unit *u) {
  int count = 0, number = 0;
  for (const qn_op *op = u->f->first; op; op = op->next) count += u->panels[number++] != NULL;
  return count;
}

/* Layers that turn out not to be worth streaming get other kernels, and other constants. */
static qn_status settle_weights(qn_unit *u) {
  int before;
  do {
    qn_choose_kernels(u);
    before = count_panels(u);
    QN_TRY(qn_plan_weights(u));
  } while (count_panels(u) < before);
  return QN_OK;
}

/* Coded constants and what decodes them. */
static int64_t stored_bytes(const qn_unit *u) {
  return u->weights.blob_bytes + u->weights.decoder_bytes;
}

/* A codec that cannot begin at a panel is no use to tuned kernels. Where the user has named none
 * and it makes constants much smaller, layers that init decodes do without such kernels. */
static qn_status plan_weights(qn_unit *u) {
  enum { WORTH = 8 }; /* part of what tuned kernels need */
  bool packed = false;
  int number = 0;
  QN_TRY(settle_weights(u));
  for (const qn_op *op = u->f->first; op; op = op->next, number++)
    packed |= u->panels[number] && u->panels[number]->by_init;
  if (!packed || u->options->codec) return QN_OK;
  const qn_unit tuned = *u;
  u->unstreamed = NULL;
  u->unpacked = true;
  QN_TRY(settle_weights(u));
  if (stored_bytes(u) > stored_bytes(&tuned) / WORTH * (WORTH - 1)) *u = tuned;
  return QN_OK;
}

/* When all was to be streamed and nothing is: why. */
static qn_status check_streams(const qn_unit *u) {
  int number = 0;
  if (u->options->forms || u->options->weights != QN_WEIGHTS_STREAM || count_panels(u))
    return QN_OK;
  for (const qn_op *op = u->f->first; op; op = op->next, number++)
    if (op->in_count > 1 && qn_constant(u, op->in[1]))
      return qn_error(&u->m->src, op->loc, "no weights to stream: '%s' cannot be, because %s",
                      op->out->name, u->unstreamed[number]);
  return qn_error(&u->m->src, u->f->loc, "no weights to stream: the model has none");
}

/* Kernels, weights and the memory plan that suits them. */
static qn_status plan_layers(qn_unit *u) {
  QN_TRY(plan_weights(u));
  QN_TRY(check_streams(u));
  qn_decide_layouts(u);
  qn_keep_awake(u);
  return qn_plan_wishes(u);
}

static qn_status plan(qn_unit *u) {
  QN_TRY(plan_layers(u));
  const qn_codec *codec = u->weights.codec;
  bool split = qn_is_split(u);
  int64_t plan_bytes = qn_memory_bytes(u->f), needed = 0;
  if (codec) needed = (u->weights.panel_bytes + 63) / 64 * 64 + codec->scratch_bytes; /* in init */
  if (needed > plan_bytes) plan_bytes = needed;
  u->plan_offset = split ? SPLIT_BYTES : u->weights.memory_bytes;
  u->memory_bytes = u->plan_offset + plan_bytes;
  int count = 0;
  for (const qn_op *op = u->f->first; op; op = op->next) count++;
  u->kernels = qn_alloc(&u->m->arena, ((size_t)count + 1) * sizeof *u->kernels);
  if (u->memory_bytes + (split ? u->weights.memory_bytes : 0) > INT32_MAX)
    return qn_error(&u->m->src, qn_nowhere,
                    "the model needs %lld bytes of memory, at most %d are possible",
                    (long long)u->memory_bytes, INT32_MAX);
  return QN_OK;
}

qn_status qn_open_unit(qn_unit *u) {
  LLVMResetFatalErrorHandler();
  LLVMInstallFatalErrorHandler(on_fatal_error);
  QN_TRY(qn_open_machine(u->options, &u->machine));
  u->context = LLVMContextCreate();
  LLVMContextSetDiagnosticHandler(u->context, on_diagnostic, u);
  u->layout = LLVMCreateTargetDataLayout(u->machine);
  u->i8 = LLVMInt8TypeInContext(u->context);
  u->i32 = LLVMInt32TypeInContext(u->context);
  u->size = LLVMIntPtrTypeInContext(u->context, u->layout);
  u->real = LLVMFloatTypeInContext(u->context);
  u->pointer = LLVMPointerTypeInContext(u->context, 0);
  u->nothing = LLVMVoidTypeInContext(u->context);
  return QN_OK;
}

void qn_close_unit(qn_unit *u) {
  if (u->module) LLVMDisposeModule(u->module);
  LLVMDisposeTargetData(u->layout);
  LLVMContextDispose(u->context);
  LLVMDisposeTargetMachine(u->machine);
}

qn_status qn_plan_as_compiled(qn_module *m, const qn_compile_options *options) {
  qn_unit u = {.m = m, .f = qn_main_func(m), .options = options};
  QN_TRY(qn_open_unit(&u));
  qn_status status = plan_layers(&u);
  qn_close_unit(&u);
  return status;
}

qn_status qn_compile(qn_module *m, const qn_compile_options *options, qn_object *out) {
  qn_unit u = {.m = m, .f = qn_main_func(m), .options = options};
  *out = (qn_object){0};
  if (!u.f) return qn_error(&m->src, qn_nowhere, "a model needs one function, or one named 'main'");
  QN_TRY(qn_open_unit(&u));
  qn_status status = plan(&u);
  if (status == QN_OK) status = build(&u, out);
  qn_close_unit(&u);
  return status;
}
